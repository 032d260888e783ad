"""What the fields of a post may be called in files of others, and how their values are written there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from tingchao.pipeline.clock import BEIJING, from_millis
from tingchao.pipeline.clock_words import ParsedTime, parse_time
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.feed_times import mail_time
from tingchao.pipeline.records import Counts

# What each field may be called; the first name is the one that the documentation uses. Of several that are filled
# the last one holds.
NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "content", "正文", "内容"),
    "title": ("title", "标题"),
    "url": ("url", "link", "链接"),
    "id": ("id",),
    "source": ("source", "来源"),
    "kind": ("kind", "类型"),
    "published_at": ("published_at", "published", "time", "date", "发布时间", "时间"),
    "author": ("author", "user", "作者"),  # hashed and dropped
    "counts": ("counts",),
    "reads": ("reads", "阅读"),
    "likes": ("likes", "点赞"),
    "comments": ("comments", "评论"),
    "reposts": ("reposts", "转发"),
}
# Taken where none of those above is filled: others use these names too, for the same and sometimes for other things.
# None for `id`, `url` and `source`, of which a post's id is made: reading a file again must not double its posts.
SPARE: dict[str, tuple[str, ...]] = {
    "text": ("body", "message", "full_text", "text_raw", "文本", "微博正文", "微博内容", "文章内容"),
    "title": ("headline", "题目"),
    "published_at": (
        *("created_at", "create_time", "created", "ctime", "publish_time", "publish_date", "published_time"),
        *("pub_time", "pub_date", "post_time", "posted_at", "timestamp", "datetime", "date_time"),
        *("日期", "发布日期", "发表时间", "发文时间", "创建时间", "微博时间"),
    ),
    "author": ("user_name", "nickname", "screen_name", "昵称", "用户", "用户名", "博主"),
    "reads": ("read_count", "views", "view_count", "阅读量", "阅读数", "浏览量", "播放量"),
    "likes": ("like_count", "likes_count", "attitudes_count", "favorite_count", "点赞数", "点赞量", "赞"),
    "comments": ("comment_count", "comments_count", "reply_count", "评论数", "评论量"),
    "reposts": ("repost_count", "reposts_count", "share_count", "shares", "retweet_count", "转发数", "转发量"),
}
COUNTS = ("reads", "likes", "comments", "reposts")
# Of an object that stands for an author: what tells one from the others, the surest first.
_PERSON = ("id", "uid", "screen_name", "name", "nickname", "昵称")
_MOST = 2**53  # a count beyond is none: JSON readers keep no greater number exactly
_LONGEST_TIME = 80  # characters; what is longer holds more than a time
_UNITS = {"": 1, "千": 1e3, "k": 1e3, "万": 1e4, "萬": 1e4, "w": 1e4, "m": 1e6, "亿": 1e8, "億": 1e8}
_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([千k万萬wm亿億]?)\s*\+?\s*[次条人个]?", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DAY = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]*(\d{1,2})[:时](\d{1,2})分?(?::(\d{1,2})(?:\.\d+)?)?)?"
)
_DAY_ALONE = re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{8}")
_CLOCK_ALONE = re.compile(r"\D{0,4}\d{1,2}\s*[:：时點点].{0,16}")
_COMPACT = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{4}(\d\d)?)?")
_MILLIS, _NANOS = 12, 19  # digits of milliseconds since 1970 in 1973, and of nanoseconds today


class Name(NamedTuple):
    """The field that a name stands for; a spare one gives way."""

    field: str
    spare: bool


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


_KNOWN = {_plain(name): Name(field, spare=True) for field, names in SPARE.items() for name in names}
_KNOWN |= {_plain(name): Name(field, spare=False) for field, names in NAMES.items() for name in names}


@lru_cache(1024)  # files have the same few names in every line
def known(name: str) -> Name | None:
    """The field that is called so, whatever its case: `publishTime`, `Publish Time` and `publish_time` are one."""
    return _KNOWN.get(_plain(name))


def collected(names: Iterable[Name | None], values: Iterable[Any]) -> dict[str, Any]:
    """The fields that are filled. A day and a time of day in fields of their own become one time."""
    fields: dict[str, Any] = {}
    spare: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        if name is None or value is None or value == "":
            continue
        field, gives_way = name
        into = spare if gives_way else fields
        if field in into and isinstance(value, str) and value.isspace():
            continue
        twice = field == "published_at" and field in into
        into[field] = _joined(into[field], value) if twice else value
    if spare:
        if "published_at" in spare and "published_at" in fields:
            fields["published_at"] = _joined(spare["published_at"], fields["published_at"])
        fields = spare | fields
    if isinstance(counts := fields.pop("counts", None), dict):
        inner = collected(map(known, counts), counts.values())
        fields |= {name: inner[name] for name in COUNTS if name in inner}
    return fields


def _joined(first: Any, second: Any) -> Any:
    """A day and a time of day together; of anything else the second."""
    for day, clock in ((first, second), (second, first)):
        if _DAY_ALONE.fullmatch(str(day).strip()) and _CLOCK_ALONE.fullmatch(str(clock).strip()):
            return f"{str(day).strip()} {str(clock).strip()}"
    return second


def text_of(fields: dict[str, Any], name: str) -> str:
    """A text or number as text. Raises Poison for anything else."""
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Poison("post.bad_field", f"{name}: expected text, got {type(value).__name__}")


def side_text(fields: dict[str, Any], name: str, flags: list[str]) -> str:
    """Like `text_of` for what a post can do without: what is no text is left empty, with a flag."""
    if isinstance(value := fields.get(name, ""), str):
        return value
    try:
        return text_of(fields, name)
    except Poison:
        flags.append(f"bad_{name}")
        return ""


def author_of(fields: dict[str, Any]) -> str | None:
    """What tells the author from others, only to be hashed; an object is read, a list is not."""
    value = fields.get("author")
    if isinstance(value, dict):
        value = next((value[key] for key in _PERSON if value.get(key)), None)
    return str(value) if isinstance(value, str | int) else None


def counts_of(fields: dict[str, Any], flags: list[str]) -> Counts:
    """The counts; one that cannot be read is left empty, with a flag."""
    found = {name: _count(fields[name]) for name in COUNTS if name in fields}
    if None in found.values():
        flags.append("bad_count")
    return Counts(**found)


def _count(value: object) -> int | None:
    """A count as people show it: 1234, "1,234", 1.2万, 10万+, 3.4k; None when it is none."""
    if type(value) is int:  # not a bool
        return max(0, value) if value <= _MOST else None
    try:
        number = float(_THOUSANDS.sub("", str(value))) if not isinstance(value, bool) else None
    except ValueError:
        number = _shown(value) if isinstance(value, str) else None
    return round(max(0, number)) if number is not None and number <= _MOST else None  # NaN compares false


def _shown(value: str) -> float | None:
    match = _COUNT.fullmatch(_THOUSANDS.sub("", unicodedata.normalize("NFKC", value).strip()))
    return float(match[1]) * _UNITS[match[2].lower()] if match else None


def time_of(value: object, now: datetime, flags: list[str]) -> datetime | None:
    """ISO 8601, `2020/3/7 19:05`, Weibo's and mail's form, words like 昨天 08:10, or a number since 1970.

    Without a zone Beijing's (flag no_zone); what names no whole date counts back from `now` (flag relative). None for
    nothing. Raises Poison, which never quotes what it could not read: that is not masked yet.
    """
    value = value.strip() if isinstance(value, str) else value
    if value is None or value == "" or (value == 0 and value is not False):  # 0: how many say that they do not know
        return None
    try:
        return _written(value, now, flags) if isinstance(value, str) else _number(value, flags)
    except (TypeError, ValueError, OverflowError, OSError) as err:
        raise Poison("post.bad_time", "published_at: not a time; expected e.g. 2026-01-31T08:05:00+08:00") from err


def _written(text: str, now: datetime, flags: list[str]) -> datetime:
    if text.isdecimal():
        return _number(int(text), flags)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = _otherwise(text, now, flags)
    return _zoned(when, flags)


def _zoned(when: datetime, flags: list[str]) -> datetime:
    if when.tzinfo is None:
        flags.append("no_zone")
        when = when.replace(tzinfo=BEIJING)
    return when.astimezone(UTC)


def _number(value: object, flags: list[str]) -> datetime:
    """Seconds, milli-, micro- or nanoseconds since 1970, told by their size; or 20260131 and 202601310805."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if 1e8 <= value < 1e11:  # seconds from 1973 to 5138, which are the most usual
        return from_millis(round(value * 1000))
    digits = str(int(value))
    if _COMPACT.fullmatch(digits):
        form = "%Y%m%d%H%M%S"[: len(digits) - 2]  # %Y takes two characters and stands for four digits
        return _zoned(datetime.strptime(digits, form), flags)  # noqa: DTZ007 the zone follows
    if not _MILLIS <= len(digits) <= _NANOS:
        raise ValueError
    return from_millis(round(value if value < 1e14 else value / 1e3 if value < 1e17 else value / 1e6))


def _otherwise(text: str, now: datetime, flags: list[str]) -> datetime:
    """What is not ISO 8601. Raises ValueError for what is no time."""
    if len(text) > _LONGEST_TIME:
        raise ValueError
    if match := _DAY.fullmatch(text):
        return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 zone follows
    if re.fullmatch(r"\d{9,19}\.\d+", text):
        return _number(float(text), flags)
    if (mailed := mail_time(text, chinese=True)) is not None:
        return mailed
    found = parse_time(text, now) or _of_today(text, now)
    if found is None:
        raise ValueError
    if not found.dated:
        flags.append("relative")
    elif found.at.tzinfo is BEIJING:
        return found.at.replace(tzinfo=None)
    return found.at


def _of_today(text: str, now: datetime) -> ParsedTime | None:
    """A time of day alone is the latest one up to now, as pages show it."""
    if not _CLOCK_ALONE.fullmatch(text):
        return None
    days = (parse_time(f"{day} {text}", now) for day in ("今天", "昨天"))
    return next((found for found in days if found and found.minute and found.at <= now + timedelta(minutes=1)), None)
