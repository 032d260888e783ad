"""Which posts of a topic were counted already, so that a later revision of one changes no count.

In memory most ids of a topic stand in one sorted array and only the newest in a set: a set takes ten times as much.
State keys: `s/topic/hour/n`, 64-bit hashes of ids, by the hour of event time under which they were counted; a small
record is appended to, a full one is left alone, so that a batch writes little.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import MutableMapping

import numpy as np

_PIECE = 4096  # bytes; a record is rewritten while it is smaller
_FRESH = 256  # ids that stay in the set in any case ...
_SHARE = 16  # ... and as many as this part of the sorted ones, so that an id is sorted some times at most


class Seen:
    """The ids of all topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes]) -> None:
        self._memory = memory
        self._ids: dict[str, _Ids] = {}
        self._pieces: dict[tuple[str, int], int] = {}  # how many records a topic and hour has
        self._new: dict[tuple[str, int], array[int]] = {}
        for key in memory:
            if key.startswith("s/"):
                topic, hour, number = key.removeprefix("s/").rsplit("/", 2)
                self._of(topic).fresh.update(array("Q", memory[key]))
                self._pieces[topic, int(hour)] = max(self._pieces.get((topic, int(hour)), 0), int(number) + 1)
        for ids in self._ids.values():
            ids.settle()

    def add(self, topic: str, one: int, hour: int) -> bool:
        """Remember an id; False when it was known."""
        if not self._of(topic).add(one):
            return False
        new = self._new.get((topic, hour))
        if new is None:
            new = self._new[topic, hour] = array("Q")
        new.append(one)
        return True

    def save(self) -> None:
        """Write what is new into the keyed state."""
        for (topic, hour), new in self._new.items():
            last = self._pieces.get((topic, hour), 1) - 1
            known = self._memory.get(f"s/{topic}/{hour}/{last}", b"")
            if len(known) >= _PIECE:
                last, known = last + 1, b""
            value = known + new.tobytes()
            for start in range(0, len(value), 8 * _PIECE):
                self._memory[f"s/{topic}/{hour}/{last}"] = value[start : start + 8 * _PIECE]
                last += 1
            self._pieces[topic, hour] = last
        self._new.clear()

    def drop(self, topic: str, hour: int) -> None:
        """Forget the ids of one hour."""
        for number in range(self._pieces.pop((topic, hour), 0)):
            key = f"s/{topic}/{hour}/{number}"
            self._of(topic).remove(array("Q", self._memory[key]))
            del self._memory[key]

    def _of(self, topic: str) -> _Ids:
        ids = self._ids.get(topic)
        if ids is None:
            ids = self._ids[topic] = _Ids()
        return ids


class _Ids:
    """The ids of one topic: each is fresh or sorted."""

    def __init__(self) -> None:
        self.fresh: set[int] = set()
        self._sorted: array[int] = array("Q")

    def add(self, one: int) -> bool:
        """False when it was there."""
        if one in self.fresh:
            return False
        place = bisect_left(self._sorted, one)
        if place < len(self._sorted) and self._sorted[place] == one:
            return False
        self.fresh.add(one)
        if len(self.fresh) > _FRESH + len(self._sorted) // _SHARE:
            self.settle()
        return True

    def settle(self) -> None:
        """Sort the fresh ones in."""
        self._keep(np.sort(np.concatenate((np.array(self._sorted), np.array([*self.fresh], dtype=np.uint64)))))
        self.fresh = set()

    def remove(self, gone: array[int]) -> None:
        self.fresh.difference_update(gone)
        self._keep(np.setdiff1d(np.array(self._sorted), np.array(gone), assume_unique=True))

    def _keep(self, ids: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> None:
        self._sorted = array("Q", ids.tobytes())
