"""Words and phrases that a topic did not have before: a bounded memory of terms for each topic.

A term is a word of two or more characters, or two such words that stand side by side. It is new for as long as its
first mention lies within the window of a rule; what a topic said on its first day is never new.
State keys: `@term/topic/number`, a part of the terms that a topic knows; `@new/topic`, its new terms.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

import msgspec
import rjieba

from tingchao.alerts import shards
from tingchao.pipeline.records import Mention, full_text
from tingchao.pipeline.stage import Memory

_PARTS = 64
_MOST = 1024  # terms of a part, 8 KB; the longest unheard ones go first: 65,536 terms a topic
_FORGET = 30  # days after which a term that nobody uses is new again
_NEW = 1000  # new terms of a topic that are followed at a time
_COUNTED = 50  # texts and voices of a new term that are told apart
_COLD = 86400  # seconds until a topic has said what it usually says
_DAY = 86400


class New(msgspec.Struct):
    """A new term."""

    first: int  # seconds, event time
    texts: list[int] = []
    voices: list[int] = []


class _Topic(msgspec.Struct):
    """What is new in a topic."""

    began: int  # seconds, event time
    new: dict[str, New] = {}


class Terms:
    """The terms of the topics of a partition."""

    def __init__(self, memory: Memory, window: float) -> None:
        """`window`: seconds, of the longest rule."""
        self._memory, self._window = memory, window
        self._topics: dict[str, _Topic] = {}
        self._known: dict[tuple[str, int], dict[int, int]] = {}  # hash -> day of the last mention
        self._changed: set[tuple[str, int]] = set()
        self._moved: set[str] = set()
        for key in sorted(shards.keys(memory, "@new/")):
            self._topics[key.removeprefix("@new/")] = msgspec.json.decode(shards.get(memory, key), type=_Topic)
        for key in sorted(key for key in memory if key.startswith("@term/")):
            topic, _, part = key.removeprefix("@term/").rpartition("/")
            numbers = array("I", memory[key])
            self._known[topic, int(part)] = dict(zip(numbers[::2], numbers[1::2], strict=True))

    def hear(self, mention: Mention, published: int, text: int, voice: int) -> None:
        """A mention that was counted; `text` and `voice` as hashes."""
        topic = self._topics.setdefault(mention.topic, _Topic(published))
        said = full_text(mention.title, mention.excerpt)
        for term in sorted(set(terms_of(said))):
            known = self._hear(mention.topic, term, published // _DAY)
            if not known and published - topic.began >= _COLD and len(topic.new) < _NEW:
                topic.new[term] = New(published)
            if (new := topic.new.get(term)) is not None:
                new.first = min(new.first, published)
                _add(new.texts, text)
                _add(new.voices, voice)
        self._moved.add(mention.topic)

    def newest(self, topic: str, start: int, end: int, voices: int) -> tuple[str, int] | None:
        """The new term of a window (seconds) that most different texts have, from so many voices, and their number."""
        found = [
            (len(new.texts), len(term), term)
            for term, new in (self._topics[topic].new.items() if topic in self._topics else ())
            if start <= new.first < end and len(new.voices) >= voices
        ]
        if not found:
            return None
        number, _, term = max(found)
        return term, number

    def forget(self, now: int) -> None:
        """Drop what is no longer new."""
        for name, topic in self._topics.items():
            old = [term for term, new in topic.new.items() if now - new.first > self._window]
            for term in old:
                del topic.new[term]
            if old:
                self._moved.add(name)

    def save(self) -> None:
        """Write what changed into the keyed state."""
        for topic, part in sorted(self._changed):
            known = self._known[topic, part]
            numbers = array("I", [number for pair in sorted(known.items()) for number in pair])
            self._memory[f"@term/{topic}/{part}"] = numbers.tobytes()
        for topic in sorted(self._moved):
            shards.put(self._memory, f"@new/{topic}", msgspec.json.encode(self._topics[topic]))
        self._changed.clear()
        self._moved.clear()

    def _hear(self, topic: str, term: str, day: int) -> bool:
        """Whether the topic knows the term; from now on it does."""
        number = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=4).digest())
        key = topic, number % _PARTS
        known = self._known.setdefault(key, {})
        last = known.get(number)
        if last is None or day > last:
            known[number] = day
            self._changed.add(key)
            if len(known) > _MOST:
                del known[min(known, key=lambda one: (known[one], one))]
        return last is not None and day - last <= _FORGET


def terms_of(text: str) -> Iterator[str]:
    """The words of a text, and each two that stand side by side."""
    before = ""
    for word in rjieba.cut(text.lower()):
        if len(word) < 2 or not word.isalnum() or word.isdecimal():
            before = ""
            continue
        yield word
        if before:
            yield f"{before}{word}" if not (before + word).isascii() else f"{before} {word}"
        before = word


def _add(numbers: list[int], number: int) -> None:
    if number not in numbers and len(numbers) < _COUNTED:
        numbers.append(number)
