"""Settings become topics: created, or brought up to date, by `tingchao setup`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from tingchao.config.settings import KeepSettings
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.kafka_cluster import Cluster
from tingchao.pipeline.log import STATE_LIMIT, VALUE_LIMIT
from tingchao.pipeline.records import COMPACTED, TOPICS

# Shared by many processes; all other topics are one partition, since one process decides for all, or because views
# follow them by one number.
MANY = frozenset({"jobs", "posts", "posts_backfill", "scored", "mentions"})
_HOUR = timedelta(hours=1)
_MARGIN = 64 * 1024  # bytes of a batch beside the values: keys, headers, the records around a large one
_BY_HAND = "a change needs kafka-reassign-partitions of the brokers"


class Wanted(NamedTuple):
    """A topic as it shall be."""

    name: str
    partitions: int
    configs: Mapping[str, str]


class Step(NamedTuple):
    """What setup did or found: created, changed, kept, replication; and for people, what exactly."""

    topic: str
    did: str
    detail: str = ""


def partitions_of(cluster: Cluster, topic: str) -> int:
    """How many partitions a topic of the log shall have."""
    return cluster.settings.partitions if topic in MANY else 1


def wanted(cluster: Cluster, keep: KeepSettings, groups: Mapping[str, Iterable[str]]) -> list[Wanted]:
    """All topics. `groups`: each group that keeps state, with the topics that it reads (none: it only writes)."""
    found = []
    for topic in TOPICS:
        configs = _compacted(VALUE_LIMIT) if topic in COMPACTED else _kept(keep.log)
        found.append(Wanted(cluster.topic(topic), partitions_of(cluster, topic), configs))
    for group, reads in groups.items():
        counts = {partitions_of(cluster, topic) for topic in reads} or {1}
        if len(counts) > 1:
            raise Refused(f"group {group} reads {', '.join(reads)}, which have different numbers of partitions")
        found.append(Wanted(cluster.state_topic(group), counts.pop(), _compacted(STATE_LIMIT)))
    return found


def _kept(age: timedelta) -> dict[str, str]:
    return _common(VALUE_LIMIT) | {"cleanup.policy": "delete", "retention.ms": _ms(age), "segment.ms": _ms(age / 7)}


def _compacted(limit: int) -> dict[str, str]:
    """Short segments: the newest one is never compacted, and is read whole when state is restored."""
    return _common(limit) | {
        "cleanup.policy": "compact",
        "segment.ms": _ms(_HOUR),
        "segment.bytes": str(32 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.3",
        # What was deleted (keys of voices, alerts that aged out) is gone from the disk about two hours later.
        "max.compaction.lag.ms": _ms(_HOUR),
        "delete.retention.ms": _ms(_HOUR),
    }


def _common(limit: int) -> dict[str, str]:
    return {
        # The broker's clock: a record whose writer is ahead is not refused, and age is real.
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(limit + 4 * _MARGIN),
    }


def _ms(age: timedelta) -> str:
    return str(age // timedelta(milliseconds=1))


def setup(cluster: Cluster, topics: Iterable[Wanted]) -> list[Step]:
    """Create what is missing and bring settings up to date; again on the same cluster it changes nothing.

    Raises Refused, before anything is changed, when a topic has another number of partitions: state hangs on it.
    """
    names = {topic.name: topic for topic in topics}
    with cluster.named_errors("setting up topics"):
        admin = cluster.admin()
        try:
            there = {one["name"]: one for one in admin.describe_topics(list(names)) if one["error_code"] == 0}
            _refuse(cluster, [names[name] for name, one in there.items() if len(one["partitions"]) != names[name][1]])
            steps = [_create(cluster, admin, topic) for name, topic in names.items() if name not in there]
            steps += _update(admin, [names[name] for name in there])
            steps += _replication(cluster, there.values())
            admin.wait_for_topics(list(names))
            return steps
        finally:
            admin.close()


def _refuse(cluster: Cluster, others: list[Wanted]) -> None:
    if others:
        raise Refused(
            f"{', '.join(one.name for one in others)}: the number of partitions differs from {others[0].partitions} "
            "(kafka.partitions in tingchao.toml). The state of the stages and the order of each key hang on it, so it "
            f"is not changed. To migrate: stop what writes, let all stages read to the end (`tingchao doctor`), stop "
            f"them, set another kafka.prefix than {cluster.settings.prefix!r} together with the new number, run "
            "`tingchao setup`, and start again (docs/deploy.md, 'Another number of partitions')"
        )


def _create(cluster: Cluster, admin: KafkaAdminClient, topic: Wanted) -> Step:
    replication = cluster.settings.replication
    options = {"num_partitions": topic.partitions, "replication_factor": replication}
    configs = dict(topic.configs) | ({"min.insync.replicas": "2"} if replication > 2 else {})
    try:
        admin.create_topics({topic.name: options | {"configs": configs}})
    except TopicAlreadyExistsError:  # another `setup` at the same time
        return Step(topic.name, "kept")
    return Step(topic.name, "created", f"{topic.partitions} x {replication}")


def _update(admin: KafkaAdminClient, topics: list[Wanted]) -> Iterator[Step]:
    if not topics:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    present = admin.describe_configs(resources, config_filter="all")["topic"]
    for topic in topics:
        now = {name: str(one["value"]) for name, one in present[topic.name].items()}
        change = {name: value for name, value in topic.configs.items() if now.get(name) != value}
        if change:
            answer = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, change)])
            if (said := answer["topic"][topic.name]) != "OK":
                raise Refused(f"{topic.name}: Kafka refuses {change}: {said}")
        told = ", ".join(f"{name} {now.get(name)} -> {value}" for name, value in change.items())
        yield Step(topic.name, "changed" if change else "kept", told)


def _replication(cluster: Cluster, there: Iterable[Mapping[str, list[Mapping[str, list[int]]]]]) -> Iterator[Step]:
    """Replication is the brokers' affair: told, not changed."""
    for one in there:
        counts = {len(partition["replica_nodes"]) for partition in one["partitions"]}
        if counts != {cluster.settings.replication}:
            yield Step(str(one["name"]), "replication", f"{counts} -> {cluster.settings.replication}: {_BY_HAND}")
