"""What a person reads of an alert, and the same facts as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tingchao.alerts import card
from tingchao.alerts.merge import opened, updated
from tingchao.alerts.precedents import precedents
from tingchao.alerts.representatives import representatives
from tingchao.alerts.windows import OTHERS
from tingchao.models.scores import SIGNALS
from tingchao.pipeline.records import Alert, Candidate, Change, Evidence, Mention, Reason

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SAFETY = Reason(
    rule="safety",
    kind="signal",
    signal="safety",
    start=T0 - HOUR,
    end=T0,
    observed=3.2,
    threshold=2.0,
    expected=0.05,
    p=1e-7,
)
MANY = Reason(rule="many", kind="count", start=T0 - HOUR, end=T0, observed=45.0, expected=5.1, p=0.0004)
COLD = Reason(rule="many", kind="count", start=T0 - HOUR, end=T0, observed=45.0)
ANGER = Reason(rule="anger", kind="negative_share", start=T0 - HOUR, end=T0, observed=0.72, threshold=0.6)


def alert(*reasons: Reason, **more: object) -> Alert:
    fields: dict[str, object] = {
        "id": "abc123",
        "number": 2,
        "topic": "metro",
        "title": "地铁运营",
        "state": "open",
        "level": 3,
        "sure": 0.97,
        "since": T0 - HOUR,
        "until": T0,
        "opened_at": T0,
        "updated_at": T0,
        "reasons": reasons or (SAFETY, MANY),
        "posts": 45,
        "voices": 31,
        "sources": {"forum": 40, "news": 5},
        "negative_share": 0.4,
        "severity": 2.3,
        "signals": {"safety": 3.2, "outage": 0.1},
        "evidence": (
            Evidence(
                id="p1",
                source="forum",
                published_at=T0 - HOUR,
                title="三号线冒烟",
                url="https://example.org/1",
                excerpt="三号线冒烟，乘客疏散",
                signals={"safety": 0.98},
                words=("冒烟", "疏散"),
                role="first",
            ),
        ),
        "curve": (0, 1, 44),
        "bucket": 300,
        "history": (Change(at=T0, what="opened"),),
    }
    return Alert(**(fields | more))  # type: ignore[arg-type]


def lines(found: card.Card, name: str) -> str:
    return "\n".join(line for section in found.sections if section.name == name for line in section.lines)


def test_the_headline_says_what_happens_and_how_much() -> None:
    assert card.headline(alert(), "zh") == "地铁运营：1 小时内约 3.2 条不同的帖子反映“安全”"
    assert card.headline(alert(MANY), "zh") == "地铁运营：1 小时内 45 条帖子，平时约 5.1 条"
    assert card.headline(alert(COLD), "en") == "地铁运营: 45 posts within an hour (no history to compare with yet)"
    assert card.headline(alert(ANGER), "en") == "地铁运营: 72% negative within an hour"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("reasons", [(SAFETY, MANY), (MANY,), (COLD,), (ANGER,)])
def test_a_card_has_every_section_in_whole_sentences(language: str, reasons: tuple[Reason, ...]) -> None:
    found = card.card(alert(*reasons), language)
    assert [section.name for section in found.sections] == [
        "why",
        "curve",
        "what",
        "sure",
        "who",
        "evidence",
        "unknown",
    ]
    for section in found.sections:
        assert section.heading
        for line in section.lines if section.name != "evidence" else ():
            assert line.endswith(("。", "."))
            assert "{" not in line


def test_why_now_gives_observed_threshold_expected_and_chance() -> None:
    why = lines(card.card(alert(), "en"), "why")
    assert "an expected 3.2 different posts truly tell of safety" in why
    assert "the threshold is 2" in why
    assert "usually about 5.1" in why
    assert "chance of about 0.0004" in why
    assert "chance below 1 in 10,000" in why
    assert "2026-03-02 15:00 to 2026-03-02 16:00" in why, "in Beijing time"


def test_a_window_does_not_end_in_the_future() -> None:
    ahead = msgspec.structs.replace(SAFETY, end=T0 + timedelta(minutes=4))
    assert "16:04" not in card.as_text(alert(ahead, until=T0 + timedelta(minutes=4)), "zh")


def test_what_is_not_known_is_said() -> None:
    assert "没有“平时”可比" in lines(card.card(alert(COLD), "zh"), "unknown")
    assert "没有“平时”可比" not in lines(card.card(alert(MANY), "zh"), "unknown")
    assert "一个来源只算一个声音" in lines(card.card(alert(voices=2), "zh"), "unknown")


def test_a_past_alert_says_that_nobody_was_told() -> None:
    assert "没有通知任何人" in lines(card.card(alert(state="past"), "zh"), "why")


def test_the_posts_stand_with_time_source_probability_and_address() -> None:
    post = lines(card.card(alert(), "zh"), "evidence")
    assert post == "1 · 最早 · 2026-03-02 15:00 · forum · 安全 98%：三号线冒烟，乘客疏散 https://example.org/1"


def test_the_words_behind_it_and_the_sources_are_named() -> None:
    found = card.card(alert(sources={f"s{n}": 9 - n for n in range(7)} | {OTHERS: 3}), "zh")
    assert "冒烟、疏散" in lines(found, "what")
    assert "来源：s0 9、s1 8、s2 7、s3 6、s4 5 等。" in lines(found, "who")


def test_words_and_phrases_for_and_against_each_head_stand_by_strength_not_by_post() -> None:
    one = replace(alert().evidence[0], why={"safety": (("冒烟", 1.5), ("演习", -2.0)), "outage": (("停运", 3.0),)})
    two = replace(
        one, id="p2", why={"safety": (("着火了", 2.5), ("听说", -0.5), ("冒烟", 1.0)), "negative": (("烦", 1.0),)}
    )
    what = lines(card.card(alert(evidence=(one, two)), "en"), "what")
    said = [line for line in what.splitlines() if "strongest" in line]
    assert said == [
        "Words and phrases for safety, strongest first: 着火了, 冒烟.",
        "Against safety, strongest first: 演习, 听说.",
        "Words and phrases for outage, strongest first: 停运.",
        "Words and phrases for negative, strongest first: 烦.",
    ]
    assert "让模型不判为“安全”的词语，由强到弱：演习、听说。" in lines(
        card.card(alert(evidence=(one, two)), "zh"), "what"
    )
    assert card.as_json(alert(evidence=(one,)))["evidence"][0]["why"] == {
        "safety": [["冒烟", 1.5], ["演习", -2.0]],
        "outage": [["停运", 3.0]],
    }


def test_verdicts_stand_on_the_card() -> None:
    judged = alert(verdict="true_alarm", judged={alert().evidence[0].id: "wrong_signal"})
    assert "The verdict of the staff on duty: true alarm." in lines(card.card(judged, "en"), "sure")
    assert lines(card.card(judged, "en"), "evidence").startswith("1 · first · wrong signal · ")


def test_as_text_holds_headline_state_and_all_sections() -> None:
    text = card.as_text(alert(), "zh")
    assert text.startswith("地铁运营：1 小时内约 3.2 条")
    for part in ("abc123", "严重", "为什么是现在", "说的是什么", "有多大把握", "谁在说", "依据", "还不知道的"):
        assert part in text


def post(name: str, excerpt: str, role: str = "strong") -> Evidence:
    return Evidence(id=name, source="forum", published_at=T0, title="", excerpt=excerpt, role=role)  # type: ignore[arg-type]


def test_three_posts_in_words_of_their_own_stand_for_all_beside_the_first() -> None:
    told = (
        post("a", "三号线站厅里有焦糊味，工作人员让大家往外走", "first"),
        post("b", "转发：三号线站厅里有焦糊味！工作人员让大家往外走……"),
        post("c", "我在换乘通道，广播说列车暂停，楼梯上很挤"),
        post("d", "我在换乘通道，广播说列车暂停，楼梯上很挤啊"),
        post("e", "消防车到了东门，已经三辆"),
        post("f", "妈妈说家里那边也闻到了，是变电柜吗"),
        post("g", "公司群里都在问明早怎么上班"),
    )
    assert [(number, one.id) for number, one in representatives(told)] == [(1, "a"), (3, "c"), (5, "e"), (6, "f")]
    shown = lines(card.card(alert(evidence=told), "zh"), "evidence").splitlines()
    assert [line[0] for line in shown] == ["1", "3", "5", "6"], "numbers stay those that a verdict takes"


def test_a_changed_number_is_another_fact_and_shown() -> None:
    told = (post("a", "通报：事故造成3人受伤，已送医", "first"), post("b", "通报：事故造成9人受伤，已送医"))
    assert len(representatives(told)) == 2


def test_the_alert_keeps_no_reposts_with_light_edits_beside_each_other() -> None:
    def candidate(*evidence: Evidence) -> Candidate:
        return Candidate(topic="metro", reason=MANY, level=1, sure=0.9, posts=9, voices=5, evidence=evidence)

    text = "三号线站厅里有焦糊味，工作人员让大家往外走"
    one = opened(candidate(post("a", text, "first")), T0, "x", "地铁", state="open")
    both = updated(one, candidate(post("b", f"快看！{text}"), post("c", "消防车到了东门，已经三辆")), T0)
    assert [one.id for one in both.evidence] == ["a", "c"]


@pytest.mark.parametrize(
    ("curve", "line"),
    [((), ""), ((0, 0), "▁▁"), ((0, 1, 1000), "▁▂█"), ((7, 7), "██"), (tuple(range(8)), "▁▂▃▄▅▆▇█")],
)
def test_the_curve_in_text(curve: tuple[int, ...], line: str) -> None:
    assert card.sparkline(curve) == line


@given(st.lists(st.integers(0, 10**6), max_size=500))
def test_the_curve_in_text_fits_its_line_and_shows_every_peak(curve: list[int]) -> None:
    line = card.sparkline(curve)
    assert len(line) <= 60
    assert ("█" in line) == any(curve)


def past(name: str, **more: object) -> Alert:
    week = timedelta(days=7)
    ended = (
        Change(at=T0 - week, what="opened"),
        Change(at=T0 - week, what="acknowledged"),
        Change(at=T0 - week + HOUR, what="resolved", note="变电柜过热，已换"),
    )
    fields = {"id": name, "state": "resolved", "since": T0 - week, "until": T0 - week + HOUR, "history": ended}
    return alert(**(fields | more))  # type: ignore[arg-type]


def test_a_like_alert_of_the_past_says_what_was_done_then() -> None:
    (found,) = precedents(alert(), [past("before", verdict="true_alarm"), alert()])
    assert (found.id, found.similarity, found.done) == ("before", 1.0, ("acknowledged", "resolved"))
    (line,) = lines(card.card(alert(), "zh", [found]), "precedents").splitlines()
    for part in ("2026-02-23 16:00 地铁运营", "已结束", "处理：确认收到、结束", "判断：属实", "备注：变电柜过热，已换"):
        assert part in line
    json_form = card.as_json(alert(), [found])["precedents"][0]
    assert (json_form["note"], json_form["ended_at"]) == ("变电柜过热，已换", "2026-02-23T09:00:00Z")


def test_precedents_are_ended_earlier_and_like_it_and_few() -> None:
    now = alert()
    fire = replace(now.evidence[0], words=("冒烟", "起火"))
    other_topic = past("other", topic="bus")
    unlike = past("unlike", topic="water", signals={"health": 5.0}, evidence=())
    later = past("later", since=T0 + HOUR)
    active = past("active", state="in_hand")
    known = [unlike, later, active, other_topic, *(past(f"p{n}", evidence=(fire,)) for n in range(4))]
    found = precedents(now, known)
    assert len(found) == 3
    assert {one.topic for one in found} == {"metro"}, "the same topic goes before another one"
    assert precedents(now, [unlike, later, active]) == ()
    assert [one.id for one in precedents(now, [other_topic])] == ["other"], "the same signals and words elsewhere"


def test_what_ended_by_itself_or_was_only_recorded_is_said_so() -> None:
    quiet = past("q", history=(Change(at=T0 - HOUR * 9, what="quiet"),))
    recorded = past("r", state="past", history=())
    shown = lines(card.card(alert(), "en", precedents(alert(), [quiet, recorded])), "precedents")
    assert "became quiet by itself" in shown
    assert "· past ·" in shown


def test_json_has_the_same_facts_under_stable_names() -> None:
    found = json.loads(msgspec.json.encode(card.as_json(alert())))
    assert set(found) == {
        *("id", "number", "topic", "title", "state", "level", "sure", "since", "until", "opened_at", "updated_at"),
        *(
            "reasons",
            "posts",
            "voices",
            "sources",
            "negative_share",
            "severity",
            "signals",
            "evidence",
            "curve",
            "history",
            "verdict",
            "judged",
            "event",
            "apart",
            "topics",
            "deliveries",
            "representatives",
            "precedents",
        ),
    }
    assert found["since"] == "2026-03-02T07:00:00Z"
    assert found["reasons"][0] == {
        "rule": "safety",
        "kind": "signal",
        "signal": "safety",
        "start": "2026-03-02T07:00:00Z",
        "end": "2026-03-02T08:00:00Z",
        "observed": 3.2,
        "threshold": 2.0,
        "expected": 0.05,
        "p": 1e-7,
        "detail": "",
    }
    assert (found["representatives"], found["precedents"]) == (["p1"], None)
    assert found["curve"] == {"bucket_seconds": 300, "posts": [0, 1, 44]}
    assert set(found["evidence"][0]) == {
        *(
            "id",
            "source",
            "published_at",
            "fetched_at",
            "title",
            "url",
            "excerpt",
            "negative",
            "signals",
            "words",
            "why",
            "role",
        )
    }
    assert found["reasons"][1]["threshold"] is None, "a field without a value is there, too"


def test_neither_form_has_a_field_for_a_voice_or_an_author() -> None:
    assert "voice" in Mention.__struct_fields__
    keys: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            keys.update(value)
            for one in value.values():
                collect(one)
        elif isinstance(value, list):
            for one in value:
                collect(one)

    collect(card.as_json(alert()))
    assert not keys & {"voice", "author", "user", "name"}


def silent(source: str, start: int, end: int, rule: str = "silent") -> Candidate:
    reason = Reason(
        rule=rule, kind="absence", start=T0 + start * HOUR, end=T0 + end * HOUR, observed=0.0, detail=source
    )
    return Candidate(topic="metro", reason=reason, level=2, sure=0.9, posts=0, voices=0)


def test_every_source_that_is_silent_is_named_until_it_speaks_again() -> None:
    one = opened(silent("paper", -4, 0), T0, "abc123", "地铁运营", state="open")
    both = updated(one, silent("forum", -3, 0), T0)
    assert card.headline(both, "zh") == "地铁运营：来源 paper、forum 已有 3 小时没有新帖"
    assert card.headline(both, "en") == "地铁运营: nothing new from paper, forum for 3 hours"
    shown = card.as_text(both, "zh")
    assert "（4 小时）没有收到来源 paper 的帖子" in shown
    assert "（3 小时）没有收到来源 forum 的帖子" in shown
    later = updated(updated(both, silent("forum", -3, 1), T0 + HOUR), silent("forum", -3, 2), T0 + 2 * HOUR)
    assert card.headline(later, "zh") == "地铁运营：来源 forum 已有 5 小时没有新帖"
    many = both
    for name in "abcdef":
        many = updated(many, silent(name, -3, 0), T0)
    assert "来源 paper、forum、a、b、c 等 8 个 已有" in card.headline(many, "zh")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_signal_has_a_name(language: str) -> None:
    for signal in SIGNALS:
        reason = msgspec.structs.replace(SAFETY, signal=signal)
        assert card.headline(alert(reason), language)


def test_braces_in_a_post_are_only_text() -> None:
    odd = Evidence(id="p", source="{x}", published_at=T0, title="{0} {window}", role="first")
    assert "{0} {window}" in card.as_text(alert(evidence=(odd,), title="{t}"), "zh")


def test_a_silence_says_whose_it_is_and_a_quiet_source_how_little_it_brought() -> None:
    reason = {"rule": "silent", "kind": "absence", "start": T0, "end": T0 + 12 * HOUR, "observed": 0.0}
    silence = alert(Reason(**reason))
    assert card.headline(silence, "zh") == "地铁运营：12 小时没有新帖"
    assert "no post came.\n" in card.as_text(silence, "en")
    assert "It has been going on" not in card.as_text(silence, "en")
    paper = alert(Reason(**reason, detail="paper", threshold=5.0, expected=12.0))
    assert card.headline(paper, "en") == "地铁运营: nothing new from paper for 12 hours"
    assert "没有收到来源 paper 的帖子，平时不到 5 条时不算，这个时段平时约为 12。" in card.as_text(paper, "zh")
    quiet = alert(Reason(**reason | {"kind": "source_quiet"}, expected=44.0, p=0.0005))
    assert "so little would come with a chance of about 0.0005" in card.as_text(quiet, "en")
