"""A compacted topic becomes a table: the newest value of each key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from tingchao.pipeline.clock import stopwatch
from tingchao.pipeline.kafka_cluster import Cluster

_SILENCE = 10.0  # seconds without a record before the end is reached: the broker does not answer


class Table:
    """Follows some partitions of a compacted topic, each with a table of its own. Making it raises Retry too."""

    def __init__(self, cluster: Cluster, topic: str, partitions: Sequence[int]) -> None:
        self._cluster, self._topic = cluster, topic
        with cluster.named_errors(f"reading {topic}"):
            self._consumer = cluster.consumer(fetch_max_wait_ms=50)
        self._where = [TopicPartition(topic, partition) for partition in partitions]
        self._consumer.assign(self._where)
        self.values: dict[int, dict[str, bytes]] = {partition: {} for partition in partitions}

    def refresh(self) -> None:
        """Read on to what is the end now. Raises Retry."""
        with self._cluster.named_errors(f"reading {self._topic}"):
            for record in records(self._consumer, self._where):
                table = self.values[record.partition]
                if record.value is None:
                    table.pop(record.key.decode(), None)
                else:
                    table[record.key.decode()] = record.value

    def close(self) -> None:
        self._consumer.close()


def records(consumer: KafkaConsumer, where: Sequence[TopicPartition]) -> Iterator[ConsumerRecord]:
    """All records from where the consumer stands to at least what is the end when it begins.

    What comes in meanwhile is given too: the consumer stands behind it then, so nobody would read it again.
    """
    ends = consumer.end_offsets(where)
    heard = stopwatch()
    while any(consumer.position(place) < ends[place] for place in where):
        found = consumer.poll(timeout_ms=200, max_records=5000)
        for place in where:
            yield from found.get(place, ())
        if found:
            heard = stopwatch()
        elif stopwatch() - heard > _SILENCE:
            raise KafkaTimeoutError(f"no record for {_SILENCE:g} s before the end")
