"""Pairs of texts that differ in a few words and in a label become figures (models/CONTRAST.md: how they were made).

They judge only: nothing may train or tune on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from tingchao.models.measures import Figure, interval
from tingchao.models.scores import SENTIMENTS, SIGNALS, Scores

CONTRAST = Path(__file__).parent / "contrast.jsonl"
_KEYWORDS = Path(__file__).parent / "keywords.json"
_REACH = 4  # characters before a keyword in which a negation cancels it, as the exclusion rules of common tools do

Head = Literal["signal", "live", "severity", "sentiment"]
Kind = Literal[
    "advert",
    "advice",
    "degree",
    "drill",
    "fiction",
    "history",
    "hypothetical",
    "irony",
    "meaning",
    "negation",
    "place",
    "question",
    "refutation",
    "resolved",
    "scale",
]


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text of a pair with its labels, by the guideline of the annotated texts."""

    text: str
    signals: tuple[str, ...]
    severity: int
    live: bool
    sentiment: str


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two texts that a word or two set apart; `head` is what the pair asks, other heads may differ too."""

    id: str
    kind: Kind
    head: Head
    a: Side
    b: Side


class Answer(NamedTuple):
    """What a reader, the model or a list of words, says of one text."""

    signals: frozenset[str]
    severity: float
    live: bool
    sentiment: str


_Both = tuple[Answer, Answer]  # of the two sides of a pair


class Keywords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of the baseline; a signal is given if one of its words stands in the text and is not negated."""

    signals: dict[str, tuple[str, ...]]
    grave: tuple[str, ...]
    many: tuple[str, ...]
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    negations: tuple[str, ...]


def read_pairs(path: Path = CONTRAST) -> tuple[Pair, ...]:
    """The pairs of a file, one JSON object a line; msgspec.ValidationError if a line is none."""
    return tuple(msgspec.json.decode(line, type=Pair) for line in path.read_bytes().splitlines())


def contrast_figures(pairs: Sequence[Pair], score: Callable[[list[str]], list[Scores]]) -> list[Figure]:
    """Share of pairs with both sides right on the head that the pair asks: in all, by head, by kind.

    The majority answers both sides alike and gets none. `published` is the share that the keywords get.
    """
    texts, words = [side.text for pair in pairs for side in (pair.a, pair.b)], read_keywords()
    model = _in_twos([model_answer(one) for one in score(texts)])
    listed = _in_twos([keyword_answer(text, words) for text in texts])
    ours = [is_right(pair, *answers) for pair, answers in zip(pairs, model, strict=True)]
    theirs = [is_right(pair, *answers) for pair, answers in zip(pairs, listed, strict=True)]
    groups = {"contrast": list(range(len(pairs)))}
    for at, pair in enumerate(pairs):
        groups.setdefault(f"contrast: {pair.head}", []).append(at)
    for at in sorted(range(len(pairs)), key=lambda number: pairs[number].kind):
        groups.setdefault(f"contrast, {pairs[at].kind}", []).append(at)
    return [
        *(
            _figure(name, "pair accuracy", [ours[at] for at in some], [theirs[at] for at in some])
            for name, some in groups.items()
        ),
        *_every(pairs, model, listed),
    ]


def _every(pairs: Sequence[Pair], model: Sequence[_Both], listed: Sequence[_Both]) -> Iterator[Figure]:
    """Live, and the order of severity, on every pair that differs in them, whatever head it asks."""
    live = [(at, msgspec.structs.replace(pair, head="live")) for at, pair in enumerate(pairs)]
    live = [(at, pair) for at, pair in live if pair.a.live != pair.b.live]
    right = [[is_right(pair, *answers[at]) for at, pair in live] for answers in (model, listed)]
    yield _figure("contrast, all that differ: live", "pair accuracy", *right)
    graver = [(at, pair) for at, pair in enumerate(pairs) if pair.a.severity != pair.b.severity]
    order = [[is_ordered(pair, *answers[at]) for at, pair in graver] for answers in (model, listed)]
    yield _figure("contrast, all that differ: severity", "pair order", *order)


def _in_twos(answers: Sequence[Answer]) -> list[_Both]:
    return list(zip(answers[::2], answers[1::2], strict=True))


def _figure(name: str, metric: str, ours: Sequence[bool], theirs: Sequence[bool]) -> Figure:
    right = np.array(ours, dtype=np.float64)
    low, high = interval(lambda some: float(right[some].mean()), len(right))
    return Figure(name, metric, len(right), 0.0, float(right.mean()), low, high, f"keywords {np.mean(theirs):.3f}")


def is_right(pair: Pair, a: Answer, b: Answer) -> bool:
    """Whether both sides are right on the head of the pair; of the signals those count in which the sides differ."""
    sides = ((pair.a, a), (pair.b, b))
    match pair.head:
        case "signal":
            asked = set(pair.a.signals) ^ set(pair.b.signals)
            return all(asked & set(side.signals) == asked & answer.signals for side, answer in sides)
        case "live":
            return all(side.live == answer.live for side, answer in sides)
        case "severity":
            return all(side.severity == round(answer.severity) for side, answer in sides)
        case "sentiment":
            return all(side.sentiment == answer.sentiment for side, answer in sides)


def is_ordered(pair: Pair, a: Answer, b: Answer) -> bool:
    """Whether the graver side is also the one that the reader finds graver; chance gets half."""
    return (pair.a.severity - pair.b.severity) * (a.severity - b.severity) > 0


def model_answer(scores: Scores) -> Answer:
    """What the model says: signals at their thresholds, live from one half, the likeliest sentiment."""
    feeling = int(np.argmax((scores.negative, scores.neutral, scores.positive)))
    return Answer(frozenset(scores.given), scores.severity, scores.live >= 0.5, SENTIMENTS[feeling])


def read_keywords() -> Keywords:
    """The words of the baseline, written down from the guideline before the first measurement."""
    return msgspec.json.decode(_KEYWORDS.read_bytes(), type=Keywords)


def keyword_answer(text: str, words: Keywords) -> Answer:
    """What a list of words says; it calls every text with a signal live."""

    def has(some: Sequence[str]) -> int:
        return sum(_stands(text, word, words.negations) for word in some)

    given = frozenset(signal for signal in SIGNALS if has(words.signals[signal]))
    severity = 0 if not given else 3 if has(words.grave) else 2 if has(words.many) else 1
    balance = has(words.positive) - has(words.negative)
    return Answer(given, severity, bool(given), SENTIMENTS[(balance > 0) - (balance < 0) + 1])


def _stands(text: str, word: str, negations: Sequence[str]) -> bool:
    """Whether a word stands in a text without a negation just before it."""
    at = text.find(word)
    return at >= 0 and not any(one in text[max(at - _REACH, 0) : at] for one in negations)
