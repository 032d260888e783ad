"""A batch of texts becomes one sparse matrix of hashed features: words, pairs of words, and runs of characters.

Every code point has a 64-bit code; a word's is the polynomial of its characters, read off one running sum over
the batch. So all features of a batch cost a few array operations and the text is cut into words once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import jieba
import numpy as np
import numpy.typing as npt
import rjieba
from scipy.sparse import csr_matrix

from tingchao.models.normalise import Codes, Plain, plain_batch

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.int64]

BITS = 19  # 524,288 buckets
_NEWLINE = 10
# Odd constants of splitmix64 (Steele, Lea, Flood 2014) and its finaliser: every bit of the input reaches the low bits.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_BASE = 0xD1342543DE82EF95  # odd, so it has an inverse modulo 2**64
_INVERSE = pow(_BASE, -1, 1 << 64)
_S31, _S27, _S30 = np.uint64(31), np.uint64(27), np.uint64(30)


class Words(NamedTuple):
    """The words of a batch: the position of each in the batch's code points, its length and its text's number."""

    starts: Ids
    lengths: Ids
    texts: Ids


@cache
def _cutter() -> Callable[[str], list[str]]:
    """rjieba, which reads jieba's dictionary 26 times as fast; jieba itself where rjieba cannot be loaded."""
    return rjieba.cut if rjieba is not None else jieba.lcut


def _words(plain: Plain) -> Words:
    """Cut every text once; blanks are not words."""
    cut = _cutter()
    lengths: list[int] = []
    counts: list[int] = []
    for text in plain.texts:
        before = len(lengths)
        lengths.extend(map(len, cut(text)))
        lengths.append(1)  # the newline
        counts.append(len(lengths) - before)
    size = np.array(lengths, dtype=np.int64)
    starts = np.cumsum(size) - size
    texts = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    kept = plain.codes[starts] > 32
    return Words(starts[kept], size[kept], texts[kept])


def _mixed(hashes: Hashes) -> Hashes:
    hashes = (hashes ^ (hashes >> _S30)) * _MIX1
    hashes = (hashes ^ (hashes >> _S27)) * _MIX2
    return hashes ^ (hashes >> _S31)


@cache
def _powers(size: int, base: int) -> Hashes:
    factors = np.full(size, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _size(count: int) -> int:
    """The next power of two, so that few lengths of tables are kept."""
    return 1 << max(16, (count - 1).bit_length())


def _word_hashes(codes: Hashes, words: Words) -> Hashes:
    """Polynomial of each word's characters modulo 2**64, by differences of one running sum."""
    size = _size(len(codes) + 1)
    powers, inverses = _powers(size, _BASE), _powers(size, _INVERSE)
    sums = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(codes * powers[: len(codes)], dtype=np.uint64)))
    return _mixed((sums[words.starts + words.lengths] - sums[words.starts]) * inverses[words.starts])


def hashed(plain: Plain):
    codes = _mixed((plain.codes.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    ends = plain.codes == 10
    doc = np.cumsum(ends) - ends
    words = _words(plain)
    w = _word_hashes(codes, words)
    out = {}
    out['w1'] = (words.texts, w)
    same = words.texts[1:] == words.texts[:-1]
    out['w2'] = (words.texts[1:][same], _mixed(w[1:][same]*np.uint64(3) + w[:-1][same]*np.uint64(5)+np.uint64(7)))
    s3 = words.texts[2:] == words.texts[:-2]
    out['ws'] = (words.texts[2:][s3], _mixed(w[2:][s3]*np.uint64(13) + w[:-2][s3]*np.uint64(17)+np.uint64(7)))
    ok = ~ends
    out['c1'] = (doc[ok], _mixed(codes[ok]+np.uint64(99)))
    for n in (2,3,4):
        L=len(codes)-n+1
        if L<=0: continue
        good = np.ones(L,bool); h=np.full(L,np.uint64(n*1000003))
        for k in range(n):
            good &= ok[k:k+L]; h = h*np.uint64(_BASE) + codes[k:k+L]
        out[f'c{n}'] = (doc[:L][good], _mixed(h[good]))
    return out
