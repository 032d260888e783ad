"""Data ages out, and nothing before it was read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tingchao.config.settings import KeepSettings
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import Log, Output, output
from tingchao.pipeline.records import Alert, Dead, Scored
from tingchao.pipeline.roles import Retention
from tingchao.pipeline.stage import Input, Memory, Plan, Result
from tingchao.pipeline.store import Store
from tingchao.pipeline.voice import GROUP

NOW = datetime(2026, 5, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=400)


class Nothing:
    """A stage that reads and makes nothing."""

    def __init__(self, _: Memory) -> None:
        pass

    def process(self, inputs: list[Input]) -> Result:
        return Result((), ["read"] * len(inputs))


PLAN = Plan("score", ("posts",), Nothing)  # type: ignore[arg-type]


def alert(name: str, state: str) -> Output:
    made = Alert(
        id=name, number=1, topic="t", title="t", state=state, level=1, sure=0.5, since=OLD, until=OLD,  # type: ignore[arg-type]
        opened_at=OLD, updated_at=OLD, reasons=(), posts=1, voices=1,
    )  # fmt: skip
    return output("alerts", name, made)


def dead(name: str, at: datetime, replayed: datetime | None = None) -> Output:
    return output("dead", name, Dead(id=name, stage="s", reason="r", error="e", at=at, replayed_at=replayed))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def retain(log: Log, store: Store, clock: ManualClock) -> Callable[[], None]:
    return Retention([(PLAN.name, topic) for topic in PLAN.reads], log, store, KeepSettings(), clock)


def test_what_is_old_and_ended_goes(log: Log, store: Store, retain: Callable[[], None], make_scored) -> None:  # noqa: ANN001
    old: Scored = make_scored(published_at=OLD, fetched_at=OLD)
    store.put([old])
    log.publish([alert("ended", "resolved"), alert("active", "open"), dead("unwanted", OLD)], OLD)
    log.publish([dead("replayed", NOW, NOW), dead("waiting", NOW)], NOW)
    log.claim(GROUP, "2025-01-01", b"key")
    retain()
    assert [entry.key for entry in log.newest("alerts")] == ["active"]
    assert [entry.key for entry in log.newest("dead")] == ["waiting"]
    assert log.state(GROUP) == {}
    assert store.delete_before(NOW) == 0


def test_what_nobody_has_read_stays_but_keys_of_voices_go(
    log: Log, retain: Callable[[], None], clock: ManualClock
) -> None:
    log.publish([Output("posts", "k", b"{}")], OLD)
    log.claim(GROUP, "2025-01-01", b"key")
    retain()
    assert len(log.scan("posts")) == 1
    assert log.state(GROUP) == {}
    batch = log.reader("score", ("posts",)).read(10)
    assert batch is not None
    log.reader("score", ("posts",)).commit(batch, (), {}, NOW)
    retain()
    assert len(log.scan("posts")) == 1  # asking each time would cost more than it gains
    clock.move(timedelta(minutes=1))
    retain()
    assert log.scan("posts") == []
