"""A batch of texts becomes one sparse matrix: which known words, pairs of words and runs of characters each holds.

Every code point has a 64-bit code; a word's hash is the polynomial of its characters, read off one running sum over
the batch. So the text is cut into words once, and all features of a batch cost a few array operations. A character
that is denied (`denials.py`) has another code, and so every feature that it is part of another hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tingchao.models.cutter import cut as _cut
from tingchao.models.denials import denied
from tingchao.models.dodges import rejoined
from tingchao.models.normalise import Plain, plain_batch
from tingchao.models.respell import respelled

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.int64]
Cutter = Callable[[str], list[str]]

RUNS = (1, 2, 3)  # lengths of runs of characters; 4 lost 0.2 points on weibo2018, 1 gained 1.5
_NEWLINE = 10
_SPACE = 32
# Odd constants of splitmix64 (Steele, Lea, Flood 2014) and its finaliser: every bit of the input reaches every bit.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFT = (np.uint64(30), np.uint64(27), np.uint64(31))
_BASE = 0xD1342543DE82EF95  # odd, so it has an inverse modulo 2**64
_INVERSE = pow(_BASE, -1, 1 << 64)
_DENIED = np.uint64(0xA24BAED4963EE407)  # makes another character of one that is denied
_LEFT, _RIGHT = np.uint64(3), np.uint64(5)  # tell 甲乙 from 乙甲
_SALT = tuple(np.uint64(number) for number in (0, 0x51ED270B, 0xB492B66F, 0x9AE16A3B))  # by length of run


class Words(NamedTuple):
    """The words of a batch: position in its code points, length in characters, number of the text."""

    starts: Ids
    lengths: Ids
    texts: Ids


def words_of(plain: Plain, cut: Cutter = _cut) -> Words:
    """Cut every text once; blanks are not words.

    All texts are cut in one call: rjieba lets go of Python's lock in each, and beside a busy thread every return may
    wait for a turn. No word goes over the newline that ends a text.
    """
    size = np.fromiter(map(len, cut("".join(f"{text}\n" for text in plain.texts))), dtype=np.int64)
    starts = np.cumsum(size) - size
    first = plain.codes[starts] if len(starts) else np.zeros(0, dtype=plain.codes.dtype)
    ends = first == _NEWLINE
    kept = first > _SPACE
    return Words(starts[kept], size[kept], (np.cumsum(ends) - ends)[kept])


def _mixed(hashes: Hashes) -> Hashes:
    hashes = (hashes ^ (hashes >> _SHIFT[0])) * _MIX[0]
    hashes = (hashes ^ (hashes >> _SHIFT[1])) * _MIX[1]
    return hashes ^ (hashes >> _SHIFT[2])


@cache
def _powers(size: int, base: int) -> Hashes:
    factors = np.full(size, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _word_hashes(codes: Hashes, words: Words) -> Hashes:
    """Polynomial of each word's characters modulo 2**64, by differences of one running sum."""
    size = 1 << max(16, len(codes).bit_length())  # a power of two, so that few tables are kept
    powers, inverses = _powers(size, _BASE), _powers(size, _INVERSE)
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum(codes * powers[: len(codes)], out=sums[1:])
    return _mixed((sums[words.starts + words.lengths] - sums[words.starts]) * inverses[words.starts])


class Reading(NamedTuple):
    """A batch as the models read it. Features: number of the text and hash, with repeats; the words come first."""

    plain: Plain
    words: Words
    texts: Ids
    hashes: Hashes
    written: list[str]  # each text as it stands in `plain`, character by character, before words were restored

    @property
    def word_hashes(self) -> Hashes:
        """The hash of each of `words`."""
        return self.hashes[: len(self.words.starts)]


def read(texts: Sequence[str]) -> Reading:
    """Normalise, restore what was respelled, cut and hash a batch."""
    written = rejoined(plain_batch(texts))
    return reading_of(respelled(written))._replace(written=written.texts)


def reading_of(plain: Plain) -> Reading:
    """Cut and hash a batch that is normalised."""
    words = words_of(plain)
    no = denied(plain.codes.astype(np.int64), *words)
    codes = _mixed((plain.codes.astype(np.uint64) + np.uint64(1)) * _GOLDEN + no * _DENIED)
    inside = plain.codes != _NEWLINE
    text = np.cumsum(~inside) - ~inside
    word = _word_hashes(codes, words)
    follows = words.texts[1:] == words.texts[:-1]
    pair = _mixed(word[:-1][follows] * _LEFT + word[1:][follows] * _RIGHT)
    texts, hashes = [words.texts, words.texts[1:][follows]], [word, pair]
    run, whole = np.zeros(len(codes), dtype=np.uint64), np.ones(len(codes), dtype=np.bool_)
    for length in RUNS:
        size = max(len(codes) - length + 1, 0)
        run = run[:size] * np.uint64(_BASE) + codes[length - 1 :]
        whole = whole[:size] & inside[length - 1 :]
        texts.append(text[:size][whole])
        hashes.append(_mixed(run[whole] + _SALT[length]))
    return Reading(plain, words, np.concatenate(texts), np.concatenate(hashes), plain.texts)


class Vocabulary:
    """The features that a model knows. What it does not know adds nothing: no noise from collisions."""

    def __init__(self, hashes: Hashes) -> None:
        """`hashes`: as chosen by `chosen`, so that no two share a slot."""
        self.hashes = hashes
        self._shift = self.shift(len(hashes))
        self._slots = np.full(1 << (64 - int(self._shift)), len(hashes), dtype=np.int32)
        self._slots[hashes >> self._shift] = np.arange(len(hashes), dtype=np.int32)
        self._prints = np.append(hashes, np.uint64(0)).astype(np.uint32)  # the low half tells features of a slot apart

    @staticmethod
    def shift(size: int) -> np.uint64:
        """How far a hash is shifted to give its slot among the slots for `size` features.

        Four to eight slots a feature: about 10 % of the chosen features lose theirs to a more frequent one.
        """
        return np.uint64(64 - max(10, (4 * size - 1).bit_length()))

    def __len__(self) -> int:
        return len(self.hashes)

    def found(self, hashes: Hashes) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """The column of each hash, and whether it is known at all."""
        column = self._slots[hashes >> self._shift]
        return column, (self._prints[column] == hashes.astype(np.uint32)) & (column < len(self.hashes))

    def matrix(self, reading: Reading) -> csr_matrix:
        """One row a text, of length 1; every known feature counts once however often it stands there."""
        found, known = self.found(reading.hashes)
        width, height = len(self.hashes), len(reading.plain.texts)
        cells = distinct(reading.texts[known] * width + found[known])
        row, column = np.divmod(cells, width) if width else (cells, cells)
        counts = np.bincount(row, minlength=height)
        ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
        values = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
        return csr_matrix((values, column.astype(np.int32), ends.astype(np.int32)), shape=(height, width))


def distinct(numbers: Ids) -> Ids:
    """Sorted, each once. np.unique hashes since NumPy 2.3, which took 25 times as long for 100,000 cells."""
    numbers.sort()
    new = np.ones(len(numbers), dtype=np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    return numbers[new]


def chosen(texts: Sequence[str], least: int, most: int) -> Hashes:
    """The features to know: in at least `least` texts, the `most` most frequent, one a slot (the more frequent)."""
    seen = []
    for first in range(0, len(texts), 500):
        reading = read(texts[first : first + 500])
        text, hashes = reading.texts, reading.hashes
        order = np.lexsort((text, hashes))
        text, hashes = text[order], hashes[order]
        new = np.ones(len(hashes), dtype=np.bool_)
        new[1:] = (hashes[1:] != hashes[:-1]) | (text[1:] != text[:-1])
        seen.append(hashes[new])
    hashes, counts = np.unique(np.concatenate(seen), return_counts=True)
    hashes, counts = hashes[counts >= least], counts[counts >= least]
    order = np.argsort(-counts, kind="stable")[:most]
    return one_a_slot(hashes[order])


def one_a_slot(hashes: Hashes) -> Hashes:
    """Of the hashes that share a slot the first, until no two share one."""
    _, first = np.unique(hashes >> Vocabulary.shift(len(hashes)), return_index=True)
    kept: Hashes = hashes[np.sort(first)]
    return kept if len(kept) == len(hashes) else one_a_slot(kept)
