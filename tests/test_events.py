"""Posts become events: what is a repost, what is another fact, who is counted, and that a restart changes nothing."""

from __future__ import annotations

import io
import json
import random
from array import array
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tingchao.alerts import mixture, texts
from tingchao.alerts.events import Events, Limits, Placed, Told
from tingchao.alerts.happening import First, Happening, Meaning, same
from tingchao.alerts.likeness import alike, contradict, other_links
from tingchao.alerts.smallest import added
from tingchao.alerts.spread import LENGTH, Spread
from tingchao.pipeline.cli import main
from tingchao.pipeline.grams import fold
from tingchao.pipeline.log import STATE_LIMIT
from tingchao.pipeline.shingles import BANDS, bands, bare, links, read_sketch, sketches, terms, units

SMALL = Limits(dims=1_024, events=4, texts=40)
ROOMY = Limits(dims=4_096, events=32, texts=2_000)
FIRE = "今天早上八点左右，甲县化工厂的二号仓库突然起火，浓烟冲天，附近居民已经疏散，消防车来了12辆。"
FLOOD = "昨夜暴雨，乙河水位上涨很快，沿岸三个村子进水，老人和孩子被转移到镇上的中学。"
# One happening in several people's own words.
REPORTS = (
    "甲县化工厂仓库着火了，浓烟好大，整条街都闻得到味道，消防车一辆接一辆。",
    "甲县化工厂那边起火，浓烟滚滚，二号仓库烧起来了，居民被疏散到体育馆。",
    "甲县消防通报：化工厂二号仓库火势已得到控制，居民疏散到体育馆和学校。",
    "路过甲县化工厂，看见浓烟从仓库冒出来，消防车把路都封了，希望没有人受伤。",
    "甲县化工厂仓库起火，疏散的居民什么时候能回家？浓烟还没有散，大家快注意。",
)


def told(number: int, text: str, *, voice: str = "", minute: int = 0, scope: str = "t", source: str = "forum") -> Told:
    at = 1_760_000_000 + 60 * minute
    return Told(scope, f"p{number}", at, at, source, voice or f"v{number}", text)


def placed(*texts: str) -> list[Placed]:
    return Events({}, ROOMY).add([told(n, text, minute=n) for n, text in enumerate(texts)])


def repeats(text: str, other: str) -> bool:
    return placed(text, other)[1].copy_of == "p0"


def variants(rng: random.Random) -> list[str]:
    parts = ("地铁三号线", "停运", "换乘", "乙站", "信号故障", "排队", "公交", "早高峰", "甲县", "仓库", "起火", "疏散")
    return ["，".join(rng.sample(parts, 6)) + f"{rng.randrange(100)}人" for _ in range(60)]


# ---------------------------------------------------------------- reposts


@pytest.mark.parametrize(
    "edited",
    [
        f"转发微博//@somebody:{FIRE}",
        f"太吓人了！{FIRE}希望大家平安。",
        f"#甲县# {FIRE} http://t.cn/Ab12Cd",
        FIRE[:38] + "…全文",
        FIRE[:38] + "...查看全文",
        f"【网传】「{FIRE}」是真的吗？",
        f"#热点#{FIRE[:20]}#求扩散#{FIRE[20:]}#今日#",
        FIRE.replace("，", " ").replace("。", "!!!"),
        f"[泪]{FIRE[:20]}😡😡{FIRE[20:]}❤",
        " ".join(FIRE),
        FIRE.replace("县", "縣").replace("库", "庫").replace("车", "車").replace("来", "來"),
        FIRE.replace("浓烟", "农烟").replace("消防", "肖防").replace("附近", "付近"),
        FIRE.replace("附近居民已经疏散，", ""),
    ],
)
def test_a_repost_with_light_edits_is_a_copy(edited: str) -> None:
    assert repeats(FIRE, edited)
    assert repeats(edited, FIRE)


@pytest.mark.parametrize(
    "other",
    [
        FIRE.replace("12", "21"),
        FIRE.replace("二号", "五号"),
        FIRE.replace("八点", "九点"),
        FLOOD,
        REPORTS[0],
    ],
)
def test_a_changed_number_or_another_text_is_no_copy(other: str) -> None:
    assert not repeats(FIRE, other)


def test_a_number_that_is_cut_off_at_the_end_contradicts_nothing() -> None:
    assert not contradict("消防车来了12", "消防车来了123")
    assert contradict("消防车来了12", "消防车来了34")
    assert contradict("消防车来了12辆", "消防车来了13辆")
    assert not contradict("消防车来了12辆", "消防车都来了")
    assert not contradict("消防车来了十二辆", "消防车来了12辆")
    assert contradict("消防车来了十二辆", "消防车来了21辆")


def test_a_changed_number_is_another_fact_also_where_clauses_changed_places() -> None:
    clauses = FIRE.strip("。").split("，")
    moved = "，".join((clauses[4], *clauses[:4])) + "。"
    assert repeats(FIRE, moved)
    assert not repeats(FIRE, moved.replace("12", "21"))


def test_a_few_letters_are_not_recognised_within_a_longer_text() -> None:
    assert not repeats(f"敢不敢，大家转起来！{FIRE}", "转起来！")
    assert repeats("转起来！", "转起来。")


def test_the_same_link_with_other_digits_is_another_page() -> None:
    assert other_links("http://a.example/p?id=12", "http://a.example/p?id=13")
    assert not other_links("http://t.cn/a1b2c3", "http://t.cn/x9y8z7")
    assert other_links("@u_e72995", "@u_e72996")
    assert not other_links("@u_e72995", "@u_7ef66f")
    assert repeats(f"{FIRE} http://a.example/p?id=12", f"{FIRE} http://a.example/p?id=12#求扩散#")
    assert not repeats(f"{FIRE} http://a.example/p?id=12", f"{FIRE} http://a.example/p?id=13")
    assert repeats(f"{FIRE} http://t.cn/aBcDe", f"{FIRE} http://t.cn/qRsTu")


def test_copies_of_each_of_many_bulletins_find_their_own() -> None:
    bulletins = [f"丙台网测定：今日在丁海域发生{n}级地震，震源深度{n * 3}千米，暂无伤亡报告。" for n in range(3, 8)]
    found = placed(*bulletins, f"快讯！{bulletins[1]}", f"{bulletins[4]}[蜡烛]", bulletins[2])
    assert [one.copy_of for one in found] == [None] * 5 + ["p1", "p4", "p2"]


def test_texts_without_a_letter_repeat_only_each_other() -> None:
    found = placed("😭😭😭", "！！！", "😭😭😭", "", "")
    assert [one.copy_of for one in found] == [None, None, "p0", None, "p3"]


def test_what_is_forgotten_is_no_original() -> None:
    events = Events({}, SMALL)
    rng = random.Random(3)
    events.add([told(0, FIRE), *(told(n, text, minute=n) for n, text in enumerate(variants(rng), 1))])
    assert events.add([told(99, FIRE, minute=99)])[0].copy_of is None


# ---------------------------------------------------------------- events


def test_a_repost_goes_where_its_original_went_though_the_event_was_forgotten() -> None:
    memory: dict[str, bytes] = {}
    events = Events(memory, Limits(dims=1_024, events=2, texts=40))
    (first,) = events.add([told(0, FIRE)])
    others = FLOOD, "图书馆周末延长开放到晚上十点", "食堂的酸菜鱼涨价两块钱，味道没变", "毕业典礼的学士服在体育馆领取"
    for number, text in enumerate(others, 1):
        events.add([told(number, text, minute=number)])
    assert events.event(first.event) is None
    (again,) = events.add([told(9, FIRE, minute=9)])
    assert (again.event, again.copy_of) == (first.event, "p0")
    assert events.event(first.event) is not None
    events.save()
    (later,) = Events(memory, Limits(dims=1_024, events=2, texts=40)).add([told(10, FIRE, minute=10)])
    assert later.event == first.event


def test_reports_of_one_happening_are_one_event_and_another_is_another() -> None:
    found = placed(REPORTS[0], FLOOD, *REPORTS[1:], "乙河的水还在上涨，村子进水，转移的老人住在中学里。")
    fire = {found[0].event, *(one.event for one in found[2:6])}
    assert len(fire) == 1
    assert found[1].event == found[6].event not in fire


def test_a_burst_in_different_words_stays_one_event() -> None:
    rng = random.Random(1)
    ends = ("太可怕了", "希望平安", "有人受伤吗", "求扩散", "到底怎么回事", "官方什么时候通报")
    texts = [f"{rng.choice(REPORTS)}{rng.choice(ends)}{rng.choice(ends)}第{n}次看到" for n in range(400)]
    assert len({one.event for one in placed(*texts)}) == 1


def test_five_hundred_reposts_are_one_voice_and_five_reports_are_five() -> None:
    events = Events({}, ROOMY)
    copies = events.add([told(n, f"{'转' * (n % 5)}{FLOOD}", voice=f"r{n}") for n in range(500)])
    reports = events.add([told(1000 + n, text, minute=1) for n, text in enumerate(REPORTS)])
    flood, fire = events.event(copies[0].event), events.event(reports[0].event)
    assert flood is not None
    assert fire is not None
    assert (flood.posts, flood.independent, round(flood.repost_share, 3)) == (500, 1, 0.998)
    assert (fire.posts, fire.independent, fire.repost_share) == (5, 5, 0.0)


def test_one_voice_with_many_texts_is_one_voice() -> None:
    events = Events({}, ROOMY)
    found = events.add([told(n, text, voice="same") for n, text in enumerate(REPORTS)])
    event = events.event(found[0].event)
    assert event is not None
    assert (event.texts, event.independent) == (5, 1)


def test_the_first_post_is_the_one_that_was_published_first() -> None:
    events = Events({}, ROOMY)
    name = events.add([told(0, FIRE, minute=30), told(1, f"转发//{FIRE}", minute=10), told(2, FIRE, minute=50)])[
        0
    ].event
    event = events.event(name)
    assert event is not None
    assert event.first.id == "p1"
    assert event.last == event.first.at + 40 * 60


def test_scopes_never_meet() -> None:
    events = Events({}, ROOMY)
    one, other = events.add([told(0, FIRE, scope="a"), told(1, FIRE, scope="b")])
    assert other.copy_of is None
    assert one.event != other.event
    marks = [event.mark_hashes for name in (one.event, other.event) if (event := events.event(name)) is not None]
    assert same(*marks)


def test_a_long_event_is_known_by_its_newest_day_and_stays_small() -> None:
    event = Happening("e", "t", First(10**10, "", ""), 0, 0)
    for n in range(2_000):
        event.add(First(300 * n, f"p{n:04}", f"s{n % 90}"), n, n * 7919, n, copy=n % 2 == 0)
    assert (event.posts, event.texts, event.first) == (2_000, 1_000, First(0, "p0000", "s0"))
    assert len(event.times.counts) <= 4 * 288
    assert sum(event.sources.values()) == 2_000


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 3 * 10**9)), min_size=1, max_size=12), st.randoms())
@settings(max_examples=200)
def test_a_spread_counts_the_newest_day_in_any_order(posts: list[tuple[int, int]], rng: random.Random) -> None:
    newest, counts = max(at for at, _ in posts) // 300, Counter[int]()
    for at, many in posts:
        if at // 300 > newest - LENGTH:
            counts[at // 300] += many
    for order in (posts, rng.sample(posts, len(posts))):
        spread = Spread()
        for at, many in order:
            spread.add(at, many)
        assert len(spread.counts) <= 4 * LENGTH
        for bucket in range(newest - LENGTH - 2, newest + 2):
            assert spread.between(bucket, bucket) == min(2**32 - 1, counts[bucket])
        assert spread.peak == 12 * min(2**32 - 1, max(counts.values()))
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(spread), type=Spread)
        again.add(newest * 300, 1)
        assert again.between(newest, newest) == min(2**32 - 1, counts[newest] + 1)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(1, 20), st.randoms())
def test_the_smallest_hashes_are_kept_in_any_order(hashes: list[int], most: int, rng: random.Random) -> None:
    for order in (hashes, rng.sample(hashes, len(hashes)), hashes + hashes[:5]):
        kept = b""
        for one in order:
            kept = added(kept, one, most)
        assert array("Q", kept).tolist() == sorted(set(hashes))[:most]


@given(st.permutations(range(8)))
@settings(max_examples=30)
def test_the_order_of_arrival_does_not_change_what_is_known_of_an_event(order: Sequence[int]) -> None:
    def known(numbers: Sequence[int]) -> Happening:
        event = Happening("e", "t", First(10**10, "", ""), 0, 0)
        for n in numbers:
            meaning = None if n == 4 else Meaning(100 * n, 300 * n, [(n % 2, 90 * n)])
            event.add(First(n // 3, f"p{n}", f"s{n % 3}"), n % 4, n % 5, 7, copy=n > 5, meaning=meaning)
            event.gain(300 * (n % 3), n)
        event.sources = event.named_sources
        event.signals = dict(sorted(event.signals.items()))
        return event

    assert known(order) == known(range(8))


@given(st.permutations(range(6)), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_posts_of_the_same_moment_may_come_in_any_order(order: Sequence[int], extra: int) -> None:
    texts = (FIRE, f"转发//{FIRE}", REPORTS[1], FLOOD, f"{FLOOD}[泪]", "戊市的樱花开了，公园里人很多，停车场已经满了。")
    posts = [told(n, texts[n]) for n in (*order, extra)]
    groups: dict[str, set[str]] = {}
    for post, place in zip(posts, Events({}, ROOMY).add(posts), strict=True):
        groups.setdefault(place.event, set()).add(post.id)
    assert sorted(map(sorted, groups.values())) == [["p0", "p1", "p2"], ["p3", "p4"], ["p5"]]


# ---------------------------------------------------------------- restarts and bounds


def test_events_that_were_kept_in_an_earlier_form_are_read() -> None:
    memory: dict[str, bytes] = {}
    events = Events(memory, ROOMY)
    events.add([told(0, FIRE)])
    events.save()
    (key,) = (key for key in memory if key.startswith("v/"))
    event, bag = msgspec.msgpack.decode(memory[key])
    for name in ("voice_hashes", "teller_hashes", "mark_hashes", "times", "gains", "signals"):
        del event[name]
    older = {"voices": [1], "tellers": [1], "marks": [7], "spread": {5: 1}}
    memory[key] = msgspec.msgpack.encode((event | older, bag))
    again = Events(memory, ROOMY)
    (place,) = again.add([told(1, f"转发//{FIRE}")])
    found = again.event(place.event)
    assert found is not None
    assert (found.name, found.posts, found.texts, found.distinct_voices) == (event["name"], 2, 1, 1)


def test_terms_that_were_kept_with_a_count_each_are_read() -> None:
    memory: dict[str, bytes] = {}
    events = Events(memory, ROOMY)
    events.add([told(0, FIRE), told(1, FLOOD)])
    events.save()
    for key in [key for key in memory if key.startswith("v/")]:
        event, (slot, places, counts, *rest) = msgspec.msgpack.decode(memory[key])
        assert places
        assert not counts, "each term once"
        older = (slot, places, array("H", [1] * (len(places) // 2)).tobytes(), *rest)
        memory[key] = msgspec.msgpack.encode((event, older))
    posts = [told(2 + n, text, minute=1) for n, text in enumerate((*REPORTS, FLOOD[:20] + "水很大"))]
    assert Events(memory, ROOMY).add(posts) == events.add(posts)


def test_the_terms_of_a_great_event_count_half_and_a_restart_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture, "_MOST", 4)
    memory: dict[str, bytes] = {}
    straight, resumed = Events({}, ROOMY), Events(memory, ROOMY)
    for round_ in range(12):
        posts = [told(9 * round_ + n, f"{text}{round_}", minute=round_) for n, text in enumerate((*REPORTS, FLOOD))]
        assert resumed.add(posts) == straight.add(posts)
        resumed.save()
        resumed = Events(memory, ROOMY)


def test_terms_are_counted_beyond_a_byte_also_after_a_restart_and_from_nothing_in_the_next_event() -> None:
    def posts(mixtures: mixture.Mixtures, name: str, *lengths: int) -> mixture.Bag:
        for length in lengths:
            mixtures.add(["t"], [name], [np.arange(length)], np.zeros(1))
        return mixtures.bag("t", name)

    def counts(bag: mixture.Bag) -> list[int]:
        return np.frombuffer(bag.counts, dtype="<u2").tolist()

    straight, resumed = (mixture.Mixtures({}, dims=8, most=2) for _ in range(2))
    straight.begin(["t"], ["great"], np.zeros(1))
    bag = posts(straight, "great", *[3] * 255, *[2] * 258)
    assert counts(bag) == [513, 513, 255]
    resumed.restore("t", "great", bag)
    assert resumed.bag("t", "great") == bag
    assert counts(posts(resumed, "great", 4)) == counts(posts(straight, "great", 4)) == [514, 514, 256, 1]
    straight.drop("t", "great")
    straight.begin(["t"], ["small"], np.zeros(1))
    assert counts(posts(straight, "small", *[3] * 256)) == [256] * 3


@given(st.lists(st.integers(0, 59), min_size=1, max_size=120), st.lists(st.integers(1, 40), max_size=6))
@settings(max_examples=25, deadline=None)
def test_restarts_and_batches_change_nothing(picks: list[int], cuts: list[int]) -> None:
    texts = variants(random.Random(7))
    posts = [told(n, texts[pick], minute=n, voice=f"v{pick % 7}") for n, pick in enumerate(picks)]
    straight = Events({}, SMALL).add(posts)
    memory: dict[str, bytes] = {}
    found: list[Placed] = []
    start = 0
    for cut in (*cuts, len(posts)):
        events = Events(memory, SMALL)
        found += events.add(posts[start : start + cut])
        events.save()
        start += cut
    assert found == straight[: len(found)]


@pytest.mark.parametrize("seed", [0, 3, 5, 9])
def test_a_restart_after_each_few_posts_of_many_scopes_changes_nothing(seed: int) -> None:
    words = ("地铁三号线", "停运", "换乘", "乙站", "信号故障", "排队", "公交", "早高峰", "甲县", "仓库")
    words += ("起火", "疏散", "暴雨", "水位", "村子", "老人", "学校", "镇上", "转移", "通报")
    rng, memory = random.Random(seed), dict[str, bytes]()
    straight, restarted = Events({}, SMALL), Events(memory, SMALL)
    for minute in range(20):
        said = ["".join(rng.choices(words, k=rng.randrange(1, 8))) for _ in range(9)]
        posts = [told(9 * minute + n, text, minute=minute, scope=f"t{n % 3}") for n, text in enumerate(said)]
        assert restarted.add(posts) == straight.add(posts)
        restarted.save()
        restarted = Events(memory, SMALL)


def test_state_is_small_keyed_and_bounded() -> None:
    memory: dict[str, bytes] = {}
    events = Events(memory, SMALL)
    rng = random.Random(5)
    for round_ in range(30):
        texts = [f"{text}{rng.random()}" for text in variants(rng)]
        events.add([told(1000 * round_ + n, text, minute=round_) for n, text in enumerate(texts)])
        events.save()
    assert max(map(len, memory.values())) <= STATE_LIMIT
    assert sum(key.startswith("v/") for key in memory) <= SMALL.events
    assert sum(key.startswith("c/") for key in memory) <= SMALL.texts // 32 + 2


def test_only_what_changed_is_written_again() -> None:
    class Recording(dict[str, bytes]):
        written: set[str]

        def __setitem__(self, key: str, value: bytes) -> None:
            super().__setitem__(key, value)
            self.written.add(key)

    memory = Recording()
    memory.written = set()
    events = Events(memory, ROOMY)
    events.add([told(0, FIRE), told(1, FLOOD)])
    events.save()
    memory.written = set()
    events.add([told(2, f"转发//{FIRE}", minute=1)])
    events.save()
    assert memory.written == {"v/t/0"}


def test_a_text_that_was_dropped_is_not_known_again_after_a_restart() -> None:
    memory: dict[str, bytes] = {}
    events, texts = Events(memory, SMALL), variants(random.Random(3))
    events.add([told(n, texts[n], minute=n) for n in range(45)])
    events.save()
    events.drop(1_760_000_000 + 60 * 10)
    events.save()
    again = [told(100 + n, texts[9 - n], minute=50 + n) for n in range(5)]
    restarted = Events(dict(memory), SMALL).add(again)
    assert restarted == events.add(again)
    assert [place.copy_of for place in restarted] == [None] * 5


def test_events_that_were_kept_under_their_names_are_read_and_kept_anew() -> None:
    memory: dict[str, bytes] = {}
    events = Events(memory, SMALL)
    events.add([told(n, text) for n, text in enumerate((FIRE, FLOOD))])
    events.save()
    kept = dict(memory)
    for key in [key for key in memory if key.startswith("v/")]:
        event, _ = msgspec.msgpack.decode(memory[key])
        memory[f"v/t/{event['name']}"] = memory.pop(key)
    again = Events(memory, SMALL)
    again.save()
    assert memory == kept
    texts = variants(random.Random(7))  # so many that both must go
    posts = [told(2 + n, text, minute=1 + n) for n, text in enumerate(texts)]
    assert again.add(posts) == events.add(posts)


def test_what_is_old_is_dropped_with_its_state() -> None:
    memory: dict[str, bytes] = {}
    events = Events(memory, ROOMY)
    old = events.add([told(0, FIRE)])[0].event
    new = events.add([told(1, FLOOD, minute=600)])[0].event
    events.drop(told(0, "", minute=300).now)
    events.save()
    assert events.event(old) is None
    assert events.event(new) is not None
    assert [key for key in memory if key.startswith("v/")] == ["v/t/1"]
    again = Events(memory, ROOMY)
    assert again.add([told(2, FIRE, minute=601)]) == events.add([told(2, FIRE, minute=601)])
    assert again.event(new) == events.event(new)


# ---------------------------------------------------------------- shingles


@given(st.text(max_size=80) | st.text(alphabet="停運說a1①½Ａ。@[]<>…全文展開 https://t.cn/", max_size=80))
def test_one_text_is_made_bare_as_many_are(text: str) -> None:
    folded = fold(text)
    assert bare(folded) == units([folded]).bare[0]


def test_a_sketch_sees_words_not_their_dress() -> None:
    plain, dressed, other, empty = sketches([fold(one) for one in (FLOOD, " ".join(FLOOD) + "😡", FIRE, "😡")])
    assert plain == dressed
    assert empty == ""
    assert (read_sketch(plain) == read_sketch(other)).sum() <= 1
    assert len(read_sketch(plain)) == BANDS
    with pytest.raises(ValueError, match="sketch of 1 numbers"):
        read_sketch("AAA=")


def test_a_batch_is_each_of_its_texts() -> None:
    texts = [fold(one) for one in (FIRE, "", "Metro line 3 stopped, 三号线停运", "x", FLOOD, "\ud800😡")]
    whole = units(texts)
    for n, text in enumerate(texts):
        alone = units([text])
        span = slice(whole.starts[n], whole.starts[n + 1])
        assert np.array_equal(whole.hashes[span], alone.hashes)
        assert np.array_equal(bands(whole)[n], bands(alone)[0])
        assert np.array_equal(terms(whole)[0][span][terms(whole)[1][span]], terms(alone)[0][terms(alone)[1]])
        assert whole.bare[n] == alone.bare[0]


def test_a_text_that_was_read_a_moment_ago_is_as_if_it_were_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "KEPT", 3)
    reader, rng = texts.Texts(1_024), random.Random(1)
    every = [
        texts.Raw(text, sketch) for text in (FIRE, FLOOD, "😡", "#LAXShooting") for sketch in ("", sketches([FIRE])[0])
    ]
    for _ in range(20):
        batch = rng.choices(every, k=rng.randrange(8))
        for one, (alone,) in zip(reader.read(batch), (texts.Texts(1_024).read([raw]) for raw in batch), strict=True):
            assert (one.bare, one.mark, one.links) == (alone.bare, alone.mark, alone.links)
            assert np.array_equal(one.sketch, alone.sketch)
            assert np.array_equal(one.places, alone.places)
        assert len(reader._known) <= 3


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_has_units_and_likeness_has_no_order(one: str, other: str) -> None:
    found = units([fold(one), fold(other)])
    assert alike(*found.bare) == alike(*found.bare[::-1])
    assert contradict(*found.bare) == contradict(*found.bare[::-1])
    assert not contradict(found.bare[0], found.bare[0])
    assert isinstance(links(fold(one)), str)


# ---------------------------------------------------------------- the command


def test_events_writes_a_line_for_each_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    posts = [
        {"text": FIRE, "published_at": "2026-03-01T08:00:00+08:00", "source": "a"},
        {"text": FLOOD, "published_at": "2026-03-01T08:01:00+08:00"},
        {"text": f"转发微博//{FIRE}"},
        {"text": REPORTS[1], "published_at": "2026-03-01T08:09:00+08:00"},
    ]
    lines = [json.dumps(post, ensure_ascii=False) for post in posts]
    lines.insert(2, "not json")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    monkeypatch.setattr("sys.argv", ["tingchao", "events", "-", "--json"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["duplicate_of"] for row in rows] == [None, None, None, 0, None]
    assert rows[0]["event"] == rows[3]["event"] == rows[4]["event"] != rows[1]["event"]
    assert (rows[2]["event"], rows[2]["error"]) == (None, "line.not_json")


def test_events_without_a_time_are_not_of_1970(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in (FIRE, FLOOD)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    monkeypatch.setattr("sys.argv", ["tingchao", "events", "-"])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().out
    assert "1970" not in told
    assert "时间不详" in told or "at an unknown time" in told
