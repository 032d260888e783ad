"""Texts of posts become what is compared of them; what was read a moment ago is not read again.

A post that several topics match comes once for each, and a burst is mostly reposts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tingchao.alerts.copies import LONGEST, Bands
from tingchao.alerts.mixture import Places
from tingchao.alerts.smallest import hashed
from tingchao.pipeline.grams import HAN, fold
from tingchao.pipeline.shingles import Units, bands, bare, links, read_sketch, terms, units

KEPT = 5_000  # texts, as many as `watch` reads at once when it is behind: about 1.3 KB each
# #LAXShooting tells of LAX and of a shooting; only then is a capital letter looked at.
_HASHTAG = re.compile(r"#([A-Za-z]*[a-z][A-Z]\w*|[A-Z]{2,}[a-z]\w*)", re.ASCII)
_HAN = re.compile(f"[{HAN}]")
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


class Raw(NamedTuple):
    """A text, and its sketch (shingles.sketches) where one was made already, else empty."""

    text: str
    sketch: str


class Words(NamedTuple):
    """What is compared of a text."""

    bare: str  # letters and digits (shingles.Units.bare); of a text without any the text itself
    mark: int  # its hash
    links: str  # what `bare` leaves out (shingles.links)
    sketch: Bands  # its numbers
    places: Places  # of its terms, each once, in order
    han: bool  # whether most of it is in Han characters


class Texts:
    """The newest `KEPT` texts; their terms are hashed into `dims` places."""

    def __init__(self, dims: int) -> None:
        self._dims = dims
        self._known: dict[Raw, Words] = {}

    def read(self, raw: Sequence[Raw]) -> list[Words]:
        """What is compared of each text. Raises ValueError for a sketch that is none."""
        new = [one for one in dict.fromkeys(raw) if one not in self._known]
        self._known.update(zip(new, _words(new, self._dims), strict=True))
        found = [self._known[one] for one in raw]
        for old in list(islice(self._known, max(0, len(self._known) - KEPT))):
            del self._known[old]
        return found


def bare_of(text: str) -> str:
    """What is compared of a text (`Words.bare`)."""
    return _compared(bare(fold(_with_parts(text))), text)


def _compared(letters: str, text: str) -> str:
    return (letters or text.strip())[:LONGEST]


def _words(raw: Sequence[Raw], dims: int) -> Iterator[Words]:
    folded = [fold(_with_parts(one.text)) for one in raw]
    found = units(folded)
    for one, letters, line, sketch, places in zip(
        raw, found.bare, folded, _sketches(raw, found), _places(found, dims), strict=True
    ):
        compared = _compared(letters, one.text)
        han = 2 * len(_HAN.findall(compared)) > len(compared)
        yield Words(compared, hashed(compared), links(line)[:LONGEST], sketch, places, han)


def _sketches(raw: Sequence[Raw], found: Units) -> Iterable[NDArray[np.uint16]]:
    if all(one.sketch for one in raw):
        return [read_sketch(one.sketch) for one in raw]
    return [read_sketch(one.sketch) if one.sketch else own.copy() for one, own in zip(raw, bands(found), strict=True)]


def _with_parts(text: str) -> str:
    """The text with the words that are written together in a hashtag."""
    if "#" not in text:
        return text
    return _HASHTAG.sub(lambda tag: f"{tag[0]} {' '.join(_PARTS.findall(tag[1]))}", text)


def _places(found: Units, dims: int) -> list[Places]:
    """The places of each text's terms, each once."""
    hashes, begins = terms(found)
    text = np.repeat(np.arange(len(found.starts) - 1), np.diff(found.starts))[begins]
    every = np.sort(text * dims + (hashes[begins] % np.uint64(dims)).astype(np.intp))
    every = every[np.concatenate(([True], every[1:] != every[:-1]))] if len(every) else every
    bounds = np.searchsorted(every, np.arange(len(found.starts)) * dims).tolist()
    every %= dims
    return [every[start:end].copy() for start, end in pairwise(bounds)]  # a view would keep the whole batch
