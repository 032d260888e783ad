"""Which event a post tells of: by its words, its time, and how much is being said of each event.

Each event is a bag of the terms of its posts. A post belongs to the event under which its terms are the least
surprising, against what is usual in the stream: the sum over its terms of log((1 - L) p(term | event) / p(term) + L),
plus the logarithm of how many posts the event has of late. Below `NEW` it begins an event of its own. This is one
pass of a Dirichlet-process mixture with an interpolated background (Jelinek-Mercer), as in MStream (Yin et al. 2018).
Terms are hashed into a fixed number of places.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]

# Chosen on the 20 crises of CrisisLexT26 that are for development, in two orders of time; Chinese posts of CCTV with
# their hashtags hidden agree (bench/events.py). F1 changes by less than 0.05 from 0.6 to 0.8 and from 2 to 4.
BACKGROUND = 0.7  # L: weight of what is usual in the stream
NEW = 3.0  # logarithm of the odds from which a post joins an event
MEMORY = 86_400.0  # seconds after which a post counts 1/e of what it did for the size of its event
_CALM = 2_000  # terms that are taken for seen before the stream begins: nothing is rare in the first posts
_MOST = 60_000  # of a term in one event; then its counts are halved
_LONG_AGO = 2_000_000  # terms of forgotten events: about 30,000 posts


class Bag(msgspec.Struct, array_like=True):
    """The terms of an event as they are kept: places with a count, and how many posts of late, at which time."""

    place: int
    places: bytes
    counts: bytes
    mass: float
    last: float


class Mixture:
    """The events of one stream that posts may still join: at most `most`, with terms in `dims` places."""

    def __init__(self, dims: int, most: int) -> None:
        self._dims, self._most = dims, most
        self.names: list[str] = []  # '' is a free place
        self._counts = np.zeros((0, dims), dtype=np.uint16)
        self._sizes = np.zeros(0)
        self._mass = np.zeros(0)
        self._last = np.zeros(0)
        self._usual = np.zeros(dims, dtype=np.int64)  # terms of all posts, also of events that are forgotten
        self._gone = np.zeros(dims, dtype=np.int64)  # of these only
        self._gone_changed = False
        self._terms = 0

    def places(self, terms: NDArray[np.uint64]) -> Places:
        """The places of a text's terms, each once."""
        return np.unique(terms % np.uint64(self._dims)).astype(np.intp)

    def likeliest(self, places: Places, at: float) -> str | None:
        """The name of the event that a post of time `at` (seconds) joins; None: it begins one."""
        if not self.names or not len(places):
            return None
        usual = (self._usual[places] + 1) / (self._terms + len(places) + _CALM)
        told = self._counts.take(places, axis=1) * ((1 - BACKGROUND) / np.maximum(self._sizes, 1))[:, None]
        odds = np.log(told / usual + BACKGROUND).sum(axis=1) + np.log(np.maximum(self._now(at), 1e-6))
        best = int(odds.argmax())
        return self.names[best] if self.names[best] and odds[best] > NEW else None

    def begin(self, name: str, at: float) -> str | None:
        """Make place for a new event; the name of the one that had to go, of which least is being said."""
        gone = None
        if "" not in self.names:
            if len(self.names) < self._most:
                self._grow()
            else:
                least = int(self._now(at).argmin())
                gone = self.names[least]
                self._forget(least)
        place = self.names.index("")
        self.names[place], self._last[place] = name, at
        return gone

    def add(self, name: str, places: Places, at: float) -> None:
        """Count the terms of a post."""
        place = self.names.index(name)
        self._counts[place, places] += 1
        self._sizes[place] += len(places)
        self._mass[place] = self._now(at)[place] + 1
        self._last[place] = max(at, self._last[place])
        self._usual[places] += 1
        self._terms += len(places)
        if len(places) and self._counts[place, places].max() >= _MOST:
            half = self._counts[place] >> 1
            self._bury((self._counts[place] - half).astype(np.int64))
            self._counts[place] = half
            self._sizes[place] = half.sum()

    def again(self, name: str, at: float) -> None:
        """Count a post that repeats another one: the event is larger, its terms are known."""
        place = self.names.index(name)
        self._mass[place] = self._now(at)[place] + 1
        self._last[place] = max(at, self._last[place])

    def drop(self, name: str) -> None:
        """No post joins the event any more."""
        self._forget(self.names.index(name))

    def bag(self, name: str) -> Bag:
        """What is kept of the event's terms."""
        place = self.names.index(name)
        found = np.flatnonzero(self._counts[place])
        counts = self._counts[place, found]
        mass, last = float(self._mass[place]), float(self._last[place])
        return Bag(place, found.astype("<u2").tobytes(), counts.astype("<u2").tobytes(), mass, last)

    def restore(self, name: str, bag: Bag) -> None:
        """An event as `bag` gave it."""
        while bag.place >= len(self.names):
            self._grow()
        found = np.frombuffer(bag.places, dtype="<u2").astype(np.intp)
        counts = np.frombuffer(bag.counts, dtype="<u2")
        self.names[bag.place] = name
        self._counts[bag.place, found] = counts
        self._sizes[bag.place] = counts.sum()
        self._mass[bag.place], self._last[bag.place] = bag.mass, bag.last
        self._usual[found] += counts
        self._terms += int(counts.sum())

    def gone(self) -> bytes | None:
        """The terms of events that are forgotten, if they changed since this was last asked."""
        if not self._gone_changed:
            return None
        self._gone_changed = False
        return self._gone.astype("<u4").tobytes()

    def restore_gone(self, gone: bytes) -> None:
        """The terms of forgotten events as `gone` gave them."""
        self._gone = np.frombuffer(gone, dtype="<u4").astype(np.int64)
        self._usual += self._gone
        self._terms += int(self._gone.sum())

    def _forget(self, place: int) -> None:
        self._bury(self._counts[place].astype(np.int64))
        self.names[place] = ""
        self._counts[place], self._sizes[place], self._mass[place] = 0, 0, 0

    def _bury(self, counts: NDArray[np.int64]) -> None:
        """Terms that leave an event stay usual; of too many the older ones count half."""
        self._gone += counts
        self._gone_changed = True
        if self._gone.sum() > _LONG_AGO:
            older = self._gone - self._gone // 2
            self._gone -= older
            self._usual -= older
            self._terms -= int(older.sum())

    def _now(self, at: float) -> NDArray[np.float64]:
        """Posts of late of each event."""
        now: NDArray[np.float64] = self._mass * np.exp(np.minimum(self._last - at, 0) / MEMORY)
        return now

    def _grow(self) -> None:
        more = min(self._most, max(4, 2 * len(self.names))) - len(self.names)
        self.names += [""] * more
        self._counts = np.concatenate((self._counts, np.zeros((more, self._dims), dtype=np.uint16)))
        self._sizes = np.concatenate((self._sizes, np.zeros(more)))
        self._mass = np.concatenate((self._mass, np.zeros(more)))
        self._last = np.concatenate((self._last, np.zeros(more)))
