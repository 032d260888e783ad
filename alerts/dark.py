"""Hours in which we saw nothing ourselves: we did not run, read no source, or none delivered. Missing is not zero.

Only ticks decide, so that a replay marks the same hours. State keys: `dark`, and `unread` (sources.py tells of it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping

import msgspec
import numpy as np

from tingchao.alerts.season import MEMORY, Numbers

_KEY, _UNREAD = "dark", "unread"
_SILENCE = 7.0  # posts usual at this time of the day over all topics from which none at all is an outage: e^-7 < 0.001
_LOOK = 48  # hours looked at again, since posts may come late


class Dark:
    """The dark hours of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes]) -> None:
        self._memory = memory
        self._down, self._silent = _DECODER.decode(memory[_KEY]) if _KEY in memory else (set(), set())
        self._unread = msgspec.json.decode(memory.get(_UNREAD, b"[]"), type=set[int])

    def tick(self, last: int, now: int, posts: Mapping[int, int]) -> None:
        """`last`: the hour of the tick before this one, 0 if there was none; `posts` an hour, over all topics."""
        if last:
            self._down |= set(range(last + 1, now))
        self._silent = {hour for hour in self._silent if hour < now - _LOOK} | {
            hour for hour in range(now - _LOOK, now) if self._is_silent(hour, posts)
        }
        self._down = {hour for hour in self._down if hour >= now - MEMORY}
        self._silent = {hour for hour in self._silent if hour >= now - MEMORY}
        self._save()

    def tell(self, unread: Iterable[int], now: int, posts: Mapping[int, int]) -> None:
        """The hours, of the last `_LOOK` at least, in which no source was read. Those with posts are known."""
        self._unread = set(unread)
        self._memory[_UNREAD] = msgspec.json.encode(sorted(self._unread))
        self.tick(0, now, posts)

    def known(self, first: int, end: int) -> Numbers:
        """1 for each hour from `first` on, without `end`, that was observed, else 0."""
        hours = self._down | self._silent
        return np.array([0.0 if hour in hours else 1.0 for hour in range(first, end)])

    def _save(self) -> None:
        value = msgspec.json.encode((sorted(self._down), sorted(self._silent)))
        if self._memory.get(_KEY) != value:
            self._memory[_KEY] = value

    def _is_silent(self, hour: int, posts: Mapping[int, int]) -> bool:
        return not posts.get(hour, 0) and (hour in self._unread or _is_unlikely(hour, posts))


def _is_unlikely(hour: int, posts: Mapping[int, int]) -> bool:
    """Whether so much is usual at this time of the day that none at all is no chance."""
    begin = min(posts, default=hour)
    same = [posts.get(hour - 24 * day, 0) for day in range(1, MEMORY // 24 + 1) if hour - 24 * day >= begin]
    return bool(same) and sum(same) / len(same) >= _SILENCE and min(same) > 0


_DECODER = msgspec.json.Decoder(tuple[set[int], set[int]])
