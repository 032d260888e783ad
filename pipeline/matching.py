"""Which watched topics a text matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import ahocorasick

from tingchao.config.sources import Source
from tingchao.config.topics import Near, Topic, found_by
from tingchao.pipeline.grams import fold

Test = Callable[[str], bool]


class Matcher:
    """Tests texts against all topics; a source may be limited to some of them.

    Only topics of which the text has a needed word are tested: with a thousand topics most have none there.
    """

    def __init__(self, topics: Sequence[Topic], sources: Sequence[Source]) -> None:
        self._tests = [(topic.name, _topic(topic)) for topic in topics]
        needed: dict[str, list[int]] = {}  # numbers of the topics
        for number, topic in enumerate(topics):
            for word in {fold(word) for word in _one_needed(topic)}:
                needed.setdefault(word, []).append(number)
        self._needed = ahocorasick.Automaton()
        for word, numbers in needed.items():
            self._needed.add_word(word, numbers)
        self._needed.make_automaton()
        self._words = {topic.name: [(word, _some([word])) for word in found_by(topic)] for topic in topics}
        self._limits = {s.name: frozenset(s.topics) for s in sources if "*" not in s.topics}

    def topics(self, folded: str, source: str) -> tuple[str, ...]:
        """Names of the topics that a text, folded by grams.fold, matches, in the order of topics.toml."""
        allowed = self._limits.get(source)
        numbers = {number for _, numbers in self._needed.iter(folded) for number in numbers} if self._tests else ()
        tests = (self._tests[number] for number in sorted(numbers))
        return tuple(name for name, holds in tests if (allowed is None or name in allowed) and holds(folded))

    def words(self, topic: str, text: str) -> tuple[str, ...]:
        """The topic's words that stand in a text that matches it, as topics.toml has them."""
        folded = fold(text)
        return tuple(word for word, stands in self._words[topic] if stands(folded))


def _one_needed(topic: Topic) -> Sequence[str]:
    """Words of which a text that matches has at least one."""
    if topic.any:
        return topic.any
    return topic.all[:1] or topic.near[0].words[:1]


def _topic(topic: Topic) -> Test:
    some, none = _some(topic.any), _some(topic.none)
    every = [_some([word]) for word in topic.all] + [_near(near) for near in topic.near]

    def holds(text: str) -> bool:
        if topic.any and not some(text):
            return False
        return all(test(text) for test in every) and not none(text)

    return holds


def _some(words: Sequence[str]) -> Test:
    """Whether any of the words is there."""
    folded = [fold(word) for word in words]
    patterns = [_pattern(word) for word in folded if _latin(word)]
    plain = [word for word in folded if not _latin(word)]

    def holds(text: str) -> bool:
        for word in plain:  # any() with a generator takes four times as long
            if word in text:
                return True
        return any(pattern.search(text) for pattern in patterns)

    return holds


def _latin(folded: str) -> bool:
    return folded[:1].isascii() and folded[-1:].isascii()


def _pattern(folded: str) -> re.Pattern[str]:
    """Where a word stands. A Latin word ends at its border: 'app' is not in 'happy'. Han needs none."""
    word = re.escape(folded)
    return re.compile(rf"(?<![a-z0-9]){word}(?![a-z0-9])" if _latin(folded) else word)


def _near(near: Near) -> Test:
    words = [fold(word) for word in near.words]
    patterns = [_pattern(word) for word in words]

    def holds(text: str) -> bool:
        if not all(word in text for word in words):
            return False
        places = sorted((m.start(), m.end(), n) for n, pattern in enumerate(patterns) for m in pattern.finditer(text))
        return any(_covers(places[i:], near.within, len(words)) for i in range(len(places)))

    return holds


def _covers(places: Sequence[tuple[int, int, int]], within: int, count: int) -> bool:
    """Whether a chain that begins at the first place reaches every word with gaps of at most `within` characters."""
    met = {places[0][2]}
    for (_, end, _), (start, _, number) in pairwise(places):
        if start - end > within:
            break
        met.add(number)
    return len(met) == count
