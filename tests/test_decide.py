"""From mentions and commands to alerts, as timelines: one alert for one happening, and what staff do with it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mentions import scores

from tingchao.alerts import decide, ledger, watch
from tingchao.alerts.decide import FORGET, NEXT, Decide
from tingchao.alerts.merge import HISTORY, changed
from tingchao.alerts.smallest import hashed
from tingchao.config.rules import Rule
from tingchao.config.settings import Settings, load
from tingchao.config.topics import Topic
from tingchao.models.reasons import Reasons
from tingchao.models.scores import Scores
from tingchao.pipeline import score
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.intake import Intake, Raw
from tingchao.pipeline.log import STATE_LIMIT, output
from tingchao.pipeline.records import (
    ACTIVE,
    Alert,
    Candidate,
    Command,
    Evidence,
    Mention,
    Reason,
    Record,
    Tick,
    decode,
)
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input, Memory, Plan, Runner

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RULES = (
    Rule(name="safety", kind="signal", signal="safety", threshold=2.0, min_posts=3, level=2),
    Rule(name="help", kind="signal", signal="help", threshold=2.0, min_posts=2, level=3),
    Rule(name="many", kind="count", ratio=4.0, p=0.001, min_posts=10, min_voices=3),
)
METRO = Topic(name="metro", title="地铁运营", any=["地铁"])


class Desk:
    """Both stages on one log with one clock, and somebody on duty."""

    def __init__(self, path: Path) -> None:
        self.settings: Settings = replace(load(), rules=RULES, topics=(METRO,))
        self.log, self.clock = SqliteLog(path), ManualClock(T0)
        self.posts = 0
        self.restart()

    def restart(self) -> None:
        """New processes."""
        plans = (watch.plan(self.settings), decide.plan(self.settings))
        self.runners = [Runner(plan, self.log, self.clock) for plan in plans]

    def run(self) -> None:
        while any([runner.step() for runner in self.runners]):  # noqa: C419 each takes its step
            pass

    def at(self, minutes: float) -> Desk:
        """Let time go on to so many minutes after the start, with the ticks between."""
        until = T0 + minutes * MINUTE
        while self.clock.now() < until:
            self.clock.move(min(5 * MINUTE, until - self.clock.now()))
            self.run()
        return self

    def said(self, number: int, signal: str = "", *, text: str = "", ago: timedelta = timedelta(0)) -> Desk:
        """So many posts of different voices, now or so long ago; different texts unless one is given."""
        mentions = []
        for _ in range(number):
            self.posts += 1
            name, at = f"p{self.posts}", self.clock.now() - ago
            mentions.append(
                Mention(
                    topic="metro",
                    id=name,
                    published_at=at,
                    fetched_at=self.clock.now(),
                    source="forum",
                    voice=hashed(name).to_bytes(8).hex(),
                    title=text or f"地铁 {name}",
                    scores=scores(signal),
                    signature=hashed(text or name).to_bytes(8).hex(),
                )
            )
        self.clock.move(SECOND)
        self.log.publish([output("mentions", "metro", one) for one in mentions], self.clock.now())
        self.run()
        return self

    def does(self, action: str, note: str = "") -> Desk:
        """The person on duty does something with the newest alert."""
        ledger.send(self.log, self.clock, self.alerts[-1].id, action, note)
        self.run()
        return self

    @property
    def alerts(self) -> list[Alert]:
        return sorted(ledger.alerts(self.log).values(), key=lambda alert: alert.since)

    @property
    def alert(self) -> Alert:
        (alert,) = self.alerts
        return alert


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "log.db")


def story(alert: Alert) -> list[str]:
    return [change.what for change in alert.history]


# Timelines


def test_quiet_talk_and_then_an_incident_is_one_alert_updated_and_raised(desk: Desk) -> None:
    for minute in range(0, 26 * 60, 10):
        desk.at(minute).said(1)
    assert desk.alerts == []
    noon = 26 * 60
    desk.at(noon).said(4, "safety")
    assert (desk.alert.state, desk.alert.level, story(desk.alert)) == ("open", 2, ["opened"])
    assert desk.alert.title == "地铁运营"
    desk.at(noon + 5).said(30, "safety")
    desk.at(noon + 8).said(3, "help")
    assert (desk.alert.state, desk.alert.level) == ("open", 3)
    assert story(desk.alert) == ["opened", "updated", "raised", "updated"] or story(desk.alert)[-1] == "raised"
    assert {reason.rule for reason in desk.alert.reasons} == {"safety", "many", "help"}
    many = next(reason for reason in desk.alert.reasons if reason.rule == "many")
    assert many.expected == pytest.approx(6, abs=1.5)
    assert many.p is not None
    assert many.p < 0.001
    assert desk.alert.number > len(desk.alert.history), "updates in a row are one line of the history"


def test_500_reposts_of_one_text_raise_no_signal_and_five_voices_do(desk: Desk) -> None:
    desk.said(500, "safety", text="听说三号线爆炸了")
    assert [reason.rule for reason in desk.alert.reasons] == ["many"]
    desk.said(5, "safety")
    assert [reason.rule for reason in desk.alert.reasons] == ["many", "safety"]
    assert [one.role for one in desk.alert.evidence] == ["first", *["strong"] * 5]
    assert sum(one.title == "听说三号线爆炸了" for one in desk.alert.evidence) == 1


def test_after_two_silent_hours_an_alert_resolves_itself(desk: Desk) -> None:
    desk.said(5, "safety").at(115)
    assert desk.alert.state == "open"
    desk.at(135)
    assert (desk.alert.state, story(desk.alert)) == ("resolved", ["opened", "quiet"])
    number = desk.alert.number
    desk.at(600)
    assert desk.alert.number == number


def test_two_happenings_far_apart_are_two_alerts(desk: Desk) -> None:
    desk.said(5, "safety").at(300).said(5, "safety")
    assert [alert.state for alert in desk.alerts] == ["resolved", "open"]
    assert len({alert.id for alert in desk.alerts}) == 2


def test_what_staff_did_holds_over_a_restart_and_over_more_posts(desk: Desk) -> None:
    desk.said(5, "safety").does("acknowledge", "值班员已致电")
    desk.restart()
    desk.at(20).said(5, "safety")
    assert (desk.alert.state, desk.alert.history[1].note) == ("acknowledged", "值班员已致电")
    desk.does("in_hand").does("resolve")
    assert desk.alert.state == "resolved"
    assert [what for what in story(desk.alert) if what != "updated"] == [
        "opened",
        "acknowledged",
        "in_hand",
        "resolved",
    ]


def test_a_false_alarm_swallows_what_follows_unless_it_is_graver(desk: Desk) -> None:
    desk.said(5, "safety").does("false_alarm")
    for minute in range(10, 400, 30):
        desk.at(minute).said(4, "safety")
    assert desk.alert.state == "false_alarm", "as long as it goes on it is the same false alarm"
    desk.said(3, "help")
    assert (desk.alert.state, desk.alert.level, desk.alert.history[-1].what) == ("open", 3, "reopened")


def test_a_resolved_alert_is_followed_by_a_new_one_only_after_the_quiet(desk: Desk) -> None:
    desk.said(5, "safety").does("resolve")
    desk.at(60).said(4, "safety")
    assert desk.alert.state == "resolved"
    desk.at(400).said(4, "safety")
    assert [alert.state for alert in desk.alerts] == ["resolved", "open"]


def test_an_alert_that_ended_by_itself_swallows_nothing(desk: Desk) -> None:
    desk.said(5, "safety").at(140)
    assert desk.alert.history[-1].what == "quiet"
    desk.at(150).said(5, "safety")
    assert (desk.alert.state, desk.alert.history[-1].what) == ("open", "reopened")
    desk.at(600)
    assert desk.alert.history[-1].what == "quiet"
    for minute in range(610, 1200, 30):
        desk.at(minute).said(4, "safety")
    assert [alert.state for alert in desk.alerts] == ["resolved", "open"]


def test_an_alert_goes_on_for_as_long_without_news_as_its_rule_says_also_over_a_restart() -> None:
    stage, memory = made()
    day = DAY.total_seconds()
    told = {at: candidate(T0 + at * HOUR, quiet=day) for at in (0, 20, 47)}
    outcomes = []
    for minutes in range(0, 47 * 60 + 1, 5):
        now = T0 + minutes * MINUTE
        if (one := told.get(minutes // 60)) is not None and minutes % 60 == 0:
            outcomes += stage.process([Input(one, now)]).outcomes
            stage = Decide(memory, replace(load(), topics=(METRO,)))
        ended = stage.process([Input(Tick(at=now), now)]).outputs
        assert bool(ended) == (minutes == 44 * 60 + 5), "a day after the last news"
    assert outcomes == ["opened", "updated", "opened"]


def test_old_talk_that_comes_late_joins_no_alert_that_began_long_after_it() -> None:
    stage, _ = made()
    quiet = DAY.total_seconds()
    assert stage.process([Input(candidate(quiet=quiet), T0)]).outcomes == ["opened"]
    assert stage.process([Input(candidate(T0 - 8 * HOUR, quiet=quiet), T0)]).outcomes == ["past"]


def test_what_staff_resolved_swallows_no_longer_than_the_quiet(desk: Desk) -> None:
    desk.said(5, "safety").at(60).does("resolve")
    for minute in range(70, 60 + 120, 20):
        desk.at(minute).said(4, "safety")
        assert desk.alert.state == "resolved"
    desk.at(200).said(4, "safety")
    assert [alert.state for alert in desk.alerts] == ["resolved", "open"]


def test_a_false_alarm_swallows_for_a_day_at_most() -> None:
    stage, _, _ = one_alert("false_alarm")
    for minute in range(30, 24 * 60 + 1, 30):
        now = T0 + minute * MINUTE
        assert stage.process([Input(candidate(now), now)]).outcomes == ["swallowed"]
    now += 30 * MINUTE
    assert stage.process([Input(candidate(now), now)]).outcomes == ["opened"]


def test_a_verdict_that_comes_late_swallows_no_new_incident() -> None:
    stage, alert, _ = one_alert("resolved")
    now = T0 + 10 * HOUR
    assert stage.process([Input(Command(id="v", alert=alert.id, action="false_alarm"), now)]).outcomes == ["done"]
    now += 30 * MINUTE
    assert stage.process([Input(candidate(now), now)]).outcomes == ["opened"]


def test_after_we_were_down_the_quiet_begins_anew() -> None:
    stage, _, memory = one_alert()
    assert stage.process([Input(Tick(at=T0), T0)]).outputs == []
    stage = Decide(memory, load())
    back = T0 + 5 * HOUR
    for minute in range(0, 121, 5):
        now = back + minute * MINUTE
        assert stage.process([Input(Tick(at=now), now)]).outputs == []
    now += 5 * MINUTE
    (out,) = stage.process([Input(Tick(at=now), now)]).outputs
    assert decode(Alert, out.value).history[-1].what == "quiet"


def test_reopened_by_hand_it_stays_open_for_the_quiet(desk: Desk) -> None:
    desk.said(5, "safety").at(600).does("reopen")
    desk.at(700)
    assert desk.alert.state == "open"
    desk.at(800)
    assert desk.alert.state == "resolved"


def test_old_posts_make_a_past_alert_that_never_wakes_anyone(desk: Desk) -> None:
    desk.said(5, "safety", ago=30 * DAY).said(5, "safety", ago=30 * DAY - 30 * MINUTE)
    past = desk.alert
    assert past.state == "past"
    assert story(past) == ["opened", "updated"]
    with pytest.raises(Refused, match="past"):
        ledger.send(desk.log, desk.clock, past.id, "acknowledge")
    desk.at(300)
    assert desk.alert.state == "past", "it does not resolve: it was never open"


def test_old_posts_of_an_active_alert_do_not_make_it_past(desk: Desk) -> None:
    desk.said(5, "safety").said(8, "safety", ago=2 * HOUR)
    assert desk.alert.state == "open"
    assert desk.alert.since < T0 - HOUR


def test_a_present_incident_is_told_although_its_beginning_came_too_late(desk: Desk) -> None:
    desk.said(5, "safety", ago=3 * HOUR).said(5, "safety")
    assert [alert.state for alert in desk.alerts] == ["past", "open"]


def test_an_alert_keeps_a_bounded_history_with_its_beginning(desk: Desk) -> None:
    desk.said(5, "safety")
    for n in range(2 * HISTORY):
        desk.does("resolve" if n % 2 == 0 else "reopen", "注" * 600)
    assert len(desk.alert.history) == HISTORY
    assert desk.alert.history[0].what == "opened"
    assert desk.alert.number == 2 * HISTORY + 1
    assert max(map(len, desk.log.state("decide").values())) <= STATE_LIMIT


def test_ended_alerts_are_forgotten_after_a_week_and_stand_in_the_log(desk: Desk) -> None:
    desk.said(5, "safety").at(200)
    assert any(key.startswith("a/") for key in desk.log.state("decide"))
    desk.clock.move(FORGET + HOUR)
    desk.run()
    assert not any(key.startswith("a/") for key in desk.log.state("decide"))
    assert desk.alert.state == "resolved"


def test_a_file_with_an_old_flood_is_one_past_alert(desk: Desk) -> None:
    for hour in range(6):
        desk.said(200, "safety", ago=20 * DAY - hour * 20 * MINUTE)
    assert desk.alert.state == "past"


def test_the_same_log_decides_the_same_alerts(desk: Desk) -> None:
    desk.said(5, "safety").does("acknowledge").at(30).said(40, "help").at(400).said(3, "safety", ago=3 * HOUR)
    desk.said(9, "safety").does("false_alarm").at(700)
    entries = sorted(
        (*desk.log.scan("candidates", limit=9999), *desk.log.scan("commands", limit=9999)), key=lambda entry: entry.at
    )
    kinds = {"candidates": Candidate, "commands": Command}
    inputs = [Input(decode(Tick if e.key == "@tick" else kinds[e.topic], e.value), e.at) for e in entries]
    memory = Memory({})
    found: dict[str, Alert] = {}
    for n, one in enumerate(inputs):
        if n % 3 == 0:
            stage = Decide(memory, desk.settings)  # a restart
        found |= {out.key: decode(Alert, out.value) for out in stage.process([one]).outputs}
    assert found == ledger.alerts(desk.log)
    assert len(found) == 3


# Commands


def one_alert(state: str = "open") -> tuple[Decide, Alert, Memory]:
    stage, memory = made()
    (out,) = stage.process([Input(candidate(), T0)]).outputs
    alert = decode(Alert, out.value)
    way = {"acknowledged": "acknowledge", "in_hand": "in_hand", "resolved": "resolve", "false_alarm": "false_alarm"}
    if state in way:
        (out,) = stage.process([Input(Command(id="way", alert=alert.id, action=way[state]), T0)]).outputs  # type: ignore[arg-type]
        alert = decode(Alert, out.value)
    return stage, alert, memory


def made() -> tuple[Decide, Memory]:
    memory = Memory({})
    return Decide(memory, replace(load(), topics=(METRO,))), memory


def candidate(
    end: datetime = T0, *, rule: str = "safety", level: int = 2, topic: str = "metro", **more: object
) -> Candidate:
    reason = Reason(rule=rule, kind="signal", signal="safety", start=end - HOUR, end=end, observed=3.0, threshold=2.0)
    first = Evidence(id="e", source="forum", published_at=end - HOUR, title="冒烟", role="first")
    fields: dict[str, object] = {"posts": 5, "voices": 4, "sure": 0.9, "evidence": (first,)} | more
    return Candidate(topic=topic, reason=reason, level=level, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["open", "acknowledged", "in_hand", "resolved", "false_alarm"])
@pytest.mark.parametrize("action", ["acknowledge", "in_hand", "resolve", "false_alarm", "reopen"])
def test_a_command_does_what_the_state_allows_and_else_nothing(state: str, action: str) -> None:
    stage, alert, _ = one_alert(state)
    result = stage.process([Input(Command(id="c", alert=alert.id, action=action), T0)])  # type: ignore[arg-type]
    after = NEXT.get((alert.state, action))
    if after is None:
        assert (result.outcomes, result.outputs) == (["refused"], [])
    else:
        assert result.outcomes == ["done"]
        assert decode(Alert, result.outputs[0].value).state == after


def test_the_same_command_twice_does_nothing_the_second_time_also_after_a_restart() -> None:
    stage, alert, memory = one_alert()
    again = Command(id="c", alert=alert.id, action="acknowledge")
    assert stage.process([Input(again, T0)]).outcomes == ["done"]
    assert Decide(memory, load()).process([Input(again, T0)]).outcomes == ["repeated"]


def test_a_command_for_an_unknown_alert_is_refused() -> None:
    stage, _ = made()
    assert stage.process([Input(Command(id="c", alert="nothing", action="resolve"), T0)]).outcomes == ["refused"]


def test_sending_refuses_what_cannot_be_done_and_says_what_can(desk: Desk) -> None:
    with pytest.raises(Refused, match="no alert x; see"):
        ledger.send(desk.log, desk.clock, "x", "acknowledge")
    desk.said(5, "safety")
    with pytest.raises(Refused, match="acknowledge, in_hand, resolve, false_alarm"):
        ledger.send(desk.log, desk.clock, desk.alert.id, "reopen")
    assert desk.log.end("commands") == 0


def test_a_double_click_is_one_command(desk: Desk) -> None:
    desk.said(5, "safety")
    ids = {ledger.send(desk.log, desk.clock, desk.alert.id, "acknowledge") for _ in range(2)}
    desk.run()
    assert len(ids) == 1
    assert story(desk.alert) == ["opened", "acknowledged"]


# Grouping


def test_a_level_never_falls_while_an_alert_is_active() -> None:
    stage, _ = made()
    inputs = [Input(candidate(T0 + n * MINUTE, level=level), T0) for n, level in enumerate((2, 3, 1))]
    result = stage.process(inputs)
    assert list(result.outcomes) == ["opened", "raised", "updated"]
    assert decode(Alert, result.outputs[-1].value).level == 3


def test_topics_do_not_share_alerts_and_an_id_says_topic_and_beginning() -> None:
    stage, _ = made()
    result = stage.process([Input(candidate(), T0), Input(candidate(topic="water"), T0)])
    ids = [out.key for out in result.outputs]
    assert len(set(ids)) == 2
    again, _ = made()
    assert again.process([Input(candidate(), T0 + 5 * MINUTE)]).outputs[0].key == ids[0]


def test_the_newest_window_gives_the_numbers_and_the_first_post_stays() -> None:
    stage, _ = made()
    later = candidate(T0 + 30 * MINUTE, posts=2, sources={f"s{n:02}": 1 for n in range(30)})
    result = stage.process([Input(candidate(posts=50), T0), Input(later, T0)])
    alert = decode(Alert, result.outputs[-1].value)
    assert alert.posts == 2
    assert alert.evidence[0].published_at == T0 - HOUR
    assert sum(alert.sources.values()) == 30
    assert len(alert.sources) == 21
    assert (alert.since, alert.until) == (T0 - HOUR, T0 + 30 * MINUTE)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from([1, 2, 3]), st.booleans()), max_size=40))
def test_every_input_has_one_outcome_and_a_topic_at_most_one_active_alert(steps: list[tuple[int, int, bool]]) -> None:
    stage, _ = made()
    now, alerts = T0, dict[str, Alert]()
    for minutes, level, ticks in steps:
        now += timedelta(minutes=minutes / 4)
        records: list[Record] = [Tick(at=now)] if ticks else [Tick(at=now), candidate(now, level=level)]
        result = stage.process([Input(record, now) for record in records])
        assert len(result.outcomes) == len(records)
        for out in result.outputs:
            alert = decode(Alert, out.value)
            assert alert.number > (alerts[alert.id].number if alert.id in alerts else 0)
            alerts[alert.id] = alert
        assert sum(alert.state in ACTIVE for alert in alerts.values()) <= 1


def test_a_ledger_follows_what_changes(desk: Desk) -> None:
    book = ledger.Ledger(desk.log)
    assert book.refresh() == []
    desk.said(5, "safety").said(20, "safety")
    (alert,) = book.refresh()
    assert book.refresh() == []
    desk.does("acknowledge")
    assert [one.state for one in book.refresh()] == ["acknowledged"]
    assert book.alerts == ledger.alerts(desk.log) == {alert.id: desk.alert}
    assert ledger.Ledger(desk.log).refresh() == [desk.alert]


def test_updates_in_a_row_are_one_line() -> None:
    _, alert, _ = one_alert()
    for n in range(5):
        alert = changed(alert, T0 + n * MINUTE, "updated")
    assert story(alert) == ["opened", "updated"]
    assert alert.history[-1].at == T0 + 4 * MINUTE


# Real posts


class Words:
    """Stands for the models: a title with one of the words tells of an accident."""

    version = "words"
    bad = ("坠", "事故", "失事", "空难", "残骸")

    def score(self, texts: Sequence[str]) -> list[Scores]:
        return [scores("safety", 0.9) if any(word in text for word in self.bad) else scores() for text in texts]

    def phrases(
        self, texts: Sequence[str], heads: Sequence[Sequence[str]], limit: int = 8, _: float = 0
    ) -> list[dict[str, Reasons]]:
        return [
            {head: Reasons([(word, 1.0) for word in self.bad if word in text][:limit], []) for head in some}
            for text, some in zip(texts, heads, strict=True)
        ]


@pytest.mark.shared
def test_the_air_crash_of_march_2022_alerts_with_its_first_list_and_nothing_does_before(
    tmp_path: Path, shared: Path
) -> None:
    air = Topic(name="air", title="航空", any=["航班", "飞机", "客机", "航空", "空难", "坠机"])
    mine = replace(load(), topics=(air,), sources=())
    log, clock = SqliteLog(tmp_path / "log.db"), ManualClock(T0)
    with (shared / "data/weibo_hot_titles/first_seen_2022-03-10_2022-04-10.csv").open(encoding="utf-8") as file:
        rows = [(datetime.fromisoformat(row["first_seen"]), row["title"]) for row in csv.DictReader(file)]
    intake = Intake(log)
    posts = [
        intake.post(Raw(source="weibo", text=title, published_at=at, fetched_at=T0, basis=title)) for at, title in rows
    ]
    for first in range(0, len(posts), 500):
        clock.move(SECOND)
        log.publish([output("posts", post.id, post) for post in posts[first : first + 500]], clock.now())
    plans: Iterable[Plan] = (score.plan(mine, Words()), watch.plan(mine), decide.plan(mine))
    runners = [Runner(plan, log, clock) for plan in plans]
    while any([runner.step() for runner in runners]):  # noqa: C419 each takes its step
        clock.move(SECOND)
    alerts = sorted(ledger.alerts(log).values(), key=lambda alert: alert.since)
    assert {alert.state for alert in alerts} == {"past"}
    # The first title stood there at 16:21 in Beijing.
    told = [decode(Candidate, one.value) for one in log.scan("candidates", limit=9999) if one.key == "air"]
    assert min(one.reason.end for one in told) <= datetime(2022, 3, 21, 8, 25, tzinfo=UTC)
    assert datetime(2022, 3, 21, 7, tzinfo=UTC) <= alerts[0].since <= datetime(2022, 3, 21, 7, 30, tzinfo=UTC)
