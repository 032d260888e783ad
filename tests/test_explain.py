"""The words behind a score, in one pass, against the score without each word."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from tingchao.models.explain import spans, word_shares
from tingchao.models.features import read, words_of
from tingchao.models.normalise import plain_batch
from tingchao.models.scorer import Scorer
from tingchao.models.scores import HEADS

CASES = [
    ("三号线停运两小时了，没人管，乘客都在骂", "outage", "停运"),
    ("地铁站着火了，大家快跑", "safety", "着火"),
    ("这家餐厅吃完拉肚子，怀疑食物中毒", "health", "食物中毒"),
    ("网传自来水有毒，官方辟谣不实", "rumour", "网传"),
    ("这家餐厅很好吃", "positive", "好吃"),
]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load()


def test_of_two_things_that_a_reader_would_name_both_come_first(scorer: Scorer) -> None:
    (moved,) = scorer.phrases(["地铁站着火了快跑，有人受伤"], [("safety",)])
    assert [phrase for phrase, _ in moved["safety"].up[:2]] == ["着火", "有人受伤"]


def test_words_are_shown_as_they_were_written(scorer: Scorer) -> None:
    (moved,) = scorer.phrases(["昨天遇到炸骗，钱没了"], [("fraud",)])
    assert "炸骗" in moved["fraud"].up[0][0]


@pytest.mark.parametrize(("text", "head", "word"), CASES)
def test_the_strongest_word_is_the_one_a_reader_would_name(scorer: Scorer, text: str, head: str, word: str) -> None:
    strongest, moved = scorer.why(text, head)[0]
    assert strongest == word
    assert moved > 0


@pytest.mark.parametrize(("text", "head", "word"), CASES)
def test_a_word_moves_the_head_about_as_far_as_leaving_it_out_does(
    scorer: Scorer, text: str, head: str, word: str
) -> None:
    def odds(changed: str) -> float:
        chance = float(np.clip(scorer.numbers(read([changed]))[0, HEADS.index(head)], 1e-6, 1 - 1e-6))
        return float(np.log(chance / (1 - chance)))

    left_out = odds(text) - odds(text.replace(word, " "))
    assert dict(scorer.why(text, head))[word] == pytest.approx(left_out, rel=0.3, abs=0.2)  # of log-odds


def test_every_feature_has_its_span_and_the_shares_add_up(scorer: Scorer) -> None:
    reading, model = read(["地铁三号线停运，停运了！"]), scorer._model
    starts, lengths = spans(reading.plain, reading.words)
    assert len(starts) == len(lengths) == len(reading.hashes)
    assert (starts + lengths).max() < len(reading.plain.codes)
    shares, part = word_shares(reading, model.vocabulary, model.table)
    assert part.sum() == pytest.approx(1, rel=1e-3)
    whole, nothing = (model.table.outputs(model.vocabulary.matrix(one)) for one in (reading, read([""])))
    assert shares.sum(axis=0) == pytest.approx((whole - nothing)[0], rel=1e-3, abs=1e-3)
    deep, weight = model.meaning.shares(reading)
    assert weight.sum() == pytest.approx(1, rel=1e-3)
    assert deep.sum(axis=0) == pytest.approx(model.meaning.hidden(reading)[0], rel=1e-3, abs=1e-3)


def test_an_unknown_head_is_named(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="no head 'anger'"):
        scorer.whys(["地铁"], [("anger",)])


def test_what_is_not_chinese_has_no_reasons(scorer: Scorer) -> None:
    assert scorer.whys(["hello"], [("safety",)]) == [{"safety": []}]


def test_a_batch_says_the_same_as_each_text_alone(scorer: Scorer) -> None:
    texts = [text for text, _, _ in CASES] + ["", "hello", CASES[0][0]]
    heads = [(head,) for _, head, _ in CASES] + [("safety",), ("safety",), ("outage", "negative")]
    together = scorer.whys(texts, heads)
    for text, asked, found in zip(texts, heads, together, strict=True):
        for head in asked:
            alone = scorer.why(text, head)
            assert [word for word, _ in found[head]] == [word for word, _ in alone]
            assert [moved for _, moved in found[head]] == pytest.approx([moved for _, moved in alone], abs=1e-3)


@pytest.mark.parametrize("cutter", ["rjieba", "jieba"])
def test_texts_cut_together_have_the_words_that_each_has_alone(cutter: str) -> None:
    cut = importlib.import_module(cutter).cut
    texts = ["地铁停运了", "", " ", "Line 3 停运\r\n两小时", "", "，，", "火车站着火"]
    together = plain_batch(texts)
    words = words_of(together, lambda text: list(cut(text)))
    for number, text in enumerate(texts):
        alone = words_of(plain_batch([text]), lambda one: list(cut(one)))
        mine = words.texts == number
        assert words.lengths[mine].tolist() == alone.lengths.tolist()
