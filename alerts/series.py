"""A series of counts becomes one verdict a row: the detector of `watch` on any step, for `backtest --series`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tingchao.alerts.detector import BELOW, QUIET, SCALES, Normal, Told, judge, normal, swing, whole_days
from tingchao.alerts.season import HOUR, MEMORY, Past

_RISE = 1.25  # times as strong, from which a rise is new again: it scores once, not in each row in which it grows


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one row; `expected` is for a row and None during a cold start."""

    expected: float | None
    score: float  # 0-1: how far this row is a new surge; one half or more exactly where one begins
    alert: bool  # a surge begins here
    late: bool = False  # a later row was there before it, so that nothing is said of this one


_SILENT = Verdict(None, 0.0, alert=False)
_LATE = Verdict(None, 0.0, alert=False, late=True)


class _Slots:
    """Sums and numbers of rows of the last slots, at least `MEMORY` and one more of them."""

    _LENGTH = 4 * MEMORY

    def __init__(self) -> None:
        self._first = 0  # the slot of the first line of the table
        self._oldest: int | None = None  # the first slot that has a row
        self._table = np.zeros((2, self._LENGTH))

    def add(self, slot: int, value: float, rows: int) -> None:
        """A slot older than the table is left out."""
        if self._oldest is None:
            self._first = self._oldest = slot
        if slot < self._first:
            self._move(max(slot, self._first + 2 * MEMORY - self._LENGTH))
        if slot >= self._first + self._LENGTH:
            self._move(slot - 2 * MEMORY)
        if slot >= self._first:
            self._oldest = min(self._oldest, slot)
            self._table[:, slot - self._first] += value, rows

    def past(self, end: int) -> tuple[int, NDArray[np.float64]]:
        """The first slot, and sums and rows from there on, without `end`."""
        first = max(self._oldest or 0, end - MEMORY, self._first)
        return first, self._table[:, first - self._first : max(first, end) - self._first]

    def _move(self, first: int) -> None:
        table, shift = np.zeros_like(self._table), first - self._first
        if 0 <= shift < self._LENGTH:
            table[:, : self._LENGTH - shift] = self._table[:, shift:]
        elif -self._LENGTH < shift < 0:
            table[:, -shift:] = self._table[:, :shift]
        self._first, self._table = first, table
        self._oldest = max(self._oldest or 0, first)


class Detector:
    """Takes rows in order of arrival. Of the past it keeps four weeks of hours (or 672 longer steps)."""

    def __init__(self, step: int, least: float = 0.0) -> None:
        """`step`: seconds from one row to the next; `least`: how much the longest window must hold."""
        self._step, self._slot, self._least = step, max(HOUR, step), least
        self._longest = max(SCALES[-1], step)
        self._rows: dict[int, float] = {}  # step -> value, as late as the longest window
        self._slots = _Slots()
        self._told: dict[int, float] = {}  # end of a row in seconds -> strength
        self._risen: tuple[int, float] = 0, 0.0  # end of the last row that was new, in seconds, and its strength
        self._newest: int | None = None  # step
        self._normal: tuple[int, Normal | None] | None = None  # slot before which the past ends
        self._swing: tuple[int, float] | None = None

    def add(self, at: int, value: float | None) -> Verdict:
        """`at`: seconds since 1970 at which the row begins; `value`: None when nothing is known of it.

        A row that comes late counts for what follows and is told of no more; one older than what is kept is left out.
        """
        row = at // self._step
        late = self._newest is not None and row < self._newest
        if value is None or (late and self._slot_of(row) < self._slot_of(self._newest or 0) - MEMORY):
            return _LATE if late else _SILENT
        self._newest = row if not late else self._newest
        self._count(row, value)
        if late:
            self._normal = self._swing = None
            return _LATE
        usually = self._usually(row)
        return _SILENT if usually is None else self._verdict(row, usually)

    def _verdict(self, row: int, usually: Normal) -> Verdict:
        windows = self._windows(row)
        found = judge(windows, usually, windows[-1][0] >= self._least)
        now, told = (row + 1) * self._step, Told(self._told)
        alert = told.begins(found, now)
        new = alert or (not told.lasts(now) and self._rises(now, found.strength))
        if new:
            self._risen = now, max(0.0, found.strength)
        if alert or told.goes_on(found, now):
            self._told = {at: strength for at, strength in self._told.items() if at >= now - QUIET}
            self._told[now] = found.strength
        score = found.score if alert else min(found.score, BELOW) if new else found.score / 2
        expected = usually.usual.expected * self._step / self._slot
        return Verdict(round(expected, 3), round(score, 6), alert=alert)

    def _rises(self, now: int, strength: float) -> bool:
        """Whether it is well above what was new before, within the time of one surge."""
        at, strongest = self._risen
        return strength >= _RISE * strongest or at < now - QUIET

    def _count(self, row: int, value: float) -> None:
        self._slots.add(self._slot_of(row), value, row not in self._rows)
        self._rows[row] = self._rows.get(row, 0.0) + value
        kept = 2 * self._longest // self._step
        if len(self._rows) > kept:
            self._rows = {one: known for one, known in self._rows.items() if one >= row - kept}

    def _windows(self, row: int) -> list[tuple[float, float]]:
        """What was seen in each window, and the known length of it in slots."""
        found = []
        for scale in SCALES:
            first = row - max(1, scale // self._step) + 1
            seen = [self._rows[one] for one in range(first, row + 1) if one in self._rows]
            found.append((sum(seen), len(seen) * self._step / self._slot))
        return found

    def _usually(self, row: int) -> Normal | None:
        """From the slots that ended before the longest window began."""
        end = ((row + 1) * self._step - self._longest) // self._slot
        if self._normal is None or self._normal[0] != end:
            self._normal = end, self._fit(end)
        return self._normal[1]

    def _fit(self, end: int) -> Normal | None:
        first, (values, rows) = self._slots.past(end)
        if not len(values):
            return None
        known = np.minimum(1.0, rows * self._step / self._slot)
        past = Past(values, first, self._slot, known)
        day = end // 24
        if self._swing is None or self._swing[0] != day:
            self._swing = day, swing(whole_days(past))
        return normal(past, end, self._step, self._swing[1])

    def _slot_of(self, row: int) -> int:
        return row * self._step // self._slot
