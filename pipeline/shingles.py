"""Texts become numbers to compare them by: units, terms and sketches, a whole batch at once.

A unit is one Han character or one word of another script, whatever stands between them: spacing, punctuation, emoji,
letter case, traditional characters, links and @names make no difference. Three units in a row are a shingle; two
adjacent Han characters, or one word, are a term.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tingchao.models.han import simplified

BANDS = 32  # numbers of a sketch; with ROWS, 97 % of pairs with a Jaccard index of 0.4 share at least two of them
ROWS = 2  # minima behind each number; pairs with 0.05 share two numbers in 0.3 % of cases
_LONGEST = 2_000  # characters of a text that are compared: reposts of longer articles differ before or not at all
_STEM = 6  # letters of a word that count in a term: flood, floods, flooding
_SEED = 20260101

_Hashes = NDArray[np.uint64]
_Places = NDArray[np.int64]
# What names an address or an account, not what is told. A name may be cut off; 全文, 查看全文 and 展开 are buttons.
# Each alternative begins with one character, so that the rest of a text is passed over without trying them.
_LINK = re.compile(r"https?:[a-z0-9_./?=&%#:~+;,!-]*|@[a-z0-9_-]{1,30}")
_MORE = r"(?:\.\.\.|…)*(?:(?:查看|阅读|展开)?全文|展开)"
_NOT_TOLD = re.compile(rf"{_LINK.pattern}|\[\w{{1,8}}\]|\.\.\.{_MORE}|…{_MORE}|<[a-z]{{3,12}}>")
_NEWLINE = 10
_PLANES = 0x33500  # up to the last Han extension; what lies above tells nothing


class Units(NamedTuple):
    """The units of a batch, one text after the other: those of text i are `hashes[starts[i]:starts[i + 1]]`."""

    hashes: _Hashes
    stems: _Hashes
    han: NDArray[np.bool_]
    starts: _Places  # one more than texts
    bare: list[str]  # each text's letters and digits, simplified, without anything between


@cache
def _letters() -> NDArray[np.uint32]:
    """Code point -> its plain form; 0 for what is no letter and no digit."""
    table = np.zeros(_PLANES, dtype=np.uint32)
    for code in range(_PLANES):
        if unicodedata.category(chr(code))[0] in "LN":
            table[code] = code
    for source, target in simplified().items():
        if ord(source) < _PLANES:
            table[ord(source)] = ord(target)
    table[_NEWLINE] = _NEWLINE
    return table


def units(folded: Sequence[str]) -> Units:
    """The units of folded texts (grams.fold)."""
    joined = "".join([text[:_LONGEST].replace("\n", " ") + "\n" for text in folded])
    codes = np.frombuffer(_NOT_TOLD.sub(" ", joined).encode("utf-32-le"), dtype=np.uint32)
    letters = _letters()[np.where(codes < _PLANES, codes, 0)]
    ends = letters == _NEWLINE
    han = (letters >= 0x3400) & ((letters <= 0x9FFF) | (letters >= 0x20000))
    part = (letters != 0) & ~ends
    word = part & ~han
    begins = part.copy()
    begins[1:] &= ~(word[1:] & word[:-1])
    first = np.flatnonzero(begins)
    starts = np.concatenate(([0], np.cumsum(begins)[ends]))
    bare = letters[letters != 0].astype("<u4").tobytes().decode("utf-32-le").split("\n")[:-1]
    if not len(first):
        return Units(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.bool_), starts, bare)
    place = np.arange(len(letters), dtype=np.int64)
    inside = place - first[np.maximum(np.cumsum(begins) - 1, 0)]
    hashes = np.where(part, _mixed(letters + (inside.astype(np.uint64) << np.uint64(32))), np.uint64(0))
    whole = np.add.reduceat(hashes, first)
    stems = np.add.reduceat(np.where(inside < _STEM, hashes, np.uint64(0)), first)
    return Units(whole, stems, han[first], starts, bare)


def bare(folded: str) -> str:
    """The same as `Units.bare` of one folded text, for which a call of numpy costs more than it saves."""
    return "".join(filter(str.isalnum, _NOT_TOLD.sub(" ", folded[:_LONGEST]).translate(_simple())))


@cache
def _simple() -> dict[int, str]:
    return {ord(source): target for source, target in simplified().items()}


def links(folded: str) -> str:
    """The links and @names of a folded text, which its units leave out."""
    if "@" not in folded and "://" not in folded:
        return ""
    return " ".join(link.rstrip("#.,!?;:~") for link in _LINK.findall(folded[:_LONGEST]))


def shingles(found: Units) -> _Hashes:
    """For each unit a hash of it and the two that follow in its text."""
    if not len(found.hashes):
        return found.hashes
    left = _left(found)
    one, two = _following(found.hashes, left, 1), _following(found.hashes, left, 2)
    return _mixed(found.hashes + np.uint64(3) * _mixed(one) + np.uint64(5) * _mixed(two + np.uint64(1)))


def terms(found: Units) -> tuple[_Hashes, NDArray[np.bool_]]:
    """For each unit the hash of the term that begins with it, and whether one does."""
    if not len(found.hashes):
        return found.hashes, found.han
    follows = np.zeros_like(found.han)
    follows[:-1] = found.han[1:]
    follows &= _left(found) > 1
    pairs = _mixed(found.hashes + np.uint64(7) * _following(found.hashes, _left(found), 1))
    return np.where(found.han, pairs, _mixed(found.stems)), ~found.han | follows


def sketches(folded: Sequence[str]) -> list[str]:
    """A sketch for each folded text: `BANDS` numbers of 16 bits in base64; empty when the text has no unit.

    MinHash (Broder 1997) over shingles, `ROWS` minima to a number: the share of equal minima estimates the Jaccard
    index of two texts, and so few texts that are not alike share two numbers.
    """
    found = units(folded)
    full = np.diff(found.starts) > 0
    return [base64.b64encode(r.tobytes()).decode() if some else "" for r, some in zip(bands(found), full, strict=True)]


def read_sketch(sketch: str) -> NDArray[np.uint16]:
    """The numbers of a sketch. Raises ValueError when it is none."""
    numbers = np.frombuffer(binascii.a2b_base64(sketch, strict_mode=True), dtype="<u2")
    if len(numbers) != BANDS:
        raise ValueError(f"sketch of {len(numbers)} numbers, expected {BANDS}")
    return numbers


def bands(found: Units) -> NDArray[np.uint16]:
    """The numbers of each text's sketch, one row a text; zeros when it has no unit."""
    numbers = np.zeros((len(found.starts) - 1, BANDS), dtype=np.uint32)
    full = np.diff(found.starts) > 0
    if not full.any():
        return numbers.astype("<u2")
    begins = found.starts[:-1][full]
    base = (shingles(found) >> np.uint64(32)).astype(np.uint32)
    for number, (flip, factor) in enumerate(_permutations()):
        smallest = np.minimum.reduceat((base ^ flip) * factor, begins)
        numbers[full, number // ROWS] = numbers[full, number // ROWS] * np.uint32(0x9E3779B1) + smallest
    return ((numbers * np.uint32(0x85EBCA6B)) >> np.uint32(16)).astype("<u2")


@cache
def _permutations() -> list[tuple[np.uint32, np.uint32]]:
    """Of the numbers of 32 bits: x -> (x ^ flip) * factor, with odd factors."""
    random = np.random.default_rng(_SEED)
    pairs = random.integers(0, 2**32, size=(BANDS * ROWS, 2), dtype=np.uint32)
    return [(flip, factor | np.uint32(1)) for flip, factor in pairs]


def _left(found: Units) -> _Places:
    """How many units of its text begin at each unit."""
    lengths = np.diff(found.starts)
    return np.repeat(found.starts[1:], lengths) - np.arange(len(found.hashes))


def _following(hashes: _Hashes, left: _Places, step: int) -> _Hashes:
    """The unit `step` places further on in the same text, else 0."""
    moved = np.zeros_like(hashes)
    moved[:-step] = hashes[step:]
    return np.where(left > step, moved, np.uint64(0))


def _mixed(values: NDArray[np.unsignedinteger]) -> _Hashes:
    """64 bits, evenly spread (the finaliser of splitmix64, Steele et al. 2014)."""
    spread = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    spread = (spread ^ (spread >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    spread = (spread ^ (spread >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return spread ^ (spread >> np.uint64(31))
