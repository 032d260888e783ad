"""Mentions become candidates: what is counted, when a rule holds, and that nothing depends on batches or restarts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mentions import mention, scores

from tingchao.alerts import watch
from tingchao.alerts.hours import Hours
from tingchao.alerts.watch import Watch
from tingchao.config.rules import Rule
from tingchao.config.settings import Settings, load
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import STATE_LIMIT, Output, output
from tingchao.pipeline.records import TICK_KEY, Candidate, Counts, Mention, Tick, decode, encode
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input, Memory, Runner

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SAFETY = Rule(name="safety", kind="signal", signal="safety", threshold=2.0, min_posts=3, level=3)
MANY = Rule(name="many", kind="count", ratio=4.0, p=0.001, min_posts=10, min_voices=3)
ANGER = Rule(name="anger", kind="negative_share", threshold=0.6, min_posts=5)


def with_rules(*rules: Rule) -> Settings:
    return replace(load(), rules=rules)


class World:
    """A log, a clock and the stage: mentions go in, candidates come out."""

    def __init__(self, path: Path, *rules: Rule, batch: int = 500, start: datetime = T0) -> None:
        self.settings, self.batch = with_rules(*rules), batch
        self.log, self.clock = SqliteLog(path / "log.db"), ManualClock(start)
        self.runner = self.made()

    def restart(self) -> None:
        """A new process, just as far with its ticks: everything else that is not in the log is gone."""
        ticked, self.runner = self.runner._ticked, self.made()
        self.runner._ticked = ticked

    def made(self) -> Runner:
        plan = watch.plan(self.settings)
        plan = plan._replace(batch=self.batch, make=lambda memory: Watch(memory, self.settings, self.batch))
        return Runner(plan, self.log, self.clock)

    def write(self, mentions: Iterable[Mention]) -> None:
        self.clock.move(timedelta(milliseconds=1))
        self.log.publish([output("mentions", one.topic, one) for one in mentions], self.clock.now())

    def run(self, *mentions: Mention) -> list[Candidate]:
        before = len(self.candidates())
        if mentions:
            self.write(mentions)
        while self.runner.step():
            pass
        return self.candidates()[before:]

    def candidates(self) -> list[Candidate]:
        return [decode(Candidate, one.value) for one in self.log.scan("candidates", limit=10**6)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, SAFETY, MANY)


def talk(start: datetime, hours: int, an_hour: int, name: str = "talk") -> list[Mention]:
    """Quiet talk without any signal."""
    step = HOUR / an_hour
    return [mention(f"{name}{n}", start + n * step) for n in range(hours * an_hour)]


# What is counted


WHY = {"safety": (("三号线冒烟", 2.5), ("没有", -1.0), ("地铁", 0.5))}


def test_three_reports_of_an_accident_become_a_candidate_with_its_evidence(world: World) -> None:
    reports = [
        mention(f"r{n}", T0 - n * MINUTE, text=f"地铁三号线冒烟 {n}", scores=scores("safety"), why=WHY)
        for n in range(3)
    ]
    (candidate,) = world.run(*reports)
    assert candidate.reason.rule == "safety"
    assert candidate.reason.observed == pytest.approx(2.85)
    assert candidate.reason.expected is None, "there is no history yet"
    assert (candidate.level, candidate.posts, candidate.voices, candidate.sources) == (3, 3, 3, {"forum": 3})
    assert candidate.severity == 2.0
    assert candidate.sure == 0.99
    assert [(one.id, one.role) for one in candidate.evidence] == [("r2", "first"), ("r1", "strong"), ("r0", "strong")]
    assert (candidate.evidence[0].words, candidate.evidence[0].why) == (("三号线冒烟", "地铁"), WHY)
    assert sum(candidate.curve) == 3
    assert candidate.reason.start <= T0 - 2 * MINUTE < T0 < candidate.reason.end


def test_mentions_of_before_have_single_words_for_the_heads(world: World) -> None:
    old = [
        mention(f"o{n}", T0, text=f"冒烟 {n}", scores=scores("safety"), words={"safety": ("冒烟",)}) for n in range(3)
    ]
    (candidate,) = world.run(*old)
    assert {(one.words, tuple(one.why)) for one in candidate.evidence} == {(("冒烟",), ())}


def test_500_reposts_of_one_text_weigh_less_than_five_voices(world: World) -> None:
    reposts = [mention(f"c{n}", T0, text="听说爆炸了", scores=scores("safety")) for n in range(500)]
    assert [one.reason.rule for one in world.run(*reposts)] == ["many"], "they are many, but one story"
    own = [mention(f"o{n}", T0 - 3 * HOUR, text=f"我看见冒烟 {n}", scores=scores("safety")) for n in range(5)]
    (candidate,) = world.run(*own)
    assert candidate.reason.rule == "safety"
    assert candidate.signals["safety"] == pytest.approx(4.75)


def test_one_voice_with_many_texts_is_not_surer_than_one_voice(world: World) -> None:
    texts = [mention(f"m{n}", T0, text=f"爆炸 {n}", voice="one", scores=scores("safety", 0.8)) for n in range(5)]
    (candidate,) = world.run(*texts)
    assert candidate.sure == 0.8


def test_a_revision_of_a_counted_post_changes_no_count(world: World) -> None:
    first = [mention(f"r{n}", T0, scores=scores("safety", 0.65)) for n in range(3)]
    world.run(*first)
    again = [mention(f"r{n}", T0 + HOUR, fetched_at=T0 + HOUR, scores=scores("safety")) for n in range(3)]
    world.clock.move(HOUR)
    assert world.run(*again) == []
    assert world.runner.counts() == {"counted": 3, "revision": 3, "tick": 2}


def test_a_post_counts_once_in_each_topic(world: World) -> None:
    both = [mention("same", T0, topic=topic) for topic in ("metro", "water")]
    world.run(*both)
    assert world.runner.counts()["counted"] == 2


def test_advertising_and_what_cannot_be_judged_give_no_signal(world: World) -> None:
    adverts = [mention(f"a{n}", T0, scores=scores("safety", advert=0.9)) for n in range(60)]
    other = [mention(f"o{n}", T0, scores=scores("safety", abstained=True)) for n in range(9)]
    assert world.run(*adverts, *other) == []
    assert world.runner.counts() == {"advert": 60, "counted": 9, "tick": 1}


def test_a_post_later_than_the_lateness_still_enters_its_window(world: World) -> None:
    old = [mention(f"r{n}", T0 - 60 * DAY, scores=scores("safety")) for n in range(3)]
    (candidate,) = world.run(*old)
    assert candidate.reason.end <= T0 - 60 * DAY + 5 * MINUTE
    assert world.runner.counts()["late"] == 3


def test_a_post_from_the_future_counts_when_it_was_written(world: World) -> None:
    ahead = [mention(f"r{n}", T0 + 30 * DAY, scores=scores("safety")) for n in range(3)]
    (candidate,) = world.run(*ahead)
    assert candidate.reason.start <= world.clock.now() < candidate.reason.end


def test_the_negative_share_is_that_of_the_posts_that_could_be_judged(tmp_path: Path) -> None:
    world = World(tmp_path, ANGER)
    angry = [mention(f"a{n}", T0, scores=scores(negative=0.9)) for n in range(6)]
    unjudged = [mention(f"u{n}", T0, scores=scores(negative=0.3, abstained=True)) for n in range(20)]
    (candidate,) = world.run(*angry, *unjudged)
    assert candidate.reason.observed == pytest.approx(0.9)
    assert candidate.evidence[1].negative == 0.9, "without a signal the most negative posts are shown"


def burst(sources: int, severity: float = 0.3) -> list[Mention]:
    """Twelve posts in so many sources, within a minute."""
    return [
        mention(
            f"n{n}", T0 + 15 * MINUTE + n * MINUTE / 12, source=f"new{n % sources}", scores=scores(severity=severity)
        )
        for n in range(12)
    ]


SPREAD = Rule(name="spread", kind="sources", ratio=2.0, p=0.001)
GRAVE = Rule(name="grave", kind="severity", p=0.001)


def after_days(path: Path, *now: Mention) -> list[Candidate]:
    """What the two rules tell of what comes after four days of twelve posts an hour in two sources."""
    world = World(path, SPREAD, GRAVE, start=T0 - 4 * DAY)
    for hour in range(96):
        start = world.clock.now()
        posts = [
            mention(f"d{hour}-{n}", start + n * MINUTE, source=f"s{n % 2}", scores=scores(severity=0.3))
            for n in range(12)
        ]
        world.clock.move(HOUR)
        assert world.run(*posts) == []
    world.clock.move(16 * MINUTE)
    return world.run(*now)


def test_the_same_number_of_posts_in_many_sources_is_news(tmp_path: Path) -> None:
    found = after_days(tmp_path, *burst(9))
    first = found[0].reason
    assert {one.reason.rule for one in found} == {"spread"}
    assert (first.kind, first.observed) == ("sources", 9)
    assert first.expected == pytest.approx(2, rel=0.1)
    assert first.p is not None
    assert first.p <= 0.001


def test_the_same_number_of_posts_of_graver_things_is_news(tmp_path: Path) -> None:
    found = after_days(tmp_path, *burst(2, severity=2.1))
    assert {one.reason.rule for one in found} == {"grave"}
    first = found[0].reason
    assert first.observed == pytest.approx(2.1)
    assert first.expected == pytest.approx(0.3, rel=0.1)


def test_nothing_is_told_of_an_hour_like_the_others(tmp_path: Path) -> None:
    assert after_days(tmp_path, *burst(2)) == []


def test_without_a_history_sources_and_severity_wait_unless_a_threshold_is_given(tmp_path: Path) -> None:
    fixed = [one.model_copy(update={"name": f"fixed-{one.name}", "threshold": 2.0}) for one in (SPREAD, GRAVE)]
    found = World(tmp_path, SPREAD, GRAVE, *fixed).run(*burst(9, severity=2.5))
    assert {one.reason.rule for one in found} == {"fixed-spread", "fixed-grave"}
    assert {(one.reason.expected, one.sure) for one in found} == {(None, 0.5)}


LIKED = Rule(name="liked", kind="engagement", threshold=500)


def liked(name: str, at: datetime, fetched: datetime, likes: int | None, comments: int = 0) -> Mention:
    return mention(name, at, fetched_at=fetched, counts=Counts(likes=likes, comments=comments, reads=10**6))


def test_an_old_post_that_is_liked_more_and_more_is_news(tmp_path: Path) -> None:
    world = World(tmp_path, LIKED, MANY)
    old = T0 - 5 * HOUR
    assert world.run(liked("old", old, T0, 3000), mention("other", T0)) == [], "nobody knows since when it has them"
    world.clock.move(20 * MINUTE)
    assert world.run(liked("old", old, T0 + 20 * MINUTE, 3200, 80)) == []
    world.restart()
    world.clock.move(20 * MINUTE)
    (candidate,) = world.run(liked("old", old, T0 + 40 * MINUTE, 3400, 200))
    assert (candidate.reason.kind, candidate.reason.observed) == ("engagement", 600)
    assert [one.id for one in candidate.evidence] == ["old"]
    assert candidate.posts == 1, "the other one, of this hour"


def test_reactions_are_counted_once_and_never_taken_back(tmp_path: Path) -> None:
    world = World(tmp_path, LIKED)
    fresh = liked("a", T0, T0, 300)
    assert world.run(fresh, fresh, liked("a", T0, T0 + MINUTE, 200), liked("a", T0, T0 + 2 * MINUTE, None)) == []
    world.clock.move(5 * MINUTE)
    assert world.run(liked("a", T0, T0 + 5 * MINUTE, 499)) == []
    assert [one.reason.observed for one in world.run(liked("a", T0, T0 + 6 * MINUTE, 501))] == [501]


def test_adverts_gain_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, LIKED)
    advert = liked("a", T0, T0, 5000)
    assert world.run(msgspec.structs.replace(advert, scores=scores(advert=0.9))) == []


def test_more_reactions_than_usual_at_this_hour_are_news(tmp_path: Path) -> None:
    world = World(tmp_path, Rule(name="more", kind="engagement", ratio=3.0, p=0.001), start=T0 - 4 * DAY)
    for hour in range(96):
        start = world.clock.now()
        world.clock.move(HOUR)
        assert world.run(*(liked(f"d{hour}-{n}", start + n * MINUTE, start + n * MINUTE, 5) for n in range(12))) == []
    world.clock.move(16 * MINUTE)
    now = T0 + 15 * MINUTE
    assert world.run(*(liked(f"same{n}", now, now, 5) for n in range(12))) == []
    (first, *_) = world.run(*(liked(f"more{n}", now, now, 50) for n in range(12)))
    assert first.reason.expected == pytest.approx(60, rel=0.1)
    assert first.reason.observed == 660


def test_two_hours_in_which_no_source_was_read_are_missing_not_zero_live_and_in_replay(tmp_path: Path) -> None:
    """Two posts an hour; three hours after the gap sixteen come, which the gap must not make rarer."""
    told, cut = {}, {24 + 2, 24 + 3}
    for name, gap, tells in (("whole", set(), False), ("zero", cut, False), ("missing", cut, True)):
        world = World(tmp_path / name, MANY)
        for hour in range(30):
            world.run(*([] if hour in gap else talk(T0 + hour * HOUR, 1, 2, f"h{hour}-")))
            world.clock.move(HOUR)
            if tells and hour == max(gap):
                begun = int(T0.timestamp()) // 3600
                tick = Tick(at=world.clock.now(), unread=tuple(begun + n for n in sorted(gap)))
                world.log.publish([Output("mentions", TICK_KEY, encode(tick), 0)], world.clock.now())
        world.run(*(mention(f"b{n}", T0 + 30 * HOUR, text=f"b{n}") for n in range(16)))
        again = Runner(watch.plan(world.settings)._replace(name="again", tick=None), world.log, world.clock)
        before = world.candidates()
        while again.step():
            pass
        assert world.candidates()[len(before) :] == before, "a replay of the log gives the same"
        told[name] = before[-1].reason
    assert told["missing"].expected == pytest.approx(told["whole"].expected, rel=0.02)
    assert told["zero"].expected < 0.95 * told["whole"].expected
    assert told["zero"].p < 0.5 * told["missing"].p


def test_a_rule_watches_only_its_topics(tmp_path: Path) -> None:
    world = World(tmp_path, SAFETY.model_copy(update={"topics": ["water"]}))
    metro = [mention(f"r{n}", T0, scores=scores("safety")) for n in range(3)]
    water = [mention(f"r{n}", T0, scores=scores("safety"), topic="water") for n in range(3)]
    assert [one.topic for one in world.run(*metro, *water)] == ["water"]


# When it is told


def test_what_goes_on_is_told_again_when_it_grows_or_ten_minutes_later(world: World) -> None:
    def report(name: str, minute: float, p: float = 0.95) -> list[Candidate]:
        at = T0 + minute * MINUTE
        world.clock.move(max(timedelta(0), at - world.clock.now()))
        return world.run(mention(name, at, text=name, scores=scores("safety", p)))

    told = [len(report(f"r{n}", 0.1 * n)) for n in range(8)]
    assert told == [0, 0, 1, 1, 1, 0, 1, 0], "at 2.85, then whenever it is a quarter more than what was told"
    assert len(report("six", 6, 0.1)) == 0
    assert len(report("eleven", 11, 0.1)) == 1


def test_silence_is_not_told_again(world: World) -> None:
    world.run(*(mention(f"r{n}", T0, scores=scores("safety")) for n in range(3)))
    for _ in range(24):
        world.clock.move(10 * MINUTE)
        assert world.run() == []


def test_a_day_of_history_makes_a_baseline_and_then_ratio_and_p_decide(world: World) -> None:
    for hour in range(30):
        world.run(*talk(T0 + hour * HOUR, 1, 6, f"h{hour}-"))
        world.clock.move(HOUR)
    assert world.candidates() == [], "six posts an hour are usual"
    now = T0 + 30 * HOUR
    candidates = world.run(*(mention(f"b{n}", now + n * timedelta(seconds=1), text=f"b{n}") for n in range(40)))
    reason = candidates[-1].reason
    assert reason.rule == "many"
    assert reason.expected == pytest.approx(6, abs=1)
    assert reason.p is not None
    assert reason.p < 0.001
    assert candidates[-1].sure == 0.99


def test_without_history_a_count_needs_ratio_times_min_posts_and_says_so(world: World) -> None:
    assert world.run(*(mention(f"a{n}", T0) for n in range(39))) == []
    (candidate,) = world.run(mention("a39", T0))
    assert (candidate.reason.expected, candidate.reason.p, candidate.sure) == (None, None, 0.5)


BUSY = [mention(f"busy{n}", T0) for n in range(98)]


def test_a_busy_topic_is_asked_about_when_it_has_grown_and_when_a_bucket_ends(tmp_path: Path) -> None:
    world = World(tmp_path, Rule(name="count", kind="count", threshold=99.0, min_posts=1))
    assert world.run(*BUSY) == []
    assert world.run(mention("a", T0)) == [], "one in a hundred more is not looked at yet ..."
    assert len(world.run(mention("b", T0))) == 1, "... two are"

    (tmp_path / "other").mkdir()
    world = World(tmp_path / "other", Rule(name="count", kind="count", threshold=99.0, min_posts=1))
    assert world.run(*BUSY, mention("c", T0 + MINUTE, topic="water")) == []
    assert world.run(mention("a", T0)) == []
    world.restart()
    world.clock.move(5 * MINUTE)
    assert len(world.run()) == 1, "the end of the bucket"


def test_a_post_that_likely_tells_of_a_signal_is_asked_about_at_once_in_any_crowd(tmp_path: Path) -> None:
    first = Rule(name="first", kind="signal", signal="safety", threshold=0.9, min_posts=1, single=True)
    world = World(tmp_path, first)
    assert world.run(*BUSY, *(mention(f"more{n}", T0) for n in range(900))) == []
    assert len(world.run(mention("fire", T0, scores=scores("safety")))) == 1


def test_what_sources_still_showed_at_the_start_is_no_history(world: World) -> None:
    # A feed of two days that grows denser towards now, because old items have left it.
    feed = [mention(f"f{n}", T0 - (n / 200) ** 2 * 48 * HOUR) for n in range(200)]
    assert sum(one.published_at > T0 - HOUR for one in feed) > 20
    assert [one for one in world.run(*feed) if one.reason.end > T0 - HOUR] == []


def test_a_file_alerts_in_the_same_windows_newest_first_and_oldest_first(tmp_path: Path) -> None:
    old = T0 - 30 * DAY
    posts = talk(old, 24 * 9, 2) + [
        mention(f"r{n}", old + 5 * DAY + n * 5 * MINUTE, text=f"r{n}", scores=scores("safety")) for n in range(10)
    ]
    posts.sort(key=lambda one: one.published_at)
    ends = []
    for name, order in (("forward", posts), ("backward", posts[::-1])):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, SAFETY, MANY)
        for first in range(0, len(order), 100):
            world.run(*order[first : first + 100])
        ends.append({one.reason.end for one in world.candidates() if one.reason.rule == "safety"})
    for edge in (min, max):  # told every ten minutes, so the two may differ by one bucket
        assert abs(edge(ends[0]) - edge(ends[1])) <= 5 * MINUTE
    assert all(old + 5 * DAY < end < old + 6 * DAY for found in ends for end in found)


def test_a_flood_is_told_a_few_times_only_and_stays_within_the_limits_of_state(world: World) -> None:
    flood = [mention(f"x{n}", T0, text=f"x{n}", source=f"s{n % 300}", scores=scores("safety")) for n in range(20_000)]
    for first in range(0, len(flood), 2_000):
        world.run(*flood[first : first + 2_000])
    candidates = world.candidates()
    assert len(candidates) < 40
    assert candidates[-1].voices == pytest.approx(20_000, rel=0.3)
    assert sum(candidates[-1].sources.values()) == candidates[-1].posts
    state = world.log.state("watch")
    assert max(map(len, state.values())) <= STATE_LIMIT
    texts = sum(len(value) for key, value in state.items() if key.startswith("c/"))  # bounded by their number
    assert texts < 20_000 * 150
    assert sum(map(len, state.values())) - texts < 400_000


def test_state_is_forgotten_when_it_is_old_and_was_not_touched(world: World) -> None:
    world.run(*talk(T0 - 5 * HOUR, 5, 30), *talk(T0 - 90 * DAY, 5, 30, "old"))
    assert any(key.startswith("h/") for key in world.log.state("watch"))
    for _ in range(4):
        world.clock.move(DAY)
        world.run()
    kinds = {key.partition("/")[0] for key in world.log.state("watch")}
    assert not kinds & {"h", "s", "e"}
    assert {key for key in world.log.state("watch") if key.startswith("t/")} == {
        f"t/metro/{int(T0.timestamp()) // 86400}"
    }


def test_a_totals_hour_that_comes_back_is_added_to_and_not_replaced(world: World) -> None:
    world.run(*talk(T0, 1, 30))
    world.clock.move(3 * DAY)
    world.run()
    world.run(mention("late", T0 + MINUTE))
    hours = Hours(Memory(world.log.state("watch")))
    total = hours.total("metro", int(T0.timestamp()) // 3600)
    assert total is not None
    assert total[0] == 31


# Nothing depends on batches, order or restarts


def incident(seed: int, size: int = 240) -> list[list[Mention]]:
    """Groups that are written together: talk, then an incident with reposts, partly out of order."""
    rng = random.Random(seed)
    posts = []
    for n in range(size):
        at = T0 + timedelta(minutes=n / 2 - rng.random() * 20)
        hot = n > size / 2 and rng.random() < 0.4
        told = scores("safety", 0.6 + 0.4 * rng.random()) if hot else scores(negative=rng.random())
        text = f"t{rng.randrange(40)}" if hot else f"n{n}"
        posts.append(mention(f"p{n}", at, text=text, voice=f"v{rng.randrange(60)}", scores=told))
    cuts = sorted({0, size, *(rng.randrange(size) for _ in range(12))})
    return [posts[a:b] for a, b in pairwise(cuts)]


def tell(path: Path, groups: Sequence[Sequence[Mention]], batch: int, *, restart: bool = False) -> list[Candidate]:
    """The candidates when each group is written at its time and read in batches of so many."""
    path.mkdir()
    world = World(path, SAFETY, MANY, ANGER, batch=batch, start=T0 - HOUR)
    for group in groups:
        world.clock.move(max(timedelta(0), max(one.published_at for one in group) - world.clock.now()))
        world.write(group)
        while world.runner.step():
            if restart:
                world.restart()
    world.clock.move(HOUR)
    world.run()
    return world.candidates()


def replay(path: Path, source: Path, batch: int) -> list[Candidate]:
    """The candidates of a stage that reads the mentions and ticks of another log from the start, all at once."""
    path.mkdir()
    settings = with_rules(SAFETY, MANY, ANGER)
    entries = SqliteLog(source / "log.db").scan("mentions", limit=10**6)
    memory = Memory({})
    stage = Watch(memory, settings, batch)
    found: list[Candidate] = []
    inputs = [Input(decode(Tick if e.key == "@tick" else Mention, e.value), e.at) for e in entries]
    for first in range(0, len(inputs), batch):
        result = stage.process(inputs[first : first + batch])
        found += [decode(Candidate, one.value) for one in result.outputs]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_of_the_log_gives_the_same_candidates_in_batches_of_any_size(tmp_path: Path, seed: int) -> None:
    first = tell(tmp_path / "live", incident(seed), 500)
    assert len(first) > 3
    for batch in (1000, 64, 17):
        assert replay(tmp_path / f"replay{batch}", tmp_path / "live", batch) == first


def test_a_restart_after_every_batch_changes_nothing(tmp_path: Path) -> None:
    first = tell(tmp_path / "one", incident(7), 30)
    assert tell(tmp_path / "many", incident(7), 30, restart=True) == first


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_never_changes_the_final_counts(rng: random.Random) -> None:
    posts = [one for group in incident(3) for one in group]
    assert totals(posts) == totals(rng.sample(posts, len(posts)))


def totals(posts: Sequence[Mention]) -> list[object]:
    """All counts that a stage holds after these posts."""
    memory = Memory({})
    stage = Watch(memory, with_rules(), 50)
    for first in range(0, len(posts), 50):
        stage.process([Input(one, T0 + DAY) for one in posts[first : first + 50]])
    hours = Hours(memory)
    numbers = sorted(hours.posts("metro"))
    found: list[object] = [hours.total("metro", hour) for hour in range(numbers[0] // 12, numbers[-1] // 12 + 1)]
    for number in numbers:
        window = hours.window("metro", number, 12)
        found.append((window.posts, window.voices, window.negative, window.masses(), window.sources, window.sure(0)))
    return found
