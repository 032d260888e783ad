"""Time is an argument: the clock is passed in, so live, demo, replay and tests run the same code."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
BEIJING = ZoneInfo("Asia/Shanghai")  # what people read and what a page without a zone means


class Clock(Protocol):
    """Tells the time, always aware and in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FastClock:
    """A clock that stood at `start` when the machine's stood at `began` and runs `speed` times as fast (the demo's).

    It is written as `start@began*speed` (ISO times), so that several processes and a test site share one.
    """

    start: datetime
    began: datetime
    speed: float

    def now(self) -> datetime:
        return self.start + (datetime.now(UTC) - self.began) * self.speed

    def __str__(self) -> str:
        return f"{self.start.isoformat()}@{self.began.isoformat()}*{self.speed:g}"

    @classmethod
    def parse(cls, text: str) -> FastClock:
        """Raises ValueError when the text is not `start@began*speed` with aware ISO times."""
        start, rest = text.split("@")
        began, speed = rest.split("*")
        clock = cls(datetime.fromisoformat(start), datetime.fromisoformat(began), float(speed))
        if clock.start.tzinfo is None or clock.began.tzinfo is None:
            raise ValueError(f"clock {text!r}: got times without a zone, expected e.g. 2026-01-01T00:00:00+08:00")
        return clock


class ManualClock:
    """A clock that moves when a test says so."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def move(self, step: timedelta) -> None:
        self._now += step


def speed(clock: Clock) -> float:
    """How many seconds pass on the clock in one of real time."""
    return float(getattr(clock, "speed", 1.0))


def clock_from(text: str) -> Clock:
    """The machine's clock for an empty text, else the FastClock that the text describes."""
    return FastClock.parse(text) if text else SystemClock()


def millis(when: datetime) -> int:
    """Whole milliseconds since 1970 of an aware datetime; in integers, so that equal steps stay equal."""
    return (when - _EPOCH) // _MILLISECOND


def from_millis(value: int) -> datetime:
    """The aware UTC datetime of milliseconds since 1970."""
    return _EPOCH + value * _MILLISECOND


def stopwatch() -> float:
    """Seconds of a clock that only goes forward, for waits and rates (never for event times)."""
    return time.monotonic()
