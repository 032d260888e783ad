"""Whom an alert is told, and who is not told for which reason: routes, groups, silences, inhibition, repetition."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, permutations
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from typer.testing import CliRunner

from tingchao.alerts import card, silences, sources
from tingchao.alerts.decide import Decide
from tingchao.alerts.inhibit import Active, Inhibitor
from tingchao.alerts.message import Message, Report, body, subject
from tingchao.alerts.notify import Notify
from tingchao.alerts.routing import by_receiver, tree
from tingchao.config.intervals import TimeInterval
from tingchao.config.language import in_language
from tingchao.config.load import ConfigError
from tingchao.config.matchers import KINDS, SOURCE_KINDS, STATES, fit, parse
from tingchao.config.routes import InhibitRule, RoutesFile
from tingchao.config.rules import Kind
from tingchao.config.settings import MainFile, Settings, load
from tingchao.config.topics import Topic
from tingchao.pipeline.cli import app
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.records import Alert, Candidate, Command, Delivery, Reason, Record, Silence, State, Tick, decode
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input, Memory

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # Monday, 16:00 in Beijing
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TOPICS = tuple(Topic(name=name, title=name.upper(), any=[name]) for name in ("metro", "water", "school"))


def settings(routes: dict[str, Any] | None = None) -> Settings:
    main = MainFile.model_validate({"notify": [{"kind": "terminal", "name": name} for name in ("chief", "desk")]})
    return replace(load(), main=main, topics=TOPICS, routes=RoutesFile.model_validate(routes or {}))


def candidate(topic: str = "metro", at: datetime = T0, level: int = 2, rule: str = "safety") -> Candidate:
    reason = Reason(rule=rule, kind="signal", signal="safety", start=at - HOUR, end=at, observed=3.0, threshold=2.0)
    return Candidate(topic=topic, reason=reason, level=level, sure=0.9, posts=5, voices=4, sources={"forum": 5})


class Room:
    """Decide, and beside it the channels that it tells; each tick is seconds long, as live."""

    def __init__(self, routes: dict[str, Any] | None = None) -> None:
        self.settings = settings(routes)
        self.now, self.memory = T0, Memory({})
        self.alerts: dict[str, Alert] = {}
        self.written: list[Alert] = []
        self.journal: list[Input] = []
        self.outcomes: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.decide = Decide(Memory(dict(self.memory)), self.settings)
        self.memory = self.decide._memory

    def take(self, record: Record) -> Room:
        self.journal.append(Input(record, self.now))
        result = self.decide.process(self.journal[-1:])
        self.outcomes += result.outcomes
        for out in result.outputs:
            if out.topic == "alerts":
                alert = decode(Alert, out.value)
                self.alerts[alert.topic] = alert
                self.written.append(alert)
        return self

    def wait(self, length: timedelta) -> Room:
        until = self.now + length
        while self.now < until:
            self.now = min(self.now + 30 * SECOND, until)
            self.take(Tick(at=self.now))
        return self

    def see(self, topic: str = "metro", level: int = 2) -> Room:
        return self.take(candidate(topic, self.now, level))

    def silence(self, *matchers: str, length: timedelta = HOUR) -> Silence:
        one = Silence(id=f"s{len(self.journal)}", matchers=matchers, starts_at=self.now, ends_at=self.now + length)
        self.take(Command(id=one.id, alert="", action="silence", silence=one))
        return one

    def why(self, receiver: str = "desk", topic: str = "metro") -> str:
        return next((one.why for one in self.alerts[topic].deliveries or () if one.receiver == receiver), "not_routed")

    def told(self, receiver: str = "desk") -> list[tuple[str, str, timedelta]]:
        """What the stage of the channel sends, as it reads what decide wrote."""
        return [(what, topic, at - T0) for what, topics, at in self.messages(receiver) for topic in topics]

    def messages(self, receiver: str = "desk") -> list[tuple[str, tuple[str, ...], datetime]]:
        channel = Outside(receiver)
        clock = ManualClock(T0)
        stage = Notify(f"notify.{receiver}", channel, Memory({}), clock, None, {})
        for at, alerts in groupby(self.written, key=lambda alert: alert.updated_at):
            clock.move(at - clock.now())
            stage.process([Input(alert, at) for alert in alerts])  # decide wrote them together
            self._send(stage, channel, clock)
        return channel.seen

    def _send(self, stage: Notify, channel: Outside, clock: ManualClock) -> None:
        channel.now = clock.now()
        before = -1
        while before != len(channel.seen):
            before = len(channel.seen)
            stage.process([])


class Outside:
    """A channel that remembers what it was given."""

    def __init__(self, name: str) -> None:
        self.name, self.min_level, self.together, self.flood, self.now = name, 1, 50, 0, T0
        self.whole = False
        self.seen: list[tuple[str, tuple[str, ...], datetime]] = []
        self.texts: list[str] = []

    def send(self, message: Message) -> Report:
        every = (message, *message.others)
        self.seen.append((message.event, tuple(one.alert.topic for one in every), self.now))
        self.texts.append(f"{subject(message, 'zh')}\n{body(message, 'zh')}")
        return Report()


# Matchers


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("topic=metro", True),
        ('topic="metro"', True),
        ("topic!=metro", False),
        ('level=~"2|3"', True),
        ("topic=~met", False),  # the whole value
        ("topic!~met.*", False),
        ("source=forum", True),  # any of several
        ("source!=forum", False),  # none of several
        ("signal=", True),  # a label that is not there is empty
        ("signal!=", False),
        ("signal=~.*", True),
    ],
)
def test_matchers(text: str, *, holds: bool) -> None:
    labels = {"topic": ("metro",), "level": ("2",), "source": ("forum", "paper")}
    assert fit([parse(text)], labels) is holds


@pytest.mark.parametrize("text", ["", "metro", "colour=red", "topic=~(", "=x"])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|regular expression"):
        parse(text)


# Routes

ROUTES: dict[str, Any] = {
    "route": {
        "receiver": "desk",
        "group_by": ["topic"],
        "routes": [
            {"matchers": ["level=3"], "receiver": "chief", "continue": True},
            {"matchers": ["topic=~metro|water"], "routes": [{"matchers": ["topic=water"], "receiver": "chief"}]},
        ],
    }
}


@pytest.mark.parametrize(
    ("topic", "level", "expected"),
    [
        ("school", "1", {"desk": ["route"]}),
        ("metro", "1", {"desk": ["route.routes[2]"]}),
        ("water", "1", {"chief": ["route.routes[2].routes[1]"]}),
        ("metro", "3", {"chief": ["route.routes[1]"], "desk": ["route.routes[2]"]}),
        ("water", "3", {"chief": ["route.routes[1]", "route.routes[2].routes[1]"]}),
    ],
)
def test_the_deepest_route_that_fits_takes_the_alert(topic: str, level: str, expected: dict[str, list[str]]) -> None:
    top = tree(settings(ROUTES).routes, ["chief", "desk"])
    found = by_receiver(top, {"topic": (topic,), "level": (level,)})
    assert {receiver: [way.place for way in several] for receiver, several in found.items()} == expected
    assert {way.group_by for several in found.values() for way in several} == {("topic",)}, "inherited"


def test_by_default_every_channel_is_told_at_once() -> None:
    room = Room().see()
    assert room.told("desk") == room.told("chief") == [("opened", "metro", timedelta(0))]


def test_a_graver_alert_reaches_further_channels_and_whoever_was_told_hears_of_the_end() -> None:
    routes = {"route": {"receiver": "desk", "routes": [{"matchers": ["level=3"], "receiver": "chief"}]}}
    room = Room(routes).see(level=2).wait(MINUTE).see(level=3).wait(3 * HOUR)
    assert [what for what, _, _ in room.told("desk")] == ["opened", "raised", "resolved"]
    assert [what for what, _, _ in room.told("chief")] == ["opened", "resolved"]


# Time intervals


def test_a_channel_for_graver_alerts_says_that_it_was_not_told_and_is_when_they_become_so() -> None:
    room = Room()
    main = {"notify": [{"kind": "terminal", "name": "chief", "min_level": 3}, {"kind": "terminal", "name": "desk"}]}
    room.settings = replace(room.settings, main=MainFile.model_validate(main))
    room.restart()
    room.see(level=2)
    assert (room.why("chief"), room.why("desk")) == ("below_level", "")
    assert "chief" in card.as_text(room.alerts["metro"], "en")
    room.see(level=3)
    assert room.why("chief") == ""
    assert room.told("chief") == [("opened", "metro", timedelta(0))]


def interval(**given: Any) -> TimeInterval:
    return TimeInterval.model_validate({"name": "it", "time_intervals": [given]})


def beijing(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00")


@pytest.mark.parametrize(
    ("given", "inside", "outside"),
    [
        ({"times": [{"start_time": "08:00", "end_time": "18:00"}]}, "2026-03-02 08:00", "2026-03-02 18:00"),
        ({"times": [{"start_time": "22:00", "end_time": "24:00"}]}, "2026-03-02 23:59", "2026-03-03 00:00"),
        ({"weekdays": ["monday:friday"]}, "2026-03-06 12:00", "2026-03-07 12:00"),
        ({"days_of_month": ["-1"]}, "2026-02-28 12:00", "2026-03-01 12:00"),
        ({"days_of_month": ["1:5"]}, "2026-03-05 23:59", "2026-03-06 00:00"),
        ({"months": ["march", "11:12"]}, "2026-11-11 00:00", "2026-04-01 00:00"),
        ({"years": ["2026"]}, "2026-12-31 23:59", "2027-01-01 00:00"),
        ({"days_off": True}, "2026-10-01 12:00", "2026-09-30 12:00"),  # National Day
        ({"days_off": False}, "2026-03-02 12:00", "2026-03-01 12:00"),  # a Sunday
        ({"location": "UTC", "weekdays": ["sunday"]}, "2026-03-02 07:59", "2026-03-02 08:00"),
    ],
)
def test_intervals_begin_with_their_start_and_end_before_their_end(given: Any, inside: str, outside: str) -> None:
    assert interval(**given).holds(beijing(inside))
    assert not interval(**given).holds(beijing(outside))


def test_an_interval_says_when_it_ends() -> None:
    night = interval(times=[{"start_time": "22:00", "end_time": "24:00"}, {"start_time": "00:00", "end_time": "07:00"}])
    assert night.until(beijing("2026-03-02 23:00")) == beijing("2026-03-03 07:00")
    assert night.until(beijing("2026-03-02 07:00")) == beijing("2026-03-02 22:00")
    assert interval(years=["2026"]).until(beijing("2026-03-02 07:00")) is None


def muted_from(start: str, end: str) -> dict[str, Any]:
    times = [{"start_time": start, "end_time": end}]
    return {
        "route": {"routes": [{"matchers": ["level=~1|2"], "mute_time_intervals": ["off"]}]},
        "time_intervals": [{"name": "off", "time_intervals": [{"times": times}]}],
    }


def test_a_muted_route_is_told_when_the_interval_is_over_if_the_alert_goes_on() -> None:
    room = Room(muted_from("15:00", "16:30")).see()
    assert room.why() == "muted"
    assert (
        card.as_text(room.alerts["metro"], "zh").splitlines()[-1].strip()
        == "desk：不在通知时段（off），至 2026-03-02 16:30。"
    )
    room.wait(HOUR)
    assert room.told() == [("opened", "metro", 30 * MINUTE)]


def test_what_ends_while_it_is_muted_is_never_told() -> None:
    room = Room(muted_from("15:00", "22:00")).see().wait(7 * HOUR)
    assert room.alerts["metro"].state == "resolved"
    assert room.told() == []


def test_a_channel_that_was_told_is_not_called_one_that_was_not() -> None:
    room = Room().see()
    silence = room.silence("topic=metro")
    room.wait(MINUTE)
    told, until = "2026-03-02 16:00", "2026-03-02 17:00"
    assert (
        held_lines(room, "zh")[-1]
        == f"desk：已于 {told} 通知；后续消息暂不发送：被静默 {silence.id} 压住，至 {until}。"
    )
    assert held_lines(room, "en")[-1] == (
        f"desk: was told at {told}; further news is not sent now: held back by silence {silence.id}, until {until}."
    )
    assert [one["at"] for one in card.as_json(room.alerts["metro"])["deliveries"]] == ["2026-03-02T08:00:00Z"] * 2


def test_a_channel_that_was_told_of_the_end_is_not_called_one_that_was_not() -> None:
    delivery = Delivery(receiver="desk", news="resolved", at=T0, why="muted", by="off", until=T0 + HOUR)
    room = Room().see()
    room.alerts["metro"] = changed(room.alerts["metro"], state="resolved", deliveries=(delivery,))
    assert held_lines(room, "en") == []


def held_lines(room: Room, language: str) -> list[str]:
    sections = card.card(room.alerts["metro"], language).sections
    return [line for section in sections if section.name == "held" for line in section.lines]


# Several routes to one channel


def two_ways(*, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two routes to the desk, and an interval `off` that holds from 15:00 to 22:00."""
    one = {"matchers": ["topic=metro"], "receiver": "desk", "continue": True, **first}
    return muted_from("15:00", "22:00") | {
        "route": {"receiver": "chief", "routes": [one, {"receiver": "desk", **second}]}
    }


MUTED: dict[str, Any] = {"mute_time_intervals": ["off"]}


@pytest.mark.parametrize("swapped", [False, True])
def test_a_channel_is_told_once_when_any_of_its_routes_lets_the_alert_pass(*, swapped: bool) -> None:
    routes = two_ways(first=MUTED, second={"matchers": ["level=3"]})
    if swapped:
        mute, grave = routes["route"]["routes"]
        routes["route"]["routes"] = [{**grave, "continue": True}, mute]
    room = Room(routes).see(level=3)
    assert (room.why(), room.told()) == ("", [("opened", "metro", timedelta(0))])
    assert room.wait(HOUR).told() == [("opened", "metro", timedelta(0))]
    room.restart()
    assert [what for what, _, _ in room.wait(4 * HOUR).told()] == ["opened", "resolved"]


def test_while_all_routes_to_a_channel_hold_the_alert_back_the_first_one_says_why() -> None:
    room = Room(two_ways(first=MUTED, second=MUTED)).see(level=3)
    (delivery,) = room.alerts["metro"].deliveries or ()
    assert (delivery.why, delivery.route) == ("muted", "route.routes[1]")


def test_what_becomes_graver_is_told_by_another_route_when_the_one_that_told_is_mute_meanwhile() -> None:
    day = muted_from("16:01", "22:00")["time_intervals"]
    routes = two_ways(first=MUTED, second={"matchers": ["level=3"]}) | {"time_intervals": day}
    room = Room(routes).see(level=2).wait(2 * MINUTE).see(level=2)
    assert (room.why(), room.alerts["metro"].deliveries[0].route) == ("muted", "route.routes[1]")  # type: ignore[index]
    assert [what for what, _, _ in room.see(level=3).told()] == ["opened", "raised"]


def test_the_route_by_which_a_channel_was_told_stays_while_it_lets_pass() -> None:
    routes = two_ways(first=MUTED, second={}) | {"time_intervals": muted_from("15:00", "16:01")["time_intervals"]}
    room = Room(routes).see().wait(5 * MINUTE).see(level=3)
    (delivery,) = room.alerts["metro"].deliveries or ()
    assert (delivery.why, delivery.route) == ("", "route.routes[2]"), "the first one is no longer mute"


@pytest.mark.parametrize(
    ("first", "second", "after"),
    [
        (MUTED, {"group_wait": "1m"}, MINUTE),  # the wait goes on while the first is mute
        ({"group_wait": "5m"}, {"group_wait": "1m"}, MINUTE),
        ({"group_wait": "1m"}, {"group_wait": "5m"}, MINUTE),
        ({"group_wait": "5m"}, {}, timedelta(0)),
    ],
)
def test_of_several_groups_the_one_that_lets_go_first_decides(first: Any, second: Any, after: timedelta) -> None:
    room = Room(two_ways(first=first, second=second)).see().wait(10 * MINUTE)
    assert room.told() == [("opened", "metro", after)]


def test_a_graver_alert_does_not_wait_for_the_group_of_another_route() -> None:
    room = Room(two_ways(first={"group_wait": "5m"}, second={"matchers": ["level=3"]})).see().wait(MINUTE)
    assert room.why() == "group_wait"
    assert room.see(level=3).told() == [("opened", "metro", MINUTE)]


def test_routes_test_shows_every_route_to_a_channel(tmp_path: Path) -> None:
    write(tmp_path, TWO_WAYS)
    found = CliRunner().invoke(app, ["routes", "test", "topic=metro", "level=3", "--json", "--config", str(tmp_path)])
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(one["receiver"], one["route"], one["why"]) for one in lines] == [
        ("terminal", "route.routes[1]", "muted"),
        ("terminal", "route.routes[2]", ""),
    ]


TWO_WAYS = """
[[route.routes]]
matchers = ["topic=metro"]
mute_time_intervals = ["always"]
continue = true
[[route.routes]]
matchers = ["level=3"]
[[time_intervals]]
name = "always"
[[time_intervals.time_intervals]]
times = [{ start_time = "00:00", end_time = "24:00" }]
"""


# Groups

GROUPED: dict[str, Any] = {
    "route": {"group_by": ["level"], "group_wait": "30s", "group_interval": "5m"},
}


def test_a_group_waits_and_goes_out_as_one_message() -> None:
    room = Room(GROUPED).see("metro")
    room.now += 10 * SECOND
    room.see("water")
    assert (room.why(topic="metro"), room.why(topic="water")) == ("group_wait", "group_wait")
    room.wait(MINUTE)
    assert room.messages() == [("opened", ("metro", "water"), T0 + 40 * SECOND)]


def test_news_of_a_group_waits_for_the_interval_and_then_goes_out_together() -> None:
    room = Room(GROUPED).see("metro").wait(MINUTE).see("water").wait(MINUTE).see("school")
    assert room.why(topic="water") == room.why(topic="school") == "group_interval"
    room.wait(10 * MINUTE)
    assert [topics for _, topics, _ in room.messages()] == [("metro",), ("water", "school")]
    (_, _, first), (_, _, second) = room.messages()
    assert second - first == 5 * MINUTE


def test_what_ended_while_its_group_waited_is_not_told() -> None:
    room = Room({"route": {"group_by": ["topic"], "group_wait": "5m"}}).see()
    room.take(Command(id="c", alert=room.alerts["metro"].id, action="resolve")).wait(HOUR)
    assert room.told() == []


def test_a_message_on_a_group_names_all_of_them() -> None:
    channel = Outside("desk")
    stage = Notify("notify.desk", channel, Memory({}), ManualClock(T0), None, {})
    room = Room(GROUPED).see("metro")
    room.now += SECOND
    room.see("water").wait(MINUTE)
    stage.process([Input(alert, T0) for alert in room.written])
    stage.process([])
    (said,) = channel.texts
    assert "（另有 1 条）" in said
    assert "WATER" in said.split("同组的其他预警：")[1]


def test_a_group_that_cannot_be_sent_loses_none_of_its_alerts() -> None:
    class Down(Outside):
        def send(self, message: Message) -> Report:
            if self.now < T0 + HOUR:
                raise Retry("down")
            return super().send(message)

    room, clock, channel = Room(GROUPED), ManualClock(T0), Down("desk")
    room.see("metro").see("water").wait(MINUTE)
    memory = Memory({})
    stage = Notify("notify.desk", channel, memory, clock, None, {})
    stage.process([Input(alert, T0) for alert in room.written])
    stage.process([])
    clock.move(2 * HOUR)
    channel.now = clock.now()
    again = Notify("notify.desk", channel, Memory(dict(memory)), clock, None, {})
    again.process([])
    again.process([])
    assert [set(topics) for _, topics, _ in channel.seen] == [{"metro", "water"}]


# Silences


def test_a_silence_that_ends_in_the_middle_of_an_event_lets_the_alert_go_on_a_tick() -> None:
    room = Room()
    silence = room.silence("topic=metro")
    room.see()
    (delivery, _) = room.alerts["metro"].deliveries or ()
    assert (delivery.why, delivery.by, delivery.until) == ("silenced", silence.id, T0 + HOUR)
    room.wait(HOUR - MINUTE).see()
    assert room.told() == []
    room.wait(2 * MINUTE)
    assert room.told() == [("opened", "metro", HOUR)]
    assert room.why() == ""


def test_a_silence_holds_only_what_it_fits() -> None:
    room = Room()
    room.silence("topic=metro", "level=~1|2")
    room.see("water").wait(MINUTE).see("metro", level=3)
    assert [topic for _, topic, _ in room.told()] == ["water", "metro"]


def test_what_is_silenced_after_it_was_told_ends_in_silence_and_is_closed_afterwards() -> None:
    room = Room().see()
    room.silence("topic=metro", length=4 * HOUR)
    room.wait(5 * HOUR)
    assert room.alerts["metro"].state == "resolved"
    assert room.told() == [("opened", "metro", timedelta(0)), ("resolved", "metro", 4 * HOUR)]


def test_a_silence_that_is_expired_ends_at_once() -> None:
    room = Room()
    silence = room.silence("topic=metro")
    room.see().wait(MINUTE)
    room.take(Command(id="e", alert="", action="expire", silence=silence)).wait(MINUTE)
    assert room.told() == [("opened", "metro", 90 * SECOND)]
    room.take(Command(id="e", alert="", action="expire", silence=silence))
    assert room.outcomes[-1] == "refused"


def test_a_silence_outlives_a_restart_and_comes_once() -> None:
    room = Room()
    silence = room.silence("topic=metro")
    room.restart()
    room.take(Command(id="again", alert="", action="silence", silence=silence))
    assert room.outcomes[-1] == "repeated"
    assert room.see().why() == "silenced"


@pytest.mark.parametrize(
    ("matchers", "length", "said", "chinese"),
    [
        ([], HOUR, "every alert", "静默：这会静默所有预警"),
        (["topic=~.*"], HOUR, "every alert", "静默：这会静默所有预警"),
        (["topic=metro"], -HOUR, "ended already", "静默：它在 2026-03-02 15:00 已经结束"),
        (["colour=red"], HOUR, "no label 'colour'", "静默：没有标签 'colour'"),
        (["topic=" + "a" * 501], HOUR, "500 characters", "静默：每个条件和备注最多 500 个字"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(
    tmp_path: Path, matchers: Sequence[str], length: timedelta, said: str, chinese: str
) -> None:
    log, clock = SqliteLog(tmp_path / "log.db"), ManualClock(T0)
    with pytest.raises(Refused, match=said) as caught:
        silences.add(log, clock, matchers, None, T0 + length, "")
    assert str(in_language(caught.value, "zh")).startswith(chinese)
    assert log.end("commands") == 0
    room = Room()
    room.silence(*matchers, length=length)
    assert room.outcomes == ["refused"], "decide does not trust what it reads"


# Inhibition

GRAVE_FIRST = {
    "inhibit_rules": [{"source_matchers": ["level=3"], "target_matchers": ["level=~1|2"], "equal": ["signal"]}]
}


def test_an_alert_is_held_back_while_a_graver_one_goes_on() -> None:
    room = Room(GRAVE_FIRST).see("metro", level=3).wait(MINUTE).see("water", level=1)
    assert room.why(topic="water") == "inhibited"
    room.take(Command(id="c", alert=room.alerts["metro"].id, action="resolve")).wait(MINUTE)
    assert [(what, topic) for what, topic, _ in room.told()] == [
        ("opened", "metro"),
        ("resolved", "metro"),
        ("opened", "water"),
    ]


def about_source(room: Room, topic: str, kind: str, detail: str = "") -> None:
    reason = Reason(rule=kind, kind=kind, start=room.now - HOUR, end=room.now, observed=3.0, detail=detail)
    room.take(Candidate(topic=topic, reason=reason, level=1, sure=0.9, posts=0, voices=0))


def with_paper_failing() -> Room:
    """The shipped routes, while a source cannot be read and is silent on a topic."""
    room = Room()
    room.settings = replace(room.settings, routes=load().routes)
    room.restart()
    about_source(room, "@source/paper", "source_failing")
    about_source(room, "metro", "absence", "paper")
    return room


def test_silence_of_a_source_that_cannot_be_read_is_no_news() -> None:
    room = with_paper_failing()
    about_source(room, "water", "absence", "forum")
    assert (room.why(topic="metro"), room.why(topic="water")) == ("inhibited", "")


def test_a_silence_is_news_as_soon_as_its_source_can_be_read() -> None:
    room = with_paper_failing()
    reason = Reason(rule="source_failing", kind="source_failing", start=room.now, end=room.now, observed=0.0)
    over = Candidate(topic="@source/paper", reason=reason, level=1, sure=0.9, posts=0, voices=0, over=True)
    room.take(over).restart()
    room.take(over).wait(MINUTE)
    assert room.why(topic="metro") == ""
    assert room.alerts["@source/paper"].state == "resolved"
    assert [change.what for change in room.alerts["@source/paper"].history] == ["opened", "quiet"]


def test_the_silence_of_two_sources_is_news_as_long_as_one_of_them_can_be_read() -> None:
    room = with_paper_failing()
    about_source(room, "metro", "absence", "forum")
    assert room.why(topic="metro") == ""
    about_source(room, "@source/forum", "source_failing")
    room.wait(HOUR)
    about_source(room, "metro", "absence", "forum")
    about_source(room, "metro", "absence", "paper")
    assert room.why(topic="metro") == "inhibited"


def test_when_nothing_can_be_read_that_alone_is_told() -> None:
    room = Room()
    room.settings = replace(room.settings, routes=load().routes)
    room.restart()
    about_source(room, "@sources", "sources_failing")
    about_source(room, "@source/paper", "source_failing")
    about_source(room, "metro", "absence")
    room.see("school")
    held = {topic: room.why(topic=topic) for topic in room.alerts}
    assert held == {"@sources": "", "@source/paper": "inhibited", "metro": "inhibited", "school": ""}


def active(*names: str) -> dict[str, Active]:
    return {name: Active((0, float(i), name), {"topic": (name,)}) for i, name in enumerate(names)}


def rule(source: str, target: str, *equal: str) -> InhibitRule:
    return InhibitRule(source_matchers=[source], target_matchers=[target], equal=list(equal))


def test_two_rules_that_inhibit_each_other_do_not_silence_both() -> None:
    both = Inhibitor([rule("topic=a", "topic=b"), rule("topic=b", "topic=a")])
    assert both.inhibited(active("a", "b")) == {"b": "a"}
    assert both.inhibited(active("b", "a")) == {"a": "b"}, "the first by rank is sent"


def test_an_alert_never_inhibits_itself_nor_one_that_fits_both_sides_too() -> None:
    assert Inhibitor([rule("topic=~a|b", "topic=~a|b")]).inhibited(active("a", "b")) == {}
    assert Inhibitor([rule("topic=~a|b", "topic=~a|b|c")]).inhibited(active("a", "b", "c")) == {"c": "a"}


def test_an_inhibited_alert_still_inhibits_others() -> None:
    chain = Inhibitor([rule("topic=c", "topic=b"), rule("topic=b", "topic=a")])
    assert chain.inhibited(active("a", "b", "c")) == {"a": "b", "b": "c"}, "also against the order of rank"


@given(st.sets(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"))))
def test_whatever_inhibits_what_each_silence_leads_to_an_alert_that_is_sent(edges: set[tuple[str, str]]) -> None:
    rules = [rule(f"topic={source}", f"topic={target}") for source, target in sorted(edges)]
    held = Inhibitor(rules).inhibited(active(*"abcde"))
    for name in held:
        seen = {name}
        holders = [s for s, t in edges if t == name and s != name]
        reached: set[str] = set()
        while holders:
            holder = holders.pop()
            if holder not in reached:
                reached.add(holder)
                holders += [s for s, t in edges if t == holder and s != holder]
        assert reached - held.keys() - seen, f"{name} is held back by alerts none of which is sent"


def test_the_choice_does_not_hang_on_the_order_in_which_alerts_are_known() -> None:
    ring = Inhibitor([rule("topic=a", "topic=b"), rule("topic=b", "topic=c"), rule("topic=c", "topic=a")])
    found = [ring.inhibited({n: active("a", "b", "c")[n] for n in order}) for order in permutations("abc")]
    assert found == [{"b": "a", "c": "b"}] * 6


# Repetition


def test_what_nobody_acknowledges_is_told_again() -> None:
    room = Room({"route": {"repeat_interval": "30m"}}).see().wait(70 * MINUTE)
    assert room.told() == [("opened", "metro", timedelta(0)), *[("repeated", "metro", n * 30 * MINUTE) for n in (1, 2)]]
    room.take(Command(id="c", alert=room.alerts["metro"].id, action="acknowledge")).wait(40 * MINUTE)
    assert len(room.told()) == 3


# Restarts and replays


def test_a_restart_in_the_middle_changes_nothing() -> None:
    def play(*, restarts: bool) -> list[Alert]:
        room = Room({**GROUPED, **GRAVE_FIRST})
        room.silence("topic=school", length=20 * MINUTE)
        for step in range(8):
            room.see(("metro", "water", "school")[step % 3], level=1 + step % 3).wait(4 * MINUTE)
            if restarts:
                room.restart()
        return room.written

    assert play(restarts=True) == play(restarts=False)


@limits(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("see"), st.sampled_from(["metro", "water", "school"]), st.integers(1, 3)),
            st.tuples(st.just("silence"), st.sampled_from(["metro", "water"]), st.integers(1, 30)),
            st.tuples(st.just("wait"), st.just(""), st.integers(1, 40)),
        ),
        max_size=12,
    ),
    st.integers(1, 7),
)
def test_a_replay_gives_the_same_alerts_and_deliveries(steps: list[tuple[str, str, int]], batch: int) -> None:
    live = Room({**GROUPED, **GRAVE_FIRST})
    for what, topic, number in steps:
        if what == "see":
            live.see(topic, number)
        elif what == "silence":
            live.silence(f"topic={topic}", length=number * MINUTE)
        else:
            live.wait(number * MINUTE)
    again = Decide(Memory({}), live.settings)
    written = []
    for first in range(0, len(live.journal), batch):
        result = again.process(live.journal[first : first + batch])
        written += [decode(Alert, out.value) for out in result.outputs if out.topic == "alerts"]
    assert written == live.written


# Settings


INTERVAL = '[[time_intervals]]\nname = "n"\n[[time_intervals.time_intervals]]\n'


def write(folder: Path, text: str) -> None:
    (folder / "routes.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[route]\nreceiver = "pager"', "route.receiver: no channel 'pager' in tingchao.toml; expected '*' or one of"),
        ('[[route.routes]]\nmatchers = ["topic=mtro"]', "route.routes[1].matchers: no topic 'mtro'; expected one of"),
        (
            '[[route.routes]]\nmatchers = ["kind=baseline"]',
            "routes[1].matchers: no kind 'baseline'; expected one of",
        ),
        ('[[route.routes]]\nmatchers = ["state=over"]', "route.routes[1].matchers: no state 'over'; expected one of"),
        ('[[route.routes]]\nmatchers = ["rule=gone"]', "route.routes[1].matchers: no rule 'gone'; expected one of"),
        ('[[route.routes]]\nmatchers = ["colour=red"]', "no label 'colour'; expected one of topic, level"),
        ('[[route.routes]]\nmute_time_intervals = ["night"]', "route.routes[1]: no time interval 'night'; expected"),
        ('[route]\ngroup_by = ["colour"]', "group_by: no label 'colour'"),
        ('[[inhibit_rules]]\nsource_matchers = ["rule=x"]\ntarget_matchers = ["level=1"]', "no rule 'x'"),
        ("[route]\nrepeat = '1h'", "routes.toml: route.repeat: unknown key; expected one of"),
        (
            '[[time_intervals]]\nname = "n"\n[[time_intervals.time_intervals]]\nweekdays = ["funday"]',
            "'funday' cannot be",
        ),
        (
            INTERVAL + 'times = [{ start_time = "22:00", end_time = "07:00" }]',
            "over midnight give two",
        ),
    ],
)
def test_a_mistake_in_the_routes_is_named_by_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError) as found:
        load(tmp_path)
    (line,) = found.value.mistakes
    assert "routes.toml: " in line
    assert said in line


def test_routes_may_name_alerts_on_sources(tmp_path: Path) -> None:
    name = load().sources[0].name
    matchers = ["topic=@sources", f"topic=@source/{name}", "rule=source_quiet", "rule=sources_failing"]
    write(tmp_path, f"[[route.routes]]\nmatchers = {matchers}")
    assert load(tmp_path).routes.route.routes[0].matchers == matchers
    write(tmp_path, '[[route.routes]]\nmatchers = ["topic=@source/gone"]')
    with pytest.raises(ConfigError, match=f"no topic '@source/gone'.*, @source/{name}, .*@sources"):
        load(tmp_path)


def test_every_kind_of_alert_on_sources_is_known() -> None:
    text = Path(sources.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r'(?:rule|kind)="(sources?_\w+)"', text)) <= SOURCE_KINDS


def test_an_alert_from_before_there_were_routes_goes_to_all() -> None:
    room = Room().see()
    old = changed(room.alerts["metro"], deliveries=None)
    channel = Outside("desk")
    stage = Notify("notify.desk", channel, Memory({}), ManualClock(T0), None, {})
    assert stage.process([Input(old, T0)]).outcomes == ["first"]
    other = changed(old, id="b", deliveries=(Delivery(receiver="chief"),))
    assert stage.process([Input(other, T0)]).outcomes == ["not_routed"]


def test_why_nobody_was_told_stays_when_the_alert_ends_first() -> None:
    silenced, waiting = Room(), Room({"route": {"group_wait": "4h"}})
    silenced.silence("topic=metro", length=10 * HOUR)
    for room, why in ((silenced, "silenced"), (waiting, "group_wait")):
        room.see().wait(12 * HOUR)
        alert = room.alerts["metro"]
        assert (alert.state, room.why(), room.told()) == ("resolved", why, [])
        (held,) = (one for one in card.card(alert, "en").sections if one.name == "held")
        assert all(line.endswith("; the alert ended before, so nothing was sent.") for line in held.lines)
        written = len(room.written)
        room.wait(HOUR)
        assert len(room.written) == written
    silenced.see()  # it is told when it begins again
    assert (silenced.why(), [what for what, _, _ in silenced.told()]) == ("", ["opened"])


def test_matchers_know_every_kind_and_state() -> None:
    told = set(re.findall(r'"(sources?_\w+)"', Path(sources.__file__).read_text("utf-8")))
    assert (set(get_args(Kind)) - {"baseline"}) | told | {"source_charset", "source_robots"} == KINDS
    assert set(get_args(State)) == STATES
