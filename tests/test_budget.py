"""At most so many alerts a shift: thresholds from history and verdicts, and a digest of what is beyond."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.alerts.budget import Opened, forecast, shift_of, threshold, wilson
from tingchao.alerts.decide import Decide
from tingchao.alerts.message import Message, Report
from tingchao.alerts.notify import Notify
from tingchao.config.budget import BudgetSettings
from tingchao.config.routes import RoutesFile
from tingchao.config.rules import Rule
from tingchao.config.settings import MainFile, load
from tingchao.config.topics import Topic
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import STATE_LIMIT
from tingchao.pipeline.records import Alert, Candidate, Command, Reason, Tick, decode
from tingchao.pipeline.stage import Input, Memory

T0 = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)  # 08:00 in Beijing: a shift begins
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SHIFTS = BudgetSettings()


class Channel:
    """Remembers the topics of each message."""

    name, min_level, together, flood, whole = "desk", 1, 50, 0, False

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def send(self, message: Message) -> Report:
        self.seen.append(tuple(f"{one.event} {one.alert.topic}" for one in (message, *message.others)))
        return Report()


class Room:
    """Decide and one channel."""

    def __init__(self, routes: dict[str, Any] | None = None, **budget: Any) -> None:
        data = {"notify": [{"kind": "terminal", "name": "desk"}], "budget": budget}
        topics = tuple(Topic(name=f"t{n}", title=f"T{n}", any=[f"t{n}"]) for n in range(20))
        fixed = Rule.model_validate({"name": "fixed", "kind": "count", "threshold": 2, "sure": 0.3})
        self.settings = replace(load(), main=MainFile.model_validate(data), topics=topics, rules=(fixed,))
        if routes:
            self.settings = replace(self.settings, routes=RoutesFile.model_validate(routes))
        self.now, self.memory, self.outcomes = T0, Memory({}), list[str]()
        self.channel, self.clock = Channel(), ManualClock(T0)
        self.notify = Notify("notify.desk", self.channel, Memory({}), self.clock, None, {})
        self.alerts: dict[str, Alert] = {}
        self.restart()

    def restart(self) -> None:
        self.decide = Decide(Memory(dict(self.memory)), self.settings)
        self.memory = self.decide._memory

    def take(self, record: Candidate | Command | Tick) -> None:
        result = self.decide.process([Input(record, self.now)])
        assert all(len(value) <= STATE_LIMIT for value in self.memory.values())
        alerts = [decode(Alert, out.value) for out in result.outputs if out.topic == "alerts"]
        self.alerts |= {alert.topic: alert for alert in alerts}
        self.clock.move(self.now - self.clock.now())
        self.outcomes += self.notify.process([Input(alert, self.now) for alert in alerts]).outcomes
        for _ in range(20):
            self.notify.process([])

    def see(self, topic: str, sure: float = 0.9, rule: str = "many", level: int = 1) -> Room:
        reason = Reason(rule=rule, kind="count", start=self.now - HOUR, end=self.now, observed=9.0)
        self.take(Candidate(topic=topic, reason=reason, level=level, sure=sure, posts=9, voices=9))
        return self

    def wait(self, length: timedelta) -> Room:
        until = self.now + length
        while self.now < until:
            self.now = min(self.now + MINUTE, until)
            self.take(Tick(at=self.now))
        return self


def test_shifts_begin_at_their_times_in_beijing() -> None:
    assert shift_of(T0, SHIFTS) == (T0, T0 + 12 * HOUR)
    assert shift_of(T0 - MINUTE, SHIFTS) == (T0 - 12 * HOUR, T0)
    assert shift_of(T0 + 13 * HOUR, BudgetSettings(shifts=["08:00"])) == (T0, T0 + DAY)


def test_no_more_than_the_limit_is_told_and_the_rest_comes_as_one_digest() -> None:
    room = Room(notice=2)
    for n in range(5):
        room.see(f"t{n}").wait(MINUTE)
    assert room.channel.seen == [("opened t0",), ("opened t1",)]
    assert room.outcomes.count("over_budget") == 3
    (delivery,) = room.alerts["t4"].deliveries or ()
    assert (delivery.why, delivery.until) == ("over_budget", T0 + 12 * HOUR)
    room.wait(13 * HOUR)
    news = [message for message in room.channel.seen if "t2" in " ".join(message)]
    assert [sorted(one) for one in news] == [["resolved t2", "resolved t3", "resolved t4"]], "ended, and not lost"
    room.see("t9")
    assert room.channel.seen[-1] == ("opened t9",), "a new shift has its own budget"


def test_other_levels_have_their_own_limits() -> None:
    room = Room(notice=0).see("t0", level=1).see("t1", level=3)
    assert room.channel.seen == [("opened t1",)]
    room.see("t0", level=3)
    assert room.channel.seen[-1] == ("opened t0",), "graver now"


def test_a_rule_with_its_own_threshold_is_outside_of_the_budget() -> None:
    room = Room(notice=0).see("t0", sure=0.4, rule="fixed").see("t1", sure=0.2, rule="fixed")
    assert room.channel.seen == [("opened t0",)]


def test_what_its_group_held_until_it_was_over_spends_nothing() -> None:
    room = Room({"route": {"group_by": ["topic"], "group_wait": "5m"}}, notice=1).see("t0").wait(MINUTE)
    room.take(Command(id="c1", alert=room.alerts["t0"].id, action="false_alarm"))
    room.wait(10 * MINUTE).see("t1").wait(6 * MINUTE)
    assert room.channel.seen == [("opened t1",)]
    room.see("t2").wait(6 * MINUTE)
    assert room.channel.seen == [("opened t1",)]
    (delivery,) = room.alerts["t2"].deliveries or ()
    assert delivery.why == "over_budget"
    room.wait(13 * HOUR)
    assert [sorted(one) for one in room.channel.seen[1:] if "t2" in " ".join(one)] == [["resolved t2"]]


def test_the_budget_survives_a_restart() -> None:
    room = Room(notice=1).see("t0")
    room.restart()
    room.see("t1")
    assert room.channel.seen == [("opened t0",)]


def history(number: int = 20, *, verdicts: str = "") -> list[Opened]:
    """`number` alerts in each of 28 shifts, as likely as not to be real by their own chance."""
    chosen = random.Random(4)
    rows = []
    for shift in range(28):
        for n in range(number):
            sure = round(chosen.random(), 3)
            verdict = verdicts and ("true_alarm" if chosen.random() < sure else "false_alarm")
            rows.append(Opened(T0 - (shift + 1) * 12 * HOUR + n * MINUTE, 1, sure, verdict))
    return rows


def test_the_threshold_keeps_to_the_limit_on_the_average() -> None:
    rows = history()
    for most in (0, 1, 5, 19):
        cut = threshold(rows, 1, most, T0, SHIFTS)
        assert sum(row.sure >= cut for row in rows) <= most * 28
    assert threshold(rows, 1, 20, T0, SHIFTS) == 0.0
    assert threshold(rows[:20], 1, 1, T0, SHIFTS) == 0.0, "one shift is no history"


def test_verdicts_tighten_the_threshold() -> None:
    rows = history()
    wrong = [row if row.sure > 0.95 else Opened(row.at, row.level, row.sure, "false_alarm") for row in rows]
    right = [Opened(row.at, row.level, row.sure, "true_alarm") for row in rows]
    assert (
        threshold(wrong, 1, 10, T0, SHIFTS) > threshold(right, 1, 10, T0, SHIFTS) == threshold(rows, 1, 10, T0, SHIFTS)
    )


def test_the_forecast_agrees_with_verdicts_where_chances_are_calibrated() -> None:
    found = forecast(history(verdicts="yes"), 1, T0, SHIFTS, (1, 5, 10, 20))
    for one in found:
        assert one.right is not None
        assert one.precision is not None
        assert one.right_interval is not None
        assert one.right_interval[0] - 0.05 <= one.precision <= one.right_interval[1] + 0.05
        assert one.told <= one.most
    recalls = [one.recall or 0.0 for one in found]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1.0
    assert forecast([], 1, T0, SHIFTS, (1,)) == []


def test_a_forecast_from_few_alerts_does_not_claim_to_be_sure() -> None:
    rows = [Opened(T0 - 3 * HOUR, 1, 0.99), Opened(T0 - 2 * HOUR, 1, 0.95), Opened(T0 - HOUR, 1, 0.9)]
    (one,) = forecast(rows[:1], 1, T0, SHIFTS, (1,))
    assert one.precision == 0.99
    assert one.precision_interval is not None
    assert one.precision_interval[0] < 0.3
    assert one.recall_interval == (1.0, 1.0), "all of them are told"
    (one,) = forecast(rows, 1, T0, SHIFTS, (1,))
    assert one.recall is not None
    assert one.recall_interval is not None
    assert one.recall_interval[0] < 0.1 < one.recall < 0.7 < one.recall_interval[1]
    (many,) = forecast(history(), 1, T0, SHIFTS, (5,))
    assert many.precision_interval is not None
    assert many.precision_interval[1] - many.precision_interval[0] < 0.2


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share(counts: tuple[int, int]) -> None:
    low, high = wilson(*counts)
    assert 0.0 <= low <= counts[0] / counts[1] + 1e-9
    assert counts[0] / counts[1] - 1e-9 <= high <= 1.0


@pytest.mark.parametrize("shifts", [["20:00", "08:00"], ["08:00", "08:00"], ["24:00"], ["8:00"]])
def test_shifts_that_make_no_sense_are_refused(shifts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        BudgetSettings(shifts=shifts)
