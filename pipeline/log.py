"""The Log: append, read, and commit outputs, state and read position together.

Two backends keep one contract (tests/test_log.py): SQLite (`sqlite_log.py`) and, on a cluster, Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from tingchao.pipeline.records import Record, encode

STATE_LIMIT = 64 * 1024  # bytes of one keyed record of state
VALUE_LIMIT = 1024 * 1024  # bytes of one record; Kafka's default, kept by each backend so that a record fits all


class Output(NamedTuple):
    """A record on its way into a topic. Records of one key keep their order."""

    topic: str
    key: str
    value: bytes
    partition: int | None = None  # None: from the key


def output(topic: str, key: str, record: Record) -> Output:
    """The record as an Output."""
    return Output(topic, key, encode(record))


class Entry(NamedTuple):
    """A record as it stands in the log. `at` is the time of writing, by the clock of the writer."""

    topic: str
    partition: int
    offset: int
    key: str
    at: datetime
    value: bytes


class Batch(NamedTuple):
    """Entries of one partition, in order; of several topics, merged by the time of writing.

    A topic keeps its own order whatever its times say: clocks go back, and writers overtake each other.
    """

    partition: int
    entries: Sequence[Entry]


class Reader(Protocol):
    """A member of a group: reads what the group has not committed yet, back-fill only when nothing else waits."""

    def read(self, limit: int) -> Batch | None:
        """At most `limit` entries that follow the last commit of one partition; None when there are none."""

    def state(self, partition: int) -> dict[str, bytes]:
        """All keyed state that the group has committed for the partition."""

    def owns(self, partition: int, key: str) -> bool:
        """Whether records with the key come in the partition."""

    def commit(self, batch: Batch, outputs: Sequence[Output], state: Mapping[str, bytes | None], at: datetime) -> None:
        """Outputs, changed state (None deletes) and the position behind the batch, all or nothing.

        Raises Retry when the log cannot take it now, Poison when it never will (a value or state too large).
        """

    def partitions(self) -> Sequence[int]:
        """The partitions that this member holds now."""

    def moved(self) -> frozenset[int]:
        """Partitions that came or went since it was last asked: what is remembered of them is old."""

    def close(self) -> None: ...


class Log(Protocol):
    """Topics of records.TOPICS; a record of a topic is kept until `trim`."""

    def reader(self, group: str, topics: Sequence[str]) -> Reader:
        """A member of the group; it goes on behind what the group has committed."""

    def publish(
        self,
        outputs: Sequence[Output],
        at: datetime,
        *,
        group: str = "",
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """Append, for writers that read nothing, together with changes to the state of `group`.

        Raises what a reader's `commit` raises.
        """

    def state(self, group: str, prefix: str = "") -> dict[str, bytes]:
        """The state that a writer without input committed by `publish`, of keys that begin with `prefix`."""

    def states(self, group: str) -> list[dict[str, bytes]]:
        """All state of the group, one for each partition."""

    def claim(self, group: str, key: str, value: bytes) -> bytes:
        """Put state if the key has none; the value that stands, whoever put it.

        Raises Poison for a value that is too large.
        """

    def scan(self, topic: str, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Entries with an offset greater than `after`, outside any group: for views of topics of one partition.

        Offsets grow, but not always by one.
        """

    def newest(self, topic: str) -> Iterator[Entry]:
        """The newest entry of each key, ordered by offset."""

    def end(self, topic: str) -> int:
        """The offset of the last entry (in Kafka also of the mark behind it), 0 in an empty topic.

        Summed over the partitions, like `position`: their difference tells how far behind a group is.
        """

    def last(self, topic: str) -> Entry | None:
        """The entry that was written last, of any partition."""

    def position(self, group: str, topic: str) -> int:
        """The last offset that the group has committed, summed over the partitions; 0 before its first commit."""

    def trim(self, before: datetime) -> int:
        """Drop entries written before `before`; of compacted topics only those with a newer one. How many."""

    def forget(self, topic: str, keys: Sequence[str]) -> None:
        """Delete all entries of these keys of a compacted topic."""

    def close(self) -> None:
        """And its readers."""
