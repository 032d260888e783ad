"""Which posts of a topic were counted already, so that a later revision of one changes no count.

In memory the ids of a topic stand in sorted arrays: a set takes ten times as much.
State keys: `s/topic/hour/n`, 64-bit hashes of ids, by the hour of event time under which they were counted; a small
record is appended to, a full one is left alone, so that a batch writes little.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, MutableMapping

import numpy as np
from numpy.typing import NDArray

_PIECE = 4096  # bytes; a record is rewritten while it is smaller
_BLOCK = 1024  # ids of one array at most, so that little is moved when one is inserted


class Seen:
    """The ids of all topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes]) -> None:
        self._memory = memory
        self._ids: dict[str, _Ids] = {}
        self._pieces: dict[tuple[str, int], int] = {}  # how many records a topic and hour has
        self._new: dict[tuple[str, int], array[int]] = {}
        known: dict[str, list[bytes]] = {}
        for key in memory:
            if key.startswith("s/"):
                topic, hour, number = key.removeprefix("s/").rsplit("/", 2)
                known.setdefault(topic, []).append(memory[key])
                self._pieces[topic, int(hour)] = max(self._pieces.get((topic, int(hour)), 0), int(number) + 1)
        for topic, pieces in known.items():
            self._ids[topic] = _Ids(np.sort(np.frombuffer(b"".join(pieces), dtype=np.uint64)))

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
            ids = self._ids[topic] = _Ids(np.zeros(0, dtype=np.uint64))
        return ids


class _Ids:
    """The ids of one topic, in sorted blocks."""

    def __init__(self, ids: NDArray[np.uint64]) -> None:
        """`ids` are sorted."""
        parts = [ids[start : start + _BLOCK // 2] for start in range(0, max(1, len(ids)), _BLOCK // 2)]
        self._blocks = [array("Q", part.tobytes()) for part in parts]
        self._firsts = [0, *(int(part[0]) for part in parts[1:])]  # the least id that may stand in each block

    def add(self, one: int) -> bool:
        """False when it was there."""
        number = bisect_right(self._firsts, one) - 1
        block = self._blocks[number]
        place = bisect_left(block, one)
        if place < len(block) and block[place] == one:
            return False
        block.insert(place, one)
        if len(block) > _BLOCK:
            half = len(block) // 2
            self._blocks[number : number + 1] = block[:half], block[half:]
            self._firsts.insert(number + 1, block[half])
        return True

    def remove(self, gone: Iterable[int]) -> None:
        """Forget ids that are there."""
        for one in gone:
            block = self._blocks[bisect_right(self._firsts, one) - 1]
            del block[bisect_left(block, one)]
