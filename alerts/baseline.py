"""What is usual for a topic: from the hours of the past weeks to what a window should hold, and how unlikely more is.

Counts are over-dispersed, so the test is a negative-binomial one. With m the weighted mean of the past hours and v
their variance, v = m + m²/r gives the size r; the uncertainty of m itself, a Gamma(a, w) after a Jeffreys prior, adds
its own share: 1/size = 1/r + 1/a.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

Numbers = NDArray[np.float64]

COLD = 24  # hours of history below which nothing is called usual: one whole day
_SPREAD = 1.5  # hours: how quickly the weight of an hour falls with its distance in the time of day
_JEFFREYS = 0.5  # Gamma(1/2, 0), the usual prior for a rate of which nothing is known
_JUDGED = 20.0  # posts (weighted) that a share must have been seen on


@dataclass(frozen=True, slots=True)
class Usual:
    """How many are to be expected in a window, and the size of the negative-binomial distribution around it."""

    expected: float
    size: float

    def tail(self, observed: float) -> float:
        """Chance of at least `observed` if nothing had changed; also between whole numbers."""
        if observed <= 0:
            return 1.0
        return float(betainc(observed, self.size, self.expected / (self.expected + self.size)))


@dataclass(frozen=True, slots=True)
class UsualShare:
    """Which share of the posts is usually negative."""

    expected: float

    def tail(self, share: float, posts: int) -> float:
        """Chance that at least so large a share of so many posts is negative, if they came independently."""
        hits = share * posts
        if hits <= 0:
            return 1.0
        return float(betainc(hits, posts - hits + 1, self.expected))


def usual(values: Numbers, first: int, middle: float, length: float) -> Usual | None:
    """What a window of `length` hours around the hour `middle` should hold; None when there is too little history.

    `values` are the totals of successive hours, `first` the number of the earliest; hours are counted from any one
    midnight on.
    """
    if len(values) < COLD:
        return None
    weights = hour_weights(first % 24, len(values), middle % 24)
    total = float(weights.sum())
    seen = float(weights @ values)
    mean = seen / total
    known = total * total / float(weights @ weights)  # how many equally weighted hours would say as much
    spread = float(weights @ (values - mean) ** 2) / total * known / (known - 1)
    shape = seen + _JEFFREYS
    excess = max(0.0, spread - mean) / mean**2 if mean > 0 else 0.0  # 1/r
    return Usual(shape / total * length, 1 / (excess + 1 / shape))


def usual_share(negative: Numbers, judged: Numbers, first: int, middle: float) -> UsualShare | None:
    """The share of negative posts, weighted like `usual`; None when there is too little history."""
    if len(judged) < COLD:
        return None
    weights = hour_weights(first % 24, len(judged), middle % 24)
    posts = float(weights @ judged)
    if posts < _JUDGED:
        return None
    return UsualShare((float(weights @ negative) + _JEFFREYS) / (posts + 2 * _JEFFREYS))


@lru_cache(maxsize=1024)  # 24 hours to begin with times 24 to aim at, of four weeks each: 5 MB
def hour_weights(first: int, count: int, middle: float) -> Numbers:
    """Weights of `count` successive hours from the hour of day `first` on, 1 at most, for the time of day `middle`.

    The same hour of the day says most. The fewer days there are, the more the other hours must say.
    """
    floor = 1 / (1 + count / 24)
    day = [floor + (1 - floor) * exp(-0.5 * (_round_the_clock(h + 0.5 - middle) / _SPREAD) ** 2) for h in range(24)]
    return np.resize(np.roll(day, -first), count)


def _round_the_clock(hours: float) -> float:
    distance = abs(hours) % 24
    return min(distance, 24 - distance)
