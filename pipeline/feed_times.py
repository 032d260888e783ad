"""The time that an entry of a feed or a row of a file states, as mail writes it, right or wrong, becomes a datetime."""

from __future__ import annotations

import calendar
import re
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import struct_time

from tingchao.pipeline.clock_words import BEIJING, parse_time

LONGEST = 200  # characters; a time is a fifth of that
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HAN_MONTHS = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二")
_MONTH = (
    rf"(?:(?P<name>{'|'.join(_MONTHS)})[a-z]*\.?|(?P<number>1[0-2]|0?[1-9])\s?月|"
    r"(?P<han>十[一二]?|[一二三四五六七八九])月)"
)
_HOURS = r"(?P<clock>\d{1,2}:\d\d(?::\d\d)?)(?:\.\d+)?"
_AT = r"(?P<zone>(?:(?![AP]M\b)[A-Z]{1,5}|(?:GMT|UTC)?\s?[+-]\d{1,2}:?(?:\d\d)?))"
# RFC 822, as RSS asks for: "Sat, 28 Nov 2026 08:10:00 +0800"; also with a year of two digits and a Chinese month.
_DAY_FIRST = re.compile(
    rf"(?:^|[\s,，])(?P<day>\d{{1,2}})[\s-]+{_MONTH}[\s,-]+(?P<year>\d{{4}}|\d\d)\s+{_HOURS}\s*{_AT}?\s*(?:\(.*\))?$",
    re.IGNORECASE,
)
# Java's Date.toString and C's asctime: "Sat Nov 28 08:10:00 CST 2026".
_YEAR_LAST = re.compile(
    rf"(?:^|\s){_MONTH}\s*(?P<day>\d{{1,2}})日?\s+{_HOURS}\s*{_AT}?\s+(?P<year>\d{{4}})$", re.IGNORECASE
)
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d\d)?")
_EAST = {"HKT": "+0800", "JST": "+0900", "KST": "+0900"}  # RFC 822 has names for America only
_ZONE = re.compile(r"(?:\bZ|\d\s*Z|[+-]\d{2}:?\d{2}|\b(?:GMT|UTC?))\s*(?:\([^)]*\))?\s*$")


def feed_time(written: str, parsed: struct_time | None, fetched_at: datetime, *, chinese: bool) -> datetime | None:
    """The stated time; `parsed` is what feedparser makes of it, in UTC.

    Without a zone it is Beijing's, where feedparser would take it for Greenwich's. CST is Beijing's in a Chinese feed,
    the one in the middle of America elsewhere.
    """
    written = written.strip()[:LONGEST]
    moment = mail_time(written, chinese=chinese)
    if moment is not None:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=BEIJING)
    if parsed is not None and _ZONE.search(written):
        try:
            return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
        except (ValueError, OverflowError, OSError):
            return None
    found = parse_time(written, fetched_at) if written else None
    return found.at if found is not None else None


def mail_time(written: str, *, chinese: bool) -> datetime | None:
    """The time in the forms of mail (RFC 822), Java's and Weibo's; naive without a zone, None for any other form."""
    plain = _as_rfc822(written, chinese=chinese)
    if plain:
        with suppress(ValueError, OverflowError):  # 31 November
            return parsedate_to_datetime(plain)
    return None


def _as_rfc822(written: str, *, chinese: bool) -> str:
    """The same time as the standard library reads it; '' for what is another form, such as ISO 8601."""
    match = _DAY_FIRST.search(written) or _YEAR_LAST.search(written)
    if match is None:
        return ""
    if match["name"]:
        month = match["name"]
    else:
        month = _MONTHS[int(match["number"]) - 1 if match["number"] else _HAN_MONTHS.index(match["han"])]
    return f"{match['day']} {month} {match['year']} {match['clock']} {_offset(match['zone'] or '', chinese=chinese)}"


def _offset(zone: str, *, chinese: bool) -> str:
    """A zone as +hhmm; names of RFC 822 stay."""
    offset = _OFFSET.search(zone)
    if offset is not None:
        return f"{offset[1]}{int(offset[2]):02}{offset[3] or '00'}"
    zone = zone.upper()
    if zone == "CST" and chinese:
        return "+0800"
    return _EAST.get(zone, zone)
