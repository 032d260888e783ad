"""Which verdicts train and which judge, and when one model may replace another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.models.compare import Difference, differences, replaces
from tingchao.models.corpora import Row
from tingchao.models.feedback import Example, joined, split
from tingchao.models.scores import SIGNALS, Scores
from tingchao.models.train import is_held

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def example(number: int, group: str, text: str = "", *signals: str) -> Example:
    return Example(text or f"{number * 7919}号线的第{number}列车{number}", signals, group, T0 + number * HOUR)


def test_a_verdict_becomes_a_row_that_says_what_is_known_and_no_more() -> None:
    told, nothing = (row for _, row in joined([example(1, "a", "", "outage"), example(2, "a")], []))
    assert [name for name, yes in zip(SIGNALS, told.signals or (), strict=True) if yes] == ["outage"]
    assert (told.live, told.severity, told.sentiment) == (True, None, None)
    assert (nothing.live, nothing.severity, any(nothing.signals or ())) == (False, 0, False)


def test_a_verdict_on_a_text_that_judges_is_left_out_and_one_like_a_training_text_joins_its_group() -> None:
    texts = [f"第{n}个城市的地铁在早高峰停运了很长时间，{n * 31}人受到影响" for n in range(200)]
    rows = [Row(text, "weibo", 0, key=f"g{n}") for n, text in enumerate(texts)]
    held = next(row for row in rows if is_held(row))
    free = next(row for row in rows if not is_held(row))
    found = joined([example(1, "a", held.text), example(2, "a", free.text + "！"), example(3, "a")], rows)
    assert [one.text for one, _ in found] == [free.text + "！", example(3, "a").text]
    assert found[0][1].key == free.key


def test_the_latest_alerts_judge_as_a_whole_and_never_train() -> None:
    found = joined([example(n, f"alert {n // 5}") for n in range(50)], [])
    learning, judging = split(found)
    assert (len(learning), len(judging)) == (40, 10)
    assert {row.key for row in judging} == {"alert 8", "alert 9"}


def test_what_is_nearly_a_judging_text_does_not_train() -> None:
    same = "三号线今天早上在人民广场站停运了四十分钟，乘客都在站台上等"
    found = joined([*(example(n, "old") for n in range(9)), example(9, "old", same), example(10, "new", same)], [])
    learning, judging = split(found)
    assert (len(learning), len(judging)) == (9, 1)


def test_one_alert_alone_trains_and_nothing_judges() -> None:
    learning, judging = split(joined([example(n, "only") for n in range(5)], []))
    assert (len(learning), len(judging)) == (5, 0)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_no_verdict_is_on_both_sides_and_none_that_judges_is_older_than_its_alert_s_peers(groups: list[int]) -> None:
    found = joined([example(n, str(group)) for n, group in enumerate(groups)], [])
    learning, judging = split(found)
    texts = {row.text for row in learning}, {row.text for row in judging}
    assert not texts[0] & texts[1]
    assert learning
    assert len(learning) + len(judging) <= len(groups)
    of = {one.text: one for one, _ in found}
    newest = [
        max(n for n, group in enumerate(groups) if str(group) == name) for name in {of[t].group for t in texts[0]}
    ]
    judged = [
        max(n for n, group in enumerate(groups) if str(group) == name) for name in {of[t].group for t in texts[1]}
    ]
    assert not judged or max(newest) < min(judged)


# Comparing


def scores(negative: float, positive: float) -> Scores:
    return Scores(negative, 1 - negative - positive, positive, (0.0,) * len(SIGNALS), 0.0, 0.0, 0.0)


def reader(right: float, seed: int, truth: dict[str, int]) -> object:
    """A model that is right so often."""
    generator = np.random.default_rng(seed)
    said = {text: (feeling if generator.random() < right else 2 - feeling) for text, feeling in truth.items()}

    def score(texts: Sequence[str]) -> list[Scores]:
        return [scores(0.1, 0.8) if said[text] == 2 else scores(0.8, 0.1) for text in texts]

    return score


def rows(count: int) -> list[Row]:
    return [Row(f"t{n}", "weibo", 2 * (n % 2), key=f"k{n}") for n in range(count)]


def test_a_better_model_is_better_beyond_the_interval_and_an_equal_one_is_not() -> None:
    some = rows(800)
    truth = {row.text: row.sentiment or 0 for row in some}
    (better,) = differences({"a": some}, reader(0.7, 1, truth), reader(0.9, 2, truth))  # type: ignore[arg-type]
    assert (better.name, better.metric, better.count) == ("a", "accuracy", 800)
    assert better.better
    assert better.low < better.challenger - better.champion < better.high
    (equal,) = differences({"a": some}, reader(0.8, 1, truth), reader(0.8, 1, truth))  # type: ignore[arg-type]
    assert (equal.low, equal.high, equal.better, equal.worse) == (0, 0, False, False)


def test_equal_models_rarely_look_different() -> None:
    some = rows(300)
    truth = {row.text: row.sentiment or 0 for row in some}
    apart = [
        differences({"a": some}, reader(0.8, n, truth), reader(0.8, n + 100, truth))[0]  # type: ignore[arg-type]
        for n in range(40)
    ]
    assert sum(one.better or one.worse for one in apart) <= 6  # 2 expected; 7 or more has a chance of 0.3 %


def test_texts_that_belong_together_are_drawn_together() -> None:
    """A hundred near-duplicates that one model gets right are one piece of evidence, not a hundred."""
    copies = [Row(f"t{n}", "weibo", 2, key="one") for n in range(100)] + rows(0)
    others = [Row(f"o{n}", "weibo", 2, key=f"o{n}") for n in range(20)]
    truth = {row.text: 2 for row in (*copies, *others)}
    champion = reader(1.0, 1, truth | {row.text: 0 for row in copies})
    (apart,) = differences({"a": [*copies, *others]}, champion, reader(1.0, 1, truth))  # type: ignore[arg-type]
    assert apart.challenger > apart.champion
    assert not apart.better


def test_a_few_alerts_prove_nothing() -> None:
    """Nine alerts of ten posts each, all right with one model and all wrong with the other."""
    some = [Row(f"t{n}", "weibo", 2, key=f"alert {n // 10}") for n in range(90)]
    truth = {row.text: 2 for row in some}
    (apart,) = differences({"a": some}, reader(0.0, 1, truth), reader(1.0, 1, truth))  # type: ignore[arg-type]
    assert (apart.champion, apart.challenger) == (0, 1)
    assert not apart.better
    assert "too few groups" in str(apart)


def test_the_more_figures_are_looked_at_the_more_one_needs_to_be_better() -> None:
    some = rows(300)
    truth = {row.text: row.sentiment or 0 for row in some}
    models = reader(0.7, 1, truth), reader(0.9, 2, truth)
    (alone,) = differences({"a": some}, *models)  # type: ignore[arg-type]
    among = differences({str(n): some for n in range(12)}, *models)[0]  # type: ignore[arg-type]
    assert (among.low, among.high) == (alone.low, alone.high), "what is worse is worse at 95 % of each"
    assert among.surely < alone.surely == alone.low


def difference(low: float, high: float) -> Difference:
    return Difference("a", "accuracy", 100, 0.8, 0.8, low, high, low)


def test_better_by_its_own_interval_alone_does_not_replace() -> None:
    one = Difference("a", "accuracy", 100, 0.8, 0.82, 0.001, 0.03, -0.004)
    assert (one.better, one.worse, replaces([one])) == (False, False, False)


@pytest.mark.parametrize(
    ("intervals", "wins"),
    [
        ([(0.01, 0.03), (-0.01, 0.01)], True),
        ([(-0.01, 0.01)], False),
        ([(0.01, 0.03), (-0.03, -0.01)], False),
        ([(-0.03, -0.01)], False),
        ([(0.0, 0.0)], False),
        ([], False),
    ],
)
def test_better_somewhere_and_worse_nowhere_replaces(intervals: list[tuple[float, float]], wins: bool) -> None:
    assert replaces([difference(*one) for one in intervals]) is wins


def test_judged_posts_are_measured_on_signals_and_live() -> None:
    none, outage = (False,) * 9, tuple(name == "outage" for name in SIGNALS)
    desk = [Row("a", "desk", signals=outage, live=True, key="1"), Row("b", "desk", signals=none, live=False, key="2")]

    def silent(texts: Sequence[str]) -> list[Scores]:
        return [scores(0.1, 0.1) for _ in texts]

    found = {one.metric: one.champion for one in differences({"v": desk}, silent, silent)}
    assert found["signals, share right"] == pytest.approx(17 / 18)
    assert found["signals, 1 - Brier"] == pytest.approx(17 / 18)
    assert found["live, share right"] == pytest.approx(0.5)
    assert differences({"v": []}, silent, silent) == []
