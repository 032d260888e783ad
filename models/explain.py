"""Which words moved a head: each word's share of what the known features add, read in one pass.

A feature's weight is shared evenly by the characters that it stands on; a word's share is the sum over its characters.
What is left without the word counts a little more, because a text's row has length 1 whatever it holds. Leaving each
word out and scoring again says nearly the same (see tests/test_explain.py) at ten times the cost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tingchao.models.features import RUNS, Reading, Vocabulary, Words
from tingchao.models.layers import Matrix
from tingchao.models.normalise import Plain
from tingchao.models.table import Table

Ids = npt.NDArray[np.int64]

_LEAST_PART = np.float32(1e-3)  # of a text that may be left: nothing is left of a text of one word


def word_shares(reading: Reading, vocabulary: Vocabulary, table: Table) -> tuple[Matrix, Matrix]:
    """What each word of the batch adds to its text's raw outputs, and which part of its text's features it holds.

    One row a word; the first has one column a column of the table.
    """
    plain, words, texts, hashes, _ = reading
    starts, lengths = spans(plain, words)
    column, known = vocabulary.found(hashes)
    column, texts, starts, lengths = column[known], texts[known], starts[known], lengths[known]
    if not len(column):
        return np.zeros((len(words.starts), table.shape[1]), dtype=np.float32), np.zeros(len(words.starts), np.float32)
    cells = texts * len(vocabulary) + column
    _, first, repeats = np.unique(cells, return_inverse=True, return_counts=True)
    alone = np.bincount(texts, weights=1 / repeats[first], minlength=len(plain.texts))  # distinct features a text
    size = np.sqrt(alone[texts]) * repeats[first] * lengths  # a feature counts once, and a text's row has length 1
    each = np.column_stack((table.rows(column), 1 / np.sqrt(alone[texts]))) / size[:, None]
    sums = _sums(each, (starts, lengths), words, len(plain.codes))
    return sums[:, :-1], sums[:, -1]


def without(whole: Matrix, shares: Matrix, part: Matrix) -> Matrix:
    """What a text's sums would be without a word: the rest, again of length 1. One row a word."""
    rest = (whole - shares) / np.sqrt(np.maximum(1 - part, _LEAST_PART))[:, None]
    return rest.astype(np.float32)


def spans(plain: Plain, words: Words) -> tuple[Ids, Ids]:
    """Position and length in characters of each feature of a `Reading`, in its order."""
    follows = words.texts[1:] == words.texts[:-1]
    pairs = (words.starts[1:] + words.lengths[1:] - words.starts[:-1])[follows]
    starts, lengths = [words.starts, words.starts[:-1][follows]], [words.lengths, pairs]
    inside = plain.codes != ord("\n")
    whole = np.ones(len(plain.codes), dtype=np.bool_)
    for length in RUNS:
        size = max(len(plain.codes) - length + 1, 0)
        whole = whole[:size] & inside[length - 1 :]
        places = np.flatnonzero(whole)
        starts.append(places)
        lengths.append(np.full(len(places), length))
    return np.concatenate(starts), np.concatenate(lengths)


def _sums(each: Matrix, features: tuple[Ids, Ids], words: Words, size: int) -> Matrix:
    """For each word the sum of `each`, when every row of it lies evenly on the characters of its feature."""
    starts, lengths = features
    rows = np.arange(len(starts))
    begins = csr_matrix((np.ones(len(rows)), (starts, rows)), shape=(size + 1, len(rows))) @ each
    ends = csr_matrix((np.ones(len(rows)), (starts + lengths, rows)), shape=(size + 1, len(rows))) @ each
    before = np.zeros((size + 1, each.shape[1]), dtype=np.float64)  # what lies on the characters before each position
    np.cumsum(np.cumsum(begins - ends, axis=0)[:-1], axis=0, out=before[1:])
    sums: Matrix = (before[words.starts + words.lengths] - before[words.starts]).astype(np.float32)
    return sums
