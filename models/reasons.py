"""The words that moved a head become what a person reads: words and phrases for and against it, strongest first.

Words that stand side by side and move the head the same way are one phrase; its change is the sum of theirs, since
what a word adds to the raw outputs is a share that adds up (see explain.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tingchao.models.scorer import Scorer

WORDS = 400  # words of a text that are weighed; a post of 80 characters has about 45
_LONGEST = 4  # words of a phrase
_PART = 0.25  # of the strongest word's change: what moves less does not join a phrase; at 0.2 it was 线停运, not 停运


class Reasons(NamedTuple):
    """Words or phrases for a head and against it, with their change in log-odds (of severity: in its value)."""

    up: list[tuple[str, float]]
    down: list[tuple[str, float]]

    @property
    def ordered(self) -> list[tuple[str, float]]:
        """Both ways together, strongest first."""
        return sorted((*self.up, *self.down), key=lambda item: (-abs(item[1]), item[0]))


def reasons(scorer: Scorer, texts: Sequence[str], heads: Sequence[str], limit: int = 8) -> list[dict[str, Reasons]]:
    """For each text and head (of HEADS) at most `limit` words and phrases either way; none where the head abstained."""
    return scorer.phrases(texts, [tuple(heads)] * len(texts), limit)


def phrased(words: Sequence[tuple[int, str]], moved: dict[str, float], limit: int) -> Reasons:
    """Every word alone or, in its place, the phrase that it is part of."""
    least = _PART * max(map(abs, moved.values()), default=0.0)
    strong = {word: change for word, change in moved.items() if change and abs(change) >= least}
    parts: dict[str, float] = {}
    within: set[str] = set()
    for run in _runs([one for one in words if one[1] in strong], strong):
        parts["".join(run)] = sum([strong[word] for word in run])
        within.update(run if len(run) > 1 else ())
    for word, change in moved.items():
        if word not in within:
            parts.setdefault(word, change)
    ordered = sorted([(-abs(change), word, change) for word, change in parts.items()])
    return Reasons(
        [(word, change) for _, word, change in ordered if change > 0][:limit],
        [(word, change) for _, word, change in ordered if change < 0][:limit],
    )


def _runs(words: Sequence[tuple[int, str]], strong: dict[str, float]) -> Iterator[list[str]]:
    """Words side by side that move the head the same way, at most four together; `words` are some of the text's."""
    run: list[str] = []
    end, above = -1, False
    for start, word in words:
        if start != end or len(run) == _LONGEST or above != (strong[word] > 0):
            if run:
                yield run
            run, above = [], strong[word] > 0
        run.append(word)
        end = start + len(word)
    if run:
        yield run
