"""A source that can no longer be read is an alert of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest

from tingchao.alerts import card, decide, sources
from tingchao.config.language import LANGUAGES, text
from tingchao.config.matchers import ALL_SOURCES, ONE_SOURCE
from tingchao.config.settings import MainFile, Settings
from tingchao.config.sources import Source
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.records import Alert, Candidate, Fetch, Tick, decode
from tingchao.pipeline.stage import Runner

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # a whole hour


def source(name: str, every: str = "10m") -> Source:
    return Source.model_validate(
        {
            "name": name,
            "title": f"{name}报",
            "kind": "feed",
            "url": f"http://{name}.example/feed",
            "topics": ["*"],
            "every": every,
        }
    )


class Watching:
    """The stage on a log, with sources whose visits a test makes up."""

    def __init__(
        self, log: Log, clock: ManualClock, names: tuple[str, ...] = ("morning",), main: MainFile | None = None
    ) -> None:
        self.log, self.clock = log, clock
        self.settings = Settings(main or MainFile(), tuple(source(name) for name in names), (), ())
        self.runner = Runner(sources.plan(self.settings), log, clock)
        self.decide = Runner(decide.plan(self.settings), log, clock)

    def restart(self) -> None:
        self.runner = Runner(sources.plan(self.settings), self.log, self.clock)

    def fetch(self, outcome: str = "ok", items: int = 1, name: str = "morning", **fields: object) -> None:
        fetch = Fetch(
            source=name,
            url=f"http://{name}.example/feed",
            at=self.clock.now(),
            outcome=outcome,
            items=items if outcome == "ok" else 0,
            **fields,  # type: ignore[arg-type]
        )
        self.log.publish([output("fetches", name, fetch)], self.clock.now())
        self.run()

    def run(self) -> None:
        while self.runner.step():
            pass

    def pass_time(
        self, length: timedelta, outcome: str = "ok", items: int = 1, step: timedelta = 10 * MINUTE, **fields: object
    ) -> None:
        """Visits every `step`, with a tick before each."""
        end = self.clock.now() + length
        while self.clock.now() < end:
            self.clock.move(step)
            self.fetch(outcome, items, **fields)  # type: ignore[arg-type]

    def told(self) -> list[Candidate]:
        return [decode(Candidate, one.value) for one in self.log.scan("candidates", 0, 10_000) if one.key != "@tick"]

    def kinds(self) -> list[str]:
        return [one.reason.kind for one in self.told()]

    def alerts(self) -> list[Alert]:
        while self.decide.step():
            pass
        return [decode(Alert, one.value) for one in self.log.newest("alerts")]


@pytest.fixture
def watching(log: Log, clock: ManualClock) -> Watching:
    return Watching(log, clock)


def test_one_failure_is_the_web_as_it_is(watching: Watching) -> None:
    watching.pass_time(HOUR)
    watching.fetch("timeout")
    watching.pass_time(HOUR)
    assert watching.told() == []


def test_a_source_that_keeps_failing_is_told_again_every_hour_until_it_works(watching: Watching) -> None:
    watching.pass_time(HOUR)
    watching.pass_time(25 * MINUTE, "login")
    assert watching.told() == []
    watching.pass_time(3 * HOUR, "login")
    assert watching.kinds() == ["source_failing"] * 3
    assert {one.topic for one in watching.told()} == {ONE_SOURCE + "morning"}
    watching.fetch()
    watching.pass_time(3 * HOUR)
    assert [one.over for one in watching.told()] == [False, False, False, True]
    (alert,) = watching.alerts()
    assert alert.title == "morning报"
    for language in LANGUAGES:
        words = card.as_text(alert, language)
        assert {"zh": "需要登录", "en": "log-in"}[language] in words
        assert text("alert.unknown.source", language) in words


def test_its_alert_stays_one_where_others_end_sooner(log: Log, clock: ManualClock) -> None:
    watching = Watching(log, clock, main=MainFile.model_validate({"decide": {"quiet": "30m"}}))
    watching.pass_time(HOUR)
    for _ in range(30):
        watching.pass_time(10 * MINUTE, "login")
        (alert,) = watching.alerts() or (None,)
    assert alert is not None
    assert alert.state == "open"
    assert {change.what for change in alert.history} <= {"opened", "updated"}


@pytest.mark.parametrize("outcome", ["empty", "no_list", "status", "robots", "not_a_feed"])
def test_whatever_keeps_it_from_being_read_counts(watching: Watching, outcome: str) -> None:
    watching.pass_time(HOUR)
    watching.pass_time(HOUR, outcome, status=503)
    assert watching.kinds() == ["source_failing"]
    assert watching.told()[0].reason.detail == ("status:503" if outcome == "status" else outcome)
    assert card.headline(watching.alerts()[0], "zh").startswith("来源 morning报：连续 ")


def test_a_failed_article_is_not_a_failed_source(watching: Watching) -> None:
    for _ in range(30):
        watching.clock.move(10 * MINUTE)
        fetch = Fetch(source="morning", url="http://morning.example/n/1", at=watching.clock.now(), outcome="status")
        watching.log.publish([output("fetches", "morning", fetch)], watching.clock.now())
        watching.fetch()
    assert watching.told() == []
    assert watching.runner.counts()["other"] == 30


def test_most_sources_at_once_are_one_alert(log: Log, clock: ManualClock) -> None:
    names = ("a", "b", "c", "d", "e")
    watching = Watching(log, clock, names)
    for step in range(12):
        clock.move(10 * MINUTE)
        for name in names:
            watching.fetch("offline" if step > 3 and name != "e" else "ok", name=name)
    assert {one.topic for one in watching.told()} == {ALL_SOURCES}
    (alert,) = watching.alerts()
    assert alert.level == 2
    assert "4 of 5" in card.headline(alert, "en")
    left = Watching(log, clock, names[:4])
    for _ in range(8):
        clock.move(10 * MINUTE)
        for name in names[:4]:
            left.fetch("offline", name=name)
    assert left.told()[-1].reason.expected == 4, "what is no longer configured is not counted"


class Four(Watching):
    """Four sources, visited every ten minutes."""

    def __init__(self, log: Log, clock: ManualClock) -> None:
        super().__init__(log, clock, ("a", "b", "c", "d"))

    def visits(self, length: timedelta, failing: str = "") -> None:
        end = self.clock.now() + length
        while self.clock.now() < end:
            self.clock.move(10 * MINUTE)
            for name in "abcd":
                self.fetch("offline" if name in failing else "ok", name=name)
            self.alerts()

    def states(self) -> dict[str, str]:
        return {one.topic: one.state for one in self.alerts()}


def test_the_alert_on_a_source_stays_while_most_fail_and_it_does(log: Log, clock: ManualClock) -> None:
    watching = Four(log, clock)
    watching.visits(HOUR)
    watching.visits(2 * HOUR, "a")
    watching.visits(6 * HOUR, "abcd")
    assert watching.states() == {ONE_SOURCE + "a": "open", ALL_SOURCES: "open"}
    watching.visits(30 * MINUTE, "a")
    assert watching.states() == {ONE_SOURCE + "a": "open", ALL_SOURCES: "resolved"}
    watching.visits(30 * MINUTE)
    assert watching.states() == {ONE_SOURCE + "a": "resolved", ALL_SOURCES: "resolved"}
    assert [change.what for one in watching.alerts() for change in one.history] == ["opened", "updated", "quiet"] * 2


def test_what_still_fails_when_most_are_well_is_told_by_itself(log: Log, clock: ManualClock) -> None:
    watching = Four(log, clock)
    watching.visits(2 * HOUR, "abcd")
    watching.visits(30 * MINUTE, "b")
    assert watching.states() == {ALL_SOURCES: "resolved", ONE_SOURCE + "b": "open"}


def test_most_sources_that_fail_every_second_time_are_one_alert(log: Log, clock: ManualClock) -> None:
    watching = Four(log, clock)
    watching.visits(2 * HOUR, "abcd")
    for _ in range(18):
        watching.visits(10 * MINUTE)
        watching.restart()
        watching.visits(10 * MINUTE, "abcd")
    (alert,) = watching.alerts()
    assert (alert.topic, alert.state) == (ALL_SOURCES, "open")
    assert {change.what for change in alert.history} == {"opened", "updated"}
    watching.visits(30 * MINUTE)
    assert watching.states() == {ALL_SOURCES: "resolved"}


def test_an_alert_ends_when_its_source_was_read_twice_in_a_row(watching: Watching) -> None:
    watching.pass_time(HOUR)
    watching.pass_time(2 * HOUR, "login")
    for _ in range(18):
        watching.pass_time(10 * MINUTE)
        watching.restart()
        watching.pass_time(10 * MINUTE, "login")
        (alert,) = watching.alerts()
        assert alert.state == "open", "a source that fails every second time does not work"
    assert {change.what for change in alert.history} == {"opened", "updated"}
    watching.pass_time(10 * MINUTE)
    watching.restart()
    watching.pass_time(10 * MINUTE)
    (alert,) = watching.alerts()
    assert (alert.state, alert.history[-1].what) == ("resolved", "quiet")
    watching.pass_time(HOUR, "login")
    (alert,) = watching.alerts()
    assert (alert.state, alert.history[-1].what) == ("open", "reopened"), "it fails again within two hours"


def test_two_failures_after_an_alert_are_the_web_as_it_is_again(watching: Watching) -> None:
    watching.pass_time(HOUR, "login")
    watching.pass_time(HOUR)
    watching.pass_time(20 * MINUTE, "login")
    watching.pass_time(HOUR)
    assert [one.over for one in watching.told()] == [False, True]


def test_a_source_that_is_visited_again_is_over_at_once(watching: Watching) -> None:
    watching.pass_time(HOUR)
    for _ in range(90):
        watching.clock.move(MINUTE)
        watching.run()
    watching.fetch()
    (alert,) = watching.alerts()
    assert alert.state == "resolved"


def test_a_source_that_nobody_visits_any_more_is_told(watching: Watching) -> None:
    watching.pass_time(HOUR)
    for _ in range(90):
        watching.clock.move(MINUTE)
        watching.run()
    assert watching.kinds() == ["source_unvisited"]


def test_a_source_that_was_never_visited_says_nothing(watching: Watching) -> None:
    for _ in range(300):
        watching.clock.move(MINUTE)
        watching.run()
    assert watching.told() == []


def test_a_changed_charset_or_robots_rule_is_told_once(watching: Watching) -> None:
    allowed, slower = "allowed: robots.txt 200", "allowed: robots.txt 200, crawl-delay 10"
    watching.pass_time(HOUR, charset="utf-8", robots=allowed)
    watching.pass_time(HOUR, charset="gb18030", robots=allowed)
    watching.pass_time(HOUR, charset="gb18030", robots=slower)
    assert watching.kinds() == ["source_charset", "source_robots"]
    assert [one.reason.detail for one in watching.told()] == ["utf-8 → gb18030", "allowed → allowed, crawl-delay 10"]
    (alert,) = watching.alerts()
    for language in LANGUAGES:
        assert text("alert.unknown.source", language) not in card.as_text(alert, language), "it can be read"


def test_a_robots_txt_that_comes_or_goes_and_allows_all_we_read_is_nothing(watching: Watching) -> None:
    for answer in ("200", "404", "200, crawl-delay 5", "404", "200"):
        watching.pass_time(HOUR, robots=f"allowed: robots.txt {answer}")
    assert [one.reason.detail for one in watching.told()] == ["allowed → allowed, crawl-delay 5"]


def test_far_fewer_posts_than_usual_are_told_although_every_visit_goes_well(watching: Watching) -> None:
    watching.pass_time(5 * DAY, items=12, step=HOUR)
    assert watching.told() == []
    watching.pass_time(8 * HOUR, "unchanged")
    assert set(watching.kinds()) == {"source_quiet"}
    reason = watching.told()[0].reason
    assert reason.p is not None
    assert reason.p < 0.001
    assert reason.expected is not None
    assert reason.expected > reason.observed
    assert "平时约" in card.headline(watching.alerts()[0], "zh")


def test_a_feed_that_is_empty_for_long_is_told_where_it_never_was(watching: Watching) -> None:
    watching.pass_time(5 * DAY, items=12, step=HOUR)
    watching.pass_time(8 * HOUR, items=0, step=HOUR)
    assert set(watching.kinds()) == {"source_quiet"}


def test_a_quiet_night_is_usual_where_every_night_is_quiet(watching: Watching) -> None:
    for _ in range(8):
        for _ in range(24):
            busy = 8 <= (watching.clock.now() + timedelta(hours=8)).hour < 22
            watching.pass_time(HOUR, "ok" if busy else "unchanged", items=24, step=HOUR)
    assert watching.told() == []


def test_hours_that_could_not_be_read_are_not_silence(watching: Watching) -> None:
    watching.pass_time(5 * DAY, items=12, step=HOUR)
    watching.pass_time(10 * HOUR, "offline")
    watching.pass_time(2 * HOUR, items=2)
    assert set(watching.kinds()) == {"source_failing"}


def test_a_restart_changes_nothing(log: Log, clock: ManualClock) -> None:
    watching = Watching(log, clock)
    watching.pass_time(HOUR)
    watching.pass_time(45 * MINUTE, "login")
    before = len(watching.told())
    watching.restart()
    watching.pass_time(30 * MINUTE, "login")
    assert (before, len(watching.told())) == (1, 1)


def test_its_memory_stays_small(watching: Watching) -> None:
    watching.pass_time(4 * DAY, items=12, step=HOUR, charset="utf-8", robots="allowed")
    assert max(len(value) for value in watching.log.state("sources").values()) < 4000


def test_times_are_by_the_clock_of_the_fetch(watching: Watching) -> None:
    began: datetime = watching.clock.now()
    watching.pass_time(HOUR)
    watching.pass_time(HOUR, "tls")
    assert watching.told()[0].reason.start == began + HOUR + 10 * MINUTE


# What baselines must not take for zero


def unread(watching: Watching) -> list[list[int]]:
    """What `watch` was told of, in hours since the test began, as often as it changed."""
    began = int(NOW.timestamp()) // 3600
    ticks = [decode(Tick, one.value) for one in watching.log.scan("mentions", 0, 10_000)]
    found = [key for key, _ in groupby(tick.unread or () for tick in ticks)]
    return [[hour - began for hour in hours] for hours in (found if found[:1] != [()] else found[1:])]


def ill(watching: Watching) -> list[dict[str, int]]:
    """The sources of which `watch` was told, with their hours since the test began, as often as it changed."""
    began = int(NOW.timestamp()) // 3600
    ticks = [decode(Tick, one.value) for one in watching.log.scan("mentions", 0, 10_000)]
    return [{name: hour - began for name, hour in one.items()} for one, _ in groupby(tick.ill for tick in ticks)]


def test_watch_is_told_of_the_hours_in_which_no_source_was_read_and_keeps_them(watching: Watching) -> None:
    watching.clock.move(NOW - watching.clock.now())
    watching.pass_time(5 * HOUR - 10 * MINUTE)
    assert unread(watching) == []
    watching.pass_time(2 * HOUR, "timeout")
    watching.pass_time(HOUR)
    assert unread(watching) == [[5], [5, 6]]
    watching.restart()
    watching.pass_time(2 * DAY)
    assert unread(watching) == [[5], [5, 6]]
    watching.pass_time(2 * DAY)
    assert unread(watching) == [[5], [5, 6], [6], []], "when `watch` no longer asks, it is forgotten"


def test_one_source_that_is_read_is_enough_and_without_any_visit_nothing_is(log: Log, clock: ManualClock) -> None:
    watching = Watching(log, clock, ("morning", "evening"))
    watching.clock.move(NOW - watching.clock.now())
    watching.fetch("timeout", name="evening")
    watching.pass_time(3 * HOUR - 10 * MINUTE)
    assert unread(watching) == []
    for _ in range(18):  # from 10:50 to 13:50 nobody visits
        watching.clock.move(10 * MINUTE)
        watching.run()
    assert unread(watching) == [[3], [3, 4]]


def test_a_source_that_is_seldom_visited_says_nothing_of_an_hour(log: Log, clock: ManualClock) -> None:
    watching = Watching(log, clock)
    watching.settings = Settings(MainFile(), (source("morning", "2h"),), (), ())
    watching.restart()
    watching.pass_time(DAY, step=2 * HOUR)
    assert unread(watching) == []


def test_watch_is_told_which_sources_fail_and_since_when(log: Log, clock: ManualClock) -> None:
    watching = Watching(log, clock, ("morning", "evening"))
    watching.clock.move(NOW - watching.clock.now())

    def pass_time(steps: int, outcome: str) -> None:
        for _ in range(steps):
            watching.clock.move(10 * MINUTE)
            watching.fetch(outcome)
            watching.fetch(name="evening")

    pass_time(11, "ok")
    assert ill(watching) == []
    pass_time(6, "timeout")
    watching.restart()
    pass_time(6, "timeout")
    assert ill(watching) == [{"morning": 2}], "the last good visit was at 1:50"
    pass_time(2, "ok")
    assert ill(watching) == [{"morning": 2}, {}]


def test_watch_is_told_since_when_a_source_brings_nothing(watching: Watching) -> None:
    watching.clock.move(NOW - watching.clock.now())
    watching.pass_time(6 * DAY, items=12, step=HOUR / 2)
    assert ill(watching) == []
    watching.pass_time(6 * HOUR, items=0, step=HOUR / 2)
    assert ill(watching) == [{"morning": 6 * 24 + 1}], "and not again with each hour"
