"""Mentions become counts: buckets of five minutes of event time, and the windows made of them.

Everything that is counted is a sum of whole numbers, a maximum a key, or a set of the smallest hashes, so that the
order of arrival never changes it and a further post never lowers it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import prod

import msgspec

from tingchao.alerts import smallest
from tingchao.alerts.smallest import hashed
from tingchao.config.rules import SOURCES
from tingchao.config.signals import SIGNALS
from tingchao.pipeline.records import Mention

BUCKET = 300  # seconds
HOUR = 3600
PER_HOUR = HOUR // BUCKET
UNIT = 1000  # probabilities are counted in whole thousandths: such sums do not depend on their order
FLOOR = 50  # thousandths; below it a text counts nothing, or a thousand harmless texts would add up to an event
TELLS = 300  # thousandths from which a text likely tells of a signal
TELLING = 1000  # ordinary posts that make the rules be asked as surely as one that tells
ADVERT = 0.5  # probability from which a text is left out as advertising
TEXTS = 32  # strongest texts kept a signal and bucket: far above any threshold, and bounded under a flood
SPEAKERS = 8  # strongest voices kept a signal and bucket: they are enough to be as sure as `SURE` allows
NAME = 48  # characters of a source's name
OTHERS = "…"  # the name under which sources beyond those kept apart are counted
SURE = 0.99  # nothing that counts texts can be surer


class Bucket(msgspec.Struct, array_like=True):
    """What was said of a topic in five minutes. Advertising is not in it. New fields stand last."""

    posts: int = 0
    judged: int = 0  # posts that the models could judge
    negative: int = 0  # thousandths: expected number of negative posts
    severity: int = 0  # thousandths: the expected severity of the gravest text that may tell of a signal
    gravity: int = 0  # thousandths: the sum of the expected severities of the posts that could be judged
    reactions: int = 0  # seen to be gained in these five minutes by posts of any age
    fresh: int = 0  # posts and reactions counted since the rules were asked; a telling post counts as `TELLING`
    voice_hashes: bytes = b""  # see smallest.py
    sources: dict[str, int] = msgspec.field(default_factory=dict)
    texts: dict[int, dict[int, int]] = msgspec.field(default_factory=dict)  # signal -> text -> weight
    speakers: dict[int, dict[int, int]] = msgspec.field(default_factory=dict)  # signal -> voice -> weight

    def add(self, mention: Mention, voice: int, text: int, weights: Sequence[tuple[int, int]]) -> None:
        """Count one post: with the hashes of its voice and of its text's signature, and what `weights` gave for it."""
        scores = mention.scores
        self.posts += 1
        self.fresh += TELLING if tells(weights) else 1
        self.voice_hashes = smallest.added(self.voice_hashes, voice)
        count_source(self.sources, name_of(mention.source))
        if scores.abstained:
            return
        self.judged += 1
        self.negative += round(scores.negative * UNIT)
        self.gravity += round(scores.severity * UNIT)
        for signal, weight in weights:
            self.severity = max(self.severity, round(scores.severity * UNIT))
            keep_strongest(self.texts.setdefault(signal, {}), text, weight, TEXTS)
            keep_strongest(self.speakers.setdefault(signal, {}), voice, weight, SPEAKERS)


def weights(mention: Mention) -> list[tuple[int, int]]:
    """(signal, thousandths) of a post: the chance that it tells of the signal and is live.

    The smaller of the two chances, since what is live has a signal as a rule (annotation guideline): on the 2,020
    texts drawn at random these sum up to 76 for 90 of safety and 105 for 101 of health; products to 53 and 82.
    """
    scores = mention.scores
    if scores.abstained or scores.advert > ADVERT:
        return []
    live = scores.live * UNIT
    if live < FLOOR or max(scores.signals, default=0.0) * UNIT < FLOOR:
        return []
    return [(n, round(min(p * UNIT, live))) for n, p in enumerate(scores.signals) if p * UNIT >= FLOOR]


def tells(weights: Iterable[tuple[int, int]]) -> bool:
    """Whether a post with these `weights` likely tells of a signal."""
    return any(weight >= TELLS for _, weight in weights)


def name_of(source: str) -> str:
    """As its posts are counted under; one object, since it is kept many times."""
    return sys.intern(source if len(source) <= NAME else source[:NAME])


def keep_strongest(found: dict[int, int], key: int, weight: int, limit: int) -> None:
    """Keep the `limit` keys with the greatest weights, each with its greatest; of equal ones the smaller key."""
    known = found.get(key)
    if known is not None:
        if weight > known:
            found[key] = weight
        return
    found[key] = weight
    if len(found) > limit:
        del found[min(found, key=lambda k: (found[k], -k))]


def count_source(sources: dict[str, int], source: str) -> None:
    """Count a post of a source; of more than `SOURCES` some are counted together."""
    if source in sources or len(sources) < SOURCES:
        sources[source] = sources.get(source, 0) + 1
        return
    # Who stays is decided by the names alone, so that the order of arrival does not matter.
    sources[source] = 1
    last = max((name for name in sources if name != OTHERS), key=hashed)
    sources[OTHERS] = sources.get(OTHERS, 0) + sources.pop(last)


class Window:
    """The sum of the buckets of one window; they are taken, and summed, only when something is asked for."""

    def __init__(self, start: int, end: int, buckets: Iterable[Bucket]) -> None:
        """Seconds since 1970: `start` belongs to the window, `end` does not."""
        self.start, self.end, self._given = start, end, buckets

    @property
    def first(self) -> int:
        """The number of its first bucket."""
        return self.start // BUCKET

    @property
    def last(self) -> int:
        """The number of its last bucket."""
        return self.end // BUCKET - 1

    @cached_property
    def _buckets(self) -> Sequence[Bucket]:
        return list(self._given)

    @cached_property
    def posts(self) -> int:
        return sum([b.posts for b in self._buckets])

    @cached_property
    def judged(self) -> int:
        """Posts that the models could judge."""
        return sum([b.judged for b in self._buckets])

    @cached_property
    def negative(self) -> int:
        """Thousandths: expected number of negative posts."""
        return sum([b.negative for b in self._buckets])

    @property
    def severity(self) -> float:
        """Of the gravest text that may tell of a signal, 0-3."""
        return max((b.severity for b in self._buckets), default=0) / UNIT

    @property
    def hours(self) -> float:
        return (self.end - self.start) / HOUR

    @property
    def negative_share(self) -> float:
        """Expected share of negative posts among those that could be judged, 0-1."""
        return self.negative / UNIT / self.judged if self.judged else 0.0

    @property
    def gravity(self) -> int:
        """Thousandths: the sum of the expected severities of the posts that could be judged."""
        return sum(b.gravity for b in self._buckets)

    @property
    def mean_severity(self) -> float:
        """Of the posts that could be judged, 0-3."""
        return self.gravity / UNIT / self.judged if self.judged else 0.0

    @property
    def reactions(self) -> int:
        """Likes, comments and reposts that posts of any age were seen to gain."""
        return sum(b.reactions for b in self._buckets)

    @property
    def outlets(self) -> int:
        """Different sources, up to `SOURCES`: a bucket with more of them keeps so many apart."""
        return min(SOURCES, len(set().union(*(b.sources for b in self._buckets)) - {OTHERS}))

    @cached_property
    def voices(self) -> int:
        """Different voices."""
        return smallest.distinct(b.voice_hashes for b in self._buckets)

    def has_voices(self, least: int) -> bool:
        """Whether there are so many different voices; most often one bucket has them. Every post has one."""
        return least <= 1 or any(smallest.size(b.voice_hashes) >= least for b in self._buckets) or self.voices >= least

    @cached_property
    def sources(self) -> dict[str, int]:
        """Posts a source, most first."""
        total: dict[str, int] = {}
        for bucket in self._buckets:
            for source, posts in bucket.sources.items():
                total[source] = total.get(source, 0) + posts
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def mass_at_most(self, signal: int) -> int:
        """Thousandths; an upper bound of `mass` that is quick to know."""
        return sum(sum(found.values()) for b in self._buckets if (found := b.texts.get(signal)))

    def mass(self, signal: int) -> int:
        """Thousandths: expected number of different texts that tell of the signal.

        However many posts repeat a text, it counts once.
        """
        return sum(self._strongest("texts", signal).values())

    def is_full(self, signal: int) -> bool:
        """Whether a bucket holds as many texts of the signal as are kept, so that more were told than `mass` says."""
        return any(len(b.texts.get(signal, ())) >= TEXTS for b in self._buckets)

    def likeliest(self, signal: int) -> int:
        """Thousandths: the chance of the text that most likely tells of the signal."""
        return max(self._strongest("texts", signal).values(), default=0)

    def masses(self) -> dict[str, float]:
        """Expected number of different texts a signal, of the signals that some text may tell of."""
        present = {signal for b in self._buckets for signal in b.texts}
        return {SIGNALS[signal]: self.mass(signal) / UNIT for signal in sorted(present) if signal < len(SIGNALS)}

    def sure(self, signal: int) -> float:
        """Chance, 0-0.99, that at least one of the posts truly tells of the signal, now.

        One minus the chance that all are wrong, over different texts and over different voices; the smaller of the
        two, since neither many copies of one text nor many texts of one voice are independent.
        """
        return min(SURE, *(1.0 - prod(1 - w / UNIT for w in self._strongest(by, signal).values()) for by in _BY))

    def _strongest(self, by: str, signal: int) -> dict[int, int]:
        strongest: dict[int, int] = {}
        for bucket in self._buckets:
            found: dict[int, int] | None = getattr(bucket, by).get(signal)
            for key, weight in found.items() if found else ():
                if weight > strongest.get(key, 0):
                    strongest[key] = weight
        return strongest


_BY = ("texts", "speakers")
