"""Texts of a source and week, beside those that the model comes from: do words and scores still fit.

Two things are looked at. Words that the model does not know: their share of a text, against the group of reference
texts that has most. Scores: how many texts fall into which range of a head, against the group that comes nearest, and
against the weeks before of the same source. A change must be large and no chance: the population stability index is
called large from 0.25 on (0.1: some; Siddiqi 2006), and by chance alone it is about chi-squared with bins - 1 degrees,
divided by the harmonic size of both samples (Yurdakul 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from scipy.stats import chi2, norm

from tingchao.models.corpora import corpora, pools
from tingchao.models.evaluate import held_sets
from tingchao.models.scorer import Scorer
from tingchao.models.scores import ModelError, Scores

REFERENCE = "reference.json"
_EDGES = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9)  # of the ranges; finer ones below 0.05 would tell of noise
_FEWEST = 50  # texts of a source and week: fewer say nothing
_MOST = 3000  # texts of a group of the reference
_SOME, _LARGE = 0.1, 0.25  # population stability index
_MORE = 1.5  # times as many unknown words as in any group
_FOREIGN = 0.5  # share of texts that the models cannot judge: from here on a source is not for them
_CHANCE = 0.001  # of being told of a difference that is none, for each source, week and head

Level = Literal["few", "fine", "look", "worry"]
_ORDER: tuple[Level, ...] = ("few", "fine", "look", "worry")


class Profile(msgspec.Struct, frozen=True):
    """What is kept of a group of texts."""

    name: str
    texts: int  # that the models judge
    abstained: int
    unknown: float  # mean share of words that the model does not know
    unknown_spread: float  # standard deviation of that share over the texts
    counts: dict[str, tuple[int, ...]]  # head -> texts in each range


class Reference(msgspec.Struct, frozen=True):
    """The groups of texts that a model comes from, or that judged it."""

    model: str  # version
    groups: tuple[Profile, ...]


class Difference(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str  # unknown, abstained, or a head: negative, signal, live
    against: str  # a group of the reference, or "before"
    value: float  # share of unknown words, of texts that are not Chinese; else the population stability index
    expected: float  # share of that group; else the largest index that is still chance
    level: Level


class Cell(msgspec.Struct, frozen=True):
    """One source in one week."""

    source: str
    week: date  # its Monday
    texts: int
    abstained: int
    unknown: float
    level: Level
    differences: tuple[Difference, ...]


class Drift(msgspec.Struct, frozen=True):
    """All sources and weeks; the one that stands out most, if one does."""

    model: str
    reference: str  # version of the model that the reference is of; "" if there is none
    level: Level
    cells: tuple[Cell, ...]
    worst: Cell | None


def profile(name: str, scorer: Scorer, texts: Sequence[str]) -> Profile:
    """The profile of some texts."""
    scores = scorer.score(texts)
    judged = [number for number, one in enumerate(scores) if not one.abstained]
    words = scorer.unknown([texts[number] for number in judged])
    share = np.array([unknown / max(count, 1) for count, unknown in words] or [0.0])
    columns = {"negative": _negative, "signal": _signal, "live": _live}
    counts = {
        head: tuple(np.bincount(np.digitize([pick(scores[n]) for n in judged], _EDGES), minlength=len(_EDGES) + 1))
        for head, pick in columns.items()
    }
    return Profile(
        name,
        len(judged),
        len(texts) - len(judged),
        float(share.mean()),
        float(share.std()),
        {head: tuple(map(int, found)) for head, found in counts.items()},
    )


def _negative(one: Scores) -> float:
    return one.negative


def _signal(one: Scores) -> float:
    return max(one.signals)


def _live(one: Scores) -> float:
    return one.live


def write_reference(data: Path, folder: Path) -> Reference:
    """Make the reference of the model in `folder` from the texts of `data`, and put it beside the model.

    Sentiment sets: the texts that never trained it. Pools without labels: some of each.
    """
    scorer = Scorer.load(folder)
    sets = {
        name: [row.text for row in rows if row.may_train] for name, rows in held_sets(corpora(data)).items()
    } | pools(data)
    groups = [profile(name, scorer, _some(texts)) for name, texts in sets.items() if len(texts) >= _FEWEST]
    found = Reference(scorer.version, tuple(groups))
    (folder / REFERENCE).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return found


def _some(texts: Sequence[str]) -> list[str]:
    step = max(1, len(texts) // _MOST)
    return list(texts[::step])[:_MOST]


def read_reference(folder: Path) -> Reference | None:
    """The reference beside the model, None if there is none; ModelError if it is damaged."""
    path = folder / REFERENCE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reference) if path.exists() else None
    except msgspec.DecodeError as err:
        raise ModelError(f"{path}: {err}; put it back, or delete it to compare with the weeks before alone") from err


def drift(texts: Mapping[tuple[str, date], Sequence[str]], scorer: Scorer, reference: Reference | None) -> Drift:
    """Compare the texts of each source and week; without a reference of this model only with the weeks before."""
    if reference is not None and reference.model != scorer.version:
        reference = None
    cells, before = list[Cell](), dict[str, Profile]()
    for source, week in sorted(texts):
        found = profile(source, scorer, texts[source, week])
        differences = tuple(_differences(found, reference, before.get(source)))
        level = _highest(one.level for one in differences)
        cells.append(Cell(source, week, found.texts, found.abstained, found.unknown, level, differences))
        before[source] = _together(before[source], found) if source in before else found
    level = _highest(one.level for one in cells)
    worst = max(cells, key=_weight, default=None)
    told = worst if level in {"look", "worry"} else None
    return Drift(scorer.version, reference.model if reference else "", level, tuple(cells), told)


def _highest(levels: Iterable[Level]) -> Level:
    return max(levels, key=_ORDER.index, default="few")


def _weight(cell: Cell) -> tuple[int, float, date]:
    above = [one.value / max(one.expected, 1e-6) for one in cell.differences if one.level == cell.level]
    return _ORDER.index(cell.level), max(above, default=0.0), cell.week


def _differences(found: Profile, reference: Reference | None, before: Profile | None) -> Iterator[Difference]:
    every = found.texts + found.abstained
    if every >= _FEWEST and found.abstained > _FOREIGN * every:
        yield Difference("abstained", "", found.abstained / every, _FOREIGN, "worry")
    if found.texts < _FEWEST:
        return
    if reference is not None:
        yield _unknown(found, max(reference.groups, key=lambda one: one.unknown))
        nearest = min(reference.groups, key=lambda one: sum(stability(one, found, head) for head in found.counts))
        yield from _shifts(nearest, found, nearest.name)
    if before is not None and before.texts >= _FEWEST:
        yield from _shifts(before, found, "before")


def _unknown(found: Profile, most: Profile) -> Difference:
    """More unknown words than any group has: half as many again, and beyond what chance makes of so few texts."""
    error = (found.unknown_spread**2 / found.texts + most.unknown_spread**2 / max(most.texts, 1)) ** 0.5
    beyond = found.unknown - most.unknown > norm.isf(_CHANCE) * error
    level: Level = "worry" if beyond and found.unknown > _MORE * most.unknown else "fine"
    return Difference("unknown", most.name, found.unknown, most.unknown, level)


def _shifts(group: Profile, found: Profile, against: str) -> Iterator[Difference]:
    for head in found.counts:
        index = stability(group, found, head)
        chance = chi2.isf(_CHANCE, len(_EDGES)) * (1 / found.texts + 1 / group.texts)
        level: Level = "worry" if index > max(_LARGE, chance) else "look" if index > max(_SOME, chance) else "fine"
        yield Difference(head, against, index, float(chance), level)


def stability(one: Profile, other: Profile, head: str) -> float:
    """Population stability index of a head between two groups; half a text more a range, so that none is empty."""
    first, second = (np.array(group.counts[head]) + 0.5 for group in (one, other))
    first, second = first / first.sum(), second / second.sum()
    return float(np.sum((second - first) * np.log(second / first)))


def _together(one: Profile, other: Profile) -> Profile:
    size = max(one.texts + other.texts, 1)
    return Profile(
        one.name,
        one.texts + other.texts,
        one.abstained + other.abstained,
        (one.unknown * one.texts + other.unknown * other.texts) / size,
        max(one.unknown_spread, other.unknown_spread),
        {head: tuple(map(sum, zip(counts, other.counts[head], strict=True))) for head, counts in one.counts.items()},
    )
