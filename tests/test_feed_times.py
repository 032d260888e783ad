"""The times of a feed, as feeds write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_site import item, rss

from tingchao.crawlers.entries import read_feed
from tingchao.pipeline.feed_times import feed_time

FETCHED = datetime(2026, 11, 28, 4, 0, tzinfo=UTC)
STATED = datetime(2026, 11, 28, 0, 10, tzinfo=UTC)  # 08:10 in Beijing


def stated(written: str, title: str = "海城明天停水") -> datetime | None:
    (entry,) = read_feed(rss(item(title, "", "/1", written)).encode(), "http://a/", "text/xml", FETCHED).entries
    return entry.published_at


@pytest.mark.parametrize(
    "written",
    [
        "Sat, 28 Nov 2026 08:10:00 CST",
        "Sat Nov 28 08:10:00 CST 2026",
        "Sat Nov 28 08:10:00 +0800 2026",
        "星期六 十一月 28 08:10:00 CST 2026",
        "Sat Nov 28 08:10:00 2026",
        "周六, 28 11月 2026 08:10:00 +0800",
        "星期六, 28 十一月 2026 08:10:00 +0800",
        "Sat, 28 Nov 26 08:10:00 GMT+8",
        "Sat, 28 Nov 2026 08:10:00 GMT+08:00",
        "Sat, 28 Nov 2026 08:10:00 +0800 (CST)",
        "Sat, 28 Nov 2026 08:10:00 HKT",
        "Sat, 28 Nov 2026 09:10:00 JST",
        "Sat, 28 Nov 2026 00:10:00 GMT",
        "Fri, 27 Nov 2026 19:10:00 EST",
        "Sat, 28 Nov 2026 08:10:00",
        "28 Nov 2026 8:10 AM",
        "2026-11-28 08:10:00 CST",
        "2026-11-28T00:10:00Z",
        "2026-11-28 08:10",
    ],
)
def test_what_a_chinese_feed_states_is_read(written: str) -> None:
    assert stated(written) == STATED


def test_cst_is_american_where_nothing_is_chinese() -> None:
    assert stated("Fri, 27 Nov 2026 18:10:00 CST", "Flood warning for Tulsa County") == STATED


@pytest.mark.parametrize("written", ["31 Nov 2026 08:10:00 GMT", "28 2026 08:10:00", "soon", " ", ""])
def test_what_is_no_time_gives_none(written: str) -> None:
    assert feed_time(written, None, FETCHED, chinese=True) is None


@given(st.datetimes(datetime(1991, 1, 1), datetime(2099, 12, 31)), st.integers(-11, 12), st.booleans())  # noqa: DTZ001
def test_every_time_of_rfc_822_is_read_back(moment: datetime, hours: int, chinese: bool) -> None:
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    assert feed_time(format_datetime(moment), None, FETCHED, chinese=chinese) == moment


@given(st.text(alphabet="0123456789: ,-+()年月日JanNovCSTGMT十一", max_size=60))
def test_any_text_gives_an_aware_time_or_none(written: str) -> None:
    found = feed_time(written, None, FETCHED, chinese=True)
    assert found is None or found.tzinfo is not None
