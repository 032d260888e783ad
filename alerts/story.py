"""One story of a topic that is told by itself: its posts counted as those of a topic are."""

from __future__ import annotations

import msgspec

from tingchao.alerts.evidence import Shelf
from tingchao.alerts.happening import First, Happening, meaning_of
from tingchao.alerts.smallest import hashed
from tingchao.alerts.windows import BUCKET, HOUR, Bucket, Window, name_of, weights
from tingchao.pipeline.records import Mention
from tingchao.pipeline.shingles import read_sketch

_WORDS = 500  # remembered
_SKETCHES = 2_000  # numbers of sketches, of some hundred texts
_DAY = 24 * HOUR // BUCKET


class Post(msgspec.Struct, array_like=True):
    """A post that tells of a signal."""

    at: int  # seconds of event time
    mention: Mention  # without its voice, of which only the hash is kept
    voice: int
    bare: str  # its text as it is compared (texts.py)
    words: list[int]  # hashes, see calm.py

    @property
    def first(self) -> First:
        """As the first post of an event."""
        return First(self.at, self.mention.id, name_of(self.mention.source))


class Story(msgspec.Struct):
    """A story that is told by itself."""

    event: Happening
    words: list[int]  # with which it began: whoever says one of them tells of it
    said: dict[int, int] = {}  # word -> its posts that have it
    sketches: set[int] = set()  # numbers of their sketches, with their places
    buckets: dict[int, Bucket] = {}
    shelf: Shelf = msgspec.field(default_factory=Shelf)
    told: dict[str, tuple[int, float]] = {}  # rule -> bucket and what was observed when it was last told

    def add(self, post: Post) -> None:
        """Count a post."""
        mention, found = post.mention, weights(post.mention)
        text = hashed(mention.signature or mention.id)
        self.buckets.setdefault(post.at // BUCKET, Bucket()).add(mention, post.voice, text, found)
        self.shelf.tell(mention, text, found)
        copy, meaning = self._repeats(mention), meaning_of(mention, found)
        self.event.add(post.first, post.voice, hashed(post.bare), post.at, copy=copy, meaning=meaning)
        for word in post.words:
            if word in self.said or len(self.said) < _WORDS:
                self.said[word] = self.said.get(word, 0) + 1
        for old in [number for number in self.buckets if number <= self.event.last // BUCKET - _DAY]:
            del self.buckets[old]

    def _repeats(self, mention: Mention) -> bool:
        """Whether a text is much like one before; from now on it is known."""
        if not mention.sketch:
            return False
        numbers = {place << 16 | number for place, number in enumerate(read_sketch(mention.sketch).tolist())}
        repeats = not numbers.isdisjoint(self.sketches)
        if not repeats and len(self.sketches) < _SKETCHES:
            self.sketches |= numbers
        return repeats

    def window(self, last: int, length: int) -> Window:
        """What was said of it in the `length` buckets up to bucket `last`."""
        first = last - length + 1
        within = [bucket for number, bucket in sorted(self.buckets.items()) if first <= number <= last]
        return Window(first * BUCKET, (last + 1) * BUCKET, within)

    def curve(self, first: int, last: int) -> tuple[int, ...]:
        """Posts in each of the buckets `first` to `last`."""
        return tuple(self.buckets[number].posts if number in self.buckets else 0 for number in range(first, last + 1))
