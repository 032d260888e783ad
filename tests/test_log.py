"""The contract of log.Log: what every backend promises."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tingchao.pipeline.clock import millis
from tingchao.pipeline.errors import Poison, Refused, Retry
from tingchao.pipeline.log import STATE_LIMIT, VALUE_LIMIT, Log, Output
from tingchao.pipeline.sqlite_log import SqliteLog

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
Child = Callable[[str], "subprocess.Popen[str]"]


def records(count: int, topic: str = "posts", key: str = "k") -> list[Output]:
    return [Output(topic, key, f"{number}".encode()) for number in range(count)]


def values(log: Log, topic: str = "posts") -> list[str]:
    return [entry.value.decode() for entry in log.scan(topic, limit=100_000)]


def drain(log: Log, group: str, *topics: str, limit: int = 7) -> list[tuple[str, int]]:
    """Read and commit until nothing is left; topic and offset of each entry, in the order of reading."""
    reader, seen = log.reader(group, topics), []
    while (batch := reader.read(limit)) is not None:
        assert 0 < len(batch.entries) <= limit
        seen += [(entry.topic, entry.offset) for entry in batch.entries]
        reader.commit(batch, (), {}, NOW)
    return seen


def test_what_was_published_is_read_in_order_with_key_and_time(log: Log) -> None:
    log.publish([Output("posts", "a", b"1"), Output("posts", "b", b"2")], NOW)
    batch = log.reader("g", ["posts"]).read(10)
    assert batch is not None
    assert [(e.topic, e.partition, e.key, e.at, e.value) for e in batch.entries] == [
        ("posts", 0, "a", NOW, b"1"),
        ("posts", 0, "b", NOW, b"2"),
    ]


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
    assert log.reader("g", ["posts"]).read(2) == first
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
    assert (log.position("a", "posts"), log.position("c", "posts")) == (3, 0)


def test_commit_writes_outputs_state_and_position_together(log: Log) -> None:
    log.publish(records(2), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(1)
    assert batch is not None
    reader.commit(batch, [Output("scored", "k", b"out")], {"seen": b"1"}, NOW)
    assert (values(log, "scored"), log.state("g"), log.position("g", "posts")) == (["out"], {"seen": b"1"}, 1)


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
    assert backend.log().reader("g", ["posts"]).state(0) == kept
    assert log.reader("other", ["posts"]).state(0) == {}


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
    assert again.position("g", "posts") == 4
    assert [offset for _, offset in drain(again, "g", "posts")] == [5, 6, 7, 8, 9, 10]


def test_a_commit_without_entries_keeps_the_position(log: Log) -> None:
    log.publish(records(2), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(1)
    assert batch is not None
    reader.commit(batch, (), {}, NOW)
    reader.commit(batch._replace(entries=()), [Output("scored", "k", b"x")], {"a": b"1"}, NOW)
    assert (log.position("g", "posts"), values(log, "scored"), reader.state(0)) == (1, ["x"], {"a": b"1"})


def test_topics_are_merged_by_the_time_of_writing(log: Log) -> None:
    for minute, topic in enumerate(["alerts", "commands", "candidates", "commands"]):
        log.publish([Output(topic, "k", str(minute).encode())], NOW + timedelta(minutes=minute))
    batch = log.reader("g", ["candidates", "commands", "alerts"]).read(10)
    assert batch is not None
    assert [entry.value for entry in batch.entries] == [b"0", b"1", b"2", b"3"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(st.tuples(st.sampled_from(["posts", "commands", "alerts"]), st.integers(0, 50)), max_size=40),
    limit=st.integers(1, 9),
)
def test_each_entry_is_read_once_in_the_order_of_its_topic_whatever_the_clocks_say(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, int]], limit: int
) -> None:
    # Clocks go back, and a writer may take its time before another and commit behind it.
    log = SqliteLog(tmp_path_factory.mktemp("log") / "t.db")
    for topic, second in writes:
        log.publish([Output(topic, "k", b"")], NOW + timedelta(seconds=second))
    seen = drain(log, "g", "posts", "commands", "alerts", limit=limit)
    log.close()
    for topic in ("posts", "commands", "alerts"):
        assert [offset for name, offset in seen if name == topic] == [
            number + 1 for number in range(sum(name == topic for name, _ in writes))
        ]


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
    assert [(e.key, e.value, e.offset) for e in log.newest("alerts")] == [
        ("b", b"1", 2),
        ("c", b"1", 4),
        ("a", b"3", 5),
    ]


def test_scan_goes_on_behind_an_offset_outside_any_group(log: Log) -> None:
    log.publish(records(5), NOW)
    drain(log, "g", "posts")
    assert [entry.offset for entry in log.scan("posts", after=2, limit=2)] == [3, 4]
    assert log.position("g", "posts") == 5


def test_trim_drops_what_is_old_but_of_compacted_topics_keeps_the_newest_of_each_key(log: Log) -> None:
    for hour in range(4):
        for topic in ("posts", "alerts"):
            at = NOW + timedelta(hours=hour)
            log.publish([Output(topic, "k", str(hour).encode()), Output(topic, f"k{hour}", b"once")], at)
    assert log.trim(NOW + timedelta(hours=2)) == 4 + 2
    assert values(log, "posts") == ["2", "once", "3", "once"]
    assert values(log, "alerts") == ["once", "once", "2", "once", "3", "once"]
    assert log.trim(NOW + timedelta(hours=2)) == 0
    assert log.trim(NOW + timedelta(days=1)) == 4 + 1
    assert [entry.value for entry in log.newest("alerts")] == [b"once", b"once", b"once", b"3", b"once"]


def test_the_end_stays_after_trim_and_offsets_are_never_given_twice(backend: Any, log: Log) -> None:
    log.publish(records(3), NOW)
    drain(log, "g", "posts")
    log.trim(NOW + timedelta(days=1))
    assert (values(log), log.end("posts"), log.position("g", "posts")) == ([], 3, 3)
    again = backend.log()
    again.publish(records(1), NOW)
    assert again.end("posts") == 4
    assert drain(again, "g", "posts") == [("posts", 4)]


def test_a_trim_of_many_thousand_entries_drops_them_all(log: Log) -> None:
    log.publish(records(12_000), NOW)
    log.publish([Output("posts", "k", b"young")], NOW + timedelta(hours=2))
    assert log.trim(NOW + timedelta(hours=1)) == 12_000
    assert values(log) == ["young"]


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


def test_locked_is_retry_and_goes_on_afterwards(backend: Any, log: Log) -> None:
    log.publish(records(1), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(1)
    assert batch is not None
    with backend.locked():
        for write in (
            lambda: reader.commit(batch, [Output("scored", "k", b"x")], {"a": b"1"}, NOW),
            lambda: log.publish(records(1), NOW),
            lambda: log.claim("g", "k", b"1"),
            lambda: log.trim(NOW),
        ):
            with pytest.raises(Retry, match="locked"):
                write()
        assert reader.read(1) == batch  # reading goes on
    reader.commit(batch, [Output("scored", "k", b"x")], {"a": b"1"}, NOW)
    assert (values(log), values(log, "scored"), log.state("g")) == (["0"], ["x"], {"a": b"1"})


def test_a_full_disk_is_retry_and_nothing_is_half_written(backend: Any, log: Log) -> None:
    log.publish(records(3), NOW)
    reader = log.reader("g", ["posts"])
    batch = reader.read(3)
    assert batch is not None
    outputs = [Output("scored", "k", b"small"), *(Output("scored", "k", bytes(100_000)) for _ in range(5))]
    with backend.full():
        with pytest.raises(Retry, match="full") as caught:
            reader.commit(batch, outputs, {"a": b"1"}, NOW)
        assert caught.value.after > 1
        assert (values(log, "scored"), log.state("g"), log.position("g", "posts")) == ([], {}, 0)
        assert reader.read(3) == batch
    reader.commit(batch, outputs, {"a": b"1"}, NOW)
    assert (len(values(log, "scored")), log.state("g"), log.position("g", "posts")) == (6, {"a": b"1"}, 3)


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
    position = log.position("work", "posts")
    assert position >= last  # what it said stands
    assert position < total, "it was faster than the kill; publish more"
    assert values(log, "scored") == [str(number) for number in range(position)]
    assert log.state("work") == {"done": str(position).encode()}
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


# What only a file can be.


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but something dear to somebody\n" * 100)
    before = file.read_bytes()
    for path in (file, tmp_path, file / "below" / "tingchao.db"):
        with pytest.raises(Refused, match="--db"):
            SqliteLog(path)
    assert file.read_bytes() == before


def test_a_locked_file_cannot_be_opened_yet(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.log()
    monkeypatch.setattr("tingchao.pipeline.sqlite_file.BUSY_SECONDS", 0.02)
    with backend.locked(), pytest.raises(Retry, match="locked"):
        SqliteLog(backend.path)


def test_a_damaged_file_is_named_and_waited_for(backend: Any, log: Log) -> None:
    # Nothing may go to [dead] because the file is damaged: a back-up copy mends it.
    for _ in range(20):
        log.publish([*records(50), Output("posts", "k", bytes(3000))], NOW)
    log.close()
    data = bytearray(backend.path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    backend.path.write_bytes(data)
    broken = backend.log()
    with pytest.raises(Retry, match="damaged"):
        broken.scan("posts", limit=10_000)


def test_a_wrong_statement_is_seen_and_not_waited_for(log: SqliteLog) -> None:
    log._db.execute("DROP TABLE log_posts")
    with pytest.raises(Exception, match="no such table") as caught:
        log.publish(records(1), NOW)
    assert not isinstance(caught.value, Retry)


def test_times_keep_their_milliseconds(log: Log) -> None:
    at = datetime(2026, 1, 5, 8, 0, 0, 123_000, tzinfo=UTC)
    log.publish(records(1), at)
    assert [millis(entry.at) for entry in log.scan("posts")] == [millis(at)]
    assert log.scan("posts")[0].at.tzinfo is UTC
