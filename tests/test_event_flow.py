"""Events on their way from mentions to alerts: what a candidate says of its event, and one alert for one event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flow import MINUTE, RULES, T0, Flow
from mentions import CRASH, FIRE

from tingchao.alerts import card, ledger, merge, silences
from tingchao.config.rules import Rule
from tingchao.pipeline.records import Candidate, Counts, Evidence, Reason


def test_a_candidate_names_the_event_its_window_is_about(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told([*FIRE, *(f"转发微博//{FIRE[0]}" for _ in range(4))])
    event = flow.candidates()[-1].event
    assert event is not None
    assert (event.posts, event.texts, event.independent, event.voices) == (8, 4, 4, 8)
    assert event.repost_share == 0.5
    assert (event.first, event.first_source, event.first_at) == ("p1", "s1", T0)
    assert sum(event.sources.values()) == 8


def test_an_event_knows_what_is_read_in_it_and_how_much_it_moves(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told([*FIRE, *(f"转发微博//{FIRE[0]}" for _ in range(4))], counts=Counts(likes=10))
    flow.told([*FIRE, *(f"转发微博//{FIRE[0]}" for _ in range(4))], again=True, counts=Counts(likes=25, reposts=5))
    last = "甲县化工厂仓库起火，疏散的居民什么时候能回家？浓烟还没有散，大家快注意。"
    event = flow.told([last, last + "转发", last]).candidates()[-1].event
    assert event is not None
    assert event.signals == {"safety": pytest.approx(5 * 0.95)}, "a repost is no further report"
    assert (event.negative_share, event.severity) == (0.6, 2.0)
    assert event.reactions == 8 * 30, "80 at first, and what a later look found"
    assert event.reactions_peak == 12 * 8 * 30
    found = card.as_json(flow.alerts()[0])["event"]
    assert (found["reactions"], found["signals"]) == (240, event.signals)
    said = card.as_text(flow.alerts()[0], "zh")
    assert "负面占 60%，预计 4.8 条不同的帖子反映“安全”，获点赞、评论和转发 240 次（最快时每小时 2880 次）" in said


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, True),
        ({"threshold": 3.9}, False),
        ({"min_severity": 2.5}, False),
        ({"min_negative": 0.7}, False),
        ({"min_reactions": 81}, False),
        ({"min_severity": 2.0, "min_negative": 0.6, "min_reactions": 80}, True),
        ({"signal": "health"}, False),
    ],
)
def test_a_rule_on_events_may_ask_for_what_is_read_in_one(tmp_path: Path, more: dict[str, Any], found: bool) -> None:
    rule = Rule(**{"name": "grave", "kind": "event", "signal": "safety", "threshold": 3.0} | more)
    texts = [*FIRE, *(f"转发微博//{FIRE[0]}" for _ in range(4))]
    candidates = Flow(tmp_path, (rule,)).told(texts, counts=Counts(likes=10)).candidates()
    assert bool(candidates) == found
    for one in candidates[-1:]:
        assert (one.reason.kind, one.reason.signal, one.reason.observed) == ("event", "safety", 3.8)
        assert one.sure > 0.9


def test_talk_of_many_things_is_about_no_event(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told(
        (
            "公园里的樱花今天全开了，周末带孩子去看。",
            "小区又停电，物业电话打不通。",
            "诚聘熟练缝纫工，包吃住，月底结账。",
            "演唱会门票八点开抢，系统直接崩溃。",
            "菜市场青椒一斤涨到十二块钱。",
            "体检报告出来了，医生让我少喝酒。",
            "快递放驿站三天没人通知。",
            "昨晚那部老电影结尾看哭了。",
        )
    )
    assert flow.candidates()[-1].event is None


def test_the_same_event_under_another_topic_joins_its_alert(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told(FIRE).told(FIRE, "county", again=True)
    (alert,) = flow.alerts()
    assert (alert.topic, alert.topics) == ("plant", ("county",))
    assert alert.event is not None
    assert alert.event.independent == 4
    shown = card.as_text(alert, "zh")
    assert "同一事件也出现在：county" in shown
    assert "4 个各自表述的声音" in shown
    assert "marks" not in card.as_json(alert)["event"]


@pytest.mark.parametrize("action", ["resolve", "false_alarm"])
def test_what_staff_ended_is_not_told_again_under_another_topic(tmp_path: Path, action: str) -> None:
    flow = Flow(tmp_path).told(FIRE).told(FIRE, "county", again=True)
    ledger.send(flow.log, flow.clock, flow.alerts()[0].id, action, "")
    flow.told([f"{text}又有消息" for text in FIRE], "county")
    (alert,) = flow.alerts()
    assert alert.state == ("resolved" if action == "resolve" else "false_alarm")
    flow.clock.move(60 * MINUTE)
    flow.told(CRASH, "county")
    assert [alert.topic for alert in flow.alerts()] == ["plant", "county"], "another event is news"


@pytest.mark.parametrize("action", ["resolve", "false_alarm"])
def test_another_event_of_the_topic_is_told_although_staff_ended_one(tmp_path: Path, action: str) -> None:
    flow = Flow(tmp_path).told(FIRE)
    ledger.send(flow.log, flow.clock, flow.alerts()[0].id, action, "")
    flow.told([f"{text}又有消息" for text in FIRE])
    (fire,) = flow.alerts()
    flow.clock.move(20 * MINUTE)
    for said in ("", "真的", "又有消息", "我在现场"):
        flow.told([f"{text}{said}" for text in CRASH])
    assert [alert.id for alert in flow.alerts()][:1] == [fire.id]
    (_, crash) = flow.alerts()
    assert (crash.topic, crash.state) == ("plant", "open")
    assert card.as_text(crash, "en").count("2026-03-02 16:2") >= 1, "it says since when"


def test_a_verdict_on_what_was_known_does_not_stand_on_what_opens_again(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told(FIRE)
    ledger.send(flow.log, flow.clock, flow.alerts()[0].id, "false_alarm", "")
    flow.settings = replace(flow.settings, rules=(replace_level(RULES[0], 3),))
    flow.restart()
    flow.told([f"{text}又有消息" for text in FIRE])
    (alert,) = flow.alerts()
    assert (alert.state, alert.level, alert.verdict) == ("open", 3, None)


def test_a_silence_on_one_topic_leaves_what_another_tells_of_too(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told(FIRE).told(FIRE, "county", again=True)
    ends = flow.clock.now() + 120 * MINUTE

    def why() -> set[str]:
        flow.told([f"{FIRE[0]}第{flow.posts}次"])
        return {one.why for one in flow.alerts()[0].deliveries or ()}

    silences.add(flow.log, flow.clock, ["topic=county"], None, ends, "")
    assert why() == {""}
    silences.add(flow.log, flow.clock, ["topic=plant"], None, ends, "")
    assert why() == {"silenced"}


def test_the_first_post_shown_is_the_first_that_tells_of_something() -> None:
    def post(name: str, minute: int, chance: float, role: Any = "first") -> Evidence:
        at = T0 + minute * MINUTE
        return Evidence(id=name, source="s", published_at=at, excerpt=name, signals={"safety": chance}, role=role)

    def candidate(*posts: Evidence) -> Candidate:
        reason = Reason(rule="r", kind="signal", start=T0, end=T0 + 60 * MINUTE, observed=3.0)
        return Candidate(topic="plant", reason=reason, level=2, sure=0.9, posts=3, voices=3, evidence=posts)

    alert = merge.opened(candidate(post("化工厂旁开了咖啡店", 1, 0.01)), T0, "a1", "化工厂", state="open")
    alert = merge.updated(alert, candidate(post("化工厂冒烟了", 30, 0.9), post("仓库烧起来", 31, 0.95, "strong")), T0)
    assert [one.excerpt for one in alert.evidence] == ["化工厂冒烟了", "仓库烧起来"]


def test_a_graver_candidate_of_another_topic_opens_again_what_staff_ended(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told(FIRE)
    ledger.send(flow.log, flow.clock, flow.alerts()[0].id, "resolve", "")
    flow.settings = replace(flow.settings, rules=(replace_level(RULES[0], 3),))
    flow.restart()
    flow.told(FIRE, "county", again=True)
    (alert,) = flow.alerts()
    assert (alert.topic, alert.topics, alert.state, alert.level) == ("plant", ("county",), "open", 3)
    assert alert.history[-1].what == "reopened"


def test_another_event_under_another_topic_is_an_alert_of_its_own(tmp_path: Path) -> None:
    flow = Flow(tmp_path).told(FIRE).told(CRASH, "county")
    assert [alert.topic for alert in flow.alerts()] == ["plant", "county"]


def test_a_graver_candidate_of_another_topic_raises_the_alert(tmp_path: Path) -> None:
    flow = Flow(tmp_path)
    flow.told(FIRE)
    (before,) = flow.alerts()
    flow.settings = replace(flow.settings, rules=(replace_level(RULES[0], 3),))
    flow.restart()
    flow.told(FIRE, "county", again=True)
    (after,) = flow.alerts()
    assert (before.level, after.level, after.history[-1].what) == (2, 3, "raised")


def replace_level(rule: Rule, level: int) -> Rule:
    return rule.model_copy(update={"level": level})


def test_a_restart_in_the_middle_of_an_event_goes_on_with_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    straight, broken = Flow(tmp_path / "a"), Flow(tmp_path / "b")
    for text in (*FIRE, *CRASH, f"快讯：{FIRE[2]}", f"{CRASH[0]}[泪]"):
        straight.told([text])
        broken.told([text])
        broken.restart()
    assert broken.candidates() == straight.candidates()
    assert broken.alerts() == straight.alerts()
    (alert,) = broken.alerts()
    assert alert.event is not None
    assert alert.event.id in {c.event.id for c in straight.candidates() if c.event is not None}


def test_a_burst_of_one_event_is_one_alert_that_is_updated(tmp_path: Path) -> None:
    flow = Flow(tmp_path)
    for round_ in range(4):
        flow.told(f"{FIRE[n % 4]}第{round_ * 500 + n}个看到" for n in range(500))
    (alert,) = flow.alerts()
    assert alert.history[0].what == "opened"
    assert alert.history[-1].what == "updated"
    assert alert.event is not None
    assert alert.event.posts >= 1_000
