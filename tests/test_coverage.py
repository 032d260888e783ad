"""A source that fails takes its share of each topic along: what is usual then, and afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mentions import mention

from tingchao.alerts.coverage import LEAST, Coverage, Mix
from tingchao.alerts.dark import Dark
from tingchao.alerts.sources import Sources
from tingchao.alerts.watch import Watch
from tingchao.config.rules import Rule
from tingchao.config.settings import load
from tingchao.config.sources import Source
from tingchao.config.topics import Topic
from tingchao.pipeline.records import Candidate, Fetch, Record, Tick, decode
from tingchao.pipeline.stage import Input, Memory

T0 = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
STEP, HOUR = timedelta(minutes=10), timedelta(hours=1)
STEPS = HOUR // STEP
LEVEL = Rule(name="level", kind="count", threshold=1, min_posts=1)  # always holds, and says what is expected
MANY = Rule(name="many", kind="baseline", min_voices=3)
SILENT = Rule(name="silent", kind="absence", window="2h")
FEWER = Rule(name="fewer", kind="absence", window="2h", threshold=5)
BEGAN = 5 * 24 + 10  # hour in which the outage of six hours begins
DOWN = range(BEGAN, BEGAN + 6)
SETTINGS = replace(
    load(),
    topics=(Topic(name="metro", title="地铁", any=["地铁"]),),
    rules=(LEVEL, MANY, SILENT, FEWER),
    sources=tuple(
        Source.model_validate({"name": name, "kind": "feed", "url": f"http://{name}.example/", "topics": ["*"]})
        for name in ("a", "b")
    ),
)


@dataclass(frozen=True)
class Story:
    """Posts an hour of the sources a and b, and what befalls a."""

    hours: int
    a: int = 6
    b: int = 4
    down: Collection[int] = ()  # hours in which it cannot be read
    mute: Collection[int] = ()  # hours in which nobody says anything
    filled: bool = False  # whether it shows, when it can be read again, what it had meanwhile
    told: bool = True  # whether `watch` hears of it
    burst: int = -1  # hour in which b tells ten times as much
    restart: int = -1


@dataclass(frozen=True)
class Played:
    inputs: Sequence[Input]
    candidates: Sequence[Candidate]

    def expected(self, hour: int) -> float:
        """What was last said to be usual in the hour."""
        ends = T0 + hour * HOUR, T0 + (hour + 1) * HOUR
        found = [one.reason for one in self.candidates if ends[0] < one.reason.end <= ends[1]]
        level = [reason.expected for reason in found if reason.rule == "level"][-1]
        assert level is not None
        return level

    def first(self, rule: str, since: int) -> datetime | None:
        ends = [one.reason.end for one in self.candidates if one.reason.rule == rule]
        return min((end for end in ends if end > T0 + since * HOUR), default=None)


@cache
def play(story: Story) -> Played:
    """The stages `sources` and `watch`, every ten minutes."""
    memory = Memory({})
    sources, watch = Sources(Memory({}), SETTINGS), Watch(memory, SETTINGS)
    inputs: list[Input] = []
    candidates: list[Candidate] = []

    def give(records: Sequence[Record], at: datetime) -> None:
        inputs.extend(Input(record, at) for record in records)
        if records:
            outputs = watch.process([Input(record, at) for record in records]).outputs
            candidates.extend(decode(Candidate, one.value) for one in outputs)

    waiting: list[Record] = []
    for step in range(story.hours * STEPS):
        at, hour = T0 + (step + 1) * STEP - timedelta(seconds=1), step // STEPS
        if step == story.restart * STEPS + 3:
            watch = Watch(Memory(dict(memory)), SETTINGS)
        down = hour in story.down
        b = story.b * (10 if hour == story.burst else 1)
        said = {name: (step + 1) * n // STEPS - step * n // STEPS for name, n in (("a", story.a), ("b", b))}
        posts: dict[str, list[Record]] = {
            name: [mention(f"{name}{step}-{n}", at, text="talk", source=name) for n in range(count)]
            for name, count in said.items()
            if hour not in story.mute
        }
        waiting = [*waiting, *posts.get("a", [])] if down else waiting
        give([*([] if down else posts.get("a", [])), *posts.get("b", [])], at)
        if not down:
            give(waiting if story.filled else [], at)
            waiting = []
        bad = {"a": "timeout"} if down else {}
        health: list[Record] = [
            Fetch(source=name, url=f"http://{name}.example/", at=at, outcome=bad.get(name, "ok")) for name in ("a", "b")
        ]
        now = at + timedelta(seconds=1)
        for one in sources.process([Input(record, at) for record in (*health, Tick(at=now))]).outputs:
            give([decode(Tick, one.value)] if one.topic == "mentions" and story.told else [], now)
        give([Tick(at=now)], now)
    return Played(inputs, candidates)


WEEK = BEGAN + 7 * 24 + 2


@pytest.fixture(scope="module")
def whole() -> Played:
    return play(Story(WEEK))


@pytest.fixture(scope="module")
def lost() -> Played:
    return play(Story(WEEK, down=DOWN))


def test_less_is_expected_while_a_source_is_down_and_later_as_if_nothing_had_happened(
    whole: Played, lost: Played
) -> None:
    usually = whole.expected(BEGAN + 3)
    assert usually == pytest.approx(10, rel=0.05)
    for hour in DOWN[1:]:
        assert lost.expected(hour) == pytest.approx(0.4 * usually, rel=0.1)
    for later in (24 + 3, WEEK - BEGAN - 1):
        assert lost.expected(BEGAN + later) == pytest.approx(whole.expected(BEGAN + later), rel=0.02)
    unaware = play(Story(BEGAN + 28, down=DOWN, told=False))
    assert unaware.expected(BEGAN + 3) == pytest.approx(usually, rel=0.1)
    assert unaware.expected(BEGAN + 24 + 3) < 0.9 * whole.expected(BEGAN + 24 + 3)


def test_a_burst_of_another_source_is_found_as_early_as_without_the_outage() -> None:
    def found(**story: object) -> datetime | None:
        return play(Story(BEGAN + 6, burst=BEGAN + 4, **story)).first("many", BEGAN)  # type: ignore[arg-type]

    without, during, unaware = found(), found(down=DOWN), found(down=DOWN, told=False)
    assert without is not None
    assert during is not None
    assert during <= without
    assert unaware is None or unaware > during


def test_silence_of_a_topic_is_none_while_its_source_cannot_be_read(whole: Played) -> None:
    down = play(Story(BEGAN + 6, b=0, down=DOWN))
    assert {one.reason.rule for one in down.candidates} == {"level"}
    mute = play(Story(BEGAN + 6, b=0, mute=DOWN))
    assert {one.reason.rule for one in mute.candidates} == {"level", "silent", "fewer"}
    assert whole.first("silent", 0) is None


def test_what_is_shown_later_is_lost_no_more(whole: Played) -> None:
    filled = play(Story(BEGAN + 28, down=DOWN, filled=True))
    for later in (8, 24 + 3):
        assert filled.expected(BEGAN + later) == pytest.approx(whole.expected(BEGAN + later), rel=0.02)


def test_neither_a_restart_nor_a_replay_in_other_batches_changes_anything(lost: Played) -> None:
    again = play(Story(BEGAN + 28, down=DOWN, restart=BEGAN + 3))
    assert again.candidates == lost.candidates[: len(again.candidates)]
    watch, batch = Watch(Memory({}), SETTINGS, 300), 300
    found: list[Candidate] = []
    for start in range(0, len(again.inputs), batch):
        outputs = watch.process(again.inputs[start : start + batch]).outputs
        found += [decode(Candidate, one.value) for one in outputs]
    assert found == again.candidates


# The shares of sources


def test_shares_fade_and_do_not_depend_on_the_order_of_hours() -> None:
    one, other = Mix(1000), Mix(1000 + 336)
    for mix, hours in ((one, (1000, 1336)), (other, (1336, 1000))):
        for hour in hours:
            mix.add(hour, {"a": 10} if hour == 1000 else {"b": 10})
    assert one.posts["a"] == pytest.approx(one.posts["b"] / 2)
    assert other.posts == pytest.approx(one.posts)


def test_an_hour_in_which_one_source_tells_a_hundred_times_as_much_changes_little() -> None:
    mix = Mix(0)
    for hour in range(168):
        mix.add(hour, {"a": 60, "b": 4000 if hour == 100 else 40})
    assert mix.posts["a"] / sum(mix.posts.values()) == pytest.approx(0.6, abs=0.01)


@given(st.lists(st.dictionaries(st.sampled_from([f"s{n}" for n in range(30)]), st.integers(1, 50)), max_size=20))
def test_of_many_sources_sixteen_are_kept_and_their_sum_stays(hours: list[dict[str, int]]) -> None:
    mix, worth = Mix(0), 0.0
    for posts in filter(None, hours):
        mix.add(0, posts)
        worth += sum(posts.values()) / (1 + (sum(posts.values()) - 1) * 0.05)
    assert len(mix.posts) <= 16
    assert sum(mix.posts.values()) == pytest.approx(worth)


def test_a_newcomer_that_says_much_is_kept_among_many_small_sources() -> None:
    mix = Mix(0)
    for hour in range(400):
        mix.add(hour, {f"s{(hour + n) % 40}": 1 for n in range(10)} | ({"new": 10} if hour >= 350 else {}))
    assert max(mix.posts, key=mix.posts.__getitem__) == "new"


@given(st.integers(0, 100), st.integers(0, 100), st.booleans())
def test_an_hour_is_known_by_at_least_half_or_missing(a: int, b: int, both: bool) -> None:
    memory = Memory({})
    coverage = Coverage(memory, Dark(memory))
    coverage.learn("metro", 900, {"a": a, "b": b})
    coverage.tell({"a": 1000, "b": 1000} if both else {"a": 1000}, 1001)
    known = coverage.known("metro", 998, 1003).tolist()
    assert known[:2] == [1.0, 1.0]
    assert known[2] == known[3]
    assert known[2] == 0.0 or LEAST <= known[2] <= 1.0
    assert known[4] == 1.0
    assert Coverage(memory, Dark(memory)).known("metro", 998, 1003).tolist() == known


def test_a_source_that_is_down_for_good_keeps_its_share_and_takes_little_memory() -> None:
    memory = Memory({})
    coverage = Coverage(memory, Dark(memory))
    for hour in range(1000, 1400):
        coverage.learn("metro", hour, {"a": 4, "b": 6})
    coverage.tell({"a": 1400}, 1400)
    for hour in range(1401, 4000):
        coverage.learn("metro", hour - 1, {"b": 6})
        coverage.tick(hour)
    assert coverage.known("metro", 3900, 4000) == pytest.approx([0.6] * 99 + [0.6], abs=0.02)
    assert max(map(len, memory.values())) < 3000
    coverage.tell({}, 4000)
    coverage.tick(4000 + 28 * 24)
    assert [key for key in memory if key.startswith("o/")] == []
