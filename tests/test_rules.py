"""The kinds of rules beside counts: silence, new words, events, combinations, `for` and hysteresis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mentions import scores
from msgspec import structs

from tingchao.alerts.smallest import hashed
from tingchao.alerts.watch import Watch
from tingchao.config.load import ConfigError
from tingchao.config.rules import Rule
from tingchao.config.settings import Settings, load
from tingchao.config.topics import Topic
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.log import STATE_LIMIT
from tingchao.pipeline.records import Candidate, Mention, Tick, decode
from tingchao.pipeline.stage import Input, Memory

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_SAFETY = SIGNALS.index("safety")
SCORES = scores()


def rule(name: str, kind: str, **given: Any) -> Rule:
    return Rule.model_validate({"name": name, "kind": kind, **given})


MANY = rule("many", "count", threshold=5.0, window="10m")


class World:
    """Watch on one topic, with ticks of half a minute."""

    def __init__(self, *rules: Rule) -> None:
        topics = (Topic(name="metro", title="地铁", any=["地铁"]),)
        self.settings: Settings = replace(load(), rules=rules, topics=topics)
        self.now, self.memory, self.posts = T0, Memory({}), 0
        self.journal: list[list[Input]] = []
        self.found: list[Candidate] = []
        self.restart()

    def restart(self) -> None:
        self.watch = Watch(Memory(dict(self.memory)), self.settings)
        self.memory = self.watch._memory

    def take(self, inputs: list[Input]) -> None:
        self.journal.append(inputs)
        self.found += [decode(Candidate, out.value) for out in self.watch.process(inputs).outputs]
        assert all(len(value) <= STATE_LIMIT for value in self.memory.values())

    def post(self, *texts: str, source: str = "forum", scores: Scores = SCORES) -> World:
        inputs = []
        for text in texts:
            self.posts += 1
            name = f"p{self.posts}"
            one = Mention(
                topic="metro",
                id=name,
                published_at=self.now,
                fetched_at=self.now,
                source=source,
                voice=hashed(name).to_bytes(8).hex(),
                title=text,
                scores=scores,
                signature=hashed(text).to_bytes(8).hex(),
            )
            inputs.append(Input(one, self.now))
        self.take(inputs)
        return self

    def many(self, number: int) -> World:
        return self.post(*(f"今天的第 {self.posts + n} 条闲谈" for n in range(number)))

    def wait(self, length: timedelta, step: timedelta = 30 * SECOND) -> World:
        until = self.now + length
        while self.now < until:
            self.now = min(self.now + step, until)
            self.take([Input(Tick(at=self.now), self.now)])
        return self

    def told(self, name: str) -> list[timedelta]:
        """When the rule was told, by the clock: the end of its window at the latest."""
        return [one.reason.end - T0 for one in self.found if one.reason.rule == name]


def test_silence_of_a_topic_is_told_on_a_tick_and_again_each_hour_while_it_lasts() -> None:
    world = World(rule("silent", "absence", window="3h")).many(1).wait(2 * HOUR)
    assert world.found == []
    world.wait(150 * MINUTE)
    assert [one.reason.kind for one in world.found] == ["absence", "absence"]
    assert world.told("silent") == [3 * HOUR, 4 * HOUR]
    world.many(1).wait(2 * HOUR)
    assert len(world.found) == 2, "somebody speaks again"


def test_silence_while_nobody_listened_is_not_known() -> None:
    world = World(rule("silent", "absence", window="3h")).many(1).wait(HOUR)
    world.now += 4 * HOUR  # we were down
    world.wait(HOUR)
    assert world.found == []
    assert len(world.wait(3 * HOUR).found) >= 1


def test_a_topic_whose_mentions_come_to_another_partition_is_not_silent() -> None:
    world = World(rule("silent", "absence", window="1h"))
    world.watch = Watch(Memory({}, owns=lambda key: key != "metro"), world.settings)
    assert world.wait(4 * HOUR).found == []


def test_a_topic_that_left_the_configuration_is_not_silent() -> None:
    world = World(rule("silent", "absence", window="1h")).many(1)
    world.settings = replace(world.settings, topics=(Topic(name="water", title="供水", any=["供水"]),))
    world.restart()
    assert {one.topic for one in world.wait(4 * HOUR).found} == {"water"}


def test_silence_of_a_source_is_not_hidden_by_another() -> None:
    world = World(rule("silent", "absence", window="1h", sources=["paper"])).post("早报", source="paper")
    for _ in range(3):
        world.post("还有人说话", source="forum").wait(30 * MINUTE)
    assert [one.reason.detail for one in world.found] == ["paper"]


def test_a_silence_that_is_usual_says_nothing() -> None:
    world = World(rule("silent", "absence", window="2h", threshold=5.0)).many(1).wait(6 * HOUR)
    assert world.found == [], "without a history nothing is known to be usual"


def usual_talk(world: World) -> World:
    for _ in range(26):
        world.post("地铁今天很挤", "地铁又晚点了几分钟").wait(HOUR)
    return world


def test_a_word_that_the_topic_never_had_is_told_once_it_is_in_enough_texts() -> None:
    world = usual_talk(World(rule("new", "new_term", window="6h", threshold=3.0, min_voices=3, min_posts=1)))
    assert world.found == [], "what is said on the first day, or every day, is not new"
    world.post("地铁站里有人说闻到刺鼻气味").wait(10 * MINUTE).post("刺鼻气味，地铁今天怎么了").wait(10 * MINUTE)
    assert world.found == []
    world.post("换乘通道刺鼻气味很重")
    (candidate,) = world.found
    assert candidate.reason.detail in {"刺鼻气味", "刺鼻", "气味"}
    assert candidate.reason.observed == 3


def test_reposts_of_one_text_do_not_make_a_new_word() -> None:
    world = usual_talk(World(rule("new", "new_term", window="6h", threshold=3.0, min_posts=1)))
    world.post(*["地铁站里有人说闻到刺鼻气味"] * 9)
    assert world.found == []


def test_terms_are_remembered_over_a_restart() -> None:
    world = World(rule("new", "new_term", window="6h", threshold=2.0, min_posts=1))
    usual_talk(world).restart()
    world.post("地铁今天很挤啊", "今天地铁很挤呢")
    assert world.found == []
    world.post("列车脱轨了，地铁停了")
    world.restart()
    world.post("听说列车脱轨")
    assert len(world.found) == 1


def test_an_event_counts_independent_voices_and_not_reposts() -> None:
    many = rule("event", "event", threshold=4.0, min_posts=1)
    reposts = World(many).post(*["三号线列车在东湖站冒烟，乘客已疏散"] * 50)
    assert reposts.found == []
    texts = [
        "三号线列车在东湖站冒烟，乘客已经疏散",
        "刚刚东湖站三号线列车冒烟，我们都被疏散出来了",
        "东湖站这边三号线列车冒烟，疏散中，大家别来",
        "三号线东湖站列车冒烟，乘客全部疏散到站外",
        "亲眼看到东湖站三号线列车冒烟，乘客疏散",
        "东湖站列车冒烟疏散乘客，三号线停了",
    ]
    world = World(many).post(*texts)
    (candidate,) = world.found
    assert candidate.reason.kind == "event"
    assert candidate.reason.observed >= 4


def test_a_rule_with_for_is_told_when_it_has_held_so_long_even_if_no_post_comes() -> None:
    world = World(rule("lasting", "count", threshold=5.0, window="1h", **{"for": "20m"})).many(6)
    assert world.wait(19 * MINUTE).found == []
    world.wait(2 * MINUTE)
    assert len(world.found) == 1


def test_what_holds_no_longer_begins_its_for_anew() -> None:
    world = World(rule("lasting", "count", threshold=5.0, window="10m", **{"for": "30m"}))
    for _ in range(3):
        world.many(6).wait(25 * MINUTE)
    assert world.found == []


def test_for_is_counted_on_over_a_restart() -> None:
    world = World(rule("lasting", "count", threshold=5.0, window="1h", **{"for": "20m"})).many(6).wait(10 * MINUTE)
    world.restart()
    assert len(world.wait(11 * MINUTE).found) == 1


def test_hysteresis_goes_on_telling_down_to_the_lower_value() -> None:
    def play(**given: Any) -> int:
        world = World(rule("many", "count", threshold=10.0, window="5m", min_posts=1, **given))
        world.many(12)
        for _ in range(6):
            world.wait(5 * MINUTE).many(6)
        world.wait(HOUR).many(6)
        return len(world.found)

    assert play() == 1
    assert play(resolve_below=4.0) == 4, "while it goes on; after an hour of nothing it begins above"


def of_safety(chance: float = 0.95, severity: float = 2.0) -> Scores:
    signals = tuple(chance if n == _SAFETY else 0.01 for n in range(len(SIGNALS)))
    return structs.replace(SCORES, signals=signals, live=0.99, severity=severity)


def first_report(**given: Any) -> Rule:
    return rule("first", "signal", signal="safety", threshold=0.9, min_posts=1, single=True, **given)


def test_a_single_credible_post_is_told_where_the_like_is_rare_and_not_where_it_is_usual() -> None:
    calm, used = World(first_report(p=0.05)).many(1), World(first_report(p=0.05)).many(1)
    for world, chance in ((calm, 0.01), (used, 0.6)):
        for number in range(24):
            world.wait(2 * HOUR, 5 * MINUTE).post(f"第 {number} 件小事", scores=of_safety(chance))
        world.found.clear()
        world.wait(3 * HOUR, 5 * MINUTE).post("地铁追尾，有人受伤", scores=of_safety())
    assert [one.reason.observed for one in calm.found] == [0.95]
    assert used.found == []


def test_many_doubtful_posts_are_no_first_report() -> None:
    posts = [f"听说有人受伤 {number}" for number in range(5)]
    assert World(first_report()).post(*posts, scores=of_safety(0.6)).found == []
    assert World(first_report()).post(*posts, scores=of_safety()).told("first") == [5 * MINUTE]


def test_a_first_report_that_must_be_unusual_waits_for_a_day_of_history() -> None:
    assert World(first_report(p=0.05)).post("两人受伤", scores=of_safety()).found == []


def test_a_first_report_must_be_as_grave_as_its_rule_says() -> None:
    world = World(first_report(min_severity=1.5)).post("一点小磕碰", scores=of_safety(severity=1.2))
    assert world.found == []
    world.wait(2 * HOUR).post("两人重伤", scores=of_safety(severity=2.1))
    assert world.told("first") == [2 * HOUR + 5 * MINUTE]


def test_with_quiet_what_was_told_goes_on_though_it_is_no_longer_unusual_until_it_is_quiet() -> None:
    def play(**given: Any) -> list[timedelta]:
        world = World(first_report(p=0.05, **given)).many(1).wait(2 * DAY, 5 * MINUTE)
        for number in range(12):
            world.post(f"救援第 {number} 报", scores=of_safety()).wait(4 * HOUR, 5 * MINUTE)
        world.wait(20 * HOUR, 5 * MINUTE).post("一日之后", scores=of_safety())
        return world.told("first")

    first = 2 * DAY + 5 * MINUTE
    assert play() == [first], "soon it is usual"
    assert play(quiet="12h") == [first + n * 4 * HOUR for n in range(12)]


def test_all_holds_when_each_of_its_rules_holds_at_once() -> None:
    early = rule("few", "count", threshold=2.0, window="10m", min_posts=1, alert=False)
    both = rule("both", "all", rules=["few", "many"], level=3)
    world = World(early, MANY, both).many(2)
    assert world.found == [], "alert = false, and many does not hold"
    world.wait(MINUTE).many(4)
    assert sorted(one.reason.rule for one in world.found) == ["both", "many"]
    (found,) = [one for one in world.found if one.reason.rule == "both"]
    assert (found.level, found.reason.detail) == (3, "few, many")


def test_all_does_not_join_what_held_at_different_times() -> None:
    negative = rule("mood", "negative_share", threshold=0.1, window="10m", min_posts=9, alert=False)
    world = World(negative, MANY, rule("both", "all", rules=["mood", "many"])).many(6).wait(HOUR).many(2)
    assert world.told("both") == []


def test_any_is_told_by_one_of_its_rules() -> None:
    quiet = rule("never", "count", threshold=500.0, alert=False)
    parts = MANY.model_copy(update={"alert": False})
    world = World(quiet, parts, rule("either", "any", rules=["never", "many"])).many(6)
    assert [one.reason.rule for one in world.found] == ["either"]


def test_a_replay_in_other_batches_and_with_restarts_finds_the_same() -> None:
    rules: Sequence[Rule] = (
        rule("silent", "absence", window="1h"),
        rule("new", "new_term", window="6h", threshold=2.0, min_posts=1),
        MANY,
        rule("lasting", "count", threshold=5.0, window="30m", resolve_below=2.0, **{"for": "10m"}),
        rule("both", "all", rules=["many", "lasting"], **{"for": "1m"}),
    )
    world = World(*rules)
    for number in range(30):
        world.many(number % 8).wait((number % 5) * 20 * MINUTE)
        if number % 7 == 0:
            world.restart()
    assert {one.reason.rule for one in world.found} >= {"silent", "many", "lasting", "both"}
    again = Watch(Memory({}), world.settings)
    found = [decode(Candidate, out.value) for inputs in world.journal for out in again.process(inputs).outputs]
    assert found == world.found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "all"\nrules = ["gone"]', "rule (x).rules: no rule 'gone' above it; expected first"),
        ('kind = "all"\nrules = ["x"]', "rule (x).rules: no rule 'x' above it"),
        ('kind = "any"', "rules: kind = 'any' is of other rules; expected their names"),
        ('kind = "count"\nthreshold = 3\nrules = ["first"]', "rules: only for kind = 'all' or 'any'"),
        ('kind = "absence"\nsources = ["gone"]', "rule (x).sources: no source 'gone' in sources.toml"),
        ('kind = "absence"\nwindow = "1m"', "window: expected at least '10m' of silence"),
        ('kind = "absence"\nfor = "1m"', "for: only for kind = "),
        ('kind = "count"\nthreshold = 3\nresolve_below = 4', "resolve_below: expected less than 'threshold'"),
        ('kind = "count"\nthreshold = 3\nmin_severity = 2', "min_severity: only for kind = 'signal' or 'event'"),
        ('kind = "count"\nthreshold = 3\nmin_reactions = 9', "min_reactions: only for kind = 'event'"),
        ('kind = "event"\nthreshold = 3\nsignal = "fire"', "signal: "),
        ('kind = "baseline"\nquiet = "9h"', "quiet: only for kind = "),
        ('kind = "count"\nthreshold = 3\nquiet = "3d"', "quiet: "),
        ('kind = "event"', "the rule can never fire; give 'threshold'"),
        (
            'kind = "event"\nratio = 2',
            "ratio: only for kind = 'count', 'sources', 'negative_share', 'severity', 'engagement' or ",
        ),
        ('kind = "engagement"\nthreshold = 9\nmin_posts = 2', "min_posts: only for kind = "),
        ('kind = "severity"\nthreshold = 3.5', "threshold: a severity is at most 3, got 3.5"),
        ('kind = "sources"\nthreshold = 40', "threshold: at most 32 different sources are counted, got 40"),
        ('kind = "count"\nthreshold = 3\nquiet = "72h"', "quiet: expected at most '48h'; got '72h'"),
        ('kind = "count"\nthreshold = 3\nquiet = "0s"', "quiet: expected more than '0s'; got '0s'"),
        ('kind = "count"\nthreshold = 3\nwindow = "400d"', "window: expected at most '28d'; got '400d'"),
        ('kind = "count"\nthreshold = 3\nalert = false', "alert: false, and no rule of kind all or any names it"),
    ],
)
def test_a_mistake_is_named_by_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    first = '[[rule]]\nname = "first"\nkind = "count"\nthreshold = 5\n'
    (tmp_path / "rules.toml").write_text(f'{first}[[rule]]\nname = "x"\n{text}\n', encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        load(tmp_path)
    assert any(said in line and "rules.toml: " in line for line in found.value.mistakes), found.value.mistakes
