"""The words that moved a head become what a person reads: words and phrases for and against it, strongest first.

Words that stand side by side and move the head the same way are one phrase; its change is the sum of theirs, since
what a word adds to the raw outputs is a share that adds up (see explain.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tingchao.models.features import words_of
from tingchao.models.normalise import plain_batch
from tingchao.models.scorer import Scorer

_WORDS = 400  # words of a text that are weighed; a post of 80 characters has about 45
_LONGEST = 4  # words of a phrase
_PART = 0.25  # of the strongest word's change: what moves less does not join a phrase; at 0.2 it was 线停运, not 停运


class Reasons(NamedTuple):
    """Words or phrases for a head and against it, with their change in log-odds (of severity: in its value)."""

    up: list[tuple[str, float]]
    down: list[tuple[str, float]]


def reasons(scorer: Scorer, texts: Sequence[str], heads: Sequence[str], limit: int = 8) -> list[dict[str, Reasons]]:
    """For each text and head (of HEADS) at most `limit` words and phrases either way; none where the head abstained."""
    found = scorer.whys(texts, [tuple(heads)] * len(texts), _WORDS)
    return [
        {head: _reasons(words, dict(moved), limit) for head, moved in one.items()}
        for words, one in zip(_words(texts), found, strict=True)
    ]


def _words(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Position and word of every word of each text, in order."""
    plain = plain_batch(texts)
    words = words_of(plain)
    whole = "".join(f"{text}\n" for text in plain.texts)
    of: list[list[tuple[int, str]]] = [[] for _ in texts]
    for start, length, text in zip(words.starts.tolist(), words.lengths.tolist(), words.texts.tolist(), strict=True):
        of[text].append((start, whole[start : start + length]))
    yield from of


def _reasons(words: Sequence[tuple[int, str]], moved: dict[str, float], limit: int) -> Reasons:
    """Every word alone or, in its place, the phrase that it is part of."""
    least = _PART * max(map(abs, moved.values()), default=0.0)
    parts: dict[str, float] = {}
    within: set[str] = set()
    for run in _runs(words, moved, least):
        phrase = "".join(run)
        parts[phrase] = sum(moved[word] for word in run)
        within.update(run if len(run) > 1 else ())
    for word, change in moved.items():
        if word not in within:
            parts.setdefault(word, change)
    ordered = sorted(parts.items(), key=lambda item: (-abs(item[1]), item[0]))
    return Reasons(
        [(word, change) for word, change in ordered if change > 0][:limit],
        [(word, change) for word, change in ordered if change < 0][:limit],
    )


def _runs(words: Sequence[tuple[int, str]], moved: dict[str, float], least: float) -> Iterator[list[str]]:
    """Words side by side that move the head the same way and far enough, at most four together."""
    run: list[str] = []
    end = -1
    for start, word in words:
        change = moved.get(word, 0.0)
        if abs(change) < least or not change:
            if run:
                yield run
            run, end = [], -1
            continue
        goes_on = run and start == end and len(run) < _LONGEST and (moved[run[-1]] > 0) == (change > 0)
        if not goes_on:
            if run:
                yield run
            run = []
        run.append(word)
        end = start + len(word)
    if run:
        yield run
