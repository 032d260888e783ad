"""calendar.toml: which days are off in mainland China, so that a holiday is compared with holidays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from tingchao.config.load import Block, read

_EPOCH = date(1970, 1, 1)


class Year(Block):
    """The announcement for one year; ISO dates, ranges as first..last."""

    year: int
    off: list[str] = []
    work: list[str] = []

    @model_validator(mode="after")
    def _are_days_of_the_year(self) -> Year:
        for text in (*self.off, *self.work):
            days = list(_days(text))
            if not days or {day.year for day in days} != {self.year}:
                raise ValueError(
                    f"{text!r}: expected a day, or first..last, of {self.year} as in 2026-02-15..2026-02-23"
                )
        return self


class CalendarFile(Block):
    """calendar.toml."""

    year: list[Year] = []


def off(first: int, count: int) -> NDArray[np.bool_]:
    """Which of `count` days from `first` on (days since 1970, by the local date) are off."""
    table = _table()
    return np.fromiter((table.get(day, _weekend(day)) for day in range(first, first + count)), np.bool_, count)


@cache
def _table() -> dict[int, bool]:
    file = read(None, "calendar.toml", CalendarFile)
    return {
        (day - _EPOCH).days: is_off
        for year in file.year
        for texts, is_off in ((year.off, True), (year.work, False))
        for text in texts
        for day in _days(text)
    }


def _weekend(day: int) -> bool:
    return (day + 3) % 7 >= 5  # 1970-01-01 was a Thursday


def _days(text: str) -> Iterator[date]:
    first, _, last = text.partition("..")
    day, end = date.fromisoformat(first), date.fromisoformat(last or first)
    while day <= end:
        yield day
        day += timedelta(days=1)
