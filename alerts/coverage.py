"""How much of a topic could be seen in an hour: all but the shares of the sources that failed or fell silent.

`sources` tells which are ill, and since which hour; an hour is lost to a source until a post of it is seen that was
published then. Ticks, posts and what is told decide, so that a replay loses the same hours.
State keys: `o/source` (its lost hours) and `m/topic` (of which sources its posts are).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import msgspec

from tingchao.alerts.baseline import ALIKE
from tingchao.alerts.dark import Dark
from tingchao.alerts.season import HALF, MEMORY, Numbers
from tingchao.alerts.windows import PER_HOUR, Window, name_of

LEAST = 0.5  # coverage below which an hour is missing: more of its count would be guessed than was seen
_KEPT = 16  # sources a topic
_UNKNOWN = 20.0  # posts of no source, added to those of which the sources are known: a few posts show no shares


class Lost(msgspec.Struct, array_like=True):
    """The hours that are lost to a source."""

    hours: set[int] = set()
    next: int | None = None  # while it is ill: from this hour on none has been looked at


class Mix(msgspec.Struct, array_like=True):
    """Of which sources a topic's posts are: the older, the less they count."""

    at: int  # the hour in which a post counts as one
    posts: dict[str, float] = {}

    def add(self, hour: int, posts: Mapping[str, float]) -> None:
        """Count an hour. Beyond `_KEPT` sources by Space-Saving (Metwally et al. 2005): their sum stays true."""
        faded = 0.5 ** (abs(hour - self.at) / HALF)
        if hour > self.at:
            self.at, self.posts = hour, {source: known * faded for source, known in self.posts.items()}
            faded = 1.0
        # Posts of one hour repeat each other (see baseline.py), or one burst would say for weeks who speaks.
        worth = faded / (1 + max(0.0, sum(posts.values()) - 1) * ALIKE)
        for source, number in posts.items():
            known = self.posts.pop(source, 0.0)
            if len(self.posts) == _KEPT:
                known = self.posts.pop(min(self.posts, key=lambda one: (self.posts[one], one)))
            self.posts[source] = known + number * worth


class Coverage:
    """The coverage of the topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], dark: Dark) -> None:
        self._memory, self._dark = memory, dark
        self._lost = {key[2:]: _LOST.decode(value) for key, value in memory.items() if key.startswith("o/")}
        self._known: dict[str, dict[str, float]] = {}  # topic -> what `_shares` said, until something changes

    def tell(self, ill: Mapping[str, int], now: int) -> None:
        """`ill`: each source that fails or is silent -> the first hour of it; `now`: the present hour."""
        told = {name_of(source): since for source, since in ill.items()}
        for source, since in told.items():
            lost = self._lost.setdefault(source, Lost())
            lost.next = since if lost.next is None else lost.next
        for source, lost in self._lost.items():
            if source not in told and lost.next is not None:
                lost.next = None
                lost.hours.discard(now)  # it was read again in it
        self.tick(now)

    def tick(self, now: int) -> None:
        """The hour `now` has begun: it is lost to the sources that are ill."""
        for source, lost in list(self._lost.items()):
            if lost.next is not None:
                lost.hours |= set(range(lost.next, now + 1))
                lost.next = max(lost.next, now + 1)
            lost.hours = {hour for hour in lost.hours if hour >= now - MEMORY}
            self._keep(source, lost)

    def hear(self, source: str, hour: int) -> bool:
        """A post that was published in the hour; true when the hour was lost to its source, and no longer is."""
        lost = self._lost.get(name_of(source)) if self._lost else None
        if lost is None or hour not in lost.hours:
            return False
        lost.hours.discard(hour)
        self._keep(name_of(source), lost)
        return True

    def learn(self, topic: str, hour: int, posts: Mapping[str, int]) -> None:
        """Of which sources the posts of a complete hour are; what is lost of it counts as usual."""
        lost = {source: share for source, share in self._shares(topic).items() if hour in self._lost[source].hours}
        seen, count = 1 - sum(lost.values()), sum(posts.values())
        if count and seen >= LEAST:
            mix = self._mix(topic) or Mix(hour)
            mix.add(hour, {**posts, **{source: count * share / seen for source, share in lost.items()}})
            self._memory[f"m/{topic}"] = _ENCODER.encode(mix)
            self._known.pop(topic, None)

    def known(self, topic: str, first: int, end: int) -> Numbers:
        """The coverage of each hour from `first` on, without `end`: 0-1, and 0 where it is below `LEAST`."""
        known = self._dark.known(first, end)
        for source, share in self._shares(topic).items():
            known[[hour - first for hour in self._lost[source].hours if first <= hour < end]] -= share
        known[known < LEAST] = 0.0
        return known

    def of(self, topic: str, window: Window) -> float:
        """The coverage of a window, above 0 and at most 1."""
        if not (shares := self._shares(topic)):
            return 1.0
        hours = [bucket // PER_HOUR for bucket in range(window.first, window.last + 1)]
        lost = [share * sum(hour in self._lost[source].hours for hour in hours) for source, share in shares.items()]
        return 1 - sum(lost) / len(hours)

    def _shares(self, topic: str) -> dict[str, float]:
        """The usual shares of the sources that lost an hour, 0-1."""
        if not self._lost:
            return {}
        if topic not in self._known:
            posts = {} if (mix := self._mix(topic)) is None else mix.posts
            total = _UNKNOWN + sum(posts.values())
            self._known[topic] = {source: number / total for source, number in posts.items() if source in self._lost}
        return self._known[topic]

    def _mix(self, topic: str) -> Mix | None:
        kept = self._memory.get(f"m/{topic}")
        return None if kept is None else _MIX.decode(kept)

    def _keep(self, source: str, lost: Lost) -> None:
        self._known.clear()
        key, value = f"o/{source}", _ENCODER.encode(lost)
        if not lost.hours and lost.next is None:
            del self._lost[source]
            if key in self._memory:
                del self._memory[key]
        elif self._memory.get(key) != value:
            self._memory[key] = value


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_LOST, _MIX = msgspec.msgpack.Decoder(Lost), msgspec.msgpack.Decoder(Mix)
