"""Which text was told before: the newest texts by their sketches, so that a repost finds its original.

Locality-sensitive hashing (Indyk and Motwani 1998) with one table of the newest text for each number of a sketch,
then the texts themselves are compared (likeness.py). Memory is bounded: the oldest texts are forgotten first.
State keys: `c/n`, `BLOCK` texts each.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from functools import cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from tingchao.alerts import shards
from tingchao.alerts.likeness import alike, contradict, other_links
from tingchao.pipeline.shingles import BANDS

BLOCK = 32  # texts a record: about 30 KB
LONGEST = 400  # characters of a text that are compared
_TRIED = 3  # candidates that are compared with a text: those that share most numbers
_KIN = 4  # of a candidate that tells other numbers, older texts like it: bulletins differ in their numbers only

Bands = NDArray[np.uint16]
Slots = NDArray[np.int64]


class Text(msgspec.Struct, array_like=True, gc=False):
    """A text that was told for the first time, or in words that have moved away from the first."""

    scope: str  # texts of different scopes are never compared
    bare: str
    mark: int  # its hash
    links: str  # what `bare` leaves out (shingles.links)
    name: str  # of the post that told it first
    owner: str  # its event, which is known a moment later
    at: int  # seconds, by the clock
    bands: bytes
    kin: int  # the number of an older text whose place in the table it may have taken, or -1


class Found(msgspec.Struct, frozen=True, gc=False):
    """A text that is repeated, how alike the two are (0-1), and the number of the nearest in any case, or -1."""

    text: Text | None
    likeness: float
    nearest: int


class Copies:
    """The newest `limit` texts of all scopes."""

    def __init__(self, memory: MutableMapping[str, bytes], limit: int) -> None:
        self._memory, self._limit = memory, limit
        self._texts: dict[int, Text] = {}  # by running number
        self._exact: dict[tuple[str, int], int] = {}
        # For each number of a sketch and each of its values, mixed with the scope: the newest text, as its running
        # number below a tag of the scope.
        self._table = np.full(BANDS << 16, -1, dtype=np.int64)
        self._next = self._first = 0
        self._changed: set[int] = set()
        self._load()

    def near(self, scopes: Sequence[str], slots: Slots) -> list[bool]:
        """Whether texts that come one after another, a row of slots each, may share a number with one before them.

        Most do not, and a call of numpy for each would cost more than all that is done with them.
        """
        salts = np.array([_salt(scope) for scope in scopes])
        known = (self._table.take(slots) >> _TAG == salts[:, None]).any(axis=1)
        first = {scope: number for number, scope in reversed(list(enumerate(scopes)))}
        return [
            near or first[scope] < number
            for number, (scope, near) in enumerate(zip(scopes, known.tolist(), strict=True))
        ]

    def find(self, scope: str, bare: str, mark: int, links: str, slots: Slots, *, near: bool) -> Found:
        """The text that this one repeats, if one is known; `slots` are those of its sketch, `near` as it was told."""
        known = self._exact.get((scope, mark))
        if known is not None and not other_links(self._texts[known].links, links):
            return Found(self._texts[known], 1.0, known)
        nearest = -1
        for number in self._candidates(scope, bare, slots) if near else ():
            nearest = max(nearest, number)
            for kin in self._kin(number):
                text = self._texts[kin]
                likeness = alike(text.bare, bare)
                if not likeness:
                    break
                if not contradict(text.bare, bare) and not other_links(text.links, links):
                    return Found(text, likeness, kin)
        return Found(None, 0.0, nearest)

    def add(self, text: Text, slots: Slots) -> None:
        """Remember a text that `find` did not know, or one that repeats another in other words."""
        self._put(self._next, text, slots)
        self._changed.add(self._next // BLOCK)
        self._next += 1
        if self._next - self._first > self._limit:
            self._drop_first()

    def drop(self, before: int) -> None:
        """Forget texts first told before `before` (seconds, by the clock)."""
        while self._first < self._next and self._texts[self._first].at < before:
            self._drop_first()

    def save(self) -> None:
        """Write what changed into the keyed state."""
        for block in sorted(self._changed):
            texts = [self._texts[n] for n in range(block * BLOCK, (block + 1) * BLOCK) if n in self._texts]
            shards.put(self._memory, f"c/{block}", _ENCODER.encode((max(block * BLOCK, self._first), texts)))
        self._changed.clear()

    def _load(self) -> None:
        keys = shards.keys(self._memory, "c/")
        for key in sorted(keys, key=lambda key: int(key[2:])):
            first, texts = _BLOCK.decode(shards.get(self._memory, key))
            self._first = min(self._first, first) if self._texts else first
            for number, text in enumerate(texts, first):
                self._put(number, text, slots([text.scope], np.frombuffer(text.bands, dtype="<u2")[None])[0])
                self._next = number + 1

    def _put(self, number: int, text: Text, slots: Slots) -> None:
        self._texts[number] = text
        self._exact[text.scope, text.mark] = number
        self._table[slots] = (_salt(text.scope) << _TAG) + number

    def _drop_first(self) -> None:
        text = self._texts.pop(self._first)
        key = text.scope, text.mark
        if self._exact.get(key) == self._first:
            del self._exact[key]
        self._first += 1
        if self._first % BLOCK == 0:
            shards.delete(self._memory, f"c/{self._first // BLOCK - 1}")
            self._changed.discard(self._first // BLOCK - 1)
        else:  # or a restart would know the text again
            self._changed.add(self._first // BLOCK)

    def _candidates(self, scope: str, bare: str, slots: Slots) -> list[int]:
        """Texts of the scope that share numbers of the sketch, those that share most first.

        One number in common is enough only where a short text may stand in a long one.
        """
        salt = _salt(scope)
        found = self._table.take(slots)
        found = found[found >> _TAG == salt] & _NUMBER
        if not len(found):
            return []
        shared = Counter(n for n in found.tolist() if n >= self._first and self._texts[n].scope == scope)
        numbers = [n for n, times in shared.items() if times > 1 or self._may_contain(n, bare)]
        numbers.sort(key=lambda n: (-shared[n], -n))
        return numbers[:_TRIED]

    def _may_contain(self, number: int, bare: str) -> bool:
        one, other = sorted((len(self._texts[number].bare), len(bare)))
        return 2 * one < other

    def _kin(self, number: int) -> Iterator[int]:
        """A text and older ones like it."""
        for _ in range(1 + _KIN):
            if number < self._first:
                return
            yield number
            number = self._texts[number].kin


_ENCODER = msgspec.msgpack.Encoder()
_BLOCK = msgspec.msgpack.Decoder(tuple[int, list[Text]])
_TAG = 40  # bits of a running number
_NUMBER = (1 << _TAG) - 1
_FIRST_SLOTS = np.arange(BANDS, dtype=np.int64) << 16


def slots(scopes: Sequence[str], bands: Bands) -> Slots:
    """Where in the table the numbers of sketches stand, a row a text."""
    salts = np.array([_salt(scope) for scope in scopes], dtype=np.uint16)
    places: Slots = (bands ^ salts[:, None]) + _FIRST_SLOTS
    return places


@cache
def _salt(scope: str) -> int:
    """16 bits."""
    return zlib.crc32(scope.encode("utf-8", "replace")) & 0xFFFF
