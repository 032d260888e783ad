"""Counts become surges: seasons, gaps, steps and bad input; one series tells the same as a file and through watch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mentions import scores

from tingchao.alerts import decide, ledger, watch
from tingchao.alerts.dark import Dark
from tingchao.alerts.series import Detector, Verdict
from tingchao.alerts.series_file import verdicts
from tingchao.config import calendar
from tingchao.config.settings import load
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import output
from tingchao.pipeline.records import Mention
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Memory, Runner

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday, 08:00 in Beijing
HOUR, MINUTE = 3600, timedelta(minutes=1)
Shape = Callable[[datetime], float]


def counts(shape: Shape, days: float, step: int = HOUR, seed: int = 1, start: datetime = START) -> list[float]:
    """Over-dispersed counts, two posts to a voice on the average, around `shape` (a mean an hour)."""
    rng = np.random.default_rng(seed)
    times = [start + timedelta(seconds=n * step) for n in range(int(days * 86400 / step))]
    means = np.array([max(shape(at) * step / HOUR, 1e-9) for at in times])
    return [float(n) for n in rng.negative_binomial(means, 0.5)]


def run(values: Iterable[float | None], step: int = HOUR, start: datetime = START) -> list[Verdict]:
    detector, first = Detector(step, 3.0), int(start.timestamp())
    return [detector.add(first + n * step, value) for n, value in enumerate(values)]


def alerts(values: Iterable[float | None], step: int = HOUR, start: datetime = START) -> list[int]:
    return [n for n, found in enumerate(run(values, step, start)) if found.alert]


def daily(at: datetime) -> float:
    """Two an hour at eight in the morning in Beijing, forty at eight in the evening."""
    return 21 + 19 * math.sin((at.hour + 8 - 14) / 24 * 2 * math.pi)


def flat(_: datetime) -> float:
    return 20.0


# What is a surge


@pytest.mark.parametrize("step", [300, 900, HOUR])
def test_a_tenfold_burst_alerts_once_on_its_first_rows(step: int) -> None:
    values = counts(flat, 10, step)
    at = int(9.5 * 86400 / step)
    hour = max(1, HOUR // step)
    for n in range(at, at + 3 * hour):
        values[n] = 200 * step / HOUR
    (found,) = alerts(values, step)
    assert at <= found <= at + 20 * 60 // step


def test_nothing_happens_and_nothing_is_said() -> None:
    for seed in range(3):
        assert alerts(counts(daily, 30, seed=seed)) == []


def test_the_morning_is_no_surge_and_the_same_count_at_night_is() -> None:
    values = counts(daily, 15)
    night = 14 * 24  # 08:00 in Beijing, when all sleep here
    assert daily(START + timedelta(hours=night)) < 5
    values[night] = 45.0
    assert alerts(values) == [night]


def test_a_second_wave_is_another_surge_only_after_a_day_of_calm() -> None:
    quiet = counts(flat, 12)
    for second, found in ((251, [230]), (254, [230]), (259, [230, 259])):
        values = list(quiet)
        values[230], values[second] = 300.0, 900.0
        assert alerts(values) == found


def test_a_surge_that_goes_on_is_one_until_a_day_is_calm() -> None:
    values = counts(flat, 14)
    for n in (230, 245, 260, 275):
        values[n] = 300.0
    assert alerts(values) == [230]


def test_a_topic_that_often_swings_must_rise_more() -> None:
    calm, wild = counts(flat, 20), counts(flat, 20)
    for n in range(7, 19 * 24, 31):
        wild[n] *= 8
    calm[19 * 24 + 5] = wild[19 * 24 + 5] = 120.0
    assert alerts(calm)[-1:] == [19 * 24 + 5]
    assert 19 * 24 + 5 not in alerts(wild)


def test_an_outbreak_in_the_history_does_not_hide_the_next_one() -> None:
    values = counts(flat, 20)
    for n in range(100, 130):
        values[n] = 2000.0
    values[400] = 200.0
    assert alerts(values)[-1] == 400


def test_the_score_is_one_half_or_more_where_an_alert_begins_and_less_where_nothing_is_new() -> None:
    values = counts(flat, 12)
    values[250] = values[251] = 300.0
    found = run(values)
    assert found[250].alert
    assert 0.5 <= found[250].score <= 1
    assert found[251].score < 0.5
    assert all(0 <= one.score <= 1 for one in found)


def test_nothing_more_is_new_while_a_surge_lasts() -> None:
    values = counts(flat, 12)
    values[250:256] = [300.0, 400.0, 600.0, 900.0, 1500.0, 3000.0]
    found = run(values)
    assert found[250].alert
    assert all(one.score < 0.48 for one in found[251:256])


def test_a_rise_that_is_no_surge_scores_once_until_it_is_well_above_that() -> None:
    values = counts(flat, 12)
    values[250:254] = [38.0, 39.0, 40.0, 41.0]
    scores = [one.score for one in run(values)[250:254]]
    assert scores[0] > 0.2
    assert all(score < scores[0] for score in scores[1:])


# Seasons


def test_a_weekly_season_is_known_after_two_weeks() -> None:
    def weekly(at: datetime) -> float:
        return 60.0 if (at + timedelta(hours=8)).weekday() == 6 else 10.0

    assert [n for n in alerts(counts(weekly, 42)) if n >= 14 * 24] == []


def test_a_spring_festival_is_no_surge_nor_is_the_return_to_work() -> None:
    start = datetime(2026, 1, 19, tzinfo=UTC)

    def work(at: datetime) -> float:
        day = (at + timedelta(hours=8)).date()
        return 6.0 if date(2026, 2, 15) <= day <= date(2026, 2, 23) or (at + timedelta(hours=8)).weekday() > 4 else 30.0

    assert alerts(counts(work, 42, start=start), start=start) == []


def test_days_off_and_make_up_days_are_those_announced_and_weekends_elsewhere() -> None:
    first = (date(2026, 2, 13) - date(1970, 1, 1)).days
    assert calendar.off(first, 4).tolist() == [False, False, True, True], "Saturday 14 February 2026 is worked"
    far = (date(2040, 1, 2) - date(1970, 1, 1)).days  # a Monday that nobody has announced yet
    assert calendar.off(far, 7).tolist() == [False] * 5 + [True] * 2


def test_a_trend_is_followed() -> None:
    assert alerts(counts(lambda at: 10 + 2 * (at - START).days, 40)) == []


def test_a_step_is_told_once_and_then_usual() -> None:
    values = counts(lambda at: 10.0 if at < START + timedelta(days=14) else 100.0, 40)
    found = alerts(values)
    assert found[0] == 14 * 24
    assert len([n for n in found if n > 16 * 24]) == 0


# Bad input


def test_all_zeros_are_silent_and_one_post_is_no_surge() -> None:
    values = [0.0] * 24 * 20
    values[300] = 1.0
    found = run(values)
    assert not any(one.alert for one in found)
    assert found[-1].expected == pytest.approx(0, abs=0.05)


def test_a_spike_at_the_very_start_is_a_cold_start_and_does_not_spoil_what_follows() -> None:
    values = [5000.0, *counts(flat, 12)[1:]]
    values[250] = 300.0
    found = run(values)
    assert [(one.expected, one.score) for one in found[:24]] == [(None, 0.0)] * 24
    assert [n for n, one in enumerate(found) if one.alert] == [250]


@pytest.mark.parametrize("gap", [range(240, 242), range(200, 260)])
def test_missing_rows_are_not_zeros(gap: range) -> None:
    values: list[float | None] = [*counts(flat, 14)]
    for n in gap:
        values[n] = None
    found = run(values)
    assert not any(one.alert for one in found)
    assert all(found[n].expected is None for n in gap)
    assert found[gap.stop + 24].expected == pytest.approx(20, rel=0.25)


def test_a_late_row_counts_and_is_told_of_no_more() -> None:
    values = counts(flat, 12)
    detector, first = Detector(HOUR, 3.0), int(START.timestamp())
    order = [*range(200), *range(201, 230), 200, *range(230, 288)]
    found = {n: detector.add(first + n * HOUR, values[n]) for n in order}
    assert found[200] == Verdict(None, 0.0, alert=False, late=True)
    assert {n: found[n] for n in range(230, 288)} == dict(enumerate(run(values)[230:288], 230))


def test_a_clock_that_jumps_ahead_and_back_stays_bounded_and_goes_on() -> None:
    detector, first = Detector(300, 3.0), int(START.timestamp())
    values = counts(flat, 3, 300)
    for n, value in enumerate(values):
        detector.add(first + n * 300, value)
    detector.add(first + 10 * 365 * 86400, 3.0)
    assert detector.add(first + len(values) * 300, 4.0) == Verdict(None, 0.0, alert=False, late=True)
    far = first + 10 * 365 * 86400
    found = [detector.add(far + n * 300, value) for n, value in enumerate(counts(flat, 3, 300, seed=2))]
    assert not any(one.alert for one in found)
    assert found[-1].expected is not None
    assert len(detector._rows) <= 50
    assert detector._slots._table.size <= 8 * 24 * 28


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 500)), min_size=60, max_size=120), st.integers(30, 59))
def test_a_verdict_rests_on_the_rows_up_to_its_own(values: list[float | None], cut: int) -> None:
    assert run(values)[:cut] == run(values[:cut])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=30, max_size=80), st.data())
def test_more_posts_never_score_lower(values: list[float], data: st.DataObject) -> None:
    more = [*values[:-1], values[-1] + data.draw(st.integers(1, 500))]
    assert run(more)[-1].score >= run(values)[-1].score


# The file


def lines(values: Sequence[object], step: timedelta = timedelta(hours=1)) -> list[str]:
    return ["timestamp,value\n", *(f"{START + n * step},{value}\n" for n, value in enumerate(values))]


def test_a_file_gives_one_verdict_a_row_in_its_order() -> None:
    values = counts(flat, 12)
    values[250] = 300.0
    found = list(verdicts(lines(values), "f.csv", load().rules))
    assert [row.value for row, _ in found] == values
    assert [n for n, (_, one) in enumerate(found) if one.alert] == [250]


def test_timestamps_some_seconds_off_still_mean_their_own_row() -> None:
    values = counts(flat, 12)
    times = [START + timedelta(hours=n, seconds=n * 37 % 60 - 30) for n in range(len(values))]
    shaky = ["timestamp,value\n", *(f"{at},{value}\n" for at, value in zip(times, values, strict=True))]
    even = [one for _, one in verdicts(lines(values), "f.csv", load().rules)]
    assert [one.expected for _, one in verdicts(shaky, "f.csv", load().rules)] == [one.expected for one in even]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (["time,value\n"], "no column timestamp"),
        (["timestamp,value\n", "soon,3\n"], "line 2"),
        (["timestamp,value\n", "2026-01-01,3\n", "2026-01-02,many\n"], "line 3"),
        (["timestamp,value\n", "2026-01-01,-3\n"], "a count from 0 to 1e100"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(text: list[str], told: str) -> None:
    with pytest.raises(Refused, match=told):
        list(verdicts(text, "f.csv", load().rules))


def test_an_empty_value_is_not_known_and_an_empty_file_has_no_verdicts() -> None:
    assert [row.value for row, _ in verdicts(lines(["1", "", "nan"]), "f.csv", load().rules)] == [1.0, None, None]
    assert list(verdicts(["timestamp,value\n"], "f.csv", load().rules)) == []


# Both ways


def test_one_series_tells_the_same_through_watch_and_decide_and_as_a_series(tmp_path: Path) -> None:
    step, days = 300, 5
    values = counts(lambda at: daily(at) / 4, days, step, seed=5)
    for at, length, height in ((320, 5, 40), (420, 1, 30), (760, 30, 25), (1130, 2, 150), (1300, 4, 300)):
        for n in range(at, at + length):
            values[n] += height
    expected = [START + timedelta(seconds=(n + 1) * step) for n in alerts(values, step)]
    assert len(expected) >= 3

    mine = load()
    log, clock = SqliteLog(tmp_path / "log.db"), ManualClock(START - timedelta(minutes=30))
    runners = [Runner(plan, log, clock) for plan in (watch.plan(mine), decide.plan(mine))]

    def work() -> None:
        while any([runner.step() for runner in runners]):  # noqa: C419 each takes its step
            pass

    work()
    for n, value in enumerate(values):
        end = START + timedelta(seconds=(n + 1) * step)
        clock.move(end - MINUTE - clock.now())
        log.publish([output("mentions", "metro", post(n, k, end - MINUTE)) for k in range(int(value))], clock.now())
        work()
    found = sorted(ledger.alerts(log).values(), key=lambda alert: alert.opened_at)
    assert [alert.opened_at + MINUTE for alert in found] == expected


def post(row: int, number: int, at: datetime) -> Mention:
    name = f"{row}-{number}"
    return Mention(
        topic="metro", id=name, published_at=at, fetched_at=at, source="forum", voice=f"{hash(name) & 0xFFFF:016x}",
        title=name, scores=scores(),
    )  # fmt: skip


# Our own outages


def test_hours_without_ticks_and_hours_without_any_post_are_dark() -> None:
    memory, hour = Memory({}), int(START.timestamp()) // HOUR
    dark = Dark(memory)
    posts = {hour + n: 30 for n in range(100) if n != 90}
    dark.tick(0, hour + 95, posts)
    dark.tick(hour + 95, hour + 100, posts)
    known = dark.known(hour + 85, hour + 102)
    assert [85 + n for n, share in enumerate(known) if not share] == [90, 96, 97, 98, 99]
    assert Dark(memory).known(hour + 85, hour + 102).tolist() == known.tolist()


def test_an_hour_that_fills_up_late_is_dark_no_more() -> None:
    dark, hour = Dark(Memory({})), int(START.timestamp()) // HOUR
    posts = {hour + n: 30 for n in range(100) if n != 90}
    dark.tick(0, hour + 95, posts)
    dark.tick(hour + 95, hour + 96, posts | {hour + 90: 5})
    assert dark.known(hour + 90, hour + 91).tolist() == [1.0]


def test_quiet_nights_are_not_dark() -> None:
    dark, hour = Dark(Memory({})), int(START.timestamp()) // HOUR
    dark.tick(0, hour + 24 * 20, {hour + n: 50 * (n % 24 > 6) for n in range(24 * 20)})
    assert dark.known(hour, hour + 24 * 20).all()


def test_an_hour_in_which_no_source_was_read_is_dark_however_little_is_usual_unless_posts_came() -> None:
    memory, hour = Memory({}), int(START.timestamp()) // HOUR
    dark, posts = Dark(memory), {hour + n: 1 for n in range(100) if n not in {80, 81}}
    dark.tick(0, hour + 95, posts)
    assert dark.known(hour, hour + 95).all(), "one post an hour: none is no surprise"
    dark.tell([hour + 80, hour + 81, hour + 82], hour + 95, posts)
    assert [n for n, share in enumerate(dark.known(hour, hour + 95)) if not share] == [80, 81]
    for later in range(96, 180):  # it stays so when the hour is looked at no more, and after a restart
        dark = Dark(memory)
        dark.tick(hour + later - 1, hour + later, posts)
    assert [n for n, share in enumerate(dark.known(hour, hour + 95)) if not share] == [80, 81]
