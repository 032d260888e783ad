"""What people say of a topic on calm days: words that are nobody's, such as the city or what the organisation runs.

One post an hour is read, which is enough to know what many have. State keys: `@calm/topic`.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from functools import lru_cache
from zlib import crc32

import msgspec
import rjieba

from tingchao.alerts import shards
from tingchao.alerts.kept import Kept
from tingchao.alerts.terms import terms_of
from tingchao.alerts.texts import bare_of
from tingchao.alerts.windows import HOUR
from tingchao.config.topics import Topic, found_by

COMMON = 4_000  # of 60 million in jieba's dictionary: a word said so often (有人, 现场) tells nothing
_KEY = "@calm/"
_ENOUGH = 16  # posts from which shares are known
_LEARNT = 32  # posts after which those before count half ...
_RARE = 2  # ... and words in fewer of them are forgotten (lossy counting: Manku and Motwani 2002)
_MOST = 2_000  # words remembered a topic
_OPEN = 20  # topics kept decoded: each is read once an hour


class Words(msgspec.Struct):
    """The words of a topic."""

    hour: int = 0  # of the newest post
    posts: int = 0
    said: dict[int, int] = {}  # hash -> posts that have it

    def add(self, words: Iterable[int]) -> None:
        """Count a post; of many the older ones count half."""
        self.posts += 1
        for word in words:
            if word in self.said or len(self.said) < _MOST:
                self.said[word] = self.said.get(word, 0) + 1
        if self.posts >= 2 * _LEARNT:
            self.posts //= 2
            self.said = {word: posts // 2 for word, posts in self.said.items() if posts >= 2 * _RARE}

    def share(self, word: int) -> float:
        """Share of the posts that have a word, 0-1; 0 while too little is known."""
        return self.said.get(word, 0) / self.posts if self.posts >= _ENOUGH else 0.0


class Calm:
    """The topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], topics: Sequence[Topic]) -> None:
        self._topics = Kept(memory, msgspec.msgpack.Decoder(Words).decode, _OPEN)
        self._names = {topic.name: _names(topic) for topic in topics}
        self._hours: dict[str, int] = {}
        for key in shards.keys(memory, _KEY):
            if (known := self._topics.look(key)) is not None:
                self._hours[key] = known.hour

    def learn(self, topic: str, published: int, text: str) -> None:
        """Read a post of a calm day, by event time (seconds), if it is the first of its hour."""
        key, hour = f"{_KEY}{topic}", published // HOUR
        if hour > self._hours.get(key, 0):
            known = self._topics.get(key) or self._topics.add(key, Words())
            known.add(self.words(topic, bare_of(text)))
            known.hour = self._hours[key] = hour
            self._topics.changed(key)

    def of(self, topic: str) -> Words:
        """What is known of a topic."""
        return self._topics.get(f"{_KEY}{topic}") or Words()

    def words(self, topic: str, bare: str) -> list[int]:
        """The words of a bare text as hashes, each once, without common ones and those by which the topic is found."""
        for name in self._names.get(topic, ()):
            bare = bare.replace(name, " ")
        return sorted({crc32(term.encode()) for term in terms_of(bare) if not _is_common(term)})

    def drop(self, before: int) -> None:
        """Forget topics of which nothing was read since `before` (seconds)."""
        for key in [key for key, hour in self._hours.items() if (hour + 1) * HOUR < before]:
            del self._hours[key]
            self._topics.drop(key)

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._topics.save()


@lru_cache(maxsize=10_000)
def _is_common(word: str) -> bool:
    return int(rjieba.suggest_freq(word)) >= COMMON


def _names(topic: Topic) -> list[str]:
    """The words by which posts of a topic are found, as they stand in bare texts, the longest first."""
    return sorted(map(bare_of, found_by(topic)), key=lambda word: (-len(word), word))
