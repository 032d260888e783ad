"""What is usual: hours of the day, over-dispersed counts, shares, and too little history."""

from __future__ import annotations

from math import exp, lgamma, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.alerts.baseline import Past, Usual, UsualShare, usual, usual_share


def test_usual_follows_the_hour_of_the_day() -> None:
    days = np.tile([1.0] * 12 + [20.0] * 12, 14)
    night, noon = usual(Past(days, 0), 6.0, 1.0), usual(Past(days, 0), 18.0, 1.0)
    assert night is not None
    assert noon is not None
    assert night.expected < 5
    assert noon.expected == pytest.approx(20, rel=0.15)
    assert night.tail(20) < 0.05 < noon.tail(20)


@given(st.integers(0, 50), st.floats(0.1, 50), st.floats(0.1, 100))
def test_the_tail_is_that_of_the_negative_binomial_distribution(k: int, mean: float, size: float) -> None:
    p = mean / (mean + size)
    mass = [exp(lgamma(n + size) - lgamma(size) - lgamma(n + 1) + size * log(1 - p) + n * log(p)) for n in range(k)]
    assert Usual(mean, size).tail(k) == pytest.approx(1 - sum(mass), abs=1e-6)


def test_bursty_hours_make_a_burst_less_surprising() -> None:
    rng = np.random.default_rng(1)
    even, bursty = (
        usual(Past(rng.poisson(6, 672).astype(float), 0), 12, 1),
        usual(Past(rng.negative_binomial(0.5, 0.5 / 6.5, 672).astype(float), 0), 12, 1),
    )
    assert even is not None
    assert bursty is not None
    assert even.expected == pytest.approx(6, rel=0.15)
    assert even.tail(25) < 1e-4 < bursty.tail(25)


def test_an_empty_history_expects_little_but_not_nothing() -> None:
    quiet = usual(Past(np.zeros(672), 0), 12, 1)
    assert quiet is not None
    assert 0 < quiet.expected < 0.03
    assert 1e-9 < quiet.tail(3) < 0.001


def test_less_than_a_day_is_no_history() -> None:
    assert usual(Past(np.ones(23), 0), 12, 1) is None
    assert usual_share(np.zeros(48), np.full(48, 0.1), 0, 12) is None


def share_chances(alike: float, posts: float) -> tuple[list[float], list[float]]:
    """Where nothing changes, the chance of the last hour of two weeks; the second as if posts were independent."""
    rng = np.random.default_rng(1)
    found, independent = [], []
    for _ in range(400):
        judged = rng.poisson(posts, 337).astype(float)
        spread = 1 / alike - 1
        negative = rng.binomial(judged.astype(int), rng.beta(0.4 * spread, 0.6 * spread, 337)).astype(float)
        usually = usual_share(negative[:-1], judged[:-1], 0, 336.5)
        assert usually is not None
        last, share = int(judged[-1]), negative[-1] / max(judged[-1], 1.0)
        found.append(usually.tail(share, last))
        independent.append(UsualShare(usually.expected).tail(share, last))
    return found, independent


@pytest.mark.parametrize("alike", [0.05, 0.2])
def test_a_share_that_swings_from_hour_to_hour_is_seldom_called_unusual(alike: float) -> None:
    found, independent = share_chances(alike, 40.0)
    assert sum(p <= 0.01 for p in found) <= 10, "of 400, 4 are expected"
    assert sum(p <= 0.01 for p in independent) > 20, "posts of one hour are not independent"


def test_a_share_of_few_posts_says_little_and_one_of_many_much() -> None:
    judged = np.full(336, 20.0)
    usually = usual_share(0.2 * judged, judged, 0, 336.5)
    assert usually is not None
    assert usually.expected == pytest.approx(0.2, abs=0.01)
    assert usually.tail(1.0, 1) == pytest.approx(usually.expected, rel=0.1), "one post of which one in five is so"
    chances = [usually.tail(0.6, posts) for posts in (5, 20, 80)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.01 > 1e-6 > chances[-1]


def test_hours_without_posts_say_nothing_of_a_share() -> None:
    judged, gaps = np.full(336, 20.0), np.full(336, 20.0)
    gaps[200:202] = 0.0
    whole, missing = (usual_share(0.2 * n, n, 0, 336.5) for n in (judged, gaps))
    assert whole is not None
    assert missing is not None
    assert missing.expected == pytest.approx(whole.expected, rel=0.001)
    assert missing.tail(0.6, 30) == pytest.approx(whole.tail(0.6, 30), rel=0.2)
