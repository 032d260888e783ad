"""What can go wrong on Kafka, each provoked: rejected records, zombies, kills, clocks, sizes, missing topics."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from incident import wait_for
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import MessageSizeTooLargeError
from mentions import CRASH, FIRE, report

from tingchao.alerts.decide import plan as decide_plan
from tingchao.alerts.ledger import alerts
from tingchao.alerts.watch import plan as watch_plan
from tingchao.config.cluster import KafkaSettings
from tingchao.config.rules import Rule
from tingchao.config.settings import KeepSettings, load
from tingchao.config.topics import Topic
from tingchao.pipeline import kafka_topics
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.errors import Poison, Refused, Retry
from tingchao.pipeline.flow import READS
from tingchao.pipeline.kafka_cluster import Cluster, partition_of
from tingchao.pipeline.kafka_log import KafkaLog
from tingchao.pipeline.kafka_table import Table
from tingchao.pipeline.log import Batch, Output, Reader, output
from tingchao.pipeline.records import Post, encode
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Runner, outcomes

pytestmark = pytest.mark.real
NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
Child = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def backend(kafka: Any) -> Any:
    return kafka


def records(count: int, key: str = "k") -> list[Output]:
    return [Output("posts", key, f"{number}".encode()) for number in range(count)]


def values(log: KafkaLog, topic: str) -> list[str]:
    """All that stands in the topic, a moment later: a commit returns before its marks are in every partition."""
    time.sleep(0.5)
    return [entry.value.decode() for entry in log.scan(topic, limit=100_000)]


def some(reader: Reader, limit: int = 100) -> Batch:
    """The next batch; trouble that passes is waited for."""
    for _ in range(100):
        try:
            if (batch := reader.read(limit)) is not None:
                return batch
        except Retry:
            pass
    raise AssertionError("nothing came")


def configure(cluster: Cluster, topic: str, **configs: str) -> None:
    admin = cluster.admin()
    changed = {name.replace("_", "."): value for name, value in configs.items()}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, cluster.topic(topic), changed)])
    admin.close()


def test_what_is_written_while_a_table_is_read_is_not_lost(kafka: Any, log: KafkaLog) -> None:
    log.publish([], NOW, group="g", state={"a": b"1"})
    table = Table(kafka.cluster, kafka.cluster.state_topic("g"), [0])
    asked = table._consumer.end_offsets

    def asked_just_before(where: Any) -> Any:
        ends = asked(where)
        log.publish([], NOW, group="g", state={"b": b"2"})
        time.sleep(0.5)  # its marks stand
        return ends

    table._consumer.end_offsets = asked_just_before
    table.refresh()
    table._consumer.end_offsets = asked
    table.refresh()
    assert table.values == {0: {"a": b"1", "b": b"2"}}
    table.close()


def test_a_broker_that_is_away_is_waited_for_also_when_a_table_is_begun() -> None:
    away = Cluster.of(KafkaSettings(bootstrap=["127.0.0.1:1"]))
    with pytest.raises(Retry, match=r"reading t: Kafka at 127\.0\.0\.1:1 does not answer"):
        Table(away, "t", [0])


def test_a_rejected_record_takes_the_whole_commit_with_it(kafka: Any, log: KafkaLog) -> None:
    log.publish(records(3), NOW)
    reader = log.reader("g", ["posts"])
    batch = some(reader)
    configure(kafka.cluster, "alerts", max_message_bytes="1000")
    outputs = [Output("commands", "k", b"small"), Output("alerts", "k", os.urandom(5000))]
    for _ in range(2):  # the second time its producer is a new one
        with pytest.raises(Retry, match=r"MessageSizeTooLarge.*tingchao setup"):
            reader.commit(batch, outputs, {"a": b"1"}, NOW)
        assert some(reader) == batch
    assert (values(log, "commands"), log.state("g"), log.position("g", "posts")) == ([], {}, 0)
    kafka.setup()
    reader.commit(some(reader), outputs, {"a": b"1"}, NOW)
    assert (values(log, "commands"), log.state("g")) == (["small"], {"a": b"1"})
    assert reader.read(1) is None


WAITING_WORKER = """
import sys
from datetime import UTC, datetime
from tingchao.pipeline.errors import Retry
from tingchao.pipeline.log import Output
reader = log.reader("g", ["posts"])
batch = None
while batch is None:
    batch = reader.read(100)
print(len(batch.entries), flush=True)
sys.stdin.readline()
try:
    reader.commit(batch, [Output("commands", "k", b"zombie")], {"by": b"zombie"}, datetime.now(UTC))
    print("committed", flush=True)
except Retry as err:
    print("refused", err, flush=True)
"""


def test_a_zombie_commits_nothing_after_the_takeover(log: KafkaLog, child: Child) -> None:
    log.publish(records(3), NOW)
    zombie = child(WAITING_WORKER)
    assert zombie.stdout is not None
    assert zombie.stdin is not None
    assert zombie.stdout.readline() == "3\n"
    os.kill(zombie.pid, signal.SIGSTOP)  # as a machine that swaps, or a long garbage collection
    reader = log.reader("g", ["posts"])
    reader.commit(some(reader), [Output("commands", "k", b"successor")], {"by": b"successor"}, NOW)
    os.kill(zombie.pid, signal.SIGCONT)
    zombie.stdin.write("\n")
    zombie.stdin.flush()
    assert zombie.stdout.readline().startswith("refused")
    assert (values(log, "commands"), log.state("g")) == (["successor"], {"by": b"successor"})
    log.publish(records(1), NOW)
    again = some(reader)  # it goes on where it was
    assert [entry.value for entry in again.entries] == [b"0"]
    reader.commit(again, (), {}, NOW)


@pytest.mark.parametrize("moment", ["flush", "send_offsets_to_transaction", "commit_transaction"])
def test_a_process_killed_within_its_transaction_leaves_nothing_and_blocks_nobody(
    log: KafkaLog, child: Child, moment: str
) -> None:
    log.publish(records(3), NOW)
    stop = f"""
import time
from tingchao.pipeline.kafka_producer import Producer
def hang(self, *args, **kwargs):
    print("hangs", flush=True)
    time.sleep(100)
def late(self, *args):
    flush(self, *args)
    hang(self)
flush = Producer.flush
Producer.{moment} = late if "{moment}" == "flush" else hang
"""
    worker = child(stop + WAITING_WORKER)
    assert worker.stdout is not None
    assert worker.stdin is not None
    assert worker.stdout.readline() == "3\n"
    worker.stdin.write("\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "hangs\n"
    worker.kill()
    log.publish([Output("commands", "k", b"behind it")], NOW)
    reader = log.reader("g", ["posts"])
    reader.commit(some(reader), [Output("commands", "k", b"successor")], {"by": b"successor"}, NOW)
    assert (values(log, "commands"), log.state("g")) == (["behind it", "successor"], {"by": b"successor"})


def test_a_clock_that_is_ahead_is_kept_and_refused_by_nobody(kafka: Any, log: KafkaLog) -> None:
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    log.publish(records(1), ahead)
    stranger = KafkaProducer(bootstrap_servers=kafka.settings.bootstrap)
    stamp = round(ahead.timestamp() * 1000)
    stranger.send(kafka.cluster.topic("posts"), b"1", b"k", partition=0, timestamp_ms=stamp).get(10)
    stranger.close()
    reader = log.reader("g", ["posts"])
    batch = some(reader)
    reader.commit(batch, [Output("commands", "k", b"x")], {}, ahead)
    assert (batch.entries[0].at, values(log, "commands")) == (ahead, ["x"])
    kept = log.scan("posts")
    assert [entry.value for entry in kept] == [b"0", b"1"]
    assert kept[1].at < ahead - timedelta(hours=1)  # of a writer that says nothing: the broker's clock


def test_five_megabytes_are_poison_here_and_refused_there_and_the_partition_lives_on(kafka: Any, log: KafkaLog) -> None:
    large = os.urandom(5 * 1024 * 1024)
    with pytest.raises(Poison, match="at most"):
        log.publish([Output("posts", "k", large)], NOW)
    stranger = KafkaProducer(bootstrap_servers=kafka.settings.bootstrap, max_request_size=10_000_000)
    with pytest.raises(MessageSizeTooLargeError):
        stranger.send(kafka.cluster.topic("posts"), large, b"k").get(10)
    stranger.close()
    log.publish(records(1), NOW)
    assert len(some(log.reader("g", ["posts"])).entries) == 1


def test_a_topic_deleted_under_us_is_named_and_setup_mends_it(kafka: Any, log: KafkaLog) -> None:
    log.publish(records(3), NOW)
    reader = log.reader("g", ["posts"])
    reader.commit(some(reader), (), {"a": b"1"}, NOW)
    log.publish(records(1), NOW)
    waiting = some(reader)
    admin = kafka.cluster.admin()
    admin.delete_topics([kafka.cluster.topic(topic) for topic in ("posts", "commands")])
    admin.close()
    with pytest.raises(Retry, match=r"topic.*tingchao setup"):
        reader.commit(waiting, [Output("commands", "k", b"x")], {"a": b"2"}, NOW)
    with pytest.raises(Retry, match=r"topic.*tingchao setup"):
        log.publish([Output("commands", "k", b"x")], NOW)
    with pytest.raises(Refused, match="tingchao setup"):
        log.reader("a", ["posts"])
    kafka.setup()
    for number in range(3):
        log.publish([Output("posts", "k", f"new {number}".encode())], NOW)
    seen: list[str] = []
    while len(seen) < 3:
        batch = some(reader)
        reader.commit(batch, [Output("commands", "k", entry.value) for entry in batch.entries], {}, NOW)
        seen += [entry.value.decode() for entry in batch.entries]
    assert seen == values(log, "commands") == ["new 0", "new 1", "new 2"]
    assert log.state("g") == {"a": b"1"}


class Tally:
    """Counts in its memory, by key, and says each number once."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def process(self, inputs: list[Input]) -> Result:
        outputs = []
        for one in inputs:
            if isinstance(one.record, Post):
                key = one.record.source
                number = int(self._memory.get(key, b"0")) + 1
                self._memory[key] = str(number).encode()
                outputs.append(Output("commands", key, f"{key} {number} {one.record.id}".encode()))
        return Result(outputs, ["done" if isinstance(one.record, Post) else "tick" for one in inputs])


def post(number: int, source: str, make_post: Callable[..., Post]) -> Output:
    return Output("posts", source, encode(make_post(f"{number}", "", source=source)))


def test_a_record_of_the_next_version_goes_to_dead_and_stops_nobody(
    log: KafkaLog, make_post: Callable[..., Post], clock: ManualClock
) -> None:
    newer = encode(make_post("9")).replace(b'"v":1', b'"v":99')
    log.publish([post(1, "a", make_post), Output("posts", "a", newer), post(2, "a", make_post)], NOW)
    runner = Runner(Plan("g", ("posts",), Tally), log, clock)
    while runner.step():
        pass
    assert values(log, "commands") == ["a 1 1", "a 2 2"]
    assert outcomes(log, "g") == {"done": 2, "dead": 1}
    (letter,) = log.newest("dead")
    assert b"record.version" in letter.value
    runner.close()


@pytest.fixture
def wide(kafka_bootstrap: str, kafka: Any) -> Any:
    """Four partitions."""
    made = type(kafka)(partitions=4, bootstrap=[kafka_bootstrap])
    yield made
    made.close()


def test_members_share_the_partitions_and_each_key_is_counted_once_whoever_comes_and_goes(
    wide: Any, make_post: Callable[..., Post], clock: ManualClock
) -> None:
    log, sources, sent = wide.log(), [f"s{number}" for number in range(12)], 0

    def send(count: int) -> None:
        nonlocal sent
        log.publish([post(sent + n, sources[(sent + n) % 12], make_post) for n in range(count)], NOW)
        sent += count

    def work(until: Callable[[], bool]) -> None:
        for _ in range(3000):
            if until():
                return
            for runner in runners:
                runner.step()
            clock.move(timedelta(seconds=1))  # a runner waits after a Retry
        raise AssertionError([runner._reader.partitions() for runner in runners])

    def held() -> list[int]:
        return sorted(len(runner._reader.partitions()) for runner in runners)

    def runner() -> Runner:
        return Runner(Plan("g", ("posts",), Tally, batch=5, tick=timedelta(seconds=30)), wide.log(0.02), clock)

    runners = [runner()]
    work(lambda: held() == [4])
    send(30)
    work(lambda: log.end("commands") > 0)
    runners.append(runner())
    send(30)
    work(lambda: held() == [2, 2])
    runners.append(runner())
    send(30)
    work(lambda: held() == [1, 1, 2])
    runners.pop(0).close()
    send(30)
    work(lambda: held() == [2, 2] and log.position("g", "posts") == log.end("posts"))
    told = [value.split() for value in values(log, "commands")]
    assert sorted(int(ident) for _, _, ident in told) == list(range(sent))
    for source in sources:
        mine = [(int(number), int(ident)) for name, number, ident in told if name == source]
        assert [number for number, _ in mine] == list(range(1, 11))  # one memory, handed on
        assert [ident for _, ident in mine] == sorted(ident for _, ident in mine)  # in the order of the key
    assert outcomes(log, "g")["done"] == sent
    ticked = {p for p in range(4) if any(e.key == "@tick" for e in partition(wide, p))}
    assert ticked == {0, 1, 2, 3}
    for one in runners:
        one.close()


def test_an_event_stays_one_alert_while_members_of_watch_come_and_go_in_its_midst(
    wide: Any, clock: ManualClock, tmp_path: Path
) -> None:
    names = [next(name for n in range(99) if partition_of(name := f"t{n}", 4) == place) for place in (0, 3)]
    rule = Rule(name="safety", kind="signal", signal="safety", threshold=2.0, min_posts=3, level=2)
    topics = tuple(Topic(name=name, title=name, any=["甲县"]) for name in names)
    settings = dataclasses.replace(load(), rules=(rule,), topics=topics)
    kafka_topics.setup(
        wide.cluster,
        kafka_topics.wanted(wide.cluster, KeepSettings(), {one: READS[one] for one in ("watch", "decide")}),
    )
    log, alone, sent = wide.log(), SqliteLog(tmp_path / "alone.db"), 0

    def told(*texts: Sequence[str]) -> None:
        """Texts of each topic come in on both logs."""
        nonlocal sent
        for name, mine in zip(names, texts, strict=True):
            mentions = [report(sent + n, clock.now(), text, name) for n, text in enumerate(mine)]
            sent += len(mine)
            for one in (log, alone):
                one.publish([output("mentions", name, mention) for mention in mentions], clock.now())

    def work(until: Callable[[], bool]) -> None:
        for _ in range(3000):
            if until():
                return
            for runner in (*members, decide, *undisturbed):
                runner.step()
            clock.move(timedelta(seconds=0.1))  # a runner waits after a Retry
        raise AssertionError([runner._reader.partitions() for runner in members])

    def read_on() -> bool:
        return all(
            log.end(topic) == log.position(stage, topic)
            for stage, topic in (("watch", "mentions"), ("decide", "candidates"))
        )

    def held() -> list[int]:
        return sorted(len(runner._reader.partitions()) for runner in members)

    def watching() -> Runner:
        return Runner(watch_plan(settings), wide.log(0.02), clock)

    decide, members = Runner(decide_plan(settings), wide.log(0.02), clock), [watching()]
    undisturbed = [Runner(plan(settings), alone, clock) for plan in (watch_plan, decide_plan)]
    work(lambda: held() == [4])
    told(FIRE[:3], CRASH)
    work(lambda: len(alerts(log)) == 2 and read_on())
    first = alerts(log)
    members.append(watching())
    work(lambda: held() == [2, 2])
    joined = members[1]._reader.partitions()
    assert len({0, 3} & set(joined)) == 1, "one of the two events goes on at the other member"
    told([*FIRE[3:], f"快讯：{FIRE[2]}"], [f"{CRASH[0]}[泪]", f"{CRASH[1]}请注意"])
    work(read_on)
    members.pop(0).close()
    told([f"{FIRE[0]}天啊"], [f"{CRASH[2]}大家当心"])
    work(lambda: held() == [4] and read_on())

    found, expected = alerts(log), alerts(alone)
    assert set(found) == set(first) == set(expected)
    for name, alert in found.items():
        assert (alert.state, [one.what for one in alert.history]) == ("open", ["opened", "updated"])
        assert (alert.event and alert.event.id) == (first[name].event and first[name].event.id)
        same = expected[name]
        assert (alert.posts, alert.voices, alert.signals) == (same.posts, same.voices, same.signals)
        assert alert.event == same.event
    for one in (*members, decide, *undisturbed):
        one.close()
    alone.close()


def test_no_partition_is_left_behind_by_a_slow_reader(wide: Any) -> None:
    log, keys = wide.log(), [f"s{number}" for number in range(12)]
    for start in range(0, 3000, 500):
        log.publish([Output("posts", keys[n % 12], f"{n}".encode()) for n in range(start, start + 500)], NOW)
    log.publish([Output("posts", "s0", b"large" * 100_000)], NOW)
    reader, seen = wide.log(0.02).reader("g", ["posts"]), 0
    assert wait_for(lambda: len(reader.partitions()) == 4 or (reader.read(1) and None))
    for _ in range(3000):
        if (batch := reader.read(5)) is not None:
            seen += len(batch.entries)
            assert all(reader.owns(batch.partition, entry.key) for entry in batch.entries)
            reader.commit(batch, (), {}, NOW)
        if seen == 3001:
            assert all(sum(reader.owns(number, key) for number in range(4)) == 1 for key in keys)
            return
    raise AssertionError(f"{seen} of 3001; partitions {reader.partitions()}")


def partition(backend: Any, number: int) -> list[Any]:
    """All entries of a partition of posts."""
    log = backend.log()
    reader, found = log.reader("other", ["posts"]), []
    while (batch := reader.read(500)) is not None:
        found += [entry for entry in batch.entries if entry.partition == number]
        reader.commit(batch, (), {}, NOW)
    reader.close()
    admin = backend.cluster.admin()
    admin.delete_groups([backend.cluster.group("other")])
    admin.close()
    return found


def test_the_partition_of_a_key_never_changes() -> None:
    assert [partition_of(key, 6) for key in ("weibo", "地铁停运", "", "a")] == [2, 1, 0, 3]
