"""What else happens in a topic while people still talk of something is told by itself, and only that."""

from __future__ import annotations

import random
import runpy
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from flow import MINUTE, RULES, T0, Flow
from hypothesis import given
from hypothesis import strategies as st
from mentions import report, scores

from tingchao.alerts import card, ledger
from tingchao.alerts.calm import Calm
from tingchao.alerts.decide import Held
from tingchao.alerts.smallest import hashed
from tingchao.alerts.stories import KNOWN, Stories
from tingchao.alerts.windows import weights
from tingchao.config.rules import Rule
from tingchao.config.topics import Near, Topic

METRO = Topic(name="metro", title="地铁", any=["地铁", "轻轨"])
SMOKE = (
    "地铁三号线朝阳站冒烟了，大家先别进去",
    "朝阳站浓烟滚滚，地铁里的人都在往外跑",
    "地铁朝阳站着火，消防车到了五辆",
    "我就在朝阳站，地铁列车车厢里全是烟，呛得睁不开眼",
    "朝阳站起火，三号线地铁全线停了，站口挤满人",
    "有人被烟呛晕抬出来了，朝阳站地铁口全是救护车",
    "朝阳站的地铁还在冒烟，附近路都封了",
    "刚从朝阳站跑出来，地铁里有人踩到我，手都是抖的",
    "地铁公司通报：朝阳站起火原因是电缆短路",
    "朝阳站明火扑灭，地铁三号线什么时候能通车",
)
ATTACK = (
    "地铁九号线文化宫有人拿刀砍人，快跑",
    "文化宫地铁口好多血，一个男的被按住了",
    "文化宫砍人了，地铁安检的小哥挡在前面受伤了",
    "九号线文化宫下车的都在跑，地铁里有人持刀",
    "文化宫那个持刀的抓住了，伤了三个人，地铁已经不停这站",
)
FALL = (
    "地铁体育馆的扶梯突然倒着走，摔了好几个",
    "体育馆扶梯上的人全滚下来了，地铁站里在喊救命",
    "在体育馆换乘地铁，扶梯卡住了一个人的脚",
    "体育馆这边扶梯出事了，抬出来两个老人",
    "地铁体育馆扶梯停用，受伤的已经抬上担架",
)
# Further talk of the smoke: each word that is new in it stands beside what the story goes by.
LATER = (
    "朝阳站的伤员都送到市一医院了，地铁公司派人陪着",
    "市一医院急诊收了朝阳站二十多个呛烟的，地铁集团来人了",
    "朝阳站呛烟的乘客在市一医院吸氧，地铁说费用全包",
    "应急局开会了：朝阳站地铁起火，全市排查电缆",
    "应急局说朝阳站地铁的电缆早该换了",
    "应急局和地铁公司一起查朝阳站起火的责任",
)


def metro(path: Path, rules: tuple[Rule, ...] = RULES) -> Flow:
    return Flow(path, rules, topics=(METRO, Topic(name="city", title="江城", any=["江城", "地铁"])))


def told(flow: Flow, texts: Iterable[str], *, restart: bool = False) -> Flow:
    """One text a minute."""
    for text in texts:
        flow.told([text])
        if restart:
            flow.restart()
    return flow


def test_another_incident_is_an_alert_of_its_own_while_the_first_goes_on(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), SMOKE)
    told(flow, [text for pair in zip(ATTACK, LATER, strict=False) for text in pair])
    smoke, attack = flow.alerts()
    assert (smoke.topic, attack.topic) == ("metro", "metro")
    assert "文化宫" in attack.evidence[0].excerpt
    assert all("朝阳" not in one.excerpt for one in attack.evidence), "it shows its own posts only"
    assert (attack.posts, attack.voices, sum(attack.curve)) == (5, 5, 5), "and counts them only"
    assert attack.event is not None
    assert (attack.event.independent, attack.event.first_at) == (5, T0 + 10 * MINUTE)
    assert attack.reasons[0].observed == pytest.approx(5 * 0.95)
    assert [delivery.at for delivery in attack.deliveries or ()] == [attack.opened_at], "the channel is told"
    assert "5 个各自表述的声音" in card.as_text(attack, "zh")
    assert card.headline(attack, "en").endswith("(another incident of the topic)")
    assert (smoke.apart, attack.apart) == (False, True)


def test_further_talk_of_the_first_one_is_not_another(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), (*SMOKE, *LATER))
    (alert,) = flow.alerts()
    assert alert.until >= T0 + 15 * MINUTE


def test_before_the_first_one_goes_by_its_words_nothing_is_another(tmp_path: Path) -> None:
    """Eyewitnesses do not name the place at first."""
    flow = told(
        metro(tmp_path), ("地铁着火了！！", "快跑地铁冒烟", "救命啊，车厢里全是烟", "地铁这是怎么了，有人倒下了")
    )
    assert len(told(flow, ATTACK[:3]).alerts()) == 1


def test_reposts_of_one_text_and_one_voice_are_no_story(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), SMOKE)
    told(flow, [f"{ATTACK[0]}{end}" for end in ("", "！！", "[泪]", "转发", "太可怕了")])
    assert len(flow.alerts()) == 1
    assert _stories(ATTACK, voices=1) == 0
    assert _stories(ATTACK, voices=3) == 1


def test_what_comes_later_belongs_to_the_alert_of_its_story(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), (*SMOKE, *ATTACK))
    smoke, attack = flow.alerts()
    ledger.send(flow.log, flow.clock, attack.id, "resolve", "")
    told(flow, ("文化宫伤者家属到了，地铁口还拉着警戒线", "文化宫那站地铁恢复停靠了，地上的血还没冲干净"))
    states = {alert.id: (alert.state, alert.updated_at) for alert in flow.alerts()}
    assert states[attack.id][0] == "resolved", "what goes on with it opens no third one"
    assert states[smoke.id] == ("open", smoke.updated_at), "and is no news of the first one"
    told(flow, LATER)
    assert {alert.id: alert.updated_at for alert in flow.alerts()}[smoke.id] > smoke.updated_at
    assert len(flow.alerts()) == 2


def test_a_restart_after_every_post_changes_nothing(tmp_path: Path) -> None:
    texts = (*SMOKE, *ATTACK, *LATER)
    straight, broken = told(metro(tmp_path / "a"), texts), told(metro(tmp_path / "b"), texts, restart=True)
    assert len(straight.alerts()) == 2
    assert broken.candidates() == straight.candidates()
    assert broken.alerts() == straight.alerts()


def test_the_same_story_under_another_topic_joins_its_alert(tmp_path: Path) -> None:
    flow = metro(tmp_path)
    for text in (*SMOKE, *ATTACK):
        flow.told([text]).told([text], "city", again=True)
    attack = flow.alerts()[-1]
    assert (attack.topic, attack.topics) == ("metro", ("city",))
    assert "文化宫" in attack.evidence[0].excerpt


def test_a_story_that_began_before_the_alert_is_what_it_tells_of(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), (*SMOKE, *ATTACK))
    *_, last = [one for one in flow.candidates() if one.alone]
    assert last.event is not None
    fresh = metro(tmp_path / "b")
    before = msgspec.structs.replace(last, alone=False, event=None)
    fresh.clock.move(last.event.first_at - fresh.clock.now() + 5 * MINUTE)
    fresh.told_candidates([before, last])
    assert len(fresh.alerts()) == 1


def _stories(
    texts: Iterable[str],
    *,
    voices: int = 100,
    gap: timedelta = MINUTE,
    topic: Topic = METRO,
    calm: Iterable[str] = (),
    first: Iterable[str] = SMOKE,
    at: datetime = T0,
) -> int:
    """How many stories a topic has after these, told by so many voices in turn, beside the first one."""
    stories, now = Stories({}, [topic]), at
    for number, text in enumerate(calm, -100):
        when = at + number * timedelta(hours=1)
        ordinary = msgspec.structs.replace(report(number, when, text, topic.name), scores=scores())
        stories.hear(ordinary, int(when.timestamp()), int(when.timestamp()), ())
    for number, text in enumerate(first):
        now = _hear(stories, number, now, text, topic.name)
    for number, text in enumerate(texts):
        now = _hear(stories, 1000 + number % voices, now, text, topic.name) - MINUTE + gap
    return len(stories.of(topic.name))


def _hear(stories: Stories, voice: int, at: datetime, text: str, topic: str) -> datetime:
    mention = msgspec.structs.replace(report(voice, at, text, topic), id=f"{voice} {at}")
    stories.hear(mention, int(at.timestamp()), int(at.timestamp()), weights(mention))
    return at + MINUTE


def test_a_story_begins_within_an_hour() -> None:
    assert _stories(ATTACK, gap=20 * MINUTE) == 1
    assert _stories(ATTACK, gap=61 * MINUTE) == 0


def test_words_by_which_a_topic_is_found_tell_nothing() -> None:
    """Else each post would have a word of the first story."""
    for topic in (
        Topic(name="metro", title="地铁", all=["地铁"]),
        Topic(name="metro", title="地铁", near=[Near(words=["地铁", "站"])]),
    ):
        assert _stories(ATTACK, topic=topic) == 1
    assert _stories(ATTACK, topic=Topic(name="metro", title="轻轨", any=["轻轨"])) == 0


def test_words_of_calm_days_tell_nothing_either() -> None:
    """The city, or what the organisation runs, where the topic is found by another word."""
    topic = Topic(name="metro", title="轻轨", any=["轻轨"])
    assert _stories(ATTACK, topic=topic, calm=[f"早上的地铁真挤，地铁口排队第{number}天" for number in range(100)]) == 1
    assert _stories(ATTACK, topic=topic, calm=[f"上班第{number}天" for number in range(100)]) == 0
    assert _stories(ATTACK, topic=topic, calm=["早上的地铁真挤，地铁口排队"] * 5) == 0, "too few to know"


def test_what_is_long_past_is_nothing_new_and_after_a_quiet_day_all_begins_anew() -> None:
    stories = Stories({}, [METRO])
    for number, text in enumerate((*SMOKE, *SMOKE)):
        _hear(stories, number, T0, text, "metro")
    for number, text in enumerate(ATTACK):
        _hear(stories, 100 + number, T0 - timedelta(days=2), text, "metro")
    assert not stories.of("metro")
    for number, text in enumerate(ATTACK):
        _hear(stories, 200 + number, T0 + timedelta(days=2), text, "metro")
    assert not stories.of("metro"), "it is the first one now"


@given(st.lists(st.text(alphabet="甲乙丙丁戊己庚辛壬癸站路桥", min_size=4, max_size=30), min_size=1, max_size=60))
def test_a_flood_of_words_stays_within_its_limits_and_adds_no_story_below_its_floor(texts: list[str]) -> None:
    memory: dict[str, bytes] = {}
    stories = Stories(memory, [METRO])
    for number, text in enumerate(texts):
        _hear(stories, number, T0, text, "metro")
        stories.save()
        assert len(stories.of("metro")) <= 4
        if number < KNOWN:
            assert not stories.of("metro")
    assert Stories(dict(memory), [METRO]).of("metro") == stories.of("metro"), "it comes back as it was"


def test_many_new_words_are_bounded() -> None:
    memory: dict[str, bytes] = {}
    stories = Stories(memory, [METRO])
    for number in range(3_000):
        text = "".join(chr(0x4E00 + (number * 37 + place * 211) % 20_000) for place in range(40))
        _hear(stories, number, T0, f"地铁 {text}", "metro")
    stories.save()
    assert sum(map(len, memory.values())) < 400_000


def test_an_alert_of_before_is_read_and_tells_of_no_story(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), SMOKE)
    (alert,) = flow.alerts()
    before = {"alert": msgspec.to_builtins(alert), "heard": "2026-03-02T08:10:00Z"}
    held = msgspec.json.decode(msgspec.json.encode(before), type=Held)
    assert (held.story, held.began) == ("", None)


@pytest.mark.parametrize("late", [0, 10, 45])
def test_it_does_not_matter_how_late_posts_are_read(tmp_path: Path, late: int) -> None:
    flow = metro(tmp_path)
    for text in (*SMOKE, *ATTACK):
        flow.told([text], late=late * MINUTE)
    assert len(flow.alerts()) == 2


def test_two_further_incidents_at_once_are_an_alert_each(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), SMOKE)
    told(flow, [text for pair in zip(ATTACK, FALL, strict=True) for text in pair])
    _, attack, fall = flow.alerts()
    assert all("体育馆" in one.excerpt for one in fall.evidence)
    assert all("体育馆" not in one.excerpt for one in attack.evidence)


def test_what_is_told_of_all_at_once_is_told_apart(tmp_path: Path) -> None:
    """However many posts are read together: an alert of the topic, and one of the story."""
    flow = told(metro(tmp_path), SMOKE[:9])
    flow.told([SMOKE[9], *ATTACK])
    told(flow, LATER)
    smoke, attack = flow.alerts()
    assert all("文化宫" in one.excerpt for one in attack.evidence)
    assert smoke.until > attack.until


def test_eyewitnesses_who_name_no_place_leave_the_story_an_alert_of_its_own(tmp_path: Path) -> None:
    quiet = RULES[0].model_copy(update={"quiet": timedelta(hours=24)})
    flow = told(metro(tmp_path, (quiet,)), SMOKE)
    flow.clock.move(70 * MINUTE)
    told(flow, ("地铁里有人砍人，快跑啊", "好多血，地铁上全乱了", "地铁有人受伤倒地，报警了"))
    told(flow, ATTACK)
    assert [alert.topics for alert in flow.alerts()] == [(), ()]


def test_a_rule_within_others_tells_of_stories_too(tmp_path: Path) -> None:
    both = Rule(name="both", kind="any", rules=["safety", "many"], level=1)
    assert len(told(metro(tmp_path, (*RULES, both)), (*SMOKE, *ATTACK)).alerts()) == 2


def test_words_are_compared_without_links_and_in_one_script() -> None:
    def linked(texts: Iterable[str]) -> list[str]:
        return [f"{text} https://t.example/a7Kx" for text in texts]

    assert (
        _stories(
            [f"{text} https://t.example/a7Kx" for text in ATTACK],
            first=[f"{text} https://t.example/a7Kx" for text in SMOKE],
        )
        == 1
    )
    traditional = (
        "朝陽站還在冒煙，地鐵口全是救護車",
        "朝陽站的傷員送去醫院了，地鐵停運",
        "朝陽站起火原因是電纜，地鐵公司說的",
    )
    assert _stories(traditional) == 0


@pytest.mark.parametrize("length", [20, 120, 250])
def test_new_words_of_the_first_story_leave_room_for_those_of_another(length: int) -> None:
    rest = random.Random(1)
    filler = ["朝阳站地铁" + "".join(chr(rest.randrange(0x4E00, 0x9000)) for _ in range(length)) for _ in range(60)]
    assert _stories(ATTACK, first=(*SMOKE, *filler)) == 1


@pytest.mark.parametrize("hour", range(0, 24, 2))
def test_a_story_may_begin_at_any_time_of_day(hour: int) -> None:
    assert _stories(ATTACK, at=T0 + timedelta(hours=hour, minutes=-7)) == 1


def test_a_story_of_which_nobody_tells_ends_while_others_go_on() -> None:
    stories, now = Stories({}, [METRO]), T0
    for number, text in enumerate((*SMOKE, *ATTACK)):
        now = _hear(stories, number, now, text, "metro")
    for day in range(6):
        _hear(stories, 100 + day, T0 + day * timedelta(hours=12), SMOKE[day], "metro")
    assert not stories.of("metro")


def test_it_forgets_and_keeps_no_voice() -> None:
    memory: dict[str, bytes] = {}
    stories, now = Stories(memory, [METRO]), T0
    for number, text in enumerate((*SMOKE, *ATTACK[:2])):
        now = _hear(stories, number, now, text, "metro")
    stories.save()
    assert memory
    assert not any(hashed(f"p{number}").to_bytes(8).hex().encode() in b"".join(memory.values()) for number in range(12))
    stories.drop(int((now + timedelta(days=3)).timestamp()))
    assert not memory


def test_what_it_knows_of_calm_days_comes_back_however_long_it_is() -> None:
    memory: dict[str, bytes] = {}
    calm, rest = Calm(memory, [METRO]), random.Random(1)
    for hour in range(400):
        text = "地铁口" + "".join(chr(rest.randrange(0x4E00, 0x9000)) for _ in range(280))
        calm.learn("metro", int(T0.timestamp()) + hour * 3600, text)
        calm.save()
    again = Calm(dict(memory), [METRO])
    assert again.of("metro") == calm.of("metro")
    assert sum(map(len, memory.values())) < 60_000
    again.learn("metro", int(T0.timestamp()), "地铁")
    assert again.of("metro") == calm.of("metro"), "an hour is read once"
    again.drop(int(T0.timestamp()) + 500 * 3600)
    assert again.of("metro").posts == 0


def test_a_repeated_text_is_no_further_report_of_a_story(tmp_path: Path) -> None:
    flow = told(metro(tmp_path), (*SMOKE, *ATTACK))
    told(flow, [f"{ATTACK[4]}{end}" for end in ("！", "[泪]", "转发", "太可怕了", "求扩散")])
    attack = flow.alerts()[-1]
    assert attack.event is not None
    assert attack.event.posts >= 9
    assert attack.event.independent == 5


def test_of_further_incidents_some_are_told_by_themselves_and_hardly_anything_is_told_again() -> None:
    """Floors: what is found may only become more."""
    bench = runpy.run_path(str(Path(__file__).parent.parent / "bench" / "stories.py"))
    found = bench["run"](bench["POSTS"])
    busy, other = [one for one in found if one.busy], [one for one in found if not one.busy]
    assert (len(busy), len(other)) == (6, 22)
    assert bench["further"](busy) >= 6
    assert bench["further"](other) >= 8
    assert sum(map(bench["again"], busy)) == 0
    assert sum(map(bench["again"], other)) <= 1  # of one the first alert shows as much of the second incident
