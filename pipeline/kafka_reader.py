"""A member of a consumer group: the partitions that it holds become batches, and a commit is one transaction.

A partition that arrives is renewed before it is used: its transactional id is taken, so that what its last holder
left open is aborted and that one can commit nothing more; then the position is read anew. The same is done after a
commit whose outcome is not known.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice

from kafka import ConsumerRebalanceListener, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError, UnknownTopicOrPartitionError
from kafka.structs import OffsetAndMetadata

from tingchao.pipeline.batches import BATCH_BYTES, check, fitting, timed
from tingchao.pipeline.clock import stopwatch
from tingchao.pipeline.errors import Retry
from tingchao.pipeline.kafka_cluster import Cluster, partition_of
from tingchao.pipeline.kafka_table import Table
from tingchao.pipeline.kafka_writer import Line, Writer, entry, line
from tingchao.pipeline.log import Batch, Entry, Output
from tingchao.pipeline.records import BACKFILL

_PATIENT = 0.5  # seconds
_COMMITTED_MS = 10_000  # for the answer of a coordinator


class KafkaReader:
    """See `log.Reader`. All topics have the same number of partitions; a member holds the same ones of each.

    `patience`: seconds that `read` waits for records; with half a second or more it asks where the end is, and says
    None only there.
    """

    def __init__(
        self, cluster: Cluster, group: str, topics: Sequence[str], counts: Mapping[str, int], patience: float
    ) -> None:
        self._cluster, self._group, self._counts, self._patience = cluster, group, counts, patience
        self._names = {cluster.topic(topic): topic for topic in topics}
        self._state_topic = cluster.state_topic(group)
        self._waiting: dict[TopicPartition, deque[Entry]] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._writers: dict[int, Writer] = {}
        self._moved: set[int] = set()
        self._turn = 0
        self._moves = _Moves()
        with cluster.named_errors(f"joining group {group}"):
            # By range, each topic's partition n goes to the same member.
            self._consumer = cluster.member(group, partition_assignment_strategy=[RangePartitionAssignor])
            try:
                self._join()
            except BaseException:
                self.close()
                raise

    def read(self, limit: int) -> Batch | None:
        with self._cluster.named_errors(f"reading {', '.join(self._names.values())}"):
            self._poll(limit)
            partitions = self.partitions()
            for step in range(len(partitions)):
                partition = partitions[(self._turn + step) % len(partitions)]
                if entries := self._next(partition, limit):
                    return Batch(partition, entries)
            self._skip_markers()
            return None

    def state(self, partition: int) -> dict[str, bytes]:
        if partition not in self._writers:
            raise Retry(f"partition {partition} of group {self._group} has moved to another process", 0.1)
        table = Table(self._cluster, self._state_topic, [partition])
        try:
            table.refresh()
        finally:
            table.close()
        return table.values[partition]

    def owns(self, partition: int, key: str) -> bool:
        return all(partition_of(key, self._counts[topic]) == partition for topic in self._names.values())

    def commit(self, batch: Batch, outputs: Sequence[Output], state: Mapping[str, bytes | None], at: datetime) -> None:
        check(outputs, state)
        lines = [line(self._cluster, out, self._counts) for out in outputs]
        lines += [Line(self._state_topic, batch.partition, key, value) for key, value in state.items()]
        ends = {TopicPartition(self._cluster.topic(one.topic), one.partition): one.offset for one in batch.entries}
        writer = self._writers.get(batch.partition)
        if writer is None:
            raise Retry(f"partition {batch.partition} of group {self._group} has moved to another process", 0.1)
        offsets = {place: OffsetAndMetadata(offset, "", -1) for place, offset in ends.items()}
        try:
            writer.write(lines, at, offsets, self._consumer.group_metadata())
        except BaseException:
            self._moves.doubt(batch.partition)
            raise
        for place, offset in ends.items():
            self._positions[place] = offset
            waiting = self._waiting[place]
            while waiting and waiting[0].offset <= offset:
                waiting.popleft()
        self._turn += 1

    def partitions(self) -> Sequence[int]:
        return sorted(self._writers)

    def moved(self) -> frozenset[int]:
        moved, self._moved = frozenset(self._moved), set()
        return moved

    def close(self) -> None:
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=2000)
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _join(self) -> None:
        """Know the partitions before the first `poll` joins the group.

        The member that shares them out would else give none to anybody, and kafka-python 3.0.12 may not notice when it
        learns of them: the group then stands still for good.
        """
        self._consumer.subscribe(list(self._names), listener=self._moves)
        if unknown := [name for name in self._names if not self._consumer.partitions_for_topic(name)]:
            raise UnknownTopicOrPartitionError(", ".join(unknown))

    def _poll(self, limit: int) -> None:
        """Move what the broker has sent to where it waits, until something waits or patience ends.

        Asked each time, since `poll` takes part in the group, also when enough waits: then for one record. Partitions
        are never paused: kafka-python 3.0.12 may not fetch one again that was paused with records under way.
        """
        until = stopwatch() + self._patience
        while True:
            wait = 0 if any(self._waiting.values()) else max(0, round(1000 * (until - stopwatch())))
            room = 1 if self._is_full(limit) else max(2 * limit, 500)
            found = self._consumer.poll(timeout_ms=min(wait, 100), max_records=room)
            if self._moves.any():
                self._rearrange()
                continue  # what was found may lie behind the position
            for place, records in found.items():
                made = (entry(self._names[place.topic], one) for one in records if one.value is not None)
                self._waiting[place].extend(made)
            if any(self._waiting.values()) or stopwatch() >= until or self._at_end():
                return

    def _is_full(self, limit: int) -> bool:
        """Whether enough waits: two batches, or as many bytes as one may have."""
        count = sum(map(len, self._waiting.values()))
        size = sum(len(one.value) for waiting in self._waiting.values() for one in waiting)
        return count >= 2 * limit or size > BATCH_BYTES

    def _at_end(self) -> bool:
        """Asked by patient readers only: the question waits behind the fetch that is under way."""
        if self._patience < _PATIENT or not self._waiting:
            return False
        ends = self._consumer.end_offsets(list(self._waiting))
        return all(self._consumer.position(place) == ends[place] for place in self._waiting)

    def _rearrange(self) -> None:
        """Give up what was lost, renew what arrived or is in doubt."""
        held, doubtful = self._moves.take()
        for partition in set(self._writers) - held:
            self._writers.pop(partition).close()
            self._moved.add(partition)
        arrived = held - set(self._writers)
        self._moved |= arrived | (doubtful & held)
        try:
            self._renew(arrived | (doubtful & held), held)
        except BaseException as err:
            self._moves.doubt(*held)
            if isinstance(err, ValueError):  # kafka-python's "Unassigned partition": the group takes it just now
                raise Retry(f"partitions of group {self._group} move ({err})", 0.1) from err
            raise

    def _renew(self, begin: set[int], held: set[int]) -> None:
        for partition in sorted(begin):
            writer = self._writers.get(partition) or Writer(
                self._cluster, self._cluster.transaction(self._group, partition)
            )
            writer.close()
            writer.begin()
            self._writers[partition] = writer
        self._waiting = {}
        for place in (place for partition in sorted(held) for place in self._places(partition)):
            committed = self._consumer.committed(place, timeout_ms=_COMMITTED_MS)  # else it asks for ever
            if committed is None:
                self._consumer.seek_to_beginning(place)
            else:
                self._consumer.seek(place, committed)
            self._positions[place] = committed or 0
            self._waiting[place] = deque()

    def _places(self, partition: int) -> list[TopicPartition]:
        return [TopicPartition(name, partition) for name in self._names]

    def _next(self, partition: int, limit: int) -> list[Entry]:
        """What waits in the partition, merged by time; of back-fill only when nothing else waits."""
        places = self._places(partition)
        for urgent in (True, False):
            queues = [self._waiting[place] for place in places if (self._names[place.topic] not in BACKFILL) is urgent]
            merged = heapq.merge(*(timed(islice(queue, limit)) for queue in queues), key=lambda pair: pair[0])
            if found := list(islice(fitting(one for _, one in merged), limit)):
                return found
        return []

    def _skip_markers(self) -> None:
        """Commit positions past the marks of transactions, so that a group that has read all stands at the end."""
        ahead = {
            place: OffsetAndMetadata(position, "", -1)
            for place in self._waiting
            if (position := self._consumer.position(place, timeout_ms=100) or 0) > self._positions[place]
        }
        if ahead:
            with suppress(KafkaError):  # a rebalance has begun, or the broker is away: the next one does
                self._consumer.commit(ahead, timeout_ms=1000)
                self._positions |= {place: moved.offset for place, moved in ahead.items()}


class _Moves(ConsumerRebalanceListener):  # type: ignore[misc]
    """What the group has given and taken since it was last asked; told by the thread of the network."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[int] = set()
        self._doubtful: set[int] = set()
        self._changed = False

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Before each rebalance. What comes back at its end was held by nobody else in between."""

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self.doubt(*(place.partition for place in lost))

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        with self._lock:
            self._held = {place.partition for place in assigned}
            self._changed = True

    def doubt(self, *partitions: int) -> None:
        """Their positions and state are to be read anew."""
        with self._lock:
            self._doubtful.update(partitions)
            self._changed = True

    def any(self) -> bool:
        with self._lock:
            return self._changed

    def take(self) -> tuple[set[int], set[int]]:
        """The partitions held now, and those in doubt; asking forgets the doubt."""
        with self._lock:
            doubtful, self._doubtful, self._changed = self._doubtful, set(), False
            return set(self._held), doubtful
