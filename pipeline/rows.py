"""Lines of a JSONL or CSV file become Raw posts; a bad line says what is wrong with it."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, NamedTuple

import msgspec

from tingchao.config.language import Said
from tingchao.pipeline.errors import Poison, Refused
from tingchao.pipeline.fields import Name, author_of, collected, counts_of, known, side_text, text_of, time_of
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.plain import BROKEN, head, plain

ROW_LINES = 1000  # of a CSV row; a post has far fewer
_MARK = b"\xef\xbb\xbf"  # of UTF-8
ARRAY_LIMIT = 256 * 1024 * 1024  # bytes; an array is read as a whole
LINE_LIMIT = 16 * 1024 * 1024  # bytes; a longer line is no post, and reading it would fill the memory


class Line(NamedTuple):
    """A line of the file: its number from 1, its length and hash, and the fields or what is wrong."""

    number: int
    size: int
    hash: str
    fields: dict[str, Any] | Poison


def read_posts(stream: IO[bytes], file: str, form: str = "") -> Iterator[Line]:
    """The lines of a file in the `form` jsonl or csv; without one by the file's extension, else by how it begins.

    Raises Refused for another form, and for a file that is no text or has no column with text.
    """
    readers = {"jsonl": read_jsonl, "csv": read_csv}
    if form and form not in readers:
        raise Refused(Said("error.one_of", option="--format", value=form, known=", ".join(readers)))
    text = plain(stream)
    return readers[form or _form(file, head(text))](text)


def _form(file: str, first: bytes) -> str:
    name = file.lower().removesuffix(".gz")
    if name.endswith((".csv", ".tsv", ".tab")):
        return "csv"
    if name.endswith((".jsonl", ".ndjson", ".json")) or first.removeprefix(_MARK).lstrip()[:1] in {b"{", b"["}:
        return "jsonl"
    header, _, _ = first.removeprefix(_MARK).partition(b"\n")
    return "csv" if _separator(header.decode("utf-8", "replace")) else "jsonl"


def read_jsonl(stream: IO[bytes]) -> Iterator[Line]:
    """One JSON object a line, or one JSON array of them; blank lines are passed over."""
    text = plain(stream)
    return _to_the_break(_array(text) if head(text).removeprefix(_MARK).lstrip()[:1] == b"[" else _objects(text))


def _objects(stream: IO[bytes]) -> Iterator[Line]:
    number = 0
    while data := stream.readline(LINE_LIMIT):
        number += 1
        size = len(data)
        if not data.endswith(b"\n") and size == LINE_LIMIT:
            size += _skip_line(stream)
            yield _line(number, size, data, Poison("line.too_long", f"a line of {size} bytes, at most {LINE_LIMIT}"))
        elif data.strip():
            yield _line(number, size, data, _object(data.removeprefix(_MARK) if number == 1 else data))


def _array(stream: IO[bytes]) -> Iterator[Line]:
    """Its elements, numbered from 1; a file of lines may begin with a bracket too."""
    data = stream.read(ARRAY_LIMIT + 1).removeprefix(_MARK)
    if len(data) > ARRAY_LIMIT:
        wrong = f"a JSON array of more than {ARRAY_LIMIT} bytes; write one object a line"
        yield _line(1, len(data), data[:LINE_LIMIT], Poison("file.array_too_long", wrong))
        return
    try:
        elements = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        if not isinstance(_json(data.partition(b"\n")[0]), Poison):
            yield from _objects(io.BytesIO(data))
            return
        wrong = f"begins as a JSON array and is none: {err}; nothing of it was read"
        yield _line(1, len(data), data[:LINE_LIMIT], Poison("file.not_an_array", wrong))
        return
    for number, element in enumerate(elements, 1):
        one = bytes(element)
        yield _line(number, len(one), one, _object(one))


def read_csv(stream: IO[bytes]) -> Iterator[Line]:
    """A header line, then one post a row; commas, semicolons or tabs between the columns.

    Raises Refused when the header names no text column.
    """
    with _long_fields():
        yield from _to_the_break(_table(plain(stream)))


@contextmanager
def _long_fields() -> Iterator[None]:
    """Posts may be long. The limit is one of the process, and other tables keep theirs."""
    before = csv.field_size_limit(LINE_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _table(stream: IO[bytes]) -> Iterator[Line]:
    lines = iter(io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline=""))
    skipped, first = 0, next(lines, "")
    if re.fullmatch(r"sep=.\s*", first):  # how Excel is told of the separator
        skipped, first = 1, next(lines, "")
    separator = _separator(first) or ","
    rows = _records(itertools.chain([first] if first else [], lines), separator)
    _, header = next(rows, (1, []))
    names = [] if isinstance(header, Poison) else header
    columns = [known(name) for name in names]
    if not any(column and column.field == "text" for column in columns):
        raise Refused(Said("error.csv_header", columns=len(names)) if names else Said("error.csv_empty"))
    for number, row in rows:
        if isinstance(row, Poison):
            yield _line(number + skipped, 0, b"", row)
        elif row:
            data = ",".join(row).encode("utf-8", "replace")
            yield _line(number + skipped, len(data), data, _row(columns, row))


def _separator(header: str) -> str:
    """The sign between the columns, which is the one that lets most of them have names we know; '' without a text."""
    best, most = "", 0
    for sign in ",;\t":
        try:
            columns = list(filter(None, map(known, next(csv.reader([header], delimiter=sign), []))))
        except csv.Error:
            continue
        if len(columns) > most and any(column.field == "text" for column in columns):
            best, most = sign, len(columns)
    return best


def _to_the_break(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines up to where a packed file breaks off, and then what happened."""
    number = 0
    try:
        for line in lines:
            number = line.number
            yield line
    except BROKEN as err:
        wrong = f"the packed file is damaged or breaks off here ({err}); what comes behind was not read"
        yield _line(number + 1, 0, b"", Poison("file.broken", wrong))


def _records(lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str] | Poison]]:
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
            row = next(csv.reader(_taking(lines, ahead, taken), strict=True, delimiter=separator), None)
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
    text = text_of(fields, "text")
    if not text.strip():
        raise Poison("post.no_text", "no text; expected a field 'text' that is not empty")
    flags: list[str] = []
    published = time_of(fields.get("published_at"), fetched_at, flags)
    named = side_text(fields, "source", flags) or source
    url = side_text(fields, "url", flags)
    return Raw(
        source=named,
        text=text,
        title=side_text(fields, "title", flags),
        url=url,
        kind=side_text(fields, "kind", flags) or "post",
        author=author_of(fields),
        published_at=published,
        fetched_at=fetched_at,
        counts=counts_of(fields, flags),
        basis=_basis(fields, named, url, text, seen),
        flags=tuple(flags),
    )


def _object(data: bytes) -> dict[str, Any] | Poison:
    value = _json(data)
    if isinstance(value, dict):
        return collected(map(known, value), value.values())
    if isinstance(value, Poison):
        return value
    return Poison("line.not_an_object", f"expected a JSON object with 'text', got {type(value).__name__}")


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        return Poison("line.not_json", f"not JSON: {err}")


def _row(columns: list[Name | None], row: list[str]) -> dict[str, Any] | Poison:
    if len(row) != len(columns):
        return Poison("line.columns", f"{len(row)} columns, the header has {len(columns)}")
    return collected(columns, row)


def _line(number: int, size: int, data: bytes, fields: dict[str, Any] | Poison) -> Line:
    return Line(number, size, hashlib.blake2b(data, digest_size=8).hexdigest(), fields)


def _skip_line(stream: IO[bytes]) -> int:
    skipped = 0
    while data := stream.readline(LINE_LIMIT):
        skipped += len(data)
        if data.endswith(b"\n"):
            break
    return skipped


def _basis(fields: dict[str, Any], source: str, url: str, text: str, seen: Counter[bytes]) -> str:
    if given := text_of(fields, "id"):
        return f"id {given}"
    if url:
        return ""  # the canonical URL
    row = f"{source}\n{fields.get('published_at') or ''}\n{text}"
    key = hashlib.blake2b(row.encode("utf-8", "replace"), digest_size=16).digest()
    seen[key] += 1
    return f"row {key.hex()} {seen[key]}"
