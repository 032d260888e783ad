"""What is known of an event: its first post, its spread over time, who speaks of it, and how much of it is reposts.

Everything is a sum, a maximum, a minimum or a set of smallest hashes, so that the order of arrival does not matter.
"""

from __future__ import annotations

import heapq

import msgspec

from tingchao.alerts.windows import BUCKET, OTHERS, count_source, distinct, keep_smallest

SPREAD = 288  # buckets of five minutes kept: of a longer event the newest day
MARKS = 32  # smallest hashes of texts kept, by which the same event is known again under another topic
SAME = 0.5  # share of the texts of one event that stand in another: then the two are the same


class First(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The first post of an event."""

    at: int  # seconds of event time
    id: str
    source: str


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
    voices: set[int] = msgspec.field(default_factory=set)
    tellers: set[int] = msgspec.field(default_factory=set)  # voices with words of their own
    sources: dict[str, int] = msgspec.field(default_factory=dict)
    spread: dict[int, int] = msgspec.field(default_factory=dict)  # bucket -> posts
    marks: list[int] = msgspec.field(default_factory=list)

    def add(self, first: First, voice: int, mark: int, now: int, *, copy: bool) -> None:
        """Count a post: with the hashes of its voice and its text."""
        self.first, self.last = min(self.first, first), max(self.last, first.at)
        self.touched = max(self.touched, now)
        self.posts += 1
        keep_smallest(self.voices, voice)
        if not copy:
            self.texts += 1
            keep_smallest(self.tellers, voice)
        count_source(self.sources, first.source)
        bucket = first.at // BUCKET
        self.spread[bucket] = self.spread.get(bucket, 0) + 1
        if len(self.spread) > SPREAD:
            del self.spread[min(self.spread)]
        if mark not in self.marks and (len(self.marks) < MARKS or mark < self.marks[-1]):
            self.marks = heapq.nsmallest(MARKS, [*self.marks, mark])

    def between(self, first: int, last: int) -> int:
        """Posts in the buckets `first` to `last`."""
        return sum(posts for bucket, posts in self.spread.items() if first <= bucket <= last)

    @property
    def distinct_voices(self) -> int:
        """Different voices, also of those who only repeat."""
        return distinct(self.voices)

    @property
    def independent(self) -> int:
        """Voices that told it in words of their own: five hundred reposts of one text are one."""
        return min(self.texts, distinct(self.tellers))

    @property
    def repost_share(self) -> float:
        """Share of its posts that repeat another one, 0-1."""
        return 1 - self.texts / self.posts if self.posts else 0.0

    @property
    def named_sources(self) -> dict[str, int]:
        """Posts a source, most first; beyond those kept apart under OTHERS."""
        return dict(sorted(self.sources.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0])))


def same(marks: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Whether two events of different topics are one: most texts of the smaller are texts of the other.

    Marks are the smallest hashes of texts, so up to the greatest mark that both are complete to, shared texts show.
    """
    known = min(
        (found[-1] for found in (marks, others) if len(found) == MARKS), default=max((*marks, *others), default=0)
    )
    one, other = ({mark for mark in found if mark <= known} for found in (marks, others))
    smaller = min(len(one), len(other))
    return smaller > 0 and len(one & other) >= SAME * smaller
