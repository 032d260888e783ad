"""What is known of an event: its first post, its spread, who speaks of it, what is read in it, and how much it moves.

Everything is a sum, a maximum, a minimum or a set of smallest hashes, so that the order of arrival does not matter.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgspec

from tingchao.alerts import smallest
from tingchao.alerts.spread import Spread
from tingchao.alerts.windows import OTHERS, UNIT, count_source
from tingchao.pipeline.records import Mention

MARKS = 32  # smallest hashes of texts kept, by which the same event is known again under another topic
SAME = 0.5  # share of the texts of one event that stand in another: then the two are the same


class First(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The first post of an event."""

    at: int  # seconds of event time
    id: str
    source: str


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """What the models read in a post, in thousandths."""

    negative: int
    severity: int
    signals: Sequence[tuple[int, int]]  # windows.weights


def meaning_of(mention: Mention, found: Sequence[tuple[int, int]]) -> Meaning | None:
    """What the models read in a mention, with its `windows.weights`; None where they could not judge it."""
    scores = mention.scores
    if scores.abstained:
        return None
    return Meaning(round(scores.negative * UNIT), round(scores.severity * UNIT), found)


class Happening(msgspec.Struct, gc=False):
    """An event of one topic. Times in seconds since 1970.

    Tens of thousands live at a time and none refers to another, so the collector of cycles need not visit them.
    """

    name: str
    scope: str
    first: First
    last: int
    touched: int  # by the clock
    posts: int = 0
    texts: int = 0  # posts that told it in words of their own
    voice_hashes: bytes = b""  # see smallest.py
    teller_hashes: bytes = b""  # voices with words of their own
    sources: dict[str, int] = msgspec.field(default_factory=dict)
    times: Spread = msgspec.field(default_factory=Spread)  # of its posts
    mark_hashes: bytes = b""  # of its texts
    judged: int = 0  # posts that the models could judge
    negative: int = 0  # thousandths: expected number of negative posts
    gravest: int = 0  # thousandths: the expected severity of the gravest post that may tell of a signal
    signals: dict[int, int] = msgspec.field(default_factory=dict)  # thousandths: expected number of texts that tell
    gains: Spread = msgspec.field(default_factory=Spread)  # reactions that its posts gained
    reactions: int = 0

    def add(self, first: First, voice: int, mark: int, now: int, *, copy: bool, meaning: Meaning | None = None) -> None:
        """Count a post: with the hashes of its voice and its text; `meaning` is None where it could not be judged."""
        self.first, self.last = min(self.first, first), max(self.last, first.at)
        self.touched = max(self.touched, now)
        self.posts += 1
        self.voice_hashes = smallest.added(self.voice_hashes, voice)
        if not copy:
            self.texts += 1
            self.teller_hashes = smallest.added(self.teller_hashes, voice)
        count_source(self.sources, first.source)
        self.times.add(first.at, 1)
        self.mark_hashes = smallest.added(self.mark_hashes, mark, MARKS)
        if meaning is not None:
            self._read(meaning, copy=copy)

    def _read(self, meaning: Meaning, *, copy: bool) -> None:
        self.judged += 1
        self.negative += meaning.negative
        for signal, weight in meaning.signals:
            self.gravest = max(self.gravest, meaning.severity)
            if not copy:
                self.signals[signal] = self.signals.get(signal, 0) + weight

    def gain(self, at: int, reactions: int) -> None:
        """One of its posts was seen to have gained reactions, by `at`."""
        self.reactions += reactions
        self.gains.add(at, reactions)

    @property
    def distinct_voices(self) -> int:
        """Different voices, also of those who only repeat."""
        return smallest.distinct([self.voice_hashes])

    @property
    def independent(self) -> int:
        """Voices that told it in words of their own: five hundred reposts of one text are one."""
        return min(self.texts, smallest.distinct([self.teller_hashes]))

    @property
    def repost_share(self) -> float:
        """Share of its posts that repeat another one, 0-1."""
        return 1 - self.texts / self.posts if self.posts else 0.0

    @property
    def negative_share(self) -> float:
        """Expected share of negative posts among those that could be judged, 0-1."""
        return self.negative / UNIT / self.judged if self.judged else 0.0

    @property
    def named_sources(self) -> dict[str, int]:
        """Posts a source, most first; beyond those kept apart under OTHERS."""
        return dict(sorted(self.sources.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0])))


def same(marks: bytes, others: bytes) -> bool:
    """Whether two events of different topics are one: most texts of the smaller are texts of the other.

    Marks are the smallest hashes of texts, so up to the greatest mark that both are complete to, shared texts show.
    """
    one, other = array("Q", marks), array("Q", others)
    known = min((found[-1] for found in (one, other) if len(found) == MARKS), default=max((*one, *other), default=0))
    kept, held = ({mark for mark in found if mark <= known} for found in (one, other))
    smaller = min(len(kept), len(held))
    return smaller > 0 and len(kept & held) >= SAME * smaller
