"""Posts become events, one at a time: reposts go where their original is, other posts where their words are told.

State keys: `c/n` (copies.py), `v/scope/slot` (an event with its terms), `b/` and `g/` (mixture.py).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tingchao.alerts import shards
from tingchao.alerts.copies import Copies, Slots, Text, slots
from tingchao.alerts.happening import First, Happening, Meaning
from tingchao.alerts.mixture import NEW, Bag, Mixtures
from tingchao.alerts.smallest import hashed, hashed_voice
from tingchao.alerts.texts import Raw, Texts, Words
from tingchao.alerts.windows import name_of
from tingchao.pipeline.shingles import BANDS

_MOVED = 0.8  # likeness below which a repost is remembered beside its original: stories are retold by and by


class Told(msgspec.Struct, frozen=True, gc=False):
    """What is read of a post. Times in seconds since 1970."""

    scope: str  # its topic; posts of different scopes never meet
    id: str
    at: int  # event time
    now: int  # by the clock
    source: str
    voice: str
    text: str  # title and text
    sketch: str = ""  # of the text (shingles.sketches), made here when empty
    meaning: Meaning | None = None
    gained: int = 0  # reactions


class Placed(msgspec.Struct, frozen=True, gc=False):
    """Where a post belongs."""

    event: str
    copy_of: str | None  # the id of the post whose text it repeats


class _Read(msgspec.Struct, frozen=True, gc=False):
    """The text that a post repeats, if any; its own, if it was remembered; and the hash of its words."""

    original: Text | None
    own: Text | None
    mark: int


class Limits(NamedTuple):
    """How much is remembered."""

    dims: int  # places of the terms of one scope (mixture.py)
    events: int  # of one scope that posts may still join
    texts: int  # of all scopes (copies.py)
    new: float = NEW  # see mixture.py


# A topic has a few events at a time and words of its own; measured on all of CrisisLexT26 as one scope, 2,048 places
# instead of 16,384 cost 0.01 to 0.1 of F1. 2,000 topics with 12 events of one post each take 50 MB, of
# several posts 100 MB. Posts of one topic are likelier of one event, and the words by which the topic is found are
# taken out of them, or its chatter is one event for weeks. On the posts of 28 topics (bench/stories.py) F1 is 0.39 with
# a threshold of 1 (precision 0.74, 24 % of the chatter in its largest event), 0.20 with 3 (0.88, 13 %), and with 3 and
# these words 0.26 (0.85, 29 %).
TOPICS = Limits(dims=2_048, events=12, texts=50_000, new=1.0)
STREAM = Limits(dims=16_384, events=128, texts=200_000)  # one stream of everything

ONLY_WRITTEN = ("c/", "v/", "b/", "g/")  # keys of state whose values only a restart reads


class Events:
    """The events of all scopes of one partition."""

    def __init__(
        self, memory: MutableMapping[str, bytes], limits: Limits, names: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """`names`: words by which the posts of a scope were found, which therefore tell nothing of an event."""
        self._memory, self._limits = memory, limits
        self._copies = Copies(memory, limits.texts)
        self._mixtures = Mixtures(memory, limits.dims, limits.events, limits.new)
        self._texts = Texts(limits.dims)
        self._own = self._places_of(names or {})
        self._known: dict[str, Happening] = {}
        self._changed: set[str] = set()
        for key in shards.keys(memory, "v/"):
            event, bag = _KEPT.decode(shards.get(memory, key))
            self._known[event.name] = event
            self._mixtures.restore(event.scope, event.name, bag)
            if key != _key(event.scope, bag.slot):  # in state of before an event had a key of its own
                shards.delete(memory, key)
                self._changed.add(event.name)

    def add(self, posts: Sequence[Told]) -> list[Placed]:
        """Place posts in the order in which they came."""
        told = self._texts.read([Raw(post.text, post.sketch) for post in posts])
        scopes = [post.scope for post in posts]
        where = slots(scopes, np.array([one.sketch for one in told], dtype="<u2").reshape(-1, BANDS))
        near = self._copies.near(scopes, where)
        read = [self._read(*each) for each in zip(posts, told, where, near, strict=True)]
        terms = [self._without_own(*each) for each in zip(scopes, told, strict=True)]
        names: list[str] = [""] * len(posts)
        for turn in _turns(posts):
            self._take_turn(turn, posts, read, terms, names)
        return [
            Placed(name, one.original.name if one.original else None) for name, one in zip(names, read, strict=True)
        ]

    def gain(self, posts: Sequence[Told]) -> None:
        """Posts that were placed before, and whose texts are still known, gained reactions."""
        read = self._texts.read([Raw(post.text, post.sketch) for post in posts])
        for post, told in zip(posts, read, strict=True):
            (where,) = slots([post.scope], told.sketch[None])
            text = self._copies.find(post.scope, told.bare, told.mark, told.links, where, near=True).text
            if text is not None and (event := self._known.get(text.owner)) is not None:
                event.gain(post.at, post.gained)
                self._changed.add(event.name)

    def event(self, name: str) -> Happening | None:
        """What is known of an event; None when it is forgotten."""
        return self._known.get(name)

    def leading(self, scope: str, first: int, last: int) -> tuple[Happening, int] | None:
        """The event of which most is said in the buckets `first` to `last`, and how many posts."""
        live = [self._known[name] for name in self._mixtures.live(scope)]
        found = [(posts, event.name) for event in live if (posts := event.times.between(first, last))]
        if not found:
            return None
        posts, name = max(found)
        return self._known[name], posts

    def drop(self, before: int) -> None:
        """Forget texts first told, and events last told of, before `before` (seconds, by the clock)."""
        self._copies.drop(before)
        for event in [event for event in self._known.values() if event.touched < before]:
            slot = self._mixtures.drop(event.scope, event.name)
            shards.delete(self._memory, _key(event.scope, slot))
            self._forget(event.name)

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._copies.save()
        for name in sorted(self._changed):
            event = self._known[name]
            bag = self._mixtures.bag(event.scope, name)
            shards.put(self._memory, _key(event.scope, bag.slot), _ENCODER.encode((event, bag)))
        self._changed.clear()

    def _places_of(self, names: Mapping[str, Sequence[str]]) -> dict[str, NDArray[np.bool_]]:
        """A scope -> which places the terms of its words have."""
        words = dict.fromkeys(word for each in names.values() for word in each)
        read = dict(zip(words, self._texts.read([Raw(word, "") for word in words]), strict=True))
        own = {scope: np.zeros(self._limits.dims, dtype=np.bool_) for scope in names}
        for scope, each in names.items():
            for word in each:
                own[scope][read[word].places] = True
        return own

    def _without_own(self, scope: str, told: Words) -> Words:
        own = self._own.get(scope)
        return told if own is None else told._replace(places=told.places[~own[told.places]])

    def _read(self, post: Told, told: Words, where: Slots, near: bool) -> _Read:  # noqa: FBT001 one of a row
        """Find the text that a post repeats, or remember its own."""
        found = self._copies.find(post.scope, told.bare, told.mark, told.links, where, near=near)
        own = None
        if found.likeness < _MOVED:
            name = post.id if found.text is None else found.text.name
            bands = told.sketch.tobytes()
            own = Text(post.scope, told.bare, told.mark, told.links, name, "", post.now, bands, found.nearest)
            self._copies.add(own, where)
        return _Read(found.text, own, told.mark)

    def _take_turn(
        self,
        turn: Sequence[int],
        posts: Sequence[Told],
        read: Sequence[_Read],
        terms: Sequence[Words],
        names: list[str],
    ) -> None:
        """Place the posts `turn`, which are of different scopes, and put the names of their events into `names`."""
        for n in turn:
            if (original := read[n].original) is not None:
                names[n] = original.owner
        again = [n for n in turn if names[n] in self._known]
        self._mixtures.again([posts[n].scope for n in again], [names[n] for n in again], _times(again, posts))
        fresh = [n for n in turn if not names[n]]
        han = np.array([terms[n].han for n in fresh], dtype=np.bool_)
        scopes, places = [posts[n].scope for n in fresh], [terms[n].places for n in fresh]
        for n, name in zip(fresh, self._mixtures.likeliest(scopes, places, _times(fresh, posts), han), strict=True):
            names[n] = name or ""
        self._begin([n for n in turn if names[n] not in self._known], posts, names)
        known = set(again)
        told = [n for n in turn if n not in known]
        scopes, places = [posts[n].scope for n in told], [terms[n].places for n in told]
        self._mixtures.add(scopes, [names[n] for n in told], places, _times(told, posts))
        for n in turn:
            if (text := read[n].own) is not None:
                text.owner = names[n]
            self._count(posts[n], read[n], self._known[names[n]])

    def _count(self, post: Told, read: _Read, event: Happening) -> None:
        # An event that begins with the post has its first already.
        first = First(post.at, post.id, name_of(post.source)) if event.posts else event.first
        voice = hashed_voice(post.voice or post.source)
        event.add(first, voice, read.mark, post.now, copy=read.original is not None, meaning=post.meaning)
        if post.gained:
            event.gain(post.at, post.gained)
        self._changed.add(event.name)

    def _begin(self, numbers: Sequence[int], posts: Sequence[Told], names: list[str]) -> None:
        """Posts, of different scopes, begin an event each: a new one, or anew that of their forgotten original."""
        for n in numbers:
            names[n] = names[n] or f"{hashed(f'{posts[n].scope} {posts[n].id} {posts[n].at}'):016x}"
        begun = [names[n] for n in numbers]
        for gone in self._mixtures.begin([posts[n].scope for n in numbers], begun, _times(numbers, posts)):
            self._forget(gone)  # in the state the new event takes its place
        for n in numbers:
            post = posts[n]
            first = First(post.at, post.id, name_of(post.source))
            self._known[names[n]] = Happening(names[n], post.scope, first, post.at, post.now)

    def _forget(self, name: str) -> None:
        del self._known[name]
        self._changed.discard(name)


_ENCODER = msgspec.msgpack.Encoder()
_KEPT = msgspec.msgpack.Decoder(tuple[Happening, Bag])


def _key(scope: str, slot: int) -> str:
    """Of an event in the state: one that begins overwrites the one that had to go, so that nothing need be deleted."""
    return f"v/{scope}/{slot}"


def _turns(posts: Sequence[Told]) -> list[list[int]]:
    """Positions of posts, the first of each scope, then the second of each, and so on."""
    turns: list[list[int]] = []
    before: dict[str, int] = {}
    for number, post in enumerate(posts):
        turn = before.get(post.scope, 0)
        before[post.scope] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(number)
    return turns


def _times(numbers: Sequence[int], posts: Sequence[Told]) -> NDArray[np.float64]:
    return np.array([posts[number].at for number in numbers], dtype=np.float64)
