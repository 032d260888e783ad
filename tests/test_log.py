"""The contract of log.Log: what every backend promises."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from incident import wait_for

from tingchao.pipeline.clock import millis
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.log import STATE_LIMIT, VALUE_LIMIT, Log, Output

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
Child = Callable[[str], "subprocess.Popen[str]"]


def records(count: int, topic: str = "posts", key: str = "k") -> list[Output]:
    return [Output(topic, key, f"{number}".encode()) for number in range(count)]


def values(log: Log, topic: str = "posts") -> list[str]:
    return [entry.value.decode() for entry in log.scan(topic, limit=100_000)]


@pytest.fixture
def backend(log_backend: Any) -> Any:
    """Each kind of log."""
    return log_backend


def drain(log: Log, group: str, *topics: str, limit: int = 7) -> list[tuple[str, str]]:
    """Read and commit until nothing is left; topic and value of each entry, in the order of reading."""
    reader, seen = log.reader(group, topics), []
    while (batch := reader.read(limit)) is not None:
        assert 0 < len(batch.entries) <= limit
        seen += [(entry.topic, entry.value.decode()) for entry in batch.entries]
        reader.commit(batch, (), {}, NOW)
    reader.close()
    return seen


def test_what_was_published_is_read_in_order_with_key_and_time(log: Log) -> None:
    log.publish([Output("posts", "a", b"1"), Output("posts", "b", b"2")], NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(10)
    assert batch is not None
    assert [(e.topic, e.partition, e.key, e.at, e.value) for e in batch.entries] == [
        ("posts", 0, "a", NOW, b"1"),
        ("posts", 0, "b", NOW, b"2"),
    ]
    assert all(reader.owns(batch.partition, entry.key) for entry in batch.entries)


def test_an_empty_topic_gives_nothing(log: Log) -> None:
    reader = log.reader("g", ["posts"])
    assert reader.read(10) is None
    assert (log.end("posts"), log.position("g", "posts"), log.state("g"), log.scan("posts")) == (0, 0, {}, [])


def test_a_batch_comes_again_until_it_is_committed(log: Log) -> None:
    log.publish(records(5), NOW)
    reader = log.reader("g", ["posts"])
    first = reader.read(2)
    assert first is not None
    assert reader.read(2) == first
    reader.close()
    reader = log.reader("g", ["posts"])
    assert reader.read(2) == first
    reader.commit(first, (), {}, NOW)
    after = reader.read(2)
    assert after is not None
    assert [entry.value for entry in after.entries] == [b"2", b"3"]


def test_part_of_a_batch_can_be_committed(log: Log) -> None:
    log.publish(records(3), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(3)
    assert batch is not None
    reader.commit(batch._replace(entries=batch.entries[:1]), (), {}, NOW)
    rest = reader.read(3)
    assert rest is not None
    assert [entry.value for entry in rest.entries] == [b"1", b"2"]


def test_groups_read_for_themselves(log: Log) -> None:
    log.publish(records(3), NOW)
    assert len(drain(log, "a", "posts")) == 3
    assert len(drain(log, "b", "posts")) == 3
    assert (log.position("a", "posts"), log.position("c", "posts")) == (log.end("posts"), 0)


def test_commit_writes_outputs_state_and_position_together(log: Log) -> None:
    log.publish(records(2), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(1)
    assert batch is not None
    reader.commit(batch, [Output("scored", "k", b"out")], {"seen": b"1"}, NOW)
    assert (values(log, "scored"), log.state("g")) == (["out"], {"seen": b"1"})
    assert log.position("g", "posts") == batch.entries[-1].offset


@pytest.mark.parametrize(
    ("outputs", "state", "reason"),
    [
        (
            [Output("scored", "k", b"ok"), Output("scored", "k", bytes(VALUE_LIMIT + 1))],
            {"a": b"1"},
            "record.too_large",
        ),
        ([Output("scored", "k", b"ok")], {"a": b"1", "b": bytes(STATE_LIMIT + 1)}, "state.too_large"),
    ],
    ids=["value", "state"],
)
def test_what_is_too_large_is_poison_and_nothing_is_written(
    log: Log, outputs: list[Output], state: dict[str, bytes | None], reason: str
) -> None:
    log.publish(records(1), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(1)
    assert batch is not None
    for write in (lambda: reader.commit(batch, outputs, state, NOW), lambda: log.publish(outputs, NOW, state=state)):
        with pytest.raises(Poison) as caught:
            write()
        assert caught.value.reason == reason
    assert (values(log, "scored"), log.state("g"), log.state(""), log.position("g", "posts")) == ([], {}, {}, 0)
    assert reader.read(1) == batch


def test_values_and_state_of_exactly_the_limit_are_taken(log: Log) -> None:
    value, state = b"v" * VALUE_LIMIT, {"big": b"s" * STATE_LIMIT}
    log.publish([Output("posts", "k", value)], NOW, group="g", state=state)
    assert [entry.value for entry in log.scan("posts")] == [value]
    assert log.state("g") == state


def test_an_unknown_topic_is_a_bug_and_nothing_is_written(log: Log) -> None:
    with pytest.raises(ValueError, match="no topic 'ports'"):
        log.publish([Output("posts", "k", b"1"), Output("ports", "k", b"1")], NOW, group="g", state={"a": b"1"})
    with pytest.raises(ValueError, match="no topic 'ports'"):
        log.scan("ports")
    assert (values(log), log.state("g")) == ([], {})


def test_state_is_restored_changed_key_by_key_and_deleted_by_none(backend: Any, log: Log) -> None:
    log.publish(records(3), NOW)
    reader = log.reader("g", ["posts"])
    for state in ({"a": b"1", "b": b"2"}, {"b": b"3", "c": "三".encode()}, {"a": None, "never": None}):
        batch = reader.read(1)
        assert batch is not None
        reader.commit(batch, (), state, NOW)
    kept = {"b": b"3", "c": "三".encode()}
    assert reader.state(0) == kept
    reader.close()
    for group, expected in [("g", kept), ("other", {})]:
        reader = backend.log().reader(group, ["posts"])
        reader.read(1)
        assert reader.state(0) == expected


def test_state_by_prefix(log: Log) -> None:
    log.publish((), NOW, group="g", state={"a": b"", "a/1": b"1", "a/事": b"2", "b": b"3"})
    assert log.state("g", "a/") == {"a/1": b"1", "a/事": b"2"}
    assert set(log.state("g")) == {"a", "a/1", "a/事", "b"}


def test_positions_survive_reopening(backend: Any, log: Log) -> None:
    log.publish(records(10), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(4)
    assert batch is not None
    reader.commit(batch, (), {}, NOW)
    reader.close()
    log.close()
    again = backend.log()
    assert again.position("g", "posts") == batch.entries[-1].offset
    assert [value for _, value in drain(again, "g", "posts")] == ["4", "5", "6", "7", "8", "9"]


def test_a_commit_without_entries_keeps_the_position(log: Log) -> None:
    log.publish(records(2), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(1)
    assert batch is not None
    reader.commit(batch, (), {}, NOW)
    reader.commit(batch._replace(entries=()), [Output("scored", "k", b"x")], {"a": b"1"}, NOW)
    assert log.position("g", "posts") == batch.entries[-1].offset
    assert (values(log, "scored"), reader.state(0)) == (["x"], {"a": b"1"})


def test_topics_are_merged_by_the_time_of_writing(log: Log) -> None:
    for minute, topic in enumerate(["alerts", "commands", "candidates", "commands"]):
        log.publish([Output(topic, "k", str(minute).encode())], NOW + timedelta(minutes=minute))
    reader = log.reader("one", ["candidates", "commands", "alerts"])
    reader.read(1)
    batch = reader.read(10)
    assert batch is not None
    assert [entry.value for entry in batch.entries] == [b"0", b"1", b"2", b"3"]


def test_long_entries_come_in_several_batches_and_none_is_lost(log: Log) -> None:
    for _ in range(4):
        log.publish([Output("posts", "k", bytes(VALUE_LIMIT)) for _ in range(5)], NOW)
    reader, sizes = log.reader("g", ["posts"]), []
    while (batch := reader.read(500)) is not None:
        sizes.append(len(batch.entries))
        reader.commit(batch, (), {}, NOW)
    assert sum(sizes) == 20
    assert max(sizes) <= 8  # 8 MB: several stages hold a batch several times over, within 600 MB


def test_claim_gives_everyone_what_stood_first(backend: Any, log: Log) -> None:
    assert log.claim("g", "k", b"one") == b"one"
    assert log.claim("g", "k", b"two") == b"one"
    assert backend.log().claim("g", "k", b"three") == b"one"
    assert log.claim("g", "other", b"two") == b"two"
    with pytest.raises(Poison):
        log.claim("g", "big", bytes(STATE_LIMIT + 1))


def test_threads_that_claim_at_once_agree(backend: Any) -> None:
    logs, start, got = [backend.log() for _ in range(6)], threading.Barrier(6), []

    def claim(number: int) -> None:
        start.wait()
        got.append(logs[number].claim("g", "k", f"{number}".encode()))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6
    assert set(got) == {logs[0].state("g")["k"]}


def test_processes_that_open_and_claim_at_once_agree(backend: Any, child: Child) -> None:
    # The file does not exist yet: making it is part of the race.
    code = "import os\nprint(log.claim('g', 'k', str(os.getpid()).encode()).decode())"
    processes = [child(code) for _ in range(4)]
    answers = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert answers == {backend.log().state("g")["k"].decode()}


def test_newest_is_the_last_entry_of_each_key_by_offset(log: Log) -> None:
    for key, value in [("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b"1"), ("a", b"3")]:
        log.publish([Output("alerts", key, value)], NOW)
    newest = list(log.newest("alerts"))
    assert [(e.key, e.value) for e in newest] == [("b", b"1"), ("c", b"1"), ("a", b"3")]
    assert sorted(newest, key=lambda e: e.offset) == newest


def test_scan_goes_on_behind_an_offset_outside_any_group(log: Log) -> None:
    log.publish(records(5), NOW)
    drain(log, "g", "posts")
    second = log.scan("posts")[1]
    assert [entry.value for entry in log.scan("posts", after=second.offset, limit=2)] == [b"2", b"3"]
    assert log.scan("posts", after=log.end("posts")) == []
    assert log.position("g", "posts") == log.end("posts")


def test_the_end_stays_after_trim_and_offsets_are_never_given_twice(backend: Any, log: Log) -> None:
    log.publish(records(3), NOW)
    drain(log, "g", "posts")
    end = log.end("posts")
    log.trim(NOW + timedelta(days=1))
    assert (values(log), log.end("posts"), log.position("g", "posts")) == ([], end, end)
    again = backend.log()
    again.publish(records(1), NOW)
    assert again.end("posts") > end
    assert drain(again, "g", "posts") == [("posts", "0")]


def test_two_processes_that_write_at_once_lose_nothing(log: Log, child: Child) -> None:
    code = """
import sys
from datetime import UTC, datetime
from tingchao.pipeline.log import Output
sys.stdin.readline()
for number in range(100):
    log.publish([Output("posts", "NAME", f"NAME {number}".encode())] * 2, datetime.now(UTC))
"""
    writers = [child(code.replace("NAME", name)) for name in ("one", "two")]
    for writer in writers:  # both are ready before either begins
        writer.stdin.write("go\n")
        writer.stdin.flush()
    reader, seen = log.reader("g", ["posts"]), []
    while any(writer.poll() is None for writer in writers) or log.position("g", "posts") < log.end("posts"):
        if (batch := reader.read(30)) is not None:
            reader.commit(batch, [Output("scored", e.key, e.value) for e in batch.entries], {}, NOW)
            seen += [entry.value.decode() for entry in batch.entries]
    assert [writer.returncode for writer in writers] == [0, 0]
    for name in ("one", "two"):
        expected = [f"{name} {number}" for number in range(100) for _ in range(2)]
        assert [value for value in seen if value.startswith(name)] == expected
    assert values(log, "scored") == seen


WORKER = """
import sys
from datetime import UTC, datetime
from tingchao.pipeline.log import Output
reader = log.reader("work", ["posts"])
while (batch := reader.read(3)) is not None:
    done = int(reader.state(0).get("done", b"0")) + len(batch.entries)
    outputs = [Output("scored", entry.key, entry.value) for entry in batch.entries]
    reader.commit(batch, outputs, {"done": str(done).encode()}, datetime.now(UTC))
    print(batch.entries[-1].offset, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 4, 17, 40])
def test_kill_in_the_middle_of_commits_loses_nothing_and_doubles_nothing(
    backend: Any, log: Log, child: Child, acknowledged: int
) -> None:
    total = 3000
    log.publish(records(total), NOW)
    worker = child(WORKER)
    lines = [worker.stdout.readline() for _ in range(acknowledged)]
    worker.kill()
    lines += worker.communicate()[0].splitlines()
    last = max(int(line) for line in lines if line.strip())

    def whole() -> bool:
        position = log.position("work", "posts")
        written = values(log, "scored") == [str(number) for number in range(position)]
        return written and log.state("work") == {"done": str(position).encode()}

    assert wait_for(whole)  # Kafka ends a transaction that was decided, topic by topic, also after its writer's death
    position = log.position("work", "posts")
    assert position >= last  # what it said stands
    assert position < total, "it was faster than the kill; publish more"
    _finish(backend.log())
    assert values(log, "scored") == [str(number) for number in range(total)]


def _finish(log: Log) -> None:
    reader = log.reader("work", ["posts"])
    while (batch := reader.read(500)) is not None:
        reader.commit(batch, [Output("scored", e.key, e.value) for e in batch.entries], {}, NOW)


def test_kill_in_the_middle_of_publishing_keeps_what_was_acknowledged(log: Log, child: Child) -> None:
    code = """
from datetime import UTC, datetime
from tingchao.pipeline.log import Output
for number in range(100_000):
    log.publish([Output("posts", "k", f"{number} {part}".encode()) for part in range(4)], datetime.now(UTC))
    print(number, flush=True)
"""
    writer = child(code)
    for _ in range(30):
        writer.stdout.readline()
    writer.kill()
    last = max([29, *map(int, writer.communicate()[0].split())])
    stood = values(log)
    assert stood == [f"{number} {part}" for number in range(len(stood) // 4) for part in range(4)]
    assert last < len(stood) // 4 <= last + 2  # at most one more was committed and not yet said


def test_times_keep_their_milliseconds(log: Log) -> None:
    at = datetime(2026, 1, 5, 8, 0, 0, 123_000, tzinfo=UTC)
    log.publish(records(1), at)
    assert [millis(entry.at) for entry in log.scan("posts")] == [millis(at)]
    assert log.scan("posts")[0].at.tzinfo is UTC


def test_trim_drops_what_is_old(log: Log) -> None:
    for hour in range(4):
        log.publish([Output("posts", "k", f"{hour}{part}".encode()) for part in "ab"], NOW + timedelta(hours=hour))
    assert log.trim(NOW + timedelta(hours=2)) >= 4
    assert values(log) == ["2a", "2b", "3a", "3b"]
    assert log.trim(NOW + timedelta(hours=2)) == 0


def test_what_is_forgotten_is_neither_newest_nor_scanned(log: Log) -> None:
    for key in ("a", "b", "c"):
        log.publish([Output("alerts", key, key.encode())], NOW)
    log.forget("alerts", ["a", "c", "never"])
    assert [entry.key for entry in log.newest("alerts")] == ["b"]
    log.publish([Output("alerts", "a", b"again")], NOW)
    assert [entry.value for entry in log.newest("alerts")] == [b"b", b"again"]


def test_new_entries_overtake_the_back_fill(log: Log) -> None:
    log.publish([Output("posts_backfill", "k", f"old {number}".encode()) for number in range(4)], NOW)
    reader, seen = log.reader("g", ["posts", "posts_backfill"]), []

    def step() -> None:
        batch = reader.read(2)
        assert batch is not None
        seen.extend(entry.value.decode() for entry in batch.entries)
        reader.commit(batch, (), {}, NOW)

    step()
    log.publish([Output("posts", "k", b"new")], NOW + timedelta(hours=1))
    log.publish([Output("posts_backfill", "k", f"more {number}".encode()) for number in range(2)], NOW)
    while len(seen) < 7:
        step()
    assert [value for value in seen if value != "new"] == ["old 0", "old 1", "old 2", "old 3", "more 0", "more 1"]
    assert seen.index("new") < seen.index("more 0")
    assert reader.read(2) is None
    assert log.position("g", "posts_backfill") == log.end("posts_backfill")


def test_the_last_entry(log: Log) -> None:
    assert log.last("posts") is None
    log.publish(records(3), NOW)
    drain(log, "g", "posts")
    last = log.last("posts")
    assert last is not None
    assert last.value == b"2"
