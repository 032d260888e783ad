"""Values of a stage's keyed state, decoded while they are worked on.

Those used longest ago wait encoded, long ones compressed, from where a restart takes them as well.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Generic, TypeVar

import msgspec

from tingchao.alerts import shards

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """At most `limit` values are decoded between two batches. Keys are those of the state (see shards).

    `read` makes a value of its bytes.
    """

    def __init__(self, memory: MutableMapping[str, bytes], read: Callable[[bytes], Value], limit: int) -> None:
        self._memory, self._read, self._limit = memory, read, limit
        self._open: OrderedDict[str, Value] = OrderedDict()  # used longest ago first
        self._changed: set[str] = set()

    def get(self, key: str) -> Value | None:
        """The value; whoever alters it says so by `changed`."""
        value = self._open.get(key)
        if value is not None:
            self._open.move_to_end(key)
        elif key in self._memory:
            value = self._open[key] = self._value(key)
        return value

    def look(self, key: str) -> Value | None:
        """The value, not to be altered: what waits encoded is not kept decoded for it."""
        value = self._open.get(key)
        if value is None and key in self._memory:
            return self._value(key)
        return value

    def add(self, key: str, value: Value) -> Value:
        """A new value, or another one."""
        self._open[key] = value
        self._changed.add(key)
        return value

    def changed(self, key: str) -> None:
        """What `get` gave is another now."""
        self._changed.add(key)

    def drop(self, key: str) -> None:
        """Forget the value, if there is one."""
        self._open.pop(key, None)
        self._changed.discard(key)
        shards.delete(self._memory, key)

    def save(self) -> None:
        """Write what changed into the keyed state."""
        for key in self._changed:
            shards.put(self._memory, key, _ENCODER.encode(self._open[key]))
        self._changed.clear()
        self.shrink()

    def shrink(self) -> None:
        """Leave no more decoded than the limit, of those that did not change."""
        while len(self._open) > self._limit and (oldest := next(iter(self._open))) not in self._changed:
            del self._open[oldest]
            self._compress(oldest)

    def _value(self, key: str) -> Value:
        kept = shards.get(self._memory, key)
        return self._read(zlib.decompress(kept) if kept[0] == _COMPRESSED else kept)

    def _compress(self, key: str) -> None:
        kept = shards.get(self._memory, key)
        if kept[0] != _COMPRESSED and len(kept) >= _LONG:
            shards.put(self._memory, key, zlib.compress(kept, level=1))


_ENCODER = msgspec.msgpack.Encoder()
_LONG = 2048  # bytes from which a value is worth compressing: hours of busy topics, not the posts of five minutes
_COMPRESSED = 0x78  # the first byte of what zlib compressed; of a map or an array of msgpack it is 0x80 or more
