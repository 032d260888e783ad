"""The alert budget: which alerts staff are told of in a shift, so that they are as many as they can handle.

At the beginning of a shift each level gets a threshold on `sure`, the calibrated chance that an alert is real: the
lowest at which the shifts of the last weeks would have had no more alerts than the limit on the average. Where verdicts
say that alerts above it were right less often than wanted, it rises. Within a shift the limit itself is never exceeded.
State keys of decide: `b/day`, what was opened on a day; `@budget`, the shift that goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple

import msgspec

from tingchao.config.budget import BudgetSettings
from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.records import Alert
from tingchao.pipeline.stage import Memory

_LEAST_SHIFTS = 4  # of history, until there is a threshold; two days
_VERDICTS = 10  # from which on they move the threshold; below, an interval of precision is wider than 0.5
_MOST = 800  # alerts of a day that are remembered: 64 KB at 80 bytes (log.STATE_LIMIT)
_BOOTSTRAP = 200  # samples of shifts; enough for 95 % intervals to a few points
_SEED = 20


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """What the budget must know of an alert."""

    at: datetime  # when it was opened
    level: int
    sure: float
    verdict: str = ""


class _Shift(msgspec.Struct):
    """The shift that goes on."""

    began: datetime
    thresholds: dict[int, float]
    admitted: dict[str, int]  # alert -> level


class Forecast(NamedTuple):
    """What a limit would mean, by the history; intervals are 95 %, None: nothing is known."""

    most: int  # alerts a shift
    threshold: float
    told: float  # alerts a shift
    precision: float | None  # expected, by calibrated chances
    precision_interval: tuple[float, float] | None
    recall: float | None  # expected share of the real alerts that are told
    recall_interval: tuple[float, float] | None
    judged: int  # alerts above the threshold that have a verdict
    right: float | None  # share of them that were real
    right_interval: tuple[float, float] | None


def shift_of(at: datetime, settings: BudgetSettings) -> tuple[datetime, datetime]:
    """Beginning and end of the shift that goes on at a time."""
    local = at.astimezone(BEIJING)
    times = [time.fromisoformat(text) for text in settings.shifts]
    days = (local.date() + timedelta(days=n) for n in (-1, 0, 1))
    begins = [datetime.combine(day, one, BEIJING) for day in days for one in times]
    began = max(one for one in begins if one <= at)
    return began, min(one for one in begins if one > at)


class Budget:
    """The budget of decide."""

    def __init__(self, memory: Memory, settings: BudgetSettings) -> None:
        self._memory, self._settings = memory, settings
        self._opened: dict[str, dict[str, Opened]] = {
            key.removeprefix("b/"): msgspec.json.decode(memory[key], type=dict[str, Opened])
            for key in sorted(memory)
            if key.startswith("b/")
        }
        self._shift = msgspec.json.decode(memory["@budget"], type=_Shift) if "@budget" in memory else None
        self._limited = any(settings.most(level) is not None for level in (1, 2, 3))

    def learn(self, alert: Alert) -> None:
        """Remember an alert as it is now."""
        if not self._limited or alert.state == "past":
            return
        day = f"{alert.opened_at.astimezone(BEIJING):%Y-%m-%d}"
        known = self._opened.setdefault(day, {})
        new = Opened(alert.opened_at, alert.level, alert.sure, alert.verdict or "")
        if known.get(alert.id) != new and (alert.id in known or len(known) < _MOST):
            known[alert.id] = new
            self._memory[f"b/{day}"] = msgspec.json.encode(known)

    def over(self, alert: Alert, at: datetime, floor: float | None) -> datetime | None:
        """None when staff may be told of the alert; else the end of the shift, when it comes in a digest.

        `floor`: the threshold that its rule fixes for itself; then the budget does not count.
        """
        most = self._settings.most(alert.level)
        if floor is not None:
            return None if alert.sure >= floor else shift_of(at, self._settings)[1]
        if most is None:
            return None
        began, end = shift_of(at, self._settings)
        shift = self._begin(began)
        if shift.admitted.get(alert.id) == alert.level:
            return None
        told = sum(level == alert.level for level in shift.admitted.values())
        if told >= most or alert.sure < shift.thresholds.get(alert.level, 0.0):
            return end
        shift.admitted[alert.id] = alert.level
        self._memory["@budget"] = msgspec.json.encode(shift)
        return None

    def forget(self, at: datetime) -> None:
        """Drop days that are older than the history."""
        before = f"{(at - self._settings.history - timedelta(days=1)).astimezone(BEIJING):%Y-%m-%d}"
        for day in [day for day in self._opened if day < before]:
            del self._opened[day]
            del self._memory[f"b/{day}"]

    def _begin(self, began: datetime) -> _Shift:
        if self._shift is None or self._shift.began != began:
            history = [one for day in self._opened.values() for one in day.values()]
            thresholds = {
                level: threshold(history, level, most, began, self._settings)
                for level in (1, 2, 3)
                if (most := self._settings.most(level)) is not None
            }
            self._shift = _Shift(began, thresholds, {})
            self._memory["@budget"] = msgspec.json.encode(self._shift)
        return self._shift


def threshold(history: Sequence[Opened], level: int, most: int, before: datetime, settings: BudgetSettings) -> float:
    """The least `sure` of a level that keeps to `most` alerts a shift on the average; 0 while there is no history."""
    rows = _rows(history, level, before, settings)
    shifts = _count_shifts(rows, before, settings)
    if shifts < _LEAST_SHIFTS:
        return 0.0
    found = _cut([row.sure for row in rows], int(most * shifts))
    judged = sorted((row for row in rows if row.verdict), key=lambda row: row.sure)
    while len([row for row in judged if row.sure >= found]) >= _VERDICTS:
        above = [row for row in judged if row.sure >= found]
        if sum(_real(row) for row in above) / len(above) >= settings.precision:
            break
        found = next((row.sure for row in above if row.sure > found), 1.0)
    return found


def forecast(
    history: Sequence[Opened], level: int, before: datetime, settings: BudgetSettings, limits: Sequence[int]
) -> list[Forecast]:
    """What each limit would have meant in the shifts of the history, by calibrated chances and by verdicts."""
    rows = _rows(history, level, before, settings)
    shifts = _count_shifts(rows, before, settings)
    if not shifts:
        return []
    by_shift: dict[datetime, list[Opened]] = {}
    for row in rows:
        by_shift.setdefault(shift_of(row.at, settings)[0], []).append(row)
    groups = [*by_shift.values(), *[[] for _ in range(max(0, shifts - len(by_shift)))]]
    return [_forecast(rows, groups, shifts, most) for most in limits]


def _forecast(rows: Sequence[Opened], groups: Sequence[Sequence[Opened]], shifts: int, most: int) -> Forecast:
    cut = _cut([row.sure for row in rows], most * shifts)
    told = [row for row in rows if row.sure >= cut]
    judged = [row for row in told if row.verdict]
    right = sum(_real(row) for row in judged)
    return Forecast(
        most=most,
        threshold=cut,
        told=len(told) / shifts,
        precision=_precision(told, cut),
        precision_interval=_wider(
            _interval(groups, lambda sample: _precision(sample, cut)), sum(row.sure for row in told), len(told)
        ),
        recall=_recall(rows, cut),
        recall_interval=_recall_interval(rows, groups, cut),
        judged=len(judged),
        right=right / len(judged) if judged else None,
        right_interval=wilson(right, len(judged)) if judged else None,
    )


def wilson(right: float, number: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z = 1.959964
    share, base = right / number, 1 + z * z / number
    middle = (share + z * z / (2 * number)) / base
    half = z * (share * (1 - share) / number + z * z / (4 * number * number)) ** 0.5 / base
    return max(0.0, middle - half), min(1.0, middle + half)


def opened(alerts: Mapping[str, Alert]) -> list[Opened]:
    """The history that the budget rests on, from the alerts as everybody sees them."""
    return [
        Opened(alert.opened_at, alert.level, alert.sure, alert.verdict or "")
        for alert in alerts.values()
        if alert.state != "past"
    ]


def _rows(history: Sequence[Opened], level: int, before: datetime, settings: BudgetSettings) -> list[Opened]:
    first = before - settings.history
    return [row for row in history if row.level == level and first <= row.at < before]


def _count_shifts(rows: Sequence[Opened], before: datetime, settings: BudgetSettings) -> int:
    """Shifts from the first alert of the history on; empty ones count too."""
    if not rows:
        return 0
    return max(1, round((before - min(row.at for row in rows)) / timedelta(days=1) * len(settings.shifts)))


def _cut(chances: Sequence[float], number: int) -> float:
    """The least chance at which at most `number` of them remain; equal ones go or stay together."""
    ranked = sorted(chances, reverse=True)
    if len(ranked) <= number:
        return 0.0
    first_out = ranked[number]
    return min((chance for chance in ranked if chance > first_out), default=1.0)


def _real(row: Opened) -> int:
    return int(row.verdict != "false_alarm")


def _precision(rows: Sequence[Opened], cut: float) -> float | None:
    told = [row.sure for row in rows if row.sure >= cut]
    return sum(told) / len(told) if told else None


def _recall(rows: Sequence[Opened], cut: float) -> float | None:
    every = sum(row.sure for row in rows)
    return sum(row.sure for row in rows if row.sure >= cut) / every if every else None


def _interval(
    groups: Sequence[Sequence[Opened]], measure: Callable[[Sequence[Opened]], float | None]
) -> tuple[float, float] | None:
    """The 95 % interval over shifts drawn with replacement: alerts of one shift hang together."""
    chosen = random.Random(_SEED)  # noqa: S311 the same table at each call
    samples = (
        measure([row for group in chosen.choices(groups, k=len(groups)) for row in group]) for _ in range(_BOOTSTRAP)
    )
    found = sorted(value for value in samples if value is not None)
    if not found:
        return None
    return found[int(0.025 * (len(found) - 1))], found[int(0.975 * (len(found) - 1) + 0.5)]


def _recall_interval(
    rows: Sequence[Opened], groups: Sequence[Sequence[Opened]], cut: float
) -> tuple[float, float] | None:
    drawn = _interval(groups, lambda sample: _recall(sample, cut))
    if cut <= 0:  # all are told: no chance is in that
        return drawn
    return _wider(drawn, sum(row.sure for row in rows if row.sure >= cut), sum(row.sure for row in rows))


def _wider(drawn: tuple[float, float] | None, right: float, number: float) -> tuple[float, float] | None:
    """What contains both: few shifts drawn again say nothing of what other shifts bring, a share of few does."""
    if drawn is None or number <= 0:
        return drawn
    low, high = wilson(right, number)
    return min(low, drawn[0]), max(high, drawn[1])
