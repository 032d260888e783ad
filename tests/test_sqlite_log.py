"""What only the Log on a file promises: exact offsets, and what becomes of a file in trouble."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tingchao.config.language import in_language
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.log import Log, Output
from tingchao.pipeline.sqlite_log import SqliteLog

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def records(count: int) -> list[Output]:
    return [Output("posts", "k", f"{number}".encode()) for number in range(count)]


def values(log: Log, topic: str = "posts") -> list[str]:
    return [entry.value.decode() for entry in log.scan(topic, limit=100_000)]


def drain(log: Log, group: str, *topics: str, limit: int = 7) -> list[tuple[str, int]]:
    """Read and commit until nothing is left; topic and offset of each entry, in the order of reading."""
    reader, seen = log.reader(group, topics), []
    while (batch := reader.read(limit)) is not None:
        seen += [(entry.topic, entry.offset) for entry in batch.entries]
        reader.commit(batch, (), {}, NOW)
    return seen


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
            with pytest.raises(Retry, match="locked") as caught:
                write()
            assert "still trying" not in str(caught.value)  # that is for those to say who do
            assert "锁住" in str(in_language(caught.value, "zh"))
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
        assert "磁盘" in str(in_language(caught.value, "zh"))
        assert (values(log, "scored"), log.state("g"), log.position("g", "posts")) == ([], {}, 0)
        assert reader.read(3) == batch
    reader.commit(batch, outputs, {"a": b"1"}, NOW)
    assert (len(values(log, "scored")), log.state("g"), log.position("g", "posts")) == (6, {"a": b"1"}, 3)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but something dear to somebody\n" * 100)
    before = file.read_bytes()
    for path in (file, tmp_path, file / "below" / "tingchao.db"):
        with pytest.raises(Refused, match="--db") as caught:
            SqliteLog(path)
        assert "请用 --db" in str(in_language(caught.value, "zh"))
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


def test_a_trim_of_many_thousand_entries_drops_them_all(log: Log) -> None:
    log.publish(records(12_000), NOW)
    log.publish([Output("posts", "k", b"young")], NOW + timedelta(hours=2))
    assert log.trim(NOW + timedelta(hours=1)) == 12_000
    assert values(log) == ["young"]


def test_offsets_count_from_one_without_gaps(log: Log) -> None:
    for _ in range(3):
        log.publish(records(2), NOW)
    assert drain(log, "g", "posts") == [("posts", number) for number in range(1, 7)]
    assert (log.end("posts"), log.position("g", "posts")) == (6, 6)
