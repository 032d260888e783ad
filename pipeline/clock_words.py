"""Words for a time ("2019年9月26日 15:10", "5分钟前", "昨天 08:10") become an aware datetime."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")
"""The zone of a Chinese page that states none."""

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""Years outside are a version, a price or a phone number, not the date of a web page."""

LONGEST_TEXT = 20_000
"""Characters looked at: a longer string is not an expression of time but a page."""


@dataclass(frozen=True, slots=True)
class ParsedTime:
    """One moment read from text.

    `at` is aware and keeps the stated zone (Asia/Shanghai without one); `minute` tells whether a time of day was stated
    (at is midnight of that zone when it was not); `dated` whether the day was written in full, with its year; `start`
    and `end` are where it stood in the normalised text.
    """

    at: datetime
    minute: bool
    dated: bool = False
    start: int = 0
    end: int = 0


_HALF_DAY = r"凌晨|清晨|早晨|早上|上午|中午|下午|傍晚|晚上|晚间|夜间|午后|[Aa]\.?[Mm]\.?|[Pp]\.?[Mm]\.?"
_CLOCK = (
    rf"(?:(?P<half>{_HALF_DAY})\s*)?"
    r"(?P<hour>[01]?\d|2[0-4])\s*(?::\s*(?P<minute>[0-5]\d)(?!\d)(?:\s*:\s*(?P<second>[0-5]\d)(?:\.\d+)?)?"
    r"|[时點点]\s*(?:(?P<minute2>[0-5]?\d)\s*分?(?:\s*(?P<second2>[0-5]?\d)\s*秒)?|(?P<half_hour>半)|整)?)"
    r"(?:\s*(?P<half2>[AaPp]\.?[Mm]\b\.?))?"
    r"(?:\s*(?P<zone>Z\b|(?:UTC|GMT)?\s*[+-]\d{1,2}:?(?:[0-5]\d)?(?!\d)|UTC|GMT))?"
)
_GAP = r"(?:\s*[T,|]\s*|\s*[((]?\s*(?:星期|周|礼拜)[一二三四五六日天]\s*[))]?\s*|\s*北京时间\s*|\s{0,40})"
_YMD = (
    r"(?P<year>(?:19|20)\d\d)\s*(?P<sep>[-/.年])\s*(?P<month>0?[1-9]|1[0-2])\s*(?:(?P=sep)|月)\s*"
    r"(?P<day>3[01]|[12]\d|0?[1-9])(?:(?!\d)|(?=[0-2]\d:[0-5]\d))\s*[日号]?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAME = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_HAN_DIGIT = {c: str(i) for i, c in enumerate("〇一二三四五六七八九")} | {"零": "0", "○": "0", "O": "0", "Ο": "0"}
_SMALL_NUMBER = {"半": 0.5, "两": 2.0, "十": 10.0} | {c: float(i) for i, c in enumerate("一二三四五六七八九", 1)}
_UNIT_SECONDS = {
    "秒": 1, "秒钟": 1, "分": 60, "分钟": 60, "刻钟": 900, "小时": 3600, "个小时": 3600, "钟头": 3600, "个钟头": 3600,
    "天": 86400, "日": 86400, "周": 604800, "星期": 604800, "个星期": 604800,
    "个月": 2592000, "月": 2592000, "年": 31536000,
}  # fmt: skip
_DAYS_BACK = {
    "今天": 0, "今日": 0, "今晨": 0, "今早": 0, "今晚": 0, "昨天": 1, "昨日": 1, "昨晚": 1,
    "前天": 2, "前日": 2, "大前天": 3,
}  # fmt: skip

_NUMERIC = re.compile(rf"(?<!\d){_YMD}(?:{_GAP}{_CLOCK})?")
_COMPACT = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<month>0[1-9]|1[0-2])(?P<day>3[01]|[12]\d|0[1-9])"
    r"T?(?:(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?P<second>[0-5]\d)?)?(?P<zone>Z)?(?!\d)"
)
_HAN = re.compile(
    r"(?P<hanyear>[一二][〇○零OΟ一二三四五六七八九]{3})\s*年\s*(?P<hanmonth>[一二三四五六七八九十]{1,2})\s*月\s*"
    rf"(?P<handay>[一二三四五六七八九十]{{1,3}})\s*[日号](?:{_GAP}{_CLOCK})?"
)
_NO_YEAR = re.compile(
    rf"(?<!\d)(?<!\d[.:/-])(?:(?P<month>0?[1-9]|1[0-2])\s*月\s*(?P<day>3[01]|[12]\d|"
    rf"0?[1-9])(?!\d)\s*[日号](?:{_GAP}{_CLOCK})?"
    rf"|(?P<month_b>0?[1-9]|1[0-2])[-/](?P<day_b>3[01]|[12]\d|0[1-9]|[1-9](?=\s))(?:\s{{1,4}}|"
    rf"(?=[0-2]\d:)){_CLOCK.replace('?P<', '?P<b_')})"
)
# Day and year in elements of their own: "2021 09/26 16:20:05". Only with a clock, or any two numbers would be a day.
_LOOSE = re.compile(
    r"(?<!\d)(?P<year>20\d\d)\s{0,3}[-/.]?\s{0,3}(?P<month>0[1-9]|1[0-2])\s?[-/]\s?(?P<day>3[01]|[12]\d|0[1-9])"
    rf"(?:\s{{1,4}}|(?=[0-2]\d:)){_CLOCK}"
)
_SHORT_YEAR = re.compile(
    rf"(?<!\d)(?<!\d[.:/-])(?P<year>\d\d)[-/.](?P<month>0[1-9]|1[0-2])[-/.](?P<day>3[01]|[12]\d|0[1-9])(?:\s{{1,4}}|"
    rf"(?=[0-2]\d:)){_CLOCK}"
)
_ENGLISH = re.compile(
    rf"\b(?:(?P<name>{_MONTH_NAME})\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?|(?P<day_b>\d{{1,2}})(?:st|nd|rd|"
    rf"th)?[\s-]+(?P<name_b>{_MONTH_NAME}),?-?)"
    rf"\s*(?P<year>(?:19|20)\d\d)(?:(?:\s*,\s*|\s+at\s+|\s+|\s*[-|]\s*)(?:{_CLOCK}))?",
    re.IGNORECASE,
)
_AGO = re.compile(
    r"(?P<count>\d{1,3}|[半一两二三四五六七八九十])\s*(?P<unit>秒钟|秒|分钟|分|刻钟|个小时|小时|个钟头|钟头|天|日|周|"
    r"个星期|星期|个月|月|年)\s*(?P<and>半)?\s*(?:之|以)?前"
)
_AGO_ENGLISH = re.compile(
    r"\b(?P<count>\d{1,3}|an?)\s*(?P<unit>second|sec|minute|min|hour|hr|day|week|month|year)s?\s+ago\b", re.IGNORECASE
)
_ENGLISH_SECONDS = {
    "sec": 1,
    "min": 60,
    "hou": 3600,
    "hr": 3600,
    "day": 86400,
    "wee": 604800,
    "mon": 2592000,
    "yea": 31536000,
}
_DAY_WORD = re.compile(rf"(?P<word>大前天|前天|前日|昨天|昨日|昨晚|今天|今日|今晨|今早|今晚)(?:\s*{_CLOCK})?")
_NOW = re.compile(r"刚刚|刚才|\bjust now\b|\bmoments? ago\b", re.IGNORECASE)
_EPOCH = re.compile(r"\s*(\d{10})(\d{3})?\s*\Z")


def parse_time(text: str, fetched_at: datetime) -> ParsedTime | None:
    """The first time that `text` states, or None.

    Words like 刚刚, 5分钟前, 昨天 08:10 are resolved against `fetched_at` (aware), in Beijing days. A date without a
    year is the newest one that is not later than a day after the fetch. Never raises on any text.
    """
    return next(find_times(text, fetched_at), None)


def find_times(text: str, fetched_at: datetime) -> Iterator[ParsedTime]:
    """Every time that `text` states, in the order of the text; none overlaps another."""
    text = unicodedata.normalize("NFKC", text[:LONGEST_TEXT])
    epoch = _EPOCH.match(text)
    if epoch:
        moment = datetime.fromtimestamp(int(epoch[1]), UTC).astimezone(BEIJING)
        if moment.year >= FIRST_YEAR:
            yield ParsedTime(moment, minute=True, dated=True, start=0, end=len(text))
        return
    found = [
        parsed
        for pattern, read in _READERS
        for match in pattern.finditer(text)
        if (parsed := _safely(read, match, fetched_at)) is not None
    ]
    # Longer first at the same place: "2019-09-26 15:10" before its part "09-26 15:10".
    found.sort(key=lambda parsed: (parsed.start, -parsed.end))
    last = -1
    for parsed in found:
        if parsed.start >= last:
            yield parsed
            last = parsed.end


def _safely(
    read: Callable[[re.Match[str], datetime], ParsedTime | None], match: re.Match[str], fetched_at: datetime
) -> ParsedTime | None:
    """Read one match; dates that no calendar has (30 February, year 10000) are not dates."""
    try:
        return read(match, fetched_at)
    except (ValueError, OverflowError):
        return None


def _clock(groups: dict[str, str | None], prefix: str = "") -> tuple[int, int, int] | None:
    """Hour, minute and second of the clock groups, or None without one."""
    hour_text = groups.get(prefix + "hour")
    if hour_text is None:
        return None
    hour = int(hour_text)
    minute = int(
        groups.get(prefix + "minute")
        or groups.get(prefix + "minute2")
        or (30 if groups.get(prefix + "half_hour") else 0)
    )
    second = int(groups.get(prefix + "second") or groups.get(prefix + "second2") or 0)
    half = (groups.get(prefix + "half") or groups.get(prefix + "half2") or "").lower().replace(".", "")
    if (half in {"下午", "傍晚", "晚上", "晚间", "夜间", "午后", "pm"} and hour < 12) or (half == "中午" and hour < 3):
        hour += 12
    elif half in {"凌晨", "am"} and hour == 12:
        hour = 0
    return hour, minute, second


def _zone(groups: dict[str, str | None], prefix: str = "") -> ZoneInfo | timezone:
    """The stated zone, Beijing without one."""
    text = (groups.get(prefix + "zone") or "").replace(" ", "").upper()
    if not text:
        return BEIJING
    offset = re.search(r"([+-])(\d{1,2}):?(\d\d)?", text)
    if offset is None:
        return UTC
    minutes = int(offset[2]) * 60 + int(offset[3] or 0)
    return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))


def _moment(
    match: re.Match[str], year: int, month: int, day: int, prefix: str = "", *, dated: bool = True
) -> ParsedTime | None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    groups = match.groupdict()
    clock = _clock(groups, prefix)
    hour, minute, second = clock or (0, 0, 0)
    moment = datetime(year, month, day, tzinfo=_zone(groups, prefix)) + timedelta(
        hours=hour, minutes=minute, seconds=second
    )
    return ParsedTime(moment, minute=clock is not None, dated=dated, start=match.start(), end=match.end())


def _read_numeric(match: re.Match[str], _: datetime) -> ParsedTime | None:
    return _moment(match, int(match["year"]), int(match["month"]), int(match["day"]))


def _read_short_year(match: re.Match[str], fetched_at: datetime) -> ParsedTime | None:
    """19-09-26 15:10: a year of this century up to that of the fetch."""
    year = 2000 + int(match["year"])
    return _moment(match, year, int(match["month"]), int(match["day"])) if year <= fetched_at.year + 1 else None


def _read_han(match: re.Match[str], _: datetime) -> ParsedTime | None:
    year = int("".join(_HAN_DIGIT.get(c, c) for c in match["hanyear"]))
    return _moment(match, year, _han_number(match["hanmonth"]), _han_number(match["handay"]))


def _han_number(text: str) -> int:
    """A number below 100 in Han digits: 九, 十二, 二十六."""
    if "十" not in text:
        return int("".join(_HAN_DIGIT[c] for c in text))
    tens, _, ones = text.partition("十")
    return (int(_HAN_DIGIT[tens]) if tens else 1) * 10 + (int(_HAN_DIGIT[ones]) if ones else 0)


def _read_no_year(match: re.Match[str], fetched_at: datetime) -> ParsedTime | None:
    prefix = "" if match["month"] else "b_"
    month, day = int(match["month"] or match["month_b"]), int(match["day"] or match["day_b"])
    year = fetched_at.astimezone(BEIJING).year
    # 29 February needs up to eight years back (1896-1904 and 2096-2104 have no leap day between).
    for candidate in range(year + 1, year - 9, -1):
        try:
            parsed = _moment(match, candidate, month, day, prefix, dated=False)
        except ValueError:
            continue
        if parsed is not None and parsed.at <= fetched_at + timedelta(days=1):
            return parsed
    return None


def _read_english(match: re.Match[str], _: datetime) -> ParsedTime | None:
    month = _MONTHS.index((match["name"] or match["name_b"])[:3].lower()) + 1
    return _moment(match, int(match["year"]), month, int(match["day"] or match["day_b"]))


def _read_ago(match: re.Match[str], fetched_at: datetime) -> ParsedTime:
    count = float(match["count"]) if match["count"].isdigit() else _SMALL_NUMBER[match["count"]]
    return _ago(match, (count + (0.5 if match["and"] else 0)) * _UNIT_SECONDS[match["unit"]], fetched_at)


def _read_ago_english(match: re.Match[str], fetched_at: datetime) -> ParsedTime:
    count = int(match["count"]) if match["count"].isdigit() else 1
    unit = match["unit"].lower()
    return _ago(match, count * _ENGLISH_SECONDS["hr" if unit == "hr" else unit[:3]], fetched_at)


def _ago(match: re.Match[str], seconds: float, fetched_at: datetime) -> ParsedTime:
    """That long before the fetch; from a day on, only the day is stated."""
    moment = (fetched_at - timedelta(seconds=seconds)).astimezone(BEIJING)
    stated = seconds < 86400
    if not stated:
        moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return ParsedTime(moment, minute=stated, start=match.start(), end=match.end())


def _read_day_word(match: re.Match[str], fetched_at: datetime) -> ParsedTime | None:
    day = fetched_at.astimezone(BEIJING) - timedelta(days=_DAYS_BACK[match["word"]])
    parsed = _moment(match, day.year, day.month, day.day, dated=False)
    evening = parsed is not None and match["word"].endswith("晚") and parsed.minute and parsed.at.hour < 12
    if evening and parsed is not None:
        return ParsedTime(parsed.at + timedelta(hours=12), minute=True, start=parsed.start, end=parsed.end)
    return parsed


def _read_now(match: re.Match[str], fetched_at: datetime) -> ParsedTime:
    return ParsedTime(fetched_at.astimezone(BEIJING), minute=True, start=match.start(), end=match.end())


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], datetime], ParsedTime | None]], ...] = (
    (_NUMERIC, _read_numeric),
    (_COMPACT, _read_numeric),
    (_LOOSE, _read_numeric),
    (_SHORT_YEAR, _read_short_year),
    (_HAN, _read_han),
    (_NO_YEAR, _read_no_year),
    (_ENGLISH, _read_english),
    (_AGO, _read_ago),
    (_AGO_ENGLISH, _read_ago_english),
    (_DAY_WORD, _read_day_word),
    (_NOW, _read_now),
)
