"""Of the posts of an alert, the few that stand for all: the first one, and strong ones in words of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tingchao.alerts.likeness import alike, contradict
from tingchao.pipeline.records import Evidence, full_text

SHOWN = 3  # beside the first


def representatives(evidence: Iterable[Evidence]) -> list[tuple[int, Evidence]]:
    """The first post and up to three others, each with its number among all (from 1, as verdicts take it).

    `evidence` is in the order of strength; what repeats a post that was chosen already is passed over.
    """
    firsts: list[tuple[int, Evidence]] = []
    others: list[tuple[int, Evidence]] = []
    for number, one in distinct(enumerate(evidence, 1)):
        (firsts if one.role == "first" else others).append((number, one))
    return firsts + others[:SHOWN]


def distinct(numbered: Iterable[tuple[int, Evidence]]) -> Iterator[tuple[int, Evidence]]:
    """Those that do not repeat an earlier one; a changed number is another fact."""
    chosen: list[str] = []
    for number, one in numbered:
        bare = _bare(one)
        if not any(alike(bare, other) and not contradict(bare, other) for other in chosen):
            chosen.append(bare)
            yield number, one


def _bare(one: Evidence) -> str:
    """Letters and digits; the title once, where the excerpt begins with it."""
    return "".join(filter(str.isalnum, full_text(one.title, one.excerpt).lower()))
