"""The Log on Kafka: a topic a topic, a compacted topic for the state of each group, one transaction a commit."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from tingchao.pipeline.batches import check, known
from tingchao.pipeline.clock import from_millis, stopwatch
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.kafka_cluster import Cluster, partition_of
from tingchao.pipeline.kafka_reader import KafkaReader
from tingchao.pipeline.kafka_table import Table, records
from tingchao.pipeline.kafka_topics import partitions_of
from tingchao.pipeline.kafka_writer import Line, Writer, entry, line
from tingchao.pipeline.log import Entry, Output
from tingchao.pipeline.records import COMPACTED, TOPICS

PATIENCE = 0.02  # seconds that a reader waits for records; the runner comes again
_NO_TIME = from_millis(0)  # of what nobody reads as an entry
_CLAIM_SECONDS = 30.0  # to try again; longer than a broker takes to elect a leader
_CLAIM_PAUSE, _CLAIM_PAUSE_MOST = 0.1, 2.0  # seconds, at most, before the second try; then twice as long each time


class KafkaLog:
    """See `log.Log` for what each method promises. One object a thread. Topics are made by `kafka_topics.setup`."""

    def __init__(self, cluster: Cluster, patience: float = PATIENCE) -> None:
        self._cluster, self._patience = cluster, patience
        self._counts = {topic: partitions_of(cluster, topic) for topic in TOPICS}
        self._readers: list[KafkaReader] = []
        self._tables: dict[str, Table] = {}
        self._writer: Writer | None = None
        self._slot: IO[str] | None = None

    def reader(self, group: str, topics: Sequence[str]) -> KafkaReader:
        counts = {self._counts[known(topic)] for topic in topics}
        if len(counts) > 1:
            raise ValueError(f"group {group} reads {topics}, which have different numbers of partitions")
        self._there([*map(self._cluster.topic, topics), self._cluster.state_topic(group)])
        self._readers.append(made := KafkaReader(self._cluster, group, topics, self._counts, self._patience))
        return made

    def publish(
        self,
        outputs: Sequence[Output],
        at: datetime,
        *,
        group: str = "",
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        check(outputs, state or {})
        lines = [line(self._cluster, out, self._counts) for out in outputs]
        if state:
            count, topic = self._partitions(self._cluster.state_topic(group)), self._cluster.state_topic(group)
            lines += [Line(topic, partition_of(key, count), key, value) for key, value in state.items()]
        if lines:
            self._own_writer().write(lines, at)

    def state(self, group: str, prefix: str = "") -> dict[str, bytes]:
        merged: dict[str, bytes] = {}
        for one in self.states(group):
            merged |= {key: value for key, value in one.items() if key.startswith(prefix)}
        return merged

    def states(self, group: str) -> list[dict[str, bytes]]:
        topic = self._cluster.state_topic(group)
        if topic not in self._tables:
            self._tables[topic] = Table(self._cluster, topic, range(self._partitions(topic)))
        self._tables[topic].refresh()
        return list(self._tables[topic].values.values())

    def claim(self, group: str, key: str, value: bytes) -> bytes:
        """As others promise. Who holds the claim's transactional id has the word: all before it have ended.

        Those who come at once take the id from each other, so whoever lost it waits a moment that is his own.
        """
        check((), {key: value})
        topic = self._cluster.state_topic(group)
        put = Line(topic, partition_of(key, self._partitions(topic)), key, value)
        writer = Writer(self._cluster, self._cluster.transaction("claim", group))
        until, pause = stopwatch() + _CLAIM_SECONDS, _CLAIM_PAUSE
        try:
            while (standing := self.state(group).get(key)) is None:
                try:
                    writer.begin()
                    if (standing := self.state(group).get(key)) is not None:
                        break
                    writer.write([put], _NO_TIME)
                except Retry:
                    if stopwatch() > until:
                        raise
                    time.sleep(random.uniform(0, pause))  # noqa: S311 no secret
                    pause = min(2 * pause, _CLAIM_PAUSE_MOST)
                else:
                    return value
            return standing
        finally:
            writer.close()

    def scan(self, topic: str, after: int = 0, limit: int = 1000) -> list[Entry]:
        place = self._only_partition(topic)
        with self._cluster.named_errors(f"reading {topic}"):
            self._scanner.assign([place])
            begin = self._scanner.beginning_offsets([place])[place]
            self._scanner.seek(place, max(after, begin))
            found: list[Entry] = []
            for record in records(self._scanner, [place]):
                if record.value is not None:
                    found.append(entry(topic, record))
                if len(found) == limit:
                    break
            return found

    def newest(self, topic: str) -> Iterator[Entry]:
        places = self._places(topic)
        newest: dict[str, Entry] = {}
        with self._cluster.named_errors(f"reading {topic}"):
            self._scanner.assign(places)
            self._scanner.seek_to_beginning(*places)
            for record in records(self._scanner, places):
                newest.pop(record.key.decode(), None)
                if record.value is not None:
                    newest[record.key.decode()] = entry(topic, record)
        return iter(newest.values())

    def last(self, topic: str) -> Entry | None:
        found = [one for place in self._places(topic) if (one := self._last(topic, place)) is not None]
        return max(found, key=lambda one: one.at, default=None)

    def end(self, topic: str) -> int:
        with self._cluster.named_errors(f"asking for the end of {topic}"):
            return sum(self._scanner.end_offsets(self._places(topic)).values())

    def position(self, group: str, topic: str) -> int:
        places = self._places(topic)
        with self._cluster.named_errors(f"asking for the position of {group}"):
            name = self._cluster.group(group)
            committed = self._admin.list_group_offsets({name: places})[name]
            return sum(max(0, committed[place].offset) for place in places if place in committed)

    def trim(self, before: datetime) -> int:
        """Kafka compacts and drops by itself; this drops what its clock says is younger than it is."""
        kept = [topic for topic in TOPICS if topic not in COMPACTED]
        return sum(self._trim(topic, place, before) for topic in kept for place in self._places(topic))

    def forget(self, topic: str, keys: Sequence[str]) -> None:
        name, count = self._cluster.topic(known(topic)), self._counts[topic]
        if keys:
            lines = [Line(name, partition_of(key, count), key, None) for key in keys]
            self._own_writer().write(lines, _NO_TIME)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        for table in self._tables.values():
            table.close()
        self._tables.clear()
        if self._writer is not None:
            self._writer.close()
        if self._slot is not None:
            self._slot.close()
        for name in ("_scanner", "_admin"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    @cached_property
    def _scanner(self) -> KafkaConsumer:
        return self._cluster.consumer(fetch_max_wait_ms=50)

    @cached_property
    def _admin(self) -> KafkaAdminClient:
        return self._cluster.admin()

    def _own_writer(self) -> Writer:
        """With an id that this process's successor on this machine has too, so that it ends what is left open."""
        if self._writer is None:
            slot, self._slot = _free_slot(self._cluster.settings.prefix)
            self._writer = Writer(self._cluster, self._cluster.transaction("writer", socket.gethostname(), slot))
        return self._writer

    def _there(self, names: Sequence[str]) -> None:
        """Raises Refused when topics are missing."""
        with self._cluster.named_errors("looking for topics"):
            missing = self._cluster.missing(names)
        if missing:
            raise Refused(f"Kafka has no topic {', '.join(missing)}; run `tingchao setup`")

    def _partitions(self, name: str) -> int:
        """How many partitions a topic of Kafka has."""
        with self._cluster.named_errors(f"looking for {name}"):
            found = self._scanner.partitions_for_topic(name)
        if not found:
            raise Refused(f"Kafka has no topic {name}; run `tingchao setup`")
        return len(found)

    def _places(self, topic: str) -> list[TopicPartition]:
        name = self._cluster.topic(known(topic))
        return [TopicPartition(name, partition) for partition in range(self._counts[topic])]

    def _only_partition(self, topic: str) -> TopicPartition:
        first, *others = self._places(topic)
        if others:
            raise ValueError(f"topic {topic} has {1 + len(others)} partitions; one number tells no place in it")
        return first

    def _last(self, topic: str, place: TopicPartition) -> Entry | None:
        """Behind the last record stand marks of transactions: look at ever more offsets before the end."""
        with self._cluster.named_errors(f"reading {topic}"):
            begin, end = self._scanner.beginning_offsets([place])[place], self._scanner.end_offsets([place])[place]
            back = 4
            while begin < end:
                self._scanner.assign([place])
                self._scanner.seek(place, max(begin, end - back))
                found = [one for one in records(self._scanner, [place]) if one.value is not None]
                if found or end - back <= begin:
                    return entry(topic, found[-1]) if found else None
                back *= 8
        return None

    def _trim(self, topic: str, place: TopicPartition, before: datetime) -> int:
        """By bisection: times of writing grow with the offsets, but for some seconds. Most often nothing is old."""
        with self._cluster.named_errors(f"trimming {topic}"):
            begin = self._scanner.beginning_offsets([place])[place]
            low, high = begin, self._scanner.end_offsets([place])[place]
            middle = begin
            self._scanner.assign([place])
            while low < high:
                self._scanner.seek(place, middle)
                first = next(records(self._scanner, [place]), None)
                if first is None or entry(topic, first).at >= before:
                    high = middle
                else:
                    low = first.offset + 1
                middle = (low + high) // 2
            if low > begin:
                self._admin.delete_records({place: low})
            return int(low - begin)


def _free_slot(prefix: str) -> tuple[int, IO[str]]:
    """The smallest number that no other writer on this machine holds; freed by the system when its holder dies."""
    number = 0
    while True:
        path = Path(tempfile.gettempdir()) / f"tingchao-{prefix}-writer-{number}.lock"
        file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            number += 1
            continue
        return number, file
