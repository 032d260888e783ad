"""Posts become events, one at a time: reposts go where their original is, other posts where their words are told.

State keys: `c/n` (copies.py), `v/scope/name` (an event with its terms), `b/scope` (terms of forgotten events).
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from tingchao.alerts import shards
from tingchao.alerts.copies import LONGEST, Copies, Text
from tingchao.alerts.happening import First, Happening
from tingchao.alerts.mixture import Bag, Mixture
from tingchao.alerts.windows import NAME, hashed
from tingchao.pipeline.grams import fold
from tingchao.pipeline.shingles import bands, links, read_sketch, terms, units

# #LAXShooting tells of LAX and of a shooting; only then is a capital letter looked at.
_HASHTAG = re.compile(r"#([A-Za-z]*[a-z][A-Z]\w*|[A-Z]{2,}[a-z]\w*)", re.ASCII)
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


class Told(NamedTuple):
    """What is read of a post. Times in seconds since 1970."""

    scope: str  # its topic; posts of different scopes never meet
    id: str
    at: int  # event time
    now: int  # by the clock
    source: str
    voice: str
    text: str  # title and text
    sketch: str = ""  # of the text (shingles.sketches), made here when empty


class Placed(NamedTuple):
    """Where a post belongs."""

    event: str
    copy_of: str | None  # the id of the post whose text it repeats


class Limits(NamedTuple):
    """How much is remembered."""

    dims: int  # places of the terms of one scope (mixture.py)
    events: int  # of one scope that posts may still join
    texts: int  # of all scopes (copies.py)


# A topic has a few events at a time and words of its own; measured on CrisisLexT26, 4,096 places instead of 16,384
# cost 0.02 to 0.06 of F1, 1,000 topics with 12 events each take 100 MB.
TOPICS = Limits(dims=4_096, events=12, texts=50_000)
STREAM = Limits(dims=16_384, events=128, texts=200_000)  # one stream of everything


class Events:
    """The events of all scopes of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], limits: Limits) -> None:
        self._memory, self._limits = memory, limits
        self._copies = Copies(memory, limits.texts)
        self._mixtures: dict[str, Mixture] = {}
        self._known: dict[str, Happening] = {}
        self._changed: set[str] = set()
        for key in list(memory):
            if key.startswith("v/") and "#" not in key:
                event, bag = _KEPT.decode(shards.get(memory, key))
                self._known[event.name] = event
                self._mixture(event.scope).restore(event.name, bag)
            elif key.startswith("b/") and "#" not in key:
                self._mixture(key[2:]).restore_gone(shards.get(memory, key))

    def add(self, posts: Sequence[Told]) -> list[Placed]:
        """Place posts in the order in which they came."""
        folded = [fold(_with_parts(post.text)) for post in posts]
        found = units(folded)
        hashes, begins = terms(found)
        made = bands(found) if any(not post.sketch for post in posts) else None
        placed = []
        for number, post in enumerate(posts):
            span = slice(found.starts[number], found.starts[number + 1])
            own = hashes[span][begins[span]]
            sketch = read_sketch(post.sketch) if made is None or post.sketch else made[number]
            bare = found.bare[number] or post.text.strip()
            placed.append(self._place(post, bare, links(folded[number]), sketch, own))
        return placed

    def event(self, name: str) -> Happening | None:
        """What is known of an event; None when it is forgotten."""
        return self._known.get(name)

    def leading(self, scope: str, first: int, last: int) -> tuple[Happening, int] | None:
        """The event of which most is said in the buckets `first` to `last`, and how many posts."""
        mixture = self._mixtures.get(scope)
        live = [self._known[name] for name in mixture.names if name] if mixture is not None else []
        found = [(posts, event.name) for event in live if (posts := event.between(first, last))]
        if not found:
            return None
        posts, name = max(found)
        return self._known[name], posts

    def drop(self, before: int) -> None:
        """Forget texts first told, and events last told of, before `before` (seconds, by the clock)."""
        self._copies.drop(before)
        for event in [event for event in self._known.values() if event.touched < before]:
            self._mixtures[event.scope].drop(event.name)
            self._forget(event.name)

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._copies.save()
        scopes = set()
        for name in sorted(self._changed):
            event = self._known[name]
            scopes.add(event.scope)
            kept = _ENCODER.encode((event, self._mixtures[event.scope].bag(name)))
            shards.put(self._memory, f"v/{event.scope}/{name}", kept)
        self._changed.clear()
        for scope in sorted(self._mixtures):
            if (gone := self._mixtures[scope].gone()) is not None:
                shards.put(self._memory, f"b/{scope}", gone)

    def _place(self, post: Told, bare: str, linked: str, sketch: np.ndarray, own: np.ndarray) -> Placed:
        mixture = self._mixture(post.scope)
        original, nearest = self._copies.find(post.scope, bare, linked, sketch)
        name = original.owner if original is not None and original.owner in self._known else None
        if name is not None:
            mixture.again(name, post.at)
        else:
            places = mixture.places(own)
            name = mixture.likeliest(places, post.at) or self._begin(post, mixture)
            mixture.add(name, places, post.at)
        if original is None:
            self._copies.add(
                Text(post.scope, bare[:LONGEST], linked[:LONGEST], post.id, name, post.now, sketch.tobytes(), nearest)
            )
        first = First(post.at, post.id, post.source[:NAME])
        self._known[name].add(
            first, hashed(post.voice or post.source), hashed(bare), post.now, copy=original is not None
        )
        self._changed.add(name)
        return Placed(name, original.name if original is not None else None)

    def _begin(self, post: Told, mixture: Mixture) -> str:
        name = f"{hashed(f'{post.scope} {post.id} {post.at}'):016x}"
        first = First(post.at, post.id, post.source[:NAME])
        gone = mixture.begin(name, post.at)
        if gone is not None:
            self._forget(gone)
        self._known[name] = Happening(name, post.scope, first, post.at, post.now)
        return name

    def _forget(self, name: str) -> None:
        event = self._known.pop(name)
        self._changed.discard(name)
        shards.delete(self._memory, f"v/{event.scope}/{name}")

    def _mixture(self, scope: str) -> Mixture:
        mixture = self._mixtures.get(scope)
        if mixture is None:
            mixture = self._mixtures[scope] = Mixture(self._limits.dims, self._limits.events)
        return mixture


_ENCODER = msgspec.msgpack.Encoder()
_KEPT = msgspec.msgpack.Decoder(tuple[Happening, Bag])


def _with_parts(text: str) -> str:
    """The text with the words that are written together in a hashtag."""
    if "#" not in text:
        return text
    return _HASHTAG.sub(lambda tag: f"{tag[0]} {' '.join(_PARTS.findall(tag[1]))}", text)
