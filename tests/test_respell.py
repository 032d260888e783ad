"""Words respelled or broken up to dodge a filter are read as what they stand for; usual texts stay as they are."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tingchao.models.corpora import unlabelled
from tingchao.models.features import read
from tingchao.models.normalise import plain_batch
from tingchao.models.respell import dodged, usual


def as_read(*texts: str) -> list[str]:
    return read(texts).plain.texts


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("昨天遇到炸骗,钱没了", "昨天遇到诈骗,钱没了"),  # sound
        ("他们是作骗团伙", "他们是诈骗团伙"),  # shape
        ("讠乍马扁电话", "诈骗电话"),
        ("扌殳讠斥无门", "投诉无门"),
        ("氵台氵朝", "氵台氵朝"),  # no listed word: left alone
        ("诈👍骗", "诈骗"),
        ("诈**骗", "诈骗"),
        ("投 诉无门", "投诉无门"),
        ("加V信领红包", "加微信领红包"),
        ("薇信转帐", "微信转账"),
        ("拉圾商家", "垃圾商家"),
        ("炸骗电话,炸骗短信", "诈骗电话,诈骗短信"),
    ],
)
def test_a_dodge_is_read_as_the_word_it_stands_for(written: str, meant: str):
    assert as_read(written) == [meant]


@pytest.mark.parametrize(
    "text",
    [
        "期货大涨",  # sounds like 起火
        "国际新闻",  # like 过期
        "继续努力",  # like 急需
        "李易峰的新戏",  # 易峰 sounds like 台风's neighbours; a name
        "该女子评价很高",
        "四人死里逃生",
        "威信很高的老人",
        "火灾 现场",
    ],
)
def test_a_usual_text_stays(text: str):
    assert as_read(text) == [text]


def test_the_words_of_a_restored_text_are_cut_anew():
    reading, plain = read(["昨天遇到炸骗了", "今天"]), read(["昨天遇到诈骗了", "今天"])
    assert np.array_equal(reading.hashes, plain.hashes)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="炸骗诈讠乍马扁👍 *,加v信投诉拉圾a\n", max_size=20), max_size=6))
def test_a_batch_gives_each_text_what_it_gives_alone(texts: list[str]):
    assert as_read(*texts) == [one for text in texts for one in as_read(text)]


def test_a_restored_text_stays_as_it_is():
    once = as_read("昨天遇到炸骗,讠乍马扁", "投☆诉")
    assert as_read(*once) == once


def test_the_tables_agree():
    assert all(len(word) >= 2 for word in dodged())
    assert set(dodged()) <= usual()


@pytest.mark.shared
def test_of_usual_texts_few_are_changed(shared: Path):
    """Measured: 0.2 % of pool texts, one in four of them rightly; without its conditions it was 8 %."""
    texts = random.Random(3).sample(unlabelled(shared), 20_000)
    changed = sum(before != after for before, after in zip(plain_batch(texts).texts, as_read(*texts), strict=True))
    assert changed < 0.006 * len(texts)
