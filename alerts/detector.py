"""A surge: how far the last minutes stand above what is usual, on a scale that is the same for every topic.

The strength is the mean, over windows of 5, 20, 60 and 120 minutes that end now, of the logarithm of observed against
expected posts, so that a sharp burst is seen at once and a slow one within two hours. To both is added what the topic
has on the average, since many times the usual of a quiet night is little. A topic that swings much must rise more: the
strength is divided by its usual swing. A surge is both strong and unlikely by chance, and lasts until a day is calm.
`watch` and `backtest --series` use this very file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from tingchao.alerts.baseline import Usual, usual
from tingchao.alerts.season import HOUR, Numbers, Past, weights

SCALES = (300, 1200, 3600, 7200)  # seconds; see the module
STRONG = 1.9  # strength of a surge: on NAB 83 to 85 from 1.8 to 1.95, beyond it windows are missed
UNLIKELY = 0.001  # chance of as many in the window that is least like chance, if nothing had changed
CALM = 24 * HOUR  # seconds without a surge, after which the next one is another: a second wave of the same is no news
QUIET = CALM + SCALES[-1]  # the same, from the end of one window to the end of the next
_AGAIN = 600  # seconds after which a surge that goes on is told again ...
_GROWTH = log(1.25)  # ... or at once when it is so much stronger
_HALF = 0.5  # post, added to both sides of a window's ratio: the logarithm is then the least biased (Haldane 1956)
_ONE = 1.0  # post, the same for an hour of the past: one post where none is usual is no swing
_SWING = 0.9  # quantile of the hourly log-ratios: outbreaks fill less than a tenth of the time
_TYPICAL = 0.6  # swing of a topic of which nothing is known, worth `_PRIOR` hours
_PRIOR = 96
_TOP = 0.9  # quantile at which hours are cut before their mean is taken: outbreaks are not what is usual
_LEAST = 0.1  # of a swing


@dataclass(frozen=True, slots=True)
class Normal:
    """What is usual for one measure of one topic at one time: for each slot, and how much it swings."""

    usual: Usual  # a slot
    swing: float  # log-ratio that one slot in ten exceeds
    level: float  # posts a slot on the average, at whatever time


@dataclass(frozen=True, slots=True)
class Found:
    """What the last minutes are, compared with the usual."""

    strength: float
    expected: float  # in the longest window
    p: float  # chance that any window holds as much as it does, if nothing had changed; 1 where it is not strong
    enough: bool = True  # whether the longest window holds as much as the rule asks for

    @property
    def surge(self) -> bool:
        return self.enough and self.strength >= STRONG and self.p <= UNLIKELY

    @property
    def score(self) -> float:
        """0-1; one half is where a surge begins."""
        raw = max(0.0, self.strength) / (max(0.0, self.strength) + STRONG)
        return raw if self.surge else min(raw, BELOW)


BELOW = 0.499  # the greatest score of what is no surge


def normal(past: Past, end: int, step: int, swings: float) -> Normal | None:
    """What is usual in the last slot's time of the longest window, which begins in the slot `end`.

    `step`: seconds from one window to the next. None with less than a day of known history.
    """
    longest = max(SCALES[-1], step)
    # Within the slot in which they begin, windows begin half a slot later on the average.
    at = end + (longest - past.slot) / past.slot + (0.5 if step < past.slot else 0.0)
    expected = usual(past, at, 1.0)
    return None if expected is None else Normal(expected, swings, _level(past))


def whole_days(past: Past) -> Past:
    """The past up to its last round of 24 slots, on which `swing` rests, so that it is asked for once a day."""
    count = max(0, (past.first + len(past.values)) // 24 * 24 - past.first)
    return Past(past.values[:count], past.first, past.slot, None if past.known is None else past.known[:count])


def swing(past: Past) -> float:
    """The quantile of the logarithm of each slot against what is usual at its time, drawn to a typical one."""
    known = np.ones(len(past.values)) if past.known is None else past.known
    if not known.any():
        return _TYPICAL
    rates = past.values / np.maximum(known, 1e-9)
    cut = np.minimum(rates, np.quantile(rates[known > 0], _SWING))  # an outbreak is not what is usual
    ratios = np.log((rates + _ONE) / (_profile(past, cut) + _ONE))[known > 0]
    own = max(0.0, float(np.quantile(ratios, _SWING)))
    return (len(ratios) * own + _PRIOR * _TYPICAL) / (len(ratios) + _PRIOR)


def judge(counts: Sequence[tuple[float, float]], usually: Normal, enough: bool) -> Found:  # noqa: FBT001 a plain fact
    """`counts`: (observed, known length in slots) of each window, the longest last."""
    rate, level = usually.usual.expected, usually.level
    ratios = [log((seen + level * length + _HALF) / ((rate + level) * length + _HALF)) for seen, length in counts]
    strength = sum(ratios) / len(ratios) / max(usually.swing, _LEAST)
    expected = rate * counts[-1][1]
    if not enough or strength < STRONG:  # most; chances take longer than all else, and no longer matter
        return Found(strength, expected, 1.0, enough)
    chances = [Usual(rate * length, usually.usual.size).tail(seen) for seen, length in counts]
    return Found(strength, expected, min(1.0, len(chances) * min(chances)), enough)


class Told:
    """The surges of one series that were told: which one begins, and when one that goes on is told again."""

    def __init__(self, told: Mapping[int, float]) -> None:
        """`told`: time in seconds -> strength; what it holds may grow."""
        self._told = told

    def lasts(self, now: int) -> bool:
        """Whether a surge was told of within a day: what comes now belongs to it."""
        return self._last(now) is not None

    def begins(self, found: Found, now: int) -> bool:
        """Whether it is a surge and another than those told before."""
        return found.surge and not self.lasts(now)

    def goes_on(self, found: Found, now: int) -> bool:
        """Whether it belongs to one told before and is to be told again."""
        last = self._last(now)
        if not found.surge or last is None:
            return False
        return now - last >= _AGAIN or found.strength >= self._greatest(now) + _GROWTH

    def _last(self, now: int) -> int | None:
        return max((at for at, _ in self._within(now, QUIET)), default=None)

    def _greatest(self, now: int) -> float:
        return max((strength for _, strength in self._within(now, _AGAIN)), default=0.0)

    def _within(self, now: int, length: int) -> list[tuple[int, float]]:
        return [(at, strength) for at, strength in self._told.items() if now - length <= at <= now]


def _level(past: Past) -> float:
    known = np.ones(len(past.values)) if past.known is None else past.known
    rates = past.values / np.maximum(known, 1e-9)
    return float(np.minimum(rates, np.quantile(rates[known > 0], _TOP)) @ known / known.sum())


def _profile(past: Past, rates: Numbers) -> Numbers:
    """What is usual at the time of each slot, from all slots."""
    count = len(rates)
    day = max(1, 24 * HOUR // past.slot)
    rows = [weights(past, past.first + number) for number in range(min(day, count))]
    # A day's times of day, once for all days: kinds of day would need a row for each and change little here.
    means = np.array([float(row @ rates) / max(float(row.sum()), 1e-9) for row in rows])
    return np.resize(means, count)
