"""What staff say of an alert and of its posts: on the alert, and as examples that a model may learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tingchao.alerts import decide, ledger, verdict
from tingchao.config.settings import KeepSettings, load
from tingchao.config.topics import Topic
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import output
from tingchao.pipeline.records import Alert, Candidate, Command, Evidence, Reason, Scored, Verdict, decode
from tingchao.pipeline.roles import Retention
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.stage import Runner

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONG = "三号线站厅冒烟，广播让大家离开，现场有人咳嗽。" + "后来的人还在问什么时候恢复。" * 30


class Desk:
    """Decide on a log with a store and a clock; one alert about an outage stands open."""

    def __init__(self, folder: Path) -> None:
        self.log, self.store, self.clock = SqliteLog(folder / "a.db"), SqliteStore(folder / "a.db"), ManualClock(T0)
        settings = replace(load(), topics=(Topic(name="metro", title="地铁运营", any=["地铁"]),))
        self.runner = Runner(decide.plan(settings), self.log, self.clock)
        self.fires()

    def fires(self, after: timedelta = timedelta(0)) -> None:
        end = T0 + after
        reason = Reason(rule="r", kind="signal", signal="outage", start=end - HOUR, end=end, observed=3, threshold=2)
        posts = (
            Evidence(
                id="p1",
                source="forum",
                published_at=end - HOUR,
                title="三号线停运",
                excerpt="还没有恢复",
                signals={"outage": 0.4, "safety": 0.7, "help": 0.3},
                role="first",
            ),
            Evidence(id="p2", source="forum", published_at=end - HOUR, excerpt=LONG[:280], signals={"outage": 0.9}),
            Evidence(id="p3", source="forum", published_at=end - HOUR, excerpt="一片黑", signals={"safety": 0.2}),
        )
        candidate = Candidate(topic="metro", reason=reason, level=2, sure=0.9, posts=5, voices=4, evidence=posts)
        self.log.publish([output("candidates", "metro", candidate)], self.clock.now())
        self.run()

    def run(self) -> None:
        while self.runner.step():
            pass

    def does(self, action: str) -> None:
        ledger.send(self.log, self.clock, self.alert.id, action)
        self.run()

    def says(self, said: str, post: str = "", *signals: str, note: str = "") -> str:
        name = verdict.judge(
            self.log, self.store, self.clock, self.alert.id, said, post=post, signals=signals, note=note
        )
        self.run()
        return name

    @property
    def alert(self) -> Alert:
        (found,) = ledger.alerts(self.log).values()
        return found

    @property
    def examples(self) -> dict[str, Verdict]:
        return {one.post: one for one in verdict.examples(self.log)}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_verdict_on_the_alert_stands_on_it_and_is_no_example(desk: Desk) -> None:
    desk.says("true_alarm", note="checked by phone")
    assert (desk.alert.verdict, desk.alert.state) == ("true_alarm", "open")
    assert desk.alert.history[-1].verdict == "true_alarm"
    assert desk.alert.history[-1].note == "checked by phone"
    assert desk.examples == {}


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ("", "false_alarm", "false_alarm"),
        ("acknowledge", "false_alarm", "false_alarm"),
        ("resolve", "false_alarm", "false_alarm"),
        ("resolve", "true_alarm", "resolved"),
        ("false_alarm", "true_alarm", "resolved"),
        ("false_alarm", "wrong_signal", "resolved"),
        ("in_hand", "wrong_signal", "in_hand"),
    ],
)
def test_a_false_alarm_ends_an_alert_and_what_was_real_is_none(desk: Desk, before: str, said: str, after: str) -> None:
    if before:
        desk.does(before)
    desk.says(said)
    assert (desk.alert.state, desk.alert.verdict) == (after, said)


def test_the_button_false_alarm_is_a_verdict_and_reopening_takes_it_back(desk: Desk) -> None:
    desk.does("false_alarm")
    assert desk.alert.verdict == "false_alarm"
    desk.does("reopen")
    assert (desk.alert.state, desk.alert.verdict) == ("open", None)


def test_only_a_post_judged_by_itself_becomes_an_example(desk: Desk) -> None:
    desk.says("true_alarm", "p1")
    assert desk.alert.verdict is None
    assert desk.alert.judged == {"p1": "true_alarm"}
    (example,) = desk.examples.values()
    # what it was asked for although it was unsure, and what it more likely has than not
    assert example.signals == ("safety", "outage")
    assert (example.verdict, example.alert, example.at) == ("true_alarm", desk.alert.id, T0)


@pytest.mark.parametrize(
    ("said", "signals", "told"),
    [
        ("false_alarm", (), ()),
        ("wrong_signal", ("help", "fraud"), ("fraud", "help")),
        ("true_alarm", ("outage",), ("outage",)),
    ],
)
def test_the_verdict_says_what_a_post_tells_of(
    desk: Desk, said: str, signals: tuple[str, ...], told: tuple[str, ...]
) -> None:
    desk.says(said, "p1", *signals)
    assert desk.examples["p1"].signals == told


def test_the_text_comes_whole_from_the_store_and_else_from_the_alert(
    desk: Desk, make_scored: Callable[..., Scored]
) -> None:
    shown = desk.alert.evidence[1]
    at = {"published_at": shown.published_at, "fetched_at": shown.published_at}
    desk.store.put([make_scored("p2", LONG, source="forum", **at), make_scored("p9", "别的帖子", source="forum", **at)])
    desk.says("true_alarm", "p2")
    desk.says("true_alarm", "p1")
    assert desk.examples["p2"].text == LONG
    assert desk.examples["p1"].text == "三号线停运\n还没有恢复"


def test_a_later_verdict_on_the_same_post_takes_the_place_of_the_first(desk: Desk) -> None:
    desk.says("true_alarm", "p1")
    desk.says("false_alarm", "p1")
    assert desk.alert.judged == {"p1": "false_alarm"}
    assert desk.examples["p1"].signals == ()
    assert [change.what for change in desk.alert.history] == ["opened", "judged"]


def test_no_example_tells_who_judged_or_who_wrote() -> None:
    assert set(Verdict.__struct_fields__) == {"v", "post", "alert", "at", "verdict", "signals", "text"}


def test_the_note_stays_with_the_alert(desk: Desk) -> None:
    desk.says("false_alarm", "p1", note="asked the line manager")
    (entry,) = desk.log.newest("verdicts")
    assert b"manager" not in entry.value


@pytest.mark.parametrize(
    ("said", "post", "signals", "words"),
    [
        ("maybe", "", (), "expected one of true_alarm"),
        ("true_alarm", "p7", (), "it shows p1, p2"),
        ("wrong_signal", "p1", (), "name what the post tells of"),
        ("wrong_signal", "p1", ("danger",), "expected some of safety"),
        ("false_alarm", "p1", ("safety",), "wrong_signal"),
        ("true_alarm", "", ("safety",), "give its id too"),
        ("true_alarm", "p3", (), "see no signal in this post; name what it tells of"),
    ],
)
def test_what_is_unclear_is_refused_with_what_to_do(
    desk: Desk, said: str, post: str, signals: tuple[str, ...], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        desk.says(said, post, *signals)
    assert desk.log.end("commands") == 0


def test_an_unknown_alert_and_one_that_decide_forgot_are_refused(desk: Desk) -> None:
    with pytest.raises(Refused, match="alerts list"):
        verdict.judge(desk.log, desk.store, desk.clock, "x", "true_alarm")
    desk.does("resolve")
    desk.clock.move(decide.FORGET + HOUR)
    with pytest.raises(Refused, match="7 days"):
        desk.says("true_alarm")


def test_the_same_verdict_twice_at_once_is_one(desk: Desk) -> None:
    asked = (desk.log, desk.store, desk.clock, desk.alert.id, "true_alarm")
    assert verdict.judge(*asked, post="p1") == verdict.judge(*asked, post="p1")
    desk.run()
    assert desk.runner.counts()["repeated"] == 1
    assert len(desk.log.scan("verdicts")) == 1


def test_a_verdict_does_not_change_how_an_alert_that_ended_by_itself_goes_on(desk: Desk) -> None:
    desk.clock.move(timedelta(minutes=5))
    desk.run()
    for _ in range(40):
        desk.clock.move(timedelta(minutes=5))
        desk.run()
    assert desk.alert.history[-1].what == "quiet"
    desk.says("true_alarm")
    desk.fires(after=1 * HOUR)
    assert desk.alert.state == "resolved"  # late for the alert, as without the verdict
    done = [change.what for change in desk.alert.history if change.what != "judged"]
    assert done[-1] == "quiet"


def test_an_older_program_reads_the_alert_and_a_command_without_verdicts_is_read(desk: Desk) -> None:
    desk.says("true_alarm", "p1")
    old = msgspec.json.decode(b'{"v":1,"id":"c","alert":"a","action":"resolve"}', type=Command)
    assert (old.verdict, old.example) == (None, None)
    kept = set(Alert.__struct_fields__) - {"judged", "verdict"}
    before = msgspec.defstruct("Before", [(name, object, None) for name in sorted(kept)])
    (entry,) = desk.log.newest("alerts")
    assert msgspec.json.decode(entry.value, type=before).state == "open"  # type: ignore[attr-defined]


def test_examples_age_out(desk: Desk) -> None:
    desk.says("true_alarm", "p1")
    for days, left in ((729, 1), (731, 0)):
        clock = ManualClock(T0 + timedelta(days=days))
        Retention([], desk.log, desk.store, KeepSettings(), clock)()
        assert len(verdict.examples(desk.log)) == left


def test_examples_come_the_oldest_first(desk: Desk) -> None:
    desk.says("true_alarm", "p2")
    desk.clock.move(HOUR)
    desk.says("false_alarm", "p1")
    assert [one.post for one in verdict.examples(desk.log)] == ["p2", "p1"]
    assert decode(Verdict, desk.log.scan("verdicts")[0].value).post == "p2"
