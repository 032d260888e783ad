"""Lines become one transaction: all of them, the state and the positions, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError
from kafka.structs import OffsetAndMetadata

from tingchao.pipeline import metrics
from tingchao.pipeline.clock import from_millis, millis
from tingchao.pipeline.kafka_cluster import Cluster, partition_of
from tingchao.pipeline.kafka_producer import Producer
from tingchao.pipeline.log import Entry, Output

_WAIT = 20.0  # seconds for the answer to one record
# The time of writing by the writer's clock. Kafka's own timestamp is its broker's clock (LogAppendTime): it decides
# what is old, and a writer whose clock is ahead is not refused.
_AT = "at"


class Line(NamedTuple):
    """A record of Kafka on its way; no value deletes the key of a compacted topic."""

    topic: str
    partition: int
    key: str
    value: bytes | None


class Writer:
    """The holder of a transactional id. Whoever begins last holds it: all others are fenced."""

    def __init__(self, cluster: Cluster, transaction: str) -> None:
        self._cluster, self._transaction = cluster, transaction
        self._producer: Producer | None = None

    def begin(self) -> None:
        """Take the id: an unfinished transaction of an earlier holder is aborted, a half-committed one completed."""
        with self._cluster.named_errors(f"beginning to write as {self._transaction}"):
            if self._producer is None:
                self._producer = self._cluster.producer(self._transaction)
            try:
                self._producer.init_transactions()
            except KafkaError:
                self.close()
                raise

    def write(
        self,
        lines: Sequence[Line],
        at: datetime,
        offsets: Mapping[TopicPartition, OffsetAndMetadata] | None = None,
        member: Any = None,
    ) -> None:
        """Lines and the offsets of a group's member, in one transaction.

        After an error the outcome may be unknown; `begin` then ends the transaction one way or the other.
        """
        if self._producer is None:
            self.begin()
        assert self._producer is not None
        with self._cluster.named_errors(f"writing as {self._transaction}"):
            try:
                _transact(self._producer, lines, at, offsets or {}, member)
            except KafkaTimeoutError:  # of a topic that was deleted the producer says no more than that
                self._give_up()
                if missing := self._cluster.missing({line.topic for line in lines}):
                    raise UnknownTopicOrPartitionError(", ".join(missing)) from None
                raise
            except BaseException:
                # Its next commit could return normally although its send failed (kafka-python 3.0.12).
                self._give_up()
                raise

    def _give_up(self) -> None:
        metrics.ABORTS.labels(self._transaction).inc()
        self.close()

    def close(self) -> None:
        """An open transaction is aborted."""
        if self._producer is not None:
            self._producer.drop()
            self._producer = None


def _transact(
    producer: Producer,
    lines: Sequence[Line],
    at: datetime,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    member: Any,
) -> None:
    headers = [(_AT, str(millis(at)).encode())]
    producer.begin_transaction()
    sent = [
        producer.send(line.topic, line.value, line.key.encode(), headers=headers, partition=line.partition)
        for line in lines
    ]
    producer.flush(_WAIT)
    for future in sent:  # each: a rejected record does not make the commit fail
        future.get(_WAIT)
    if offsets:
        # With the member's metadata: with the group's name alone a zombie could commit after the takeover.
        producer.send_offsets_to_transaction(offsets, member)
    producer.commit_transaction()


def entry(topic: str, record: ConsumerRecord) -> Entry:
    """A record of Kafka as an Entry of the log's topic; its offset is the one that follows it."""
    at = next((int(value) for name, value in record.headers if name == _AT), record.timestamp)
    return Entry(topic, record.partition, record.offset + 1, record.key.decode(), from_millis(at), record.value)


def line(cluster: Cluster, out: Output, counts: Mapping[str, int]) -> Line:
    """An output with its topic's name and its partition in Kafka; `counts`: how many partitions each topic has."""
    partition = partition_of(out.key, counts[out.topic]) if out.partition is None else out.partition
    return Line(cluster.topic(out.topic), partition, out.key, out.value)
