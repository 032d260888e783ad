"""How much each hour of the past says about a given hour: time of day, weekday, days off, age, and what was known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tingchao.config import calendar

Numbers = NDArray[np.float64]

HOUR = 3600
DAY = 86400
BEIJING = 8 * HOUR  # China has one zone and no summer time; days, days off and times of day are local ones
MEMORY = 28 * 24  # slots that are looked back on: four weeks of hours, so that each weekday counts as much
HALF = 14 * 24  # slots after which the past says half as much, so that slow growth is followed
_SPREAD = 1.5  # hours: how quickly the weight of an hour falls with its distance in the time of day


@dataclass(frozen=True, slots=True)
class Past:
    """What was counted in successive slots.

    `first` is the number of the first slot since 1970, `slot` its length in seconds (an hour, or the step of a
    series that is longer), `known` the share of each slot that was observed: missing is not zero.
    """

    values: Numbers
    first: int
    slot: int = HOUR
    known: Numbers | None = None


def weights(past: Past, at: float) -> Numbers:
    """The weight of each slot, 1 at most, for the time `at` (in slots since 1970).

    The same time of the day says most, then the same weekday, then days of the same kind (worked or off). The less
    past there is, the more the other slots must say.
    """
    count = len(past.values)
    own = _season(past.first, count, at, past.slot) * _ages(count)
    return own if past.known is None else own * past.known


@lru_cache(maxsize=2048)  # of four weeks each: 11 MB
def _season(first: int, count: int, at: float, slot: int) -> Numbers:
    starts = (np.arange(first, first + count) * slot + BEIJING).astype(np.int64)
    mine = int(at * slot) + BEIJING
    apart = np.abs(starts % DAY - mine % DAY) / HOUR
    apart = np.minimum(apart, 24 - apart)
    days, weeks = count * slot / DAY, count * slot / DAY / 7
    floor = 1 / (1 + days * days)
    hour = floor + (1 - floor) * np.exp(-0.5 * (apart / _SPREAD) ** 2)
    return hour * _kin(starts // DAY, mine // DAY, weeks)


def _kin(days: NDArray[np.int64], day: int, weeks: float) -> Numbers:
    """How much days say of another one: 1 the same weekday, less the other days of its kind, least the other kind."""
    kinds = calendar.off(int(days[0]), int(days[-1] - days[0]) + 1)[days - days[0]]
    same = kinds == calendar.off(day, 1)[0]
    return np.where(same, np.where(days % 7 == day % 7, 1.0, 1 / (1 + weeks / 2)), 1 / (1 + 2 * weeks))


@lru_cache(maxsize=8)
def _ages(count: int) -> Numbers:
    ages: Numbers = 0.5 ** (np.arange(count - 1, -1, -1) / HALF)
    return ages
