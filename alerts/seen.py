"""Which posts of a topic were counted already, so that a later revision of one changes no count.

State keys: `s/topic/hour/n`, 64-bit hashes of ids, by the hour of event time under which they were counted; a small
record is appended to, a full one is left alone, so that a batch writes little.
"""

from __future__ import annotations

from array import array
from collections.abc import MutableMapping

_PIECE = 4096  # bytes; a record is rewritten while it is smaller


class Seen:
    """The ids of all topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes]) -> None:
        self._memory = memory
        self._ids: dict[str, set[int]] = {}
        self._pieces: dict[tuple[str, int], int] = {}  # how many records a topic and hour has
        self._new: dict[tuple[str, int], array[int]] = {}
        for key in memory:
            if key.startswith("s/"):
                topic, hour, number = key.removeprefix("s/").rsplit("/", 2)
                self._ids.setdefault(topic, set()).update(array("Q", memory[key]))
                self._pieces[topic, int(hour)] = max(self._pieces.get((topic, int(hour)), 0), int(number) + 1)

    def add(self, topic: str, one: int, hour: int) -> bool:
        """Remember an id; False when it was known."""
        ids = self._ids.get(topic)
        if ids is None:
            ids = self._ids[topic] = set()
        if one in ids:
            return False
        ids.add(one)
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
            self._ids[topic].difference_update(array("Q", self._memory[key]))
            del self._memory[key]
