"""The events of watched topics: mentions are placed as they are counted, and a window names the event it is about."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import MutableMapping, Sequence

from tingchao.alerts.events import TOPICS, Events, Told
from tingchao.alerts.happening import Happening, Meaning, meaning_of, same
from tingchao.alerts.windows import UNIT
from tingchao.config.signals import SIGNALS
from tingchao.config.topics import Topic, found_by
from tingchao.pipeline.clock import from_millis
from tingchao.pipeline.records import Candidate, Event, Mention, full_text

LEAD = 0.3  # share of a window's posts from which it is about an event; below it is talk of many things
_SOURCES = 20  # named


class Tracker:
    """The events of the topics of one partition. State keys: see events."""

    def __init__(self, memory: MutableMapping[str, bytes], topics: Sequence[Topic]) -> None:
        self._events = Events(memory, TOPICS, {topic.name: found_by(topic) for topic in topics})
        self._heard: list[Told] = []
        self._gained: list[Told] = []

    def hear(
        self, mention: Mention, published: float, at: float, weights: Sequence[tuple[int, int]], gained: int
    ) -> None:
        """A mention that was counted, by event time and the clock (seconds), with `windows.weights` and reactions."""
        self._heard.append(_told(mention, published, at, meaning_of(mention, weights), gained))

    def gain(self, mention: Mention, fetched: float, at: float, gained: int) -> None:
        """A mention that was counted before was seen to have gained reactions."""
        self._gained.append(_told(mention, fetched, at, None, gained))

    def place(self) -> None:
        """Place what was heard; many at once, since numbers are made of a whole batch."""
        if self._heard:
            self._events.add(self._heard)
            self._heard = []
        if self._gained:
            self._events.gain(self._gained)
            self._gained = []

    def leading(self, topic: str, first: int, last: int, posts: int) -> Event | None:
        """The event that `LEAD` of a window's posts tell of, if one does; its buckets are `first` to `last`."""
        found = self._events.leading(topic, first, last)
        if found is None or found[1] < LEAD * posts:
            return None
        return record_of(*found)

    def drop(self, before: int) -> None:
        """Forget what was last told of before `before` (seconds, by the clock)."""
        self._events.drop(before)

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._events.save()


def same_event(candidate: Candidate, event: Event | None) -> bool:
    """Whether a candidate is about the event, though it was found under another topic."""
    mine = candidate.event
    return mine is not None and event is not None and same(b64decode(mine.marks), b64decode(event.marks))


def _told(mention: Mention, when: float, at: float, meaning: Meaning | None, gained: int) -> Told:
    return Told(
        scope=mention.topic,
        id=mention.id,
        at=int(when),
        now=int(at),
        source=mention.source,
        voice=mention.voice,
        text=full_text(mention.title, mention.excerpt),
        sketch=mention.sketch,
        meaning=meaning,
        gained=gained,
    )


def record_of(event: Happening, posts: int) -> Event:
    """An event as candidates and alerts name it, with how many posts of a window tell of it."""
    sources = event.named_sources
    return Event(
        id=event.name,
        first=event.first.id,
        first_source=event.first.source,
        first_at=from_millis(event.first.at * 1000),
        last_at=from_millis(event.last * 1000),
        hours=round((event.last - event.first.at) / 3600, 2),
        posts=event.posts,
        in_window=posts,
        texts=event.texts,
        voices=event.distinct_voices,
        independent=event.independent,
        repost_share=round(event.repost_share, 3),
        sources=dict(list(sources.items())[:_SOURCES]),
        peak=event.times.peak,
        negative_share=round(event.negative_share, 3),
        severity=round(event.gravest / UNIT, 2),
        signals={SIGNALS[signal]: round(mass / UNIT, 2) for signal, mass in sorted(event.signals.items())},
        reactions=event.reactions,
        reactions_peak=event.gains.peak,
        marks=b64encode(event.mark_hashes).decode(),
    )
