"""Time is an argument: the clocks that can be passed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.pipeline.clock import BEIJING, FastClock, ManualClock, SystemClock, clock_from, from_millis, millis

START = datetime(2026, 1, 5, 8, 0, tzinfo=BEIJING)
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.sampled_from([UTC, BEIJING]))  # noqa: DTZ001 hypothesis wants bounds without a zone


def test_a_manual_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock(START)
    assert clock.now() == clock.now() == START
    assert clock.now().tzinfo is UTC
    clock.move(timedelta(minutes=5))
    assert clock.now() == START + timedelta(minutes=5)


def test_the_system_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_a_fast_clock_goes_on_where_its_text_says() -> None:
    began = datetime.now(UTC) - timedelta(seconds=100)
    clock = FastClock(START.astimezone(UTC), began, 60.0)
    assert timedelta(minutes=100) <= clock.now() - START < timedelta(minutes=160)  # within a minute of a slow machine
    assert FastClock.parse(str(clock)) == clock
    assert clock_from(str(clock)) == clock


def test_without_a_text_the_clock_is_the_machine_s() -> None:
    assert isinstance(clock_from(""), SystemClock)


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2026-01-05T08:00:00@2026-01-05T08:00:00*2",
        "2026-01-05T08:00:00Z*2",
        "2026-01-05T08:00:00Z@2026-01-05T08:00:00Z*fast",
    ],
)
def test_a_text_that_is_no_clock_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock_from(text)


@given(when=TIMES)
def test_milliseconds_come_back_and_keep_the_order(when: datetime) -> None:
    assert timedelta(0) <= when - from_millis(millis(when)) < timedelta(milliseconds=1)
    assert from_millis(millis(when)).tzinfo is UTC
    # In UTC: a sum of local times forgets which of the two hours it was when clocks were put back.
    assert millis(when.astimezone(UTC) + timedelta(milliseconds=1)) == millis(when) + 1


@given(value=st.integers(-(10**12), 10**13))
def test_milliseconds_are_exact(value: int) -> None:
    assert millis(from_millis(value)) == value


def test_the_zone_does_not_matter_for_milliseconds() -> None:
    assert millis(START) == millis(START.astimezone(UTC)) == millis(START.astimezone(timezone(timedelta(hours=-5))))
