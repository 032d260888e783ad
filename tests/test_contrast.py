"""The contrast set keeps its format and promises, and its measure can tell a reader from a coin."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from tingchao.models.contrast import (
    Answer,
    Head,
    Kind,
    Pair,
    Side,
    contrast_figures,
    is_right,
    keyword_answer,
    read_keywords,
    read_pairs,
)
from tingchao.models.labels import read_handmade
from tingchao.models.scores import SENTIMENTS, SIGNALS, Scores

PAIRS = read_pairs()
SIDES = [side for pair in PAIRS for side in (pair.a, pair.b)]
MOST_EDITS = 12  # characters
LEAST_PAIRS = 300
MOST_SHARED = 0.5  # of the pairs of characters of two texts; 0.31 was the most when both files were written

FIRE = Side("楼下着火了", ("safety",), 2, live=True, sentiment="neutral")
NO_FIRE = Side("楼下没着火", (), 0, live=False, sentiment="neutral")


def edits(one: str, other: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(other) + 1))
    for at, character in enumerate(one, 1):
        before, row[0] = row[0], at
        for place, wanted in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (character != wanted))
    return row[-1]


def perfect(side: Side) -> Answer:
    return Answer(frozenset(side.signals), side.severity, side.live, side.sentiment)


def scores(side: Side) -> Scores:
    """What a model that reads like the author would say."""
    feeling = [float(side.sentiment == name) for name in SENTIMENTS]
    signals = tuple(float(name in side.signals) for name in SIGNALS)
    return Scores(*feeling, signals, side.severity, float(side.live), 0.0, side.signals)


def test_there_are_enough_pairs_and_none_twice() -> None:
    assert len(PAIRS) >= LEAST_PAIRS
    assert len({pair.id for pair in PAIRS}) == len(PAIRS)
    assert not [text for text, count in Counter(side.text for side in SIDES).items() if count > 1]


def test_no_text_is_near_one_that_trains() -> None:
    trains = [grams(one.text) for one in read_handmade()]
    judges = [(side, grams(side.text)) for side in SIDES]
    assert not [side for side, own in judges if any(len(own & one) > MOST_SHARED * len(own | one) for one in trains)]


def test_every_kind_head_and_signal_is_covered() -> None:
    kinds, heads = Counter(pair.kind for pair in PAIRS), Counter(pair.head for pair in PAIRS)
    assert set(kinds) == set(get_args(Kind))
    assert min(kinds.values()) >= 12
    assert set(heads) == set(get_args(Head))
    assert min(heads.values()) >= 20
    told = Counter(name for pair in PAIRS if pair.head == "signal" for name in {*pair.a.signals} ^ {*pair.b.signals})
    assert set(told) == set(SIGNALS)
    assert min(told.values()) >= 12


def grams(text: str) -> set[str]:
    return {text[at : at + 2] for at in range(len(text) - 1)}


def keeps_the_guideline(side: Side) -> bool:
    """Without a signal there is nothing at stake and nothing is live."""
    ordered = list(side.signals) == [name for name in SIGNALS if name in side.signals]
    quiet = bool(side.signals) or (side.severity == 0 and not side.live)
    known = side.sentiment in SENTIMENTS and 0 <= side.severity <= 3
    return ordered and quiet and known and 10 <= len(side.text) <= 120 and side.text == side.text.strip()


def test_labels_keep_the_guideline() -> None:
    assert not [side for side in SIDES if not keeps_the_guideline(side)]


def test_sides_differ_in_little_and_in_the_head_that_is_asked() -> None:
    assert not [pair.id for pair in PAIRS if not pair.id.startswith(f"{pair.kind}-")]
    assert not [pair for pair in PAIRS if edits(pair.a.text, pair.b.text) > MOST_EDITS]
    assert not [pair for pair in PAIRS if not is_right(pair, perfect(pair.a), perfect(pair.b))]
    assert not [pair for pair in PAIRS if is_right(pair, perfect(pair.a), perfect(pair.a))]


def test_a_reader_gets_every_pair_and_one_who_answers_alike_gets_none() -> None:
    by_text = {side.text: side for side in SIDES}
    reader = contrast_figures(PAIRS, lambda texts: [scores(by_text[text]) for text in texts])
    assert {figure.ours for figure in reader} == {1.0}
    constant = contrast_figures(PAIRS, lambda texts: [scores(FIRE)] * len(texts))
    assert {figure.ours for figure in constant} == {0.0}
    assert constant[0].count == len(PAIRS)


def test_a_signal_that_both_sides_have_is_not_asked() -> None:
    both = Pair("x-1", "negation", "signal", FIRE, NO_FIRE)
    leaking = frozenset({"leak"})
    assert is_right(
        both, perfect(FIRE)._replace(signals=leaking | {"safety"}), perfect(NO_FIRE)._replace(signals=leaking)
    )
    assert not is_right(both, perfect(FIRE), perfect(FIRE))


def test_keywords_know_a_negation_close_by_and_nothing_more() -> None:
    words = read_keywords()
    assert set(words.signals) == set(SIGNALS)
    assert keyword_answer("楼下着火了", words).signals == {"safety"}
    assert keyword_answer("楼下没有着火", words).signals == frozenset()
    assert keyword_answer("没有一个人说楼下着火", words).signals == {"safety"}
    assert keyword_answer("车站起火，三人死亡", words) == Answer(
        frozenset({"safety"}), 3, live=True, sentiment="neutral"
    )
    assert keyword_answer("师傅来得很快，谢谢", words).sentiment == "positive"
