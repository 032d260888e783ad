"""The posts that an alert shows: of each bucket the first and the strongest ones, each text once.

State keys: `e/topic/bucket`. Counts do not depend on it: what is dropped here is only no longer shown.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import UTC, datetime
from itertools import islice

import msgspec

from tingchao.alerts import shards
from tingchao.alerts.kept import Kept
from tingchao.alerts.representatives import distinct
from tingchao.alerts.windows import TELLS, UNIT
from tingchao.config.signals import SIGNALS
from tingchao.pipeline.records import EXCERPT, Evidence, Mention

STRONGEST = 5  # posts of an alert beside the first
_COMPARED = 40  # texts looked at for those, since reposts with light edits are many: about 10 ms
NEGATIVE = len(SIGNALS)  # the number under which the most negative posts are kept
REACTED = NEGATIVE + 1  # and those that gained most reactions, of any age
# Kept a bucket: of each signal all that may be shown, since a burst may lie in one bucket, and one more in case that
# one of them is the first; of the most negative ones a few.
_STRONG, _ANGRIEST = STRONGEST + 1, 2
_WORDS = 6
_ANGRY = UNIT // 2  # thousandths: from here on a post is more likely negative than not
_TITLE, _URL = 200, 1000  # characters; a longer URL is left out, since half of one leads nowhere
# Buckets with posts to show: at least so many, and an hour of each topic. Live, 6 topics have 3,456 within two days;
# a file of old posts may touch any number.
_SHELVES, _A_TOPIC = 4000, 12
_SLACK = 1.1  # times as many before the oldest go, since they have to be sorted out
_OPEN = 1000  # shelves kept decoded between two batches, or one a topic; 4 KB each


class Shown(msgspec.Struct, frozen=True):
    """A post with what decides on its rank."""

    weight: int  # thousandths
    at: datetime
    id: str
    text: int  # hash of the signature: two posts with the same one are one text
    evidence: Evidence

    def rank(self) -> tuple[int, datetime, str]:
        return -self.weight, self.at, self.id


class Shelf(msgspec.Struct, omit_defaults=True):
    """What is kept of one bucket, or of one story."""

    touched: int = 0  # seconds
    first: Shown | None = None
    strong: dict[int, list[Shown]] = {}

    def tell(self, mention: Mention, text: int, weights: Sequence[tuple[int, int]]) -> None:
        """Keep a post of a story where it is the first, or among the strongest that are likely to tell of a signal."""
        for signal, weight in weights:
            if weight >= TELLS:
                _kept(self, signal, mention, text, weight)
        if _begins(self, mention):
            self.first = _shown(mention, text, 0)

    def pick(self, signal: int | None) -> tuple[Evidence, ...]:
        """The first post and the strongest of a story, as `Shelves.pick` gives those of buckets."""
        if self.first is None:
            return ()
        return _chosen(self.first, [(kept, one) for kept, found in self.strong.items() for one in found], signal)


class Shelves:
    """The posts of all topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], topics: int = 1) -> None:
        self._limit = max(_SHELVES, _A_TOPIC * topics)
        self._shelves = Kept(memory, msgspec.msgpack.Decoder(Shelf).decode, max(_OPEN, topics))
        self._touched: dict[str, int] = {}
        for key in shards.keys(memory, "e/"):
            self._touched[key] = self._shelf(key).touched
            self._shelves.shrink()

    def offer(self, bucket: int, mention: Mention, text: int, weights: Sequence[tuple[int, int]], at: int) -> None:
        """Keep the post where it is the first of its bucket, or among the strongest."""
        key = f"e/{mention.topic}/{bucket}"
        shelf = self._shelf(key)
        changed = False
        if _begins(shelf, mention):
            shelf.first, changed = _shown(mention, text, 0), True
        angry = 0 if mention.scores.abstained else round(mention.scores.negative * UNIT)
        for signal, weight in (*weights, (NEGATIVE, angry)) if angry >= _ANGRY else weights:
            changed |= _kept(shelf, signal, mention, text, weight)
        if changed:
            self._touch(key, shelf, at)

    def react(self, bucket: int, mention: Mention, text: int, gained: int, at: int) -> None:
        """Keep the post where it is among those that gained most reactions; it may be older than the bucket."""
        key = f"e/{mention.topic}/{bucket}"
        shelf = self._shelf(key)
        if _kept(shelf, REACTED, mention, text, gained):
            self._touch(key, shelf, at)

    def pick(self, topic: str, buckets: range, signal: int | None) -> tuple[Evidence, ...]:
        """The first post and the strongest: of one signal or by reactions, or of any signal and then by anger.

        With a signal the first is the first that likely tells of it: talk about a metro is older than its fire.
        """
        firsts: list[Shown] = []
        strong: list[tuple[int, Shown]] = []
        for number in buckets:
            key = f"e/{topic}/{number}"
            if key in self._touched:
                shelf = self._shelf(key)
                firsts += [shelf.first] if shelf.first else []
                strong += [
                    (kept, one)
                    for kept, found in shelf.strong.items()
                    for one in found
                    if signal == kept or kept != REACTED
                ]
        firsts = firsts or [one for _, one in strong]
        if not firsts:
            return ()
        telling = [one for kept_under, one in strong if kept_under == signal and one.weight >= TELLS]
        return _chosen(min(telling or firsts, key=lambda one: (one.at, one.id)), strong, signal)

    def save(self) -> None:
        """Write what changed into the keyed state; of too many, the longest untouched go."""
        self._shelves.save()
        if len(self._touched) > _SLACK * self._limit:
            old = sorted(self._touched, key=lambda key: (self._touched[key], key))
            for key in old[: len(old) - self._limit]:
                self._forget(key)

    def drop(self, topic: str, buckets: range) -> None:
        """Forget buckets."""
        for number in buckets:
            if (key := f"e/{topic}/{number}") in self._touched:
                self._forget(key)

    def _touch(self, key: str, shelf: Shelf, at: int) -> None:
        """The shelf has changed, or is new."""
        shelf.touched = self._touched[key] = max(shelf.touched, at)
        self._shelves.add(key, shelf)

    def _forget(self, key: str) -> None:
        del self._touched[key]
        self._shelves.drop(key)

    def _shelf(self, key: str) -> Shelf:
        return self._shelves.get(key) or Shelf()


def _begins(shelf: Shelf, mention: Mention) -> bool:
    first = shelf.first
    return first is None or (mention.published_at, mention.id) < (first.at, first.id)


def _chosen(first: Shown, strong: Sequence[tuple[int, Shown]], signal: int | None) -> tuple[Evidence, ...]:
    """The first post, and of the others, each with what it is kept under, the strongest in words of their own."""
    texts: dict[int, Evidence] = {}
    for _, one in sorted(strong, key=lambda item: (_order(item[0], signal), *item[1].rank())):
        if one.text != first.text:
            texts.setdefault(one.text, one.evidence)
    strongest = (msgspec.structs.replace(first.evidence, role="first"), *islice(texts.values(), _COMPARED))
    return tuple(one for _, one in islice(distinct(enumerate(strongest)), STRONGEST + 1))


def _kept(shelf: Shelf, number: int, mention: Mention, text: int, weight: int) -> bool:
    """Whether the post is among the strongest under a number (a signal, NEGATIVE, REACTED), where it is kept then."""
    strong = shelf.strong.setdefault(number, [])
    limit = _ANGRIEST if number == NEGATIVE else _STRONG
    if not _enters(strong, text, (-weight, mention.published_at, mention.id), limit):
        return False
    shelf.strong[number] = _best(strong, _shown(mention, text, weight), limit)
    return True


def _enters(strong: list[Shown], text: int, rank: tuple[int, datetime, str], limit: int) -> bool:
    """Whether a post of this rank would be kept; asked first, since most are not and making one costs time."""
    for one in strong:
        if one.text == text:
            return rank < one.rank()
    return len(strong) < limit or rank < strong[-1].rank()


def _best(strong: list[Shown], shown: Shown, limit: int) -> list[Shown]:
    """The strongest with one more, each text once by its best post."""
    best: dict[int, Shown] = {}
    for one in sorted([*strong, shown], key=Shown.rank):
        best.setdefault(one.text, one)
    return list(best.values())[:limit]


def _order(kept_under: int, wanted: int | None) -> int:
    """Posts of the wanted signal come first, anger last; without a wanted signal any signal is as good."""
    if kept_under == wanted:
        return 0
    return 2 if kept_under == NEGATIVE else 1


def _shown(mention: Mention, text: int, weight: int) -> Shown:
    scores = mention.scores
    moved = sorted((one for found in mention.why.values() for one in found), key=lambda one: -one[1])
    words = [word for word, change in moved if change > 0] or [word for one in mention.words.values() for word in one]
    likely = {name: round(p, 3) for name, p in zip(SIGNALS, scores.signals, strict=True) if p * UNIT >= TELLS}
    evidence = Evidence(
        id=mention.id,
        source=mention.source,
        published_at=mention.published_at.astimezone(UTC),  # as it comes back from the keyed state
        fetched_at=mention.fetched_at.astimezone(UTC),
        title=mention.title[:_TITLE],
        url=mention.url if len(mention.url) <= _URL else "",
        excerpt=mention.excerpt[:EXCERPT],
        negative=0.0 if scores.abstained else round(scores.negative, 3),
        signals={} if scores.abstained else likely,
        words=tuple(dict.fromkeys(words))[:_WORDS],
        why=mention.why,
    )
    return Shown(weight, mention.published_at, mention.id, text, evidence)
