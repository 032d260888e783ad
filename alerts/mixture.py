"""Which event a post tells of: by its words, its time, and how much is being said of each event.

Each event is a bag of the terms of its posts. A post belongs to the event under which its terms are the least
surprising, against what is usual in its scope: the sum over its terms of log((1 - L) p(term | event) / p(term) + L),
plus the logarithm of how many posts the event has of late. Below `NEW` it begins an event of its own. This is one
pass of a Dirichlet-process mixture with an interpolated background (Jelinek-Mercer), as in MStream (Yin et al. 2018).
Terms are hashed into a fixed number of places. Scopes know nothing of each other; one post of each is worked on at
once, since a call of numpy costs as much as the sums of one post.

Most events have one post, and share few of their terms with another. So a bit for each place and event says who told
it, and only an event of several posts has counts: bytes, and a second row of them once a term was counted 256 times.

State keys: `b/scope` (terms of forgotten events), `g/scope/n` (the latest `_BURIED` of them one by one).
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tingchao.alerts import shards

Places = NDArray[np.intp]
Slots = NDArray[np.intp]
Number = TypeVar("Number", bound=np.generic)

# Chosen on the 20 crises of CrisisLexT26 that are for development, by time and all begun at once (bench/events.py), F1
# 0.86 and 0.57 then. L of 0.5 gave 0.80 and 0.56, 0.8 gave 0.82 and 0.57; a threshold of 5 gave 0.78 and 0.55; a memory
# of a week 0.77 and 0.57. Chinese posts of CCTV with their hashtags hidden: 0.60; first-story detection at best 0.54.
BACKGROUND = 0.7  # L: weight of what is usual in the scope
# The same of a text in Han characters: of its terms, pairs of characters, many lie across the border of two words and
# are told by nobody else. Posts of 84 incidents (bench/stories.py) 0.31 -> 0.42 a day apart and 0.26 -> 0.30 at once,
# CCTV 0.60 -> 0.61; first-story detection at its best threshold 0.22, 0.25 and 0.54.
BACKGROUND_HAN = 0.8
NEW = 3.0  # logarithm of the odds from which a post joins an event
MEMORY = 86_400.0  # seconds after which a post counts 1/e of what it did for the size of its event
_CALM = 2_000  # terms that are taken for seen before the scope begins: nothing is rare in the first posts
_MOST = 60_000  # of a term in one event; then its counts are halved
_LONG_AGO = 2_000_000  # terms of forgotten events, about 30,000 posts; then their counts are halved
_BURIED = 32  # forgotten events whose terms are kept one by one, so that not all are written for each
_UNIT = 4096  # logarithms are summed as whole numbers of this unit, so that it does not matter what else is in a batch
_NEVER = -(2**40)
_ONCE = np.array([1], dtype="<u2").tobytes()
_BITS, _BYTE = 8, 255  # of a byte, and the greatest one


class Bag(msgspec.Struct, array_like=True):
    """The terms of an event as they are kept: places with a count, and how many posts of late, at which time."""

    slot: int
    places: bytes
    counts: bytes  # empty: each once
    mass: float
    last: float


class Mixtures:
    """The events that posts may still join: at most `most` a scope, with terms in `dims` places."""

    def __init__(self, memory: MutableMapping[str, bytes], dims: int, most: int, new: float = NEW) -> None:
        self._memory, self._dims, self._most, self._new = memory, dims, most, new
        self._scopes: dict[str, int] = {}
        self._usual = np.zeros((16, dims), dtype=np.uint32)  # a row a scope: terms of all posts
        self._terms = np.zeros(16)
        self._buried: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}  # a slot an event; '' is a free one
        self._told = np.zeros((16 * dims, -(-most // _BITS)), dtype=np.uint8)  # a bit a slot: the event has the term
        self._rows = np.zeros((16, most), dtype=np.intp)  # of the events of a scope; row 0 is no event
        self._sizes, self._mass, self._last = np.zeros(64), np.zeros(64), np.zeros(64)
        self._free = list(range(63, 0, -1))
        self._alone: dict[int, bytes] = {}  # places of the only post of an event, by row
        self._counts = np.zeros((16, dims), dtype=np.uint8)  # of the others; row 0 stays empty
        self._lower = np.zeros(64, dtype=np.intp)  # the row in `counts` of each event
        self._upper = np.zeros(64, dtype=np.intp)  # and that of its upper bytes, if it has any
        self._free_counts = list(range(15, 0, -1))
        for key in list(memory):
            if key.startswith("b/") and "#" not in key:
                self._unearth(key[2:], np.frombuffer(shards.get(memory, key), dtype="<u4"))
            elif key.startswith("g/"):
                scope = key[2:].rpartition("/")[0]
                places, counts = _sparse(memory[key])
                self._unearth(scope, _dense(places, counts, dims))
                self._buried[scope] = self._buried.get(scope, 0) + 1

    def likeliest(
        self, scopes: Sequence[str], places: Sequence[Places], at: NDArray[np.float64], han: NDArray[np.bool_]
    ) -> list[str | None]:
        """The event that a post of each scope joins, by its terms and time (seconds); None: it begins one.

        `han`: which of them are in Han characters. The scopes are different ones.
        """
        numbers = np.array([self._number(scope) for scope in scopes])
        live = max((len(self._names[scope]) for scope in scopes), default=0)
        lengths = np.array([len(one) for one in places], dtype=np.intp)
        if not live or not lengths.any():
            return [None] * len(scopes)
        rows = self._rows[numbers, :live]
        # The terms of all posts one after another: a table of posts and terms would be as wide as the longest post.
        every = np.concatenate(places)
        known = np.repeat(numbers * self._dims, lengths) + every
        bits = np.unpackbits(self._told[known], axis=1, count=live, bitorder="little")
        term, slot = np.divmod(np.flatnonzero(bits.view(np.bool_)), live)  # few of the terms were told in an event
        post = np.repeat(np.arange(len(scopes)), lengths)[term]
        event = rows[post, slot]
        usual = (self._usual.take(known[term]) + 1) / (self._terms[numbers] + lengths + _CALM)[post]
        background = np.where(han, np.float32(BACKGROUND_HAN), np.float32(BACKGROUND))
        untold = np.rint(np.log(background) * _UNIT).astype(np.int64)  # of a term that an event does not have
        weight = ((1 - background[post]) / usual).astype(np.float32)
        share = np.maximum(self._counts_of(event, every[term]), 1) * weight
        share /= np.maximum(self._sizes[event], 1).astype(np.float32)
        logs = np.rint(np.log(share + background[post]) * _UNIT).astype(np.int64) - untold[post]
        terms = np.zeros(rows.shape, dtype=np.int64) + (untold * lengths)[:, None]
        np.add.at(terms, (post, slot), logs)
        odds = terms + np.rint(np.log(np.maximum(self._now(rows, at[:, None]), 1e-6)) * _UNIT).astype(int)
        odds[rows == 0] = _NEVER
        best = odds.argmax(axis=1)
        sure = odds[np.arange(len(best)), best] > self._new * _UNIT
        return [
            self._names[scope][slot] if joins and size else None
            for scope, slot, joins, size in zip(scopes, best.tolist(), sure.tolist(), lengths.tolist(), strict=True)
        ]

    def begin(self, scopes: Sequence[str], names: Sequence[str], at: NDArray[np.float64]) -> list[str]:
        """Make room for a new event of each scope; the names of those that had to go, of which least is being said.

        The scopes are different ones.
        """
        if not scopes:
            return []
        numbers = [self._number(scope) for scope in scopes]
        quietest = self._now(self._rows[numbers], at[:, None]).argmin(axis=1).tolist()
        full = [
            n
            for n, scope in enumerate(scopes)
            if len(self._names[scope]) == self._most and "" not in self._names[scope]
        ]
        gone = [self._names[scopes[n]][quietest[n]] for n in full]
        self._bury([scopes[n] for n in full], [quietest[n] for n in full])
        for scope, name, number, when in zip(scopes, names, numbers, at.tolist(), strict=True):
            known = self._names[scope]
            if "" not in known:
                known.append("")
            slot, row = known.index(""), self._take_row()
            known[slot], self._rows[number, slot], self._last[row] = name, row, when
            self._alone[row] = b""
        return gone

    def add(
        self, scopes: Sequence[str], names: Sequence[str], places: Sequence[Places], at: NDArray[np.float64]
    ) -> None:
        """Count the terms of a post of each scope. The scopes are different ones."""
        if not scopes:
            return
        lengths = np.array([len(one) for one in places])
        numbers, slots, rows = self._where(scopes, names)
        for row, own in zip(rows.tolist(), places, strict=True):
            alone = self._alone.get(row)
            if alone:
                self._count(row)
            elif alone is not None:
                self._alone[row] = own.astype("<u2").tobytes()
        every = np.concatenate(places)
        known = np.repeat(numbers * self._dims, lengths) + every
        self._told[known, np.repeat(slots // _BITS, lengths)] |= np.repeat(_bit(slots), lengths)
        self._usual.reshape(-1)[known] += 1
        self._sizes[rows] += lengths
        self._terms[numbers] += lengths
        self._heard(rows, at)
        event = np.repeat(rows, lengths)
        several = self._lower[event] > 0
        event, every = event[several], every[several]
        told = self._lower[event] * self._dims + every
        self._counts.reshape(-1)[told] += 1
        for n in np.flatnonzero(self._counts.take(told) == 0).tolist():
            self._carry(event.item(n), every.item(n))
        if self._counts_of(event, every).max(initial=0) >= _MOST:
            for scope, slot, row in zip(scopes, slots.tolist(), rows.tolist(), strict=True):
                if self._row_of(row).max() >= _MOST:
                    self._halve(scope, slot, row)

    def again(self, scopes: Sequence[str], names: Sequence[str], at: NDArray[np.float64]) -> None:
        """Count posts that repeat others: their events are larger, their terms are known. Scopes are different ones."""
        if scopes:
            self._heard(self._where(scopes, names)[2], at)

    def live(self, scope: str) -> list[str]:
        """The events of a scope that posts may still join."""
        return [name for name in self._names.get(scope, ()) if name]

    def drop(self, scope: str, name: str) -> int:
        """No post joins the event any more; its terms stay usual. Returns the slot that it had."""
        slot = self._names[scope].index(name)
        self._bury([scope], [slot])
        return slot

    def bag(self, scope: str, name: str) -> Bag:
        """What is kept of the event's terms."""
        slot = self._names[scope].index(name)
        row = self._rows.item(self._scopes[scope], slot)
        alone = self._alone.get(row)
        places, counts = self._terms_of(row) if alone is None else (alone, b"")
        return Bag(slot, places, counts, self._mass.item(row), self._last.item(row))

    def restore(self, scope: str, name: str, bag: Bag) -> None:
        """An event as `bag` gave it."""
        number, names = self._number(scope), self._names[scope]
        names += [""] * (bag.slot + 1 - len(names))
        row = self._take_row()
        names[bag.slot], self._rows[number, bag.slot] = name, row
        places = np.frombuffer(bag.places, dtype="<u2")
        counts = np.frombuffer(bag.counts, dtype="<u2") if bag.counts else np.ones_like(places)
        self._told[number * self._dims + places.astype(np.intp), bag.slot // _BITS] |= _bit(np.array(bag.slot))
        self._alone[row] = bag.places
        if (counts > 1).any():
            self._count(row)
            self._put(row, _dense(places, counts, self._dims))
        self._sizes[row], self._mass[row], self._last[row] = counts.sum(), bag.mass, bag.last
        self._unearth(scope, _dense(places, counts, self._dims))

    def _bury(self, scopes: Sequence[str], slots: Sequence[int]) -> None:
        """No post joins an event of each scope any more. The scopes are different ones."""
        if not scopes:
            return
        numbers = np.array([self._scopes[scope] for scope in scopes])
        rows = self._rows[numbers, slots]
        gone = []
        for scope, slot, row in zip(scopes, slots, rows.tolist(), strict=True):
            found, counts = self._terms_of(row)
            self._memory[f"g/{scope}/{self._buried.get(scope, 0)}"] = found + counts
            self._buried[scope] = self._buried.get(scope, 0) + 1
            self._names[scope][slot] = ""
            if self._alone.pop(row, None) is None:
                self._free_counts += [counts for counts in (self._lower.item(row), self._upper.item(row)) if counts]
            self._free.append(row)
            gone.append(np.frombuffer(found, dtype="<u2"))
        lengths = [len(one) for one in gone]
        known = np.repeat(numbers * self._dims, lengths) + np.concatenate(gone)
        self._told[known, np.repeat(slots, lengths) // _BITS] &= ~np.repeat(_bit(np.array(slots)), lengths)
        self._rows[numbers, slots], self._sizes[rows], self._mass[rows] = 0, 0, 0
        self._lower[rows], self._upper[rows] = 0, 0
        for scope in scopes:
            if self._buried[scope] >= _BURIED:
                self._merge(scope)

    def _count(self, row: int) -> None:
        """From now on the terms of the event are counted."""
        self._lower[row] = lower = self._take_counts()
        self._counts[lower, np.frombuffer(self._alone.pop(row), dtype="<u2")] = 1

    def _carry(self, row: int, place: int) -> None:
        """The lower byte of a count went from 255 to 0."""
        self._upper[row] = self._upper[row] or self._take_counts()
        self._counts[self._upper[row], place] += 1

    def _put(self, row: int, counts: NDArray[np.uint16]) -> None:
        """Set the counts of an event in all places."""
        self._counts[self._lower[row]] = counts & _BYTE
        if self._upper[row] or (counts > _BYTE).any():
            self._upper[row] = self._upper[row] or self._take_counts()
            self._counts[self._upper[row]] = counts >> _BITS

    def _counts_of(self, rows: Slots, places: Places) -> NDArray[np.uint16]:
        """How often each event was told with a place; 0 where it is alone."""
        lower, upper = self._lower[rows] * self._dims + places, self._upper[rows] * self._dims + places
        return _joined(self._counts.take(lower), self._counts.take(upper))

    def _row_of(self, row: int) -> NDArray[np.uint16]:
        """The same of one event in all places."""
        lower, upper = self._counts[self._lower[row]], self._upper[row]
        return _joined(lower, self._counts[upper]) if upper else lower.astype(np.uint16)

    def _halve(self, scope: str, slot: int, row: int) -> None:
        """Count the terms of an event half."""
        counts = self._row_of(row) // 2
        self._put(row, counts)
        self._sizes[row] = counts.sum()
        none = self._scopes[scope] * self._dims + np.flatnonzero(counts == 0)
        self._told[none, slot // _BITS] &= ~_bit(np.array(slot))
        self._merge(scope)

    def _merge(self, scope: str) -> None:
        """Write the terms of all forgotten events of a scope as one; of too many the older ones count half."""
        number = self._scopes[scope]
        rows = self._rows[number]
        alone = b"".join([self._alone.get(row, b"") for row in rows.tolist()])
        gone = self._usual[number] - self._counts[self._lower[rows]].sum(axis=0, dtype=np.uint32)
        gone -= self._counts[self._upper[rows]].sum(axis=0, dtype=np.uint32) << _BITS
        gone -= np.bincount(np.frombuffer(alone, dtype="<u2"), minlength=self._dims).astype(np.uint32)
        if gone.sum() > _LONG_AGO:
            self._usual[number] -= gone - gone // 2
            gone //= 2
            self._terms[number] = self._usual[number].sum()
        for each in range(self._buried.pop(scope, 0)):
            del self._memory[f"g/{scope}/{each}"]
        shards.put(self._memory, f"b/{scope}", gone.astype("<u4").tobytes())

    def _unearth(self, scope: str, counts: NDArray[np.unsignedinteger]) -> None:
        number = self._number(scope)
        self._usual[number] += counts.astype(np.uint32)
        self._terms[number] += counts.sum()

    def _terms_of(self, row: int) -> tuple[bytes, bytes]:
        alone = self._alone.get(row)
        if alone is not None:
            return alone, _ONCE * (len(alone) // len(_ONCE))
        counts = self._row_of(row)
        found = np.flatnonzero(counts)
        return found.astype("<u2").tobytes(), counts[found].astype("<u2").tobytes()

    def _where(self, scopes: Sequence[str], names: Sequence[str]) -> tuple[Slots, Slots, Slots]:
        """Numbers of the scopes, and slots and rows of the events."""
        numbers = np.array([self._scopes[scope] for scope in scopes])
        slots = np.array([self._names[scope].index(name) for scope, name in zip(scopes, names, strict=True)])
        return numbers, slots, self._rows[numbers, slots]

    def _heard(self, rows: Slots, at: NDArray[np.float64]) -> None:
        self._mass[rows] = self._now(rows, at) + 1
        self._last[rows] = np.maximum(at, self._last[rows])

    def _now(self, rows: Slots, at: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
        """Posts of late of the events."""
        now: NDArray[np.float64] = self._mass[rows] * np.exp(np.minimum(self._last[rows] - at, 0) / MEMORY)
        return now

    def _number(self, scope: str) -> int:
        number = self._scopes.get(scope)
        if number is None:
            number = self._scopes[scope] = len(self._scopes)
            self._names[scope] = []
            if number == len(self._terms):
                self._usual, self._terms = _doubled(self._usual), _doubled(self._terms)
                self._rows, self._told = _doubled(self._rows), _doubled(self._told)
        return number

    def _take_row(self) -> int:
        if not self._free:
            rows = len(self._sizes)
            self._free = list(range(2 * rows - 1, rows - 1, -1))
            self._lower, self._upper = _doubled(self._lower), _doubled(self._upper)
            self._sizes, self._mass, self._last = _doubled(self._sizes), _doubled(self._mass), _doubled(self._last)
        return self._free.pop()

    def _take_counts(self) -> int:
        if not self._free_counts:
            most = len(self._counts)
            self._counts, self._free_counts = _doubled(self._counts), list(range(2 * most - 1, most - 1, -1))
        row = self._free_counts.pop()
        self._counts[row] = 0
        return row


def _bit(slots: Slots) -> NDArray[np.uint8]:
    """The bit of each slot in its byte."""
    return np.left_shift(1, slots % _BITS).astype(np.uint8)


def _joined(lower: NDArray[np.uint8], upper: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return lower + upper * np.uint16(_BYTE + 1)


def _doubled(array: NDArray[Number]) -> NDArray[Number]:
    """With as many rows of zeros again."""
    longer = np.zeros((2 * len(array), *array.shape[1:]), dtype=array.dtype)  # its second half takes no memory yet
    longer[: len(array)] = array
    return longer


def _sparse(kept: bytes) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Places and counts, which are kept one after the other."""
    both = np.frombuffer(kept, dtype="<u2")
    return both[: len(both) // 2], both[len(both) // 2 :]


def _dense(places: NDArray[np.uint16], counts: NDArray[np.uint16], dims: int) -> NDArray[np.uint16]:
    full = np.zeros(dims, dtype=np.uint16)
    full[places] = counts
    return full
