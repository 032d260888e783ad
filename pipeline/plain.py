"""A file as people have it (packed, in UTF-16 or GB18030) becomes a stream of UTF-8; what is no text is refused."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tingchao.config.language import Said
from tingchao.pipeline.errors import Refused

BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading raises where a packed file breaks off or is damaged."""

_HEAD = 1 << 16  # bytes looked at, if the stream gives so many at once
_GZIP = b"\x1f\x8b"
# How files begin that hold no lines: workbooks and archives (zip, old Excel, bzip2, xz, 7z, rar, zstd), PDF, SQLite.
_NO_TEXT = (
    *(b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd"),
    *(b"%PDF-", b"SQLite format 3\0"),
)
_SIGNS = frozenset("\n\t,;{[")  # every table and every JSON has one of them
_STEP = 1 << 16


def plain(stream: IO[bytes]) -> io.BufferedReader:
    """The stream unpacked and in UTF-8. Raises Refused for a file that is no text, and `BROKEN` when read."""
    buffered = _buffered(stream)
    if head(buffered).startswith(_GZIP):
        buffered = io.BufferedReader(gzip.GzipFile(fileobj=buffered))
    with unbroken():
        first = head(buffered)
    if first.startswith(_NO_TEXT):
        raise Refused(Said("error.no_text_file"))
    encoding = _encoding(first)
    return buffered if encoding == "utf-8" else io.BufferedReader(_Recoded(buffered, encoding))


@contextmanager
def unbroken() -> Iterator[None]:
    """Around what reads a stream of `plain`: raises Refused where a packed file breaks off or is damaged."""
    try:
        yield
    except BROKEN as err:
        raise Refused(Said("error.packed", error=err)) from err


def head(stream: io.BufferedReader) -> bytes:
    """What comes next, without taking it."""
    return stream.peek(_HEAD)


def _buffered(stream: IO[bytes]) -> io.BufferedReader:
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]


def _encoding(first: bytes) -> str:
    """UTF-16 has a mark (Excel's "Unicode text", PowerShell); GB18030 is what Excel in China saves."""
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = first[: len(first) // 2 * 2].decode("utf-16", "replace")
        if not _SIGNS.isdisjoint(text):
            return "utf-16"
    return "utf-8" if _is_utf8(first) else "gb18030"


def _is_utf8(first: bytes) -> bool:
    """Whether what is beyond ASCII reads as UTF-8, but for what is broken here and there or cut at the end."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(first)
    broken = text.count("\ufffd") - first.count("\ufffd".encode())
    return broken == 0 or broken * 5 < len(re.findall(r"[^\0-\x7f]", text))


class _Recoded(io.RawIOBase):
    """The stream in UTF-8; a broken character becomes U+FFFD."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._left = self._left or self._text.read(_STEP).encode("utf-8", "replace")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size
