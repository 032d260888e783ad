"""Words that a word before them denies are other words to the models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.models.denials import denied
from tingchao.models.features import read, words_of
from tingchao.models.normalise import plain_batch


def denied_in(*texts: str) -> list[str]:
    """The denied characters of each text."""
    plain = plain_batch(texts)
    flags = denied(plain.codes.astype(np.int64), *words_of(plain))
    ends = np.cumsum([len(text) + 1 for text in plain.texts])
    parts = np.split(flags, ends[:-1])
    return [
        "".join(sign for sign, no in zip(text, part, strict=False) if no)
        for text, part in zip(plain.texts, parts, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("没有停电", "停电"),
        ("不是诈骗", "诈骗"),
        ("没有任何泄露", "任何泄露"),
        ("三号线没有停运,快跑", "停运"),
        ("停电了", ""),
        ("有没有停电", ""),
        ("没有,着火了", ""),
        ("", ""),
        ("没有", ""),
    ],
)
def test_what_follows_a_denial_in_its_clause_is_denied(text: str, expected: str) -> None:
    assert denied_in(text) == [expected]


def test_a_denial_ends_with_its_text() -> None:
    assert denied_in("这里没有", "着火了") == ["", ""]


def test_a_denial_reaches_three_words() -> None:
    assert denied_in("没有苹果香蕉桌子椅子") == ["苹果香蕉桌子"]


def test_a_denied_word_shares_no_feature_with_the_word_itself() -> None:
    plain, no = (read([text]) for text in ("停电", "没有停电"))
    assert not set(plain.hashes.tolist()) & set(no.hashes.tolist())


def test_without_a_denial_nothing_changes() -> None:
    apart, together = read(["地铁三号线停运了"]), read(["地铁三号线停运了", "没有停电"])
    assert apart.hashes.tolist() == together.hashes[together.texts == 0].tolist()


@given(st.lists(st.text("没有停电着火,。不 是a\n1", max_size=30), min_size=1, max_size=5))
def test_texts_of_a_batch_do_not_touch_each_other(texts: list[str]) -> None:
    assert denied_in(*texts) == [denied_in(text)[0] for text in texts]
