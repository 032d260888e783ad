"""Words for a time become aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.pipeline.clock_words import BEIJING, find_times, parse_time

# 10:00 in Beijing.
FETCHED = datetime(2019, 9, 27, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("2019年9月26日 15:10", "2019-09-26T15:10:00+08:00"),
        ("2019年06月15日08:18", "2019-06-15T08:18:00+08:00"),
        ("2019-09-26 15:10:33", "2019-09-26T15:10:33+08:00"),
        ("2019/9/6 8:05:00", "2019-09-06T08:05:00+08:00"),
        ("2019.09.26 15:10", "2019-09-26T15:10:00+08:00"),
        ("2019-09-2615:10", "2019-09-26T15:10:00+08:00"),
        ("2019 09/26 15:10:05", "2019-09-26T15:10:05+08:00"),
        ("19-09-2615:10", "2019-09-26T15:10:00+08:00"),
        ("发布时间：2019-09-26 15：10　来源：新华网", "2019-09-26T15:10:00+08:00"),
        ("2019-09-26T15:10:00+08:00", "2019-09-26T15:10:00+08:00"),
        ("2019-09-26T07:10:00Z", "2019-09-26T07:10:00+00:00"),
        ("2019-09-26T07:10:00.000+0000", "2019-09-26T07:10:00+00:00"),
        ("2019-09-26 (星期四) 15:10", "2019-09-26T15:10:00+08:00"),
        ("2019年9月26日下午3点", "2019-09-26T15:00:00+08:00"),
        ("2019年9月26日 上午9:05", "2019-09-26T09:05:00+08:00"),
        ("2019年9月26日15时10分", "2019-09-26T15:10:00+08:00"),
        ("2019-09-26 24:00", "2019-09-27T00:00:00+08:00"),
        ("Thu, 26 Sep 2019 15:10:00 +0800", "2019-09-26T15:10:00+08:00"),
        ("Sep 26, 2019 3:10 PM", "2019-09-26T15:10:00+08:00"),
        ("1569481800", "2019-09-26T15:10:00+08:00"),
        ("1569481800000", "2019-09-26T15:10:00+08:00"),
        ("刚刚", "2019-09-27T10:00:00+08:00"),
        ("5分钟前", "2019-09-27T09:55:00+08:00"),
        ("半小时前", "2019-09-27T09:30:00+08:00"),
        ("3小时前", "2019-09-27T07:00:00+08:00"),
        ("1个半小时前".replace("半小时", "小时"), "2019-09-27T09:00:00+08:00"),
        ("今天 9:05", "2019-09-27T09:05:00+08:00"),
        ("昨天 08:10", "2019-09-26T08:10:00+08:00"),
        ("前天 23:59", "2019-09-25T23:59:00+08:00"),
        ("昨晚8点半", "2019-09-26T20:30:00+08:00"),
        ("09-26 15:10", "2019-09-26T15:10:00+08:00"),
        ("发布时间：09-2615:10", "2019-09-26T15:10:00+08:00"),
        ("9月26日 15:10", "2019-09-26T15:10:00+08:00"),
        ("12月31日 23:50", "2018-12-31T23:50:00+08:00"),
    ],
)
def test_times_of_day_are_read_to_the_minute(text: str, stated: str) -> None:
    parsed = parse_time(text, FETCHED)
    assert parsed is not None
    assert parsed.minute
    assert parsed.at == datetime.fromisoformat(stated)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2019-09-26", "2019-09-26"),
        ("20190926", "2019-09-26"),
        ("2019年9月26日", "2019-09-26"),
        ("二〇一九年九月二十六日", "2019-09-26"),
        ("昨天", "2019-09-26"),
        ("前天", "2019-09-25"),
        ("3天前", "2019-09-24"),
        ("9月26日", "2019-09-26"),
        ("10月1日", "2018-10-01"),
        ("2月29日", "2016-02-29"),
    ],
)
def test_a_day_alone_states_no_minute(text: str, day: str) -> None:
    parsed = parse_time(text, FETCHED)
    assert parsed is not None
    assert not parsed.minute
    assert parsed.at.astimezone(BEIJING).strftime("%Y-%m-%d") == day


@pytest.mark.parametrize(
    "text", ["", "没有时间", "2019-02-30", "2019-13-01", "电话 010-62376571", "3-2 比分", "版本 1.2.3"]
)
def test_what_is_no_time_gives_none(text: str) -> None:
    assert parse_time(text, FETCHED) is None


def test_several_times_come_in_the_order_of_the_text() -> None:
    times = list(find_times("发布：2019-09-25 08:00 更新：2019-09-26 09:30", FETCHED))
    assert [time.at.strftime("%d %H:%M") for time in times] == ["25 08:00", "26 09:30"]


def test_a_day_word_counts_beijing_days_not_utc_days() -> None:
    # 23:30 UTC on the 26th is already the 27th in Beijing.
    late = datetime(2019, 9, 26, 23, 30, tzinfo=UTC)
    parsed = parse_time("今天 06:00", late)
    assert parsed is not None
    assert parsed.at == datetime(2019, 9, 27, 6, 0, tzinfo=BEIJING)


@given(st.datetimes(datetime(1991, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001  # local times
def test_every_written_minute_is_read_back(moment: datetime) -> None:
    for form in ("%Y-%m-%d %H:%M", "%Y年%m月%d日 %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%dT%H:%M:00+08:00"):
        parsed = parse_time(moment.strftime(form), FETCHED)
        assert parsed is not None
        assert parsed.minute
        assert parsed.at.replace(tzinfo=None) == moment.replace(second=0, microsecond=0)


@given(st.text())
def test_any_text_gives_aware_times_or_none(text: str) -> None:
    parsed = parse_time(text, FETCHED)
    assert parsed is None or parsed.at.tzinfo is not None


@given(st.integers(0, 59))
def test_minutes_ago_are_counted_from_the_fetch(minutes: int) -> None:
    parsed = parse_time(f"{minutes}分钟前", FETCHED)
    assert parsed is not None
    assert parsed.at == FETCHED - timedelta(minutes=minutes)
