"""Of the alerts that rest on chance, few are false: by simulation, and what holds an alert back and lets it go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from tingchao.alerts import card
from tingchao.alerts.coverage import Coverage
from tingchao.alerts.dark import Dark
from tingchao.alerts.decide import Decide
from tingchao.alerts.discoveries import Discoveries, is_told
from tingchao.alerts.hours import Hours
from tingchao.alerts.measure import Measure
from tingchao.alerts.windows import BUCKET, UNIT, Bucket, Window
from tingchao.config.routes import RoutesFile
from tingchao.config.rules import Rule
from tingchao.config.settings import MainFile, Settings, load
from tingchao.config.signals import SIGNALS
from tingchao.config.topics import Topic
from tingchao.pipeline.records import Alert, Candidate, Delivery, Reason, Tick, decode
from tingchao.pipeline.stage import Input, Memory

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WINDOWS = 288  # of a topic and day
RULES = (
    Rule(name="many", kind="baseline", level=1),
    Rule(name="fixed", kind="count", threshold=10, level=1),
    Rule(name="first", kind="signal", signal="safety", threshold=0.9, p=0.05, min_posts=1, single=True, level=1),
    Rule(name="always", kind="count", ratio=4.0, p=0.001, sure=0.2, level=1),
)


def settings(topics: int = 4, share: float = 0.1) -> Settings:
    main = MainFile.model_validate(
        {"notify": [{"kind": "terminal", "name": "desk"}], "decide": {"false_discoveries": share}}
    )
    names = tuple(Topic(name=f"t{n}", title=f"T{n}", any=[f"t{n}"]) for n in range(topics))
    return replace(load(), main=main, topics=names, rules=RULES)


class Desk:
    """Decide with one channel."""

    def __init__(self, topics: int = 4, share: float = 0.1) -> None:
        self.settings, self.now, self.memory = settings(topics, share), T0, Memory({})
        self.alerts: dict[str, Alert] = {}
        self.written: list[Alert] = []
        self.restart()

    def restart(self) -> None:
        self.decide = Decide(Memory(dict(self.memory)), self.settings)
        self.memory = self.decide._memory

    def take(self, record: Candidate | Tick) -> Desk:
        for out in self.decide.process([Input(record, self.now)]).outputs:
            alert = decode(Alert, out.value)
            self.alerts[alert.topic] = alert
            self.written.append(alert)
        return self

    def see(self, topic: str, p: float | None, rule: str = "many") -> Desk:
        reason = Reason(rule=rule, kind="count", start=self.now - HOUR, end=self.now, observed=20.0, p=p)
        return self.take(Candidate(topic=topic, reason=reason, level=1, sure=0.9, posts=20, voices=9))

    def wait(self, length: timedelta) -> Desk:
        self.now += length
        return self.take(Tick(at=self.now))

    def why(self, topic: str) -> str:
        (delivery,) = self.alerts[topic].deliveries or ()
        return delivery.why


def test_what_may_be_chance_is_held_with_its_reason_and_told_when_it_grows() -> None:
    desk = Desk().see("t0", 5e-4)
    assert desk.why("t0") == "unproven"
    assert "可能是偶然" in card.as_text(desk.alerts["t0"], "zh")
    assert "may be chance" in card.as_text(desk.alerts["t0"], "en")
    desk.wait(MINUTE).see("t0", 1e-9)
    assert desk.why("t0") == ""
    assert is_told(desk.alerts["t0"])


def test_the_more_is_watched_the_less_likely_it_must_be() -> None:
    p = 2e-5
    assert Desk(topics=4).see("t0", p).why("t0") == ""
    assert Desk(topics=400).see("t0", p).why("t0") == "unproven"


PASS_BY = [("fixed", None), ("fixed", 0.3), ("first", 0.05), ("many", None), ("always", 0.001)]


@pytest.mark.parametrize(("rule", "p"), PASS_BY)
def test_what_the_operator_fixed_and_a_cold_start_pass_by(rule: str, p: float | None) -> None:
    assert Desk(topics=400).see("t0", p, rule).why("t0") == ""


@pytest.mark.parametrize("rule", [rule for rule in load().rules if rule.single], ids=lambda rule: rule.name)
@pytest.mark.parametrize("posts", [2, 200])
def test_a_calibrated_chance_needs_no_correction_however_many_posts_are_watched(rule: Rule, posts: int) -> None:
    """1,000 days of so many posts with a report that the shipped rule tells. Three standard errors are allowed."""
    drawn, signal = np.random.default_rng(posts), SIGNALS.index(rule.signal)
    measure = Measure(Hours(Memory({})), Coverage(Memory({}), Dark(Memory({}))), {"t": 0}, HOUR)
    untested = rule.model_copy(update={"p": None})  # there is no history here, without which a rule with p waits
    told, true = [], []
    while len(told) < 1000:
        for chance in drawn.beta(0.2, 1.0, size=posts):
            window = _one_post(signal, round(chance * UNIT))
            reason = measure.holds(untested, "t", window, 0.0)
            if reason is not None:
                told.append(measure.sure(rule, window, reason))
                true.append(drawn.uniform() < chance)
                break
    assert rule.threshold is not None
    error = 3 * (rule.threshold * (1 - rule.threshold) / len(told)) ** 0.5
    assert np.mean(true) >= rule.threshold - error
    assert np.mean(true) == pytest.approx(np.mean(told), abs=error), "the alert says how sure it is"


def _one_post(signal: int, weight: int) -> Window:
    bucket = Bucket(posts=1, judged=1, severity=2500, texts={signal: {1: weight}}, speakers={signal: {1: weight}})
    return Window(0, BUCKET, [bucket])


def test_a_fixed_rule_beside_one_of_chance_is_enough() -> None:
    desk = Desk(topics=400).see("t0", 1e-3).see("t0", None, "fixed")
    assert desk.why("t0") == ""


def test_with_a_share_of_one_everything_is_told() -> None:
    assert Desk(topics=400, share=1.0).see("t0", 1e-3).why("t0") == ""


def test_many_that_are_unlikely_together_let_each_other_go_on_a_tick() -> None:
    desk = Desk()
    limit = 0.1 / (4 * WINDOWS)
    for n in range(3):
        desk.see(f"t{n}", 2.5 * limit)
    assert [desk.why(f"t{n}") for n in range(3)] == ["unproven", "unproven", ""]
    desk.wait(timedelta(seconds=5))
    assert [desk.why(f"t{n}") for n in range(3)] == ["", "", ""]


def test_what_was_told_stays_told_and_what_is_held_is_not_written_again_and_again() -> None:
    desk = Desk().see("t0", 1e-9).see("t0", 5e-4).see("t1", 5e-4)
    assert (desk.why("t0"), desk.why("t1")) == ("", "unproven")
    written = len(desk.written)
    for _ in range(20):
        desk.wait(timedelta(seconds=5))
    assert len(desk.written) == written


def test_what_is_not_told_holds_nothing_else_back() -> None:
    desk = Desk()
    rules = [{"source_matchers": ['topic="t0"'], "target_matchers": ['topic="t1"']}]
    desk.settings = replace(desk.settings, routes=RoutesFile.model_validate({"inhibit_rules": rules}))
    desk.restart()
    assert desk.see("t0", 5e-4).see("t1", 1e-9).why("t1") == ""
    assert desk.see("t0", 1e-9).see("t1", 1e-9).why("t0") == ""
    desk = Desk()
    desk.settings = replace(desk.settings, routes=RoutesFile.model_validate({"inhibit_rules": rules}))
    desk.restart()
    assert desk.see("t0", 1e-9).see("t1", 1e-9).why("t1") == "inhibited"


def test_a_restart_in_the_middle_changes_nothing() -> None:
    straight, broken = Desk(), Desk()
    for n, p in enumerate((1e-9, 5e-4, 1.5e-4, 1e-5)):
        for desk in (straight, broken):
            desk.see(f"t{n}", p).wait(MINUTE)
        broken.restart()
    assert broken.written == straight.written


def _rejected(found: Discoveries, drawn: np.ndarray, share: float) -> np.ndarray:
    """Which of the p-values of a day are told, as they come one by one."""
    alerts: list[Alert] = []
    for n in np.flatnonzero(drawn < share):  # the others are told under no circumstances
        at = T0 + 5 * MINUTE * int(n * WINDOWS / len(drawn))
        reason = Reason(rule="many", kind="count", start=at, end=at, observed=1.0, p=float(drawn[n]))
        alerts.append(_alert(str(n), at, reason))
        limit = found.limit(alerts, at)
        alerts = [_told(one) if one.reasons[0].p <= limit else one for one in alerts]  # type: ignore[operator]
    told = np.zeros(len(drawn), dtype=bool)
    told[[int(one.id) for one in alerts if is_told(one)]] = True
    return told


def _alert(name: str, at: datetime, reason: Reason) -> Alert:
    return Alert(
        id=name,
        number=0,
        topic="t",
        title="t",
        state="open",
        level=1,
        sure=0.9,
        since=at,
        until=at,
        opened_at=at,
        updated_at=at,
        reasons=(reason,),
        posts=1,
        voices=1,
        evidence=(),
    )


def _told(alert: Alert) -> Alert:
    return alert if is_told(alert) else changed(alert, deliveries=(Delivery(receiver="desk", at=alert.opened_at),))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 2, 10]), st.sampled_from([0.1, 0.3]))
@limits(max_examples=12, deadline=None)
def test_the_share_of_false_alerts_stays_below_the_level(seed: int, real: int, share: float) -> None:
    """300 days of 2 topics; `real` windows a day are no chance. Three standard errors are allowed."""
    drawn, found = np.random.default_rng(seed), Discoveries(settings(2, share))
    false, hit = [], 0
    for _ in range(300):
        p = drawn.uniform(size=2 * WINDOWS)
        p[:real] = drawn.uniform(size=real) * 1e-6
        drawn.shuffle(order := np.arange(2 * WINDOWS))
        told = _rejected(found, p[order], share * 0.1)
        was_real = order < real
        false.append((told & ~was_real).sum() / max(1, told.sum()))
        hit += int((told & was_real).sum())
    assert np.mean(false) <= share + 3 * np.std(false) / np.sqrt(len(false))
    assert hit == 300 * real, "nothing real is held back"
