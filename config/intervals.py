"""Time intervals of routes.toml, with Alertmanager's words: when a route is muted, or the only time when it is not."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from tingchao.config.calendar import off
from tingchao.config.language import Said
from tingchao.config.load import Block

_EPOCH = date(1970, 1, 1)
_WEEKDAYS = tuple(name.lower() for name in calendar.day_name)
_MONTHS = tuple(name.lower() for name in calendar.month_name)  # the first one is empty
_MINUTES = 24 * 60
_AHEAD = 31  # days that are looked at for the next change


def _minute(text: str) -> str:
    _minutes(text)
    return text


def _minutes(text: str) -> int:
    hour, colon, minute = text.partition(":")
    if not (colon and len(hour) == len(minute) == 2 and hour.isdecimal() and minute.isdecimal()):
        raise ValueError(Said("error.config.time_of_day"))
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > _MINUTES:
        raise ValueError(Said("error.config.time_of_day"))
    return found


TimeOfDay = Annotated[str, AfterValidator(_minute)]


class Times(Block):
    """From `start_time` on, up to but without `end_time`."""

    start_time: TimeOfDay
    end_time: TimeOfDay

    @model_validator(mode="after")
    def _in_order(self) -> Times:
        if _minutes(self.start_time) >= _minutes(self.end_time):
            raise ValueError(Said("error.config.midnight", start=self.start_time, end=self.end_time))
        return self

    def holds(self, minute: int) -> bool:
        """Whether the minute of the day lies within."""
        return _minutes(self.start_time) <= minute < _minutes(self.end_time)


class Interval(Block):
    """All that is given must hold; ranges such as 'monday:friday' or '1:5' include both ends."""

    times: list[Times] = []
    weekdays: list[str] = []
    days_of_month: list[str] = []  # negative ones count from the end of the month
    months: list[str] = []
    years: list[str] = []
    days_off: bool | None = None  # ours: only weekends and holidays, or only working days, by calendar.toml
    location: str = "Asia/Shanghai"

    @model_validator(mode="after")
    def _can_be_read(self) -> Interval:
        try:
            ZoneInfo(self.location)
        except (ZoneInfoNotFoundError, ValueError) as err:
            raise ValueError(Said("error.config.time_zone", got=self.location)) from err
        for _ in self._ranges(date(2024, 1, 1)):
            pass
        return self

    def holds(self, at: datetime) -> bool:
        """Whether `at` lies within."""
        local = at.astimezone(ZoneInfo(self.location))
        if self.times and not any(one.holds(local.hour * 60 + local.minute) for one in self.times):
            return False
        if self.days_off is not None and self.days_off != bool(off((local.date() - _EPOCH).days, 1)[0]):
            return False
        return all(
            any(first <= value <= last for first, last in ranges) for value, ranges in self._ranges(local.date())
        )

    def changes(self, at: datetime) -> Iterator[datetime]:
        """Moments after `at` at which it may begin or end, in order, for a month."""
        zone = ZoneInfo(self.location)
        minutes = sorted({0} | {_minutes(text) for one in self.times for text in (one.start_time, one.end_time)})
        first = at.astimezone(zone).date()
        for day in range(_AHEAD + 1):
            for minute in minutes:
                if minute < _MINUTES:
                    moment = datetime.combine(first + timedelta(days=day), time(minute // 60, minute % 60), zone)
                    if moment > at:
                        yield moment

    def _ranges(self, day: date) -> Iterator[tuple[int, Sequence[tuple[int, int]]]]:
        """Each value of the day that is asked for, with the ranges that it may lie in."""
        length = calendar.monthrange(day.year, day.month)[1]
        if self.weekdays:
            yield day.weekday(), [_range(text, "weekdays", 0, 6, _WEEKDAYS) for text in self.weekdays]
        if self.days_of_month:
            ranges = [_range(text, "days_of_month", -31, 31) for text in self.days_of_month]
            yield day.day, [(_from_end(first, length), _from_end(last, length)) for first, last in ranges]
        if self.months:
            yield day.month, [_range(text, "months", 1, 12, _MONTHS) for text in self.months]
        if self.years:
            yield day.year, [_range(text, "years", 1970, 9999) for text in self.years]


class TimeInterval(Block):
    """A name for one or more intervals, any of which may hold."""

    name: str = Field(min_length=1)
    time_intervals: list[Interval] = Field(min_length=1)

    def holds(self, at: datetime) -> bool:
        """Whether `at` lies in any of them."""
        return any(one.holds(at) for one in self.time_intervals)

    def until(self, at: datetime) -> datetime | None:
        """When that changes; None: not within a month."""
        now = self.holds(at)
        moments = sorted({moment for one in self.time_intervals for moment in one.changes(at)})
        return next((moment for moment in moments if self.holds(moment) != now), None)


def _range(text: str, key: str, least: int, most: int, names: Sequence[str] = ()) -> tuple[int, int]:
    first, _, last = text.partition(":")
    found = _number(first, names), _number(last or first, names)
    wrong = any(number is None or not least <= number <= most for number in found)
    if wrong or found[0] is None or found[1] is None:
        example = "'monday:friday'" if key == "weekdays" else "'1:5'"
        raise ValueError(Said("error.config.range", key=key, got=text, example=example))
    if found[0] > found[1] and (found[0] > 0) == (found[1] > 0):
        raise ValueError(Said("error.config.backwards", key=key, got=text))
    return found[0], found[1]


def _number(text: str, names: Sequence[str]) -> int | None:
    text = text.strip().lower()
    if text and text in names:
        return names.index(text)
    try:
        return int(text) if "monday" not in names else None
    except ValueError:
        return None


def _from_end(day: int, length: int) -> int:
    return day if day > 0 else length + 1 + day
