"""Lines of a JSONL or CSV file become Raw posts; a bad line says what is wrong with it."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

import msgspec

from tingchao.config.language import Said
from tingchao.pipeline.clock import BEIJING, from_millis
from tingchao.pipeline.errors import Poison, Refused
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.records import Counts

# What each field may be called; the first name is the one that the documentation uses.
NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "content", "正文", "内容"),
    "title": ("title", "标题"),
    "url": ("url", "link", "链接"),
    "id": ("id",),
    "source": ("source", "来源"),
    "kind": ("kind", "类型"),
    "published_at": ("published_at", "published", "time", "date", "发布时间", "时间"),
    "author": ("author", "user", "作者"),  # hashed and dropped
    "reads": ("reads", "阅读"),
    "likes": ("likes", "点赞"),
    "comments": ("comments", "评论"),
    "reposts": ("reposts", "转发"),
}
_BY_NAME = {name: field for field, names in NAMES.items() for name in names}
ROW_LINES = 1000  # of a CSV row; a post has far fewer
LINE_LIMIT = 16 * 1024 * 1024  # bytes; a longer line is no post, and reading it would fill the memory


class Line(NamedTuple):
    """A line of the file: its number from 1, its length and hash, and the fields or what is wrong."""

    number: int
    size: int
    hash: str
    fields: dict[str, Any] | Poison


def read_jsonl(stream: IO[bytes]) -> Iterator[Line]:
    """One JSON object a line; blank lines are passed over."""
    number = 0
    while data := stream.readline(LINE_LIMIT):
        number += 1
        size = len(data)
        if not data.endswith(b"\n") and size == LINE_LIMIT:
            size += _skip_line(stream)
            yield _line(number, size, data, Poison("line.too_long", f"a line of {size} bytes, at most {LINE_LIMIT}"))
        elif data.strip():
            yield _line(number, size, data, _object(data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data))


def read_csv(stream: IO[bytes]) -> Iterator[Line]:
    """A header line, then one post a row, in UTF-8 (with or without a mark) or GB18030.

    Raises Refused when the header names no text column.
    """
    csv.field_size_limit(LINE_LIMIT)
    rows = _records(_decoded(stream))
    _, header = next(rows, (1, []))
    names = [] if isinstance(header, Poison) else header
    columns = [_BY_NAME.get(name.strip().lower()) for name in names]
    if "text" not in columns:
        raise Refused(Said("error.csv_header", columns=len(names)))
    for number, row in rows:
        if isinstance(row, Poison):
            yield _line(number, 0, b"", row)
        elif row:
            data = ",".join(row).encode("utf-8", "replace")
            yield _line(number, len(data), data, _row(columns, row))


def _records(lines: Iterator[str]) -> Iterator[tuple[int, list[str] | Poison]]:
    """Rows with the number of the line on which they begin.

    A quote that is never closed would take all that follows into its field, up to another quote. Then only the line
    where it opens is given up, and reading goes on with the next one. A quote was not closed where its row cannot be
    read, is longer than `ROW_LINES`, or has other columns than the first row.
    """
    ahead: deque[str] = deque()
    number, width = 1, 0
    while True:
        taken: list[str] = []
        row: list[str] | Poison | None
        try:
            row = next(csv.reader(_taking(lines, ahead, taken), strict=True), None)
        except csv.Error as err:
            row = Poison("line.not_csv", f"not a CSV row: {err}")
        if row is None:
            return
        width = width or len(row if isinstance(row, list) else ())
        if len(taken) > 1 and (isinstance(row, Poison) or len(row) != width > 1):
            row = Poison("line.open_quote", f"a quote opens in line {number} and is not closed before other rows begin")
        if isinstance(row, Poison):
            ahead.extendleft(reversed(taken[1:]))
            taken = taken[:1]
        yield number, row
        number += len(taken)


def _taking(lines: Iterator[str], ahead: deque[str], taken: list[str]) -> Iterator[str]:
    """Lines, first those that were read ahead; each is put into `taken`."""
    while len(taken) < ROW_LINES and (line := ahead.popleft() if ahead else next(lines, "")):
        taken.append(line)
        yield line


def raw(line: Line, source: str, fetched_at: datetime, seen: Counter[bytes]) -> Raw:
    """The line as a Raw post. `seen` counts identical rows without id and URL, so that each stays a post.

    Raises Poison for what can not be one; its message never quotes the line, which is not masked yet.
    """
    if isinstance(line.fields, Poison):
        raise line.fields
    fields = line.fields
    text = _text(fields, "text")
    if not text.strip():
        raise Poison("post.no_text", "no text; expected a field 'text' that is not empty")
    flags: list[str] = []
    published = _time(fields.get("published_at"), flags)
    named = _text(fields, "source") or source
    return Raw(
        source=named,
        text=text,
        title=_text(fields, "title"),
        url=_text(fields, "url"),
        kind=_text(fields, "kind") or "post",
        author=_text(fields, "author") or None,
        published_at=published,
        fetched_at=fetched_at,
        counts=_counts(fields),
        basis=_basis(fields, named, text, seen),
        flags=tuple(flags),
    )


def _object(data: bytes) -> dict[str, Any] | Poison:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        return Poison("line.not_json", f"not JSON: {err}")
    if not isinstance(value, dict):
        return Poison("line.not_an_object", f"expected a JSON object with 'text', got {type(value).__name__}")
    fields = {_BY_NAME[key]: item for key, item in value.items() if key in _BY_NAME}
    counts = value.get("counts")
    return fields | (counts if isinstance(counts, dict) else {})


def _row(columns: list[str | None], row: list[str]) -> dict[str, Any] | Poison:
    if len(row) != len(columns):
        return Poison("line.columns", f"{len(row)} columns, the header has {len(columns)}")
    return {name: value for name, value in zip(columns, row, strict=True) if name is not None and value != ""}


def _line(number: int, size: int, data: bytes, fields: dict[str, Any] | Poison) -> Line:
    return Line(number, size, hashlib.blake2b(data, digest_size=8).hexdigest(), fields)


def _skip_line(stream: IO[bytes]) -> int:
    skipped = 0
    while data := stream.readline(LINE_LIMIT):
        skipped += len(data)
        if data.endswith(b"\n"):
            break
    return skipped


def _decoded(stream: IO[bytes]) -> Iterator[str]:
    """Lines of text. GB18030 is what Excel in China saves; UTF-8 is told from it by what is read first."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    head = buffered.peek(1 << 16)
    encoding = "utf-8-sig"
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        encoding = "gb18030"
    return io.TextIOWrapper(buffered, encoding=encoding, errors="replace", newline="")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise Poison("post.bad_field", f"{name}: expected text, got {type(value).__name__}")


def _counts(fields: dict[str, Any]) -> Counts:
    def number(name: str) -> int | None:
        value = fields.get(name)
        if value is None or value == "":
            return None
        try:
            return max(0, int(float(value)))
        except (TypeError, ValueError, OverflowError) as err:
            raise Poison("post.bad_field", f"{name}: expected a number") from err

    return Counts(number("reads"), number("likes"), number("comments"), number("reposts"))


def _time(value: object, flags: list[str]) -> datetime | None:
    """ISO 8601, `2020/3/7 19:05`, or seconds or milliseconds since 1970; without a zone Beijing's."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float) or (isinstance(value, str) and re.fullmatch(r"\d{9,13}(\.\d+)?", value)):
            number = float(value)
            return from_millis(round(number if number > 1e11 else number * 1000))  # 1e11 s is the year 5138
        when = _date(str(value).strip())
        if when.tzinfo is None:
            flags.append("no_zone")
            when = when.replace(tzinfo=BEIJING)
        return when.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise Poison("post.bad_time", "published_at: not a time; expected e.g. 2026-01-31T08:05:00+08:00") from err


def _date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        match = re.fullmatch(
            r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]*(\d{1,2})[:时](\d{1,2})分?(?::(\d{1,2})(?:\.\d+)?)?)?",
            text,
        )
        if match is None:
            raise
        return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 zone follows


def _basis(fields: dict[str, Any], source: str, text: str, seen: Counter[bytes]) -> str:
    if given := _text(fields, "id"):
        return f"id {given}"
    if _text(fields, "url"):
        return ""  # the canonical URL
    row = f"{source}\n{fields.get('published_at') or ''}\n{text}"
    key = hashlib.blake2b(row.encode("utf-8", "replace"), digest_size=16).digest()
    seen[key] += 1
    return f"row {key.hex()} {seen[key]}"
