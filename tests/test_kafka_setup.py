"""`tingchao setup` on Kafka: topics as the settings say, again and again, and what it refuses."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tingchao.alerts import decide, notify, watch
from tingchao.config.settings import KeepSettings, Settings, load
from tingchao.crawlers.seen import GROUP as CRAWL
from tingchao.pipeline import index, score, voice
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.flow import groups
from tingchao.pipeline.kafka_cluster import Cluster
from tingchao.pipeline.kafka_topics import MANY, setup, wanted
from tingchao.pipeline.records import COMPACTED, TOPICS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def settings() -> Settings:
    return load()


def test_every_group_that_keeps_state_is_set_up(settings: Settings) -> None:
    anything: Any = None
    plans = [score.plan(settings, anything), index.plan(anything), watch.plan(settings), decide.plan(settings)]
    plans += notify.plans(settings, print, SystemClock())
    known = groups(settings)
    assert {plan.name: plan.reads for plan in plans}.items() <= known.items()
    assert {CRAWL, voice.GROUP} <= set(known)


def test_what_a_group_reads_and_its_state_have_the_same_partitions(settings: Settings) -> None:
    cluster = Cluster.of(settings.main.kafka)
    found = {topic.name: topic for topic in wanted(cluster, settings.main.keep, groups(settings))}
    assert set(found) >= {cluster.topic(topic) for topic in TOPICS}
    for group, reads in groups(settings).items():
        counts = {found[cluster.topic(topic)].partitions for topic in reads} or {1}
        assert counts == {found[cluster.state_topic(group)].partitions}
        assert found[cluster.state_topic(group)].configs["cleanup.policy"] == "compact"
    for topic in TOPICS:
        assert (found[cluster.topic(topic)].configs["cleanup.policy"] == "compact") is (topic in COMPACTED)
        assert (found[cluster.topic(topic)].partitions > 1) is (topic in MANY)


def test_names_that_kafka_does_not_take_are_written_otherwise_and_stay_different(settings: Settings) -> None:
    cluster = Cluster.of(settings.main.kafka)
    names = ["notify.值班", "notify.duty desk", "notify.duty_desk", "notify.duty-desk", "notify.duty%20desk"]
    made = [cluster.state_topic(name) for name in names]
    assert len(set(made)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) for name in made)


@pytest.mark.real
def test_setup_again_changes_nothing(kafka: Any) -> None:
    assert {step.did for step in kafka.setup()} == {"kept"}


@pytest.mark.real
def test_a_change_of_settings_is_carried_over(kafka: Any) -> None:
    keep = KeepSettings(log=timedelta(days=3))
    steps = setup(kafka.cluster, wanted(kafka.cluster, keep, {"g": ("posts",)}))
    changed = {step.topic: step.detail for step in steps if step.did == "changed"}
    assert set(changed) == {kafka.cluster.topic(topic) for topic in set(TOPICS) - COMPACTED}
    assert "retention.ms 604800000 -> 259200000" in changed[kafka.cluster.topic("posts")]
    again = setup(kafka.cluster, wanted(kafka.cluster, keep, {"g": ("posts",)}))
    assert {step.did for step in again} == {"kept"}


@pytest.mark.real
def test_a_new_group_gets_its_topic(kafka: Any) -> None:
    steps = setup(kafka.cluster, wanted(kafka.cluster, KeepSettings(), {"g": ("posts",), "notify.值班": ("alerts",)}))
    assert [step.topic for step in steps if step.did == "created"] == [kafka.cluster.state_topic("notify.值班")]


@pytest.mark.real
def test_another_number_of_partitions_is_refused_with_the_way_to_get_there(kafka: Any) -> None:
    more = Cluster.of(kafka.settings.model_copy(update={"partitions": 3}))
    asked = wanted(more, KeepSettings(log=timedelta(days=3)), {"g": ("posts",), "new": ("posts",)})
    with pytest.raises(Refused, match=r"kafka\.partitions.*kafka\.prefix.*tingchao setup") as caught:
        setup(more, asked)
    for topic in MANY:
        assert more.topic(topic) in str(caught.value)
    assert more.topic("alerts") not in str(caught.value)
    assert {step.did for step in kafka.setup()} == {"kept"}  # nothing was changed before it was refused


@pytest.mark.real
def test_replication_is_told_and_not_changed(kafka: Any) -> None:
    three = Cluster.of(kafka.settings.model_copy(update={"replication": 3}))
    steps = setup(three, wanted(three, KeepSettings(), {}))
    assert {step.did for step in steps} == {"kept", "replication"}
    assert all("kafka-reassign-partitions" in step.detail for step in steps if step.did == "replication")


@pytest.mark.real
def test_a_deleted_topic_is_made_again(kafka: Any) -> None:
    admin = kafka.cluster.admin()
    admin.delete_topics([kafka.cluster.topic("scored")])
    admin.close()
    assert [step.topic for step in kafka.setup() if step.did == "created"] == [kafka.cluster.topic("scored")]
