"""A topic that only follows a person is refused, and nothing else is taken for one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pydantic import ValidationError

from tingchao.config.load import ConfigError
from tingchao.config.names import is_person
from tingchao.config.settings import load
from tingchao.config.topics import Topic


def _words(text: str) -> list[str]:
    return text.split()


PEOPLE = _words(
    """
    张伟 王芳 李娜 刘强 刘洋 李静 张三 李四 王五 李明 王强 陈建国 王小明 马云 雷军 任正非 马化腾 李彦宏 董明珠
    王健林 罗永浩 周杰伦 林俊杰 刘德华 张学友 张文宏 白岩松 杨振宁 屠呦呦 苏炳添 刘翔 姚明 朱婷 许昕 欧阳娜娜
    司马南 诸葛亮 李女士 王先生 张某 张某某 刘某某 欧阳女士 俞敏洪 埃隆·马斯克 @somebody ＠某人
    """
)
THINGS = _words(
    """
    高考 马航 安全 黄河 江苏 白酒 水管 小米 华为 石油 金融街 温州 钱塘江 地铁 地铁站 高铁 方便 方便面 关系 云南
    万科 万达 华山 成都 武汉 常州 安徽 宁波 金华 唐山 邢台 房山 顾客 项目 向前 水灾 童装 任务 计划 江河 黄金周
    石家庄 张家口 秦皇岛 高安 文登 武威 吴江 萧山 徐汇 余杭 郑州 徐州 许可证 王朝 雷达 文明 高峰期 康师傅 王老吉
    方太 周黑鸭 李宁 白名单 石墨烯 文旅局 方舱 陆家嘴 马拉松 常德 预制菜 食堂 医院 暴雨 台风 自来水 孔子学院
    """
)


def topic(**words: object) -> Topic:
    return Topic.model_validate({"name": "t", "title": "t", **words})


@pytest.mark.parametrize(
    "name", [*PEOPLE, "王小明局长", "院长张伟", "李明博士", "王 小 明", "Elon Musk", "John Smith", "Donald J. Trump"]
)
def test_a_persons_name_alone_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="would follow a person"):
        topic(any=[name])


@pytest.mark.parametrize(
    "word",
    [
        *THINGS,
        "高校校长",
        "林业局局长",
        "安全部长",
        "金融主任",
        "马航总裁",
        "水务集团董事长",
        "New York",
        "Morgan Stanley",
        "Tesla Model",
        "iPhone",
        "Apple Inc",
    ],
)
def test_other_words_are_not_taken_for_names(word: str) -> None:
    assert topic(any=[word]).any == [word]


def test_the_refusal_names_the_topic_and_the_word_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "topics.toml").write_text('[[topic]]\nname = "boss"\ntitle = "老板"\nany = ["张伟", "地铁"]\n', "utf-8")
    with pytest.raises(ConfigError) as err:
        load(tmp_path)
    for part in ("topics.toml", "boss", "张伟", "topics, never people", "'all'", "'near'"):
        assert part in str(err.value)
    assert "地铁 alone" not in str(err.value)


@pytest.mark.parametrize(
    "words",
    [
        {"any": ["张伟", "地铁"]},  # the name alone is enough for a match
        {"any": ["张伟"], "none": ["地铁"]},
        {"all": ["张伟", "王芳"]},
        {"all": ["张伟", "的"]},
        {"near": [{"words": ["张伟", "王芳"]}]},
        {"any": ["张伟"], "all": ["王芳"]},
    ],
)
def test_a_name_that_can_match_alone_is_refused(words: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="would follow a person"):
        topic(**words)


@pytest.mark.parametrize(
    "words",
    [
        {"all": ["张伟", "地铁"]},  # a spokesman, together with what he speaks of
        {"any": ["张伟"], "all": ["地铁"]},
        {"all": ["张伟"], "any": ["地铁", "公交"]},
        {"near": [{"words": ["张伟", "地铁"]}]},
        {"any": ["张伟"], "near": [{"words": ["张伟", "地铁"]}]},
        {"any": ["地铁"], "none": ["张伟"]},
    ],
)
def test_a_name_beside_another_word_that_must_hold_is_fine(words: dict[str, object]) -> None:
    topic(**words)


def test_the_topics_that_ship_are_accepted() -> None:
    assert len(load().topics) >= 5


@pytest.mark.shared
def test_no_place_of_the_country_is_taken_for_a_person(shared: Path) -> None:
    names = set()
    for kind in ("provinces", "cities", "areas"):
        with (shared / f"data/places_holidays/{kind}.csv").open(encoding="utf-8") as file:
            names |= {row["name"] for row in csv.DictReader(file)}
    assert len(names) > 2_000
    assert [name for name in names if is_person(name)] == []
    # Without 市, 县 or 区 some look like names: the refusal says to write them in full.
    short = {name[:-1] for name in names if len(name) > 2}
    assert sum(map(is_person, short)) <= 12
