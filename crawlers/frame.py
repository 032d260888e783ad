"""Lines that return on several pages of one site: its frame (menus, footers, standing recommendations)."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable

import msgspec

MOST_LINES = 4000
"""Lines remembered for a site: 8 bytes each, in base64 43 KB, below the 64 KB of a state record."""

_ENTRY = struct.Struct("<IHH")
_FRAME = 0xFFFF


class _Stored(msgspec.Struct, frozen=True):
    v: int
    lines: bytes


class Frame:
    """The frame of one site, learned page by page; bounded: of the lines seen once, the oldest are forgotten first.

    A line belongs to the frame once it was seen on two different pages. Pages are told apart by `page` (the address)
    so that a second fetch of the same article does not turn its text into frame.
    """

    def __init__(self) -> None:
        self._lines: dict[int, tuple[int, int]] = {}  # hash of the line -> (hash of the page, _FRAME or 0)

    def learn(self, lines: Iterable[str], page: str = "") -> None:
        """Remember the lines of one page. Without `page` its own lines stand for it."""
        hashes = list(dict.fromkeys(_hash(line) for line in lines if _usable(line)))
        owner = _hash(page) & 0xFFFF if page else _fold(hashes)
        for line in hashes:
            known = self._lines.pop(line, None)
            framed = known is not None and (known[1] == _FRAME or known[0] != owner)
            self._lines[line] = (owner, _FRAME if framed else 0)
        self._forget()

    def is_frame(self, line: str) -> bool:
        """Whether a line was seen on two pages of the site."""
        known = self._lines.get(_hash(line))
        return known is not None and known[1] == _FRAME

    def __len__(self) -> int:
        return len(self._lines)

    def _forget(self) -> None:
        excess = len(self._lines) - MOST_LINES
        if excess > 0:
            seen_once = [line for line, known in self._lines.items() if known[1] != _FRAME]
            for line in [*seen_once, *self._lines][:]:
                if excess <= 0:
                    break
                if self._lines.pop(line, None) is not None:
                    excess -= 1

    def to_json(self) -> bytes:
        """At most 64 KB of JSON."""
        packed = b"".join(_ENTRY.pack(line, owner, framed) for line, (owner, framed) in self._lines.items())
        return msgspec.json.encode(_Stored(v=1, lines=base64.b64encode(packed)))

    @classmethod
    def from_json(cls, data: bytes) -> Frame:
        """The inverse of to_json. Unreadable data gives an empty frame: it is only a help, and it is learned again."""
        frame = cls()
        try:
            packed = base64.b64decode(msgspec.json.decode(data, type=_Stored).lines)
        except (msgspec.MsgspecError, ValueError):
            return frame
        whole = len(packed) - len(packed) % _ENTRY.size
        frame._lines = {line: (owner, framed) for line, owner, framed in _ENTRY.iter_unpack(packed[:whole])}
        return frame


def _usable(line: str) -> bool:
    return len(line) >= 2


def _hash(line: str) -> int:
    return int.from_bytes(
        hashlib.blake2b("".join(line.split()).encode("utf-8", "replace"), digest_size=4).digest(), "little"
    )


def _fold(hashes: list[int]) -> int:
    """A number for a page from all its lines."""
    return int.from_bytes(
        hashlib.blake2b(struct.pack(f"<{len(hashes)}I", *sorted(hashes)), digest_size=2).digest(), "little"
    )
