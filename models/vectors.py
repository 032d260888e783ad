"""Unlabelled texts become word vectors: words that stand in like company get like vectors.

Counts of neighbours become positive pointwise mutual information (Levy and Goldberg 2014), and its largest singular
vectors become the words'. 200 instead of 400 dimensions lost 3 points of average precision over the signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, diags, vstack
from sklearn.utils.extmath import randomized_svd

from tingchao.models.features import Hashes, Ids, Vocabulary, distinct, one_a_slot, read
from tingchao.models.layers import Matrix

DIMENSIONS = 400
_FEWEST = 6  # times that a word must occur
_MOST = 45_000  # words, the most frequent ones
_WINDOW = 5  # neighbours on each side, the k-th counts 1/k
_LEAST_COUNT = 0.9  # of neighbourhood: less is chance
_SMOOTHING = 0.75  # exponent of the neighbours' frequency, as in word2vec (Mikolov 2013)
_RARE = 1e-3  # a word of this frequency counts half as much as a rare one (Arora 2017)


class WordVectors(NamedTuple):
    """One row a word: its hash, how much it counts in a text, and its vector of length 1."""

    hashes: Hashes
    weight: Matrix
    vectors: Matrix


def word_vectors(texts: Sequence[str], seed: int) -> WordVectors:
    """Learn the vectors of the words of `texts`."""
    text, word = _tokens(texts)
    hashes, counts = np.unique(word, return_counts=True)
    common = np.argsort(-counts, kind="stable")[:_MOST]
    known = one_a_slot(hashes[common[counts[common] >= _FEWEST]])
    vocabulary = Vocabulary(known)
    number, found = vocabulary.found(word)
    occurrences = np.bincount(number[found], minlength=len(known))
    information = _information(_neighbours(text[found], number[found], len(known)))
    left, strength, _ = randomized_svd(information, min(DIMENSIONS, len(known) - 1), n_iter=3, random_state=seed)
    vectors = left * np.sqrt(strength)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    weight = _RARE / (_RARE + occurrences / len(word))
    return WordVectors(known, weight.astype(np.float32), vectors.astype(np.float32))


def _tokens(texts: Sequence[str]) -> tuple[Ids, Hashes]:
    """The number of the text and the hash of every word, in order."""
    numbers, hashes = [], []
    for first in range(0, len(texts), 1000):
        reading = read(texts[first : first + 1000])
        numbers.append(reading.words.texts + first)
        hashes.append(reading.word_hashes)
    return np.concatenate(numbers), np.concatenate(hashes)


def _neighbours(text: Ids, word: npt.NDArray[np.int32], size: int) -> csr_matrix:
    """How often each word stands near each other one."""
    total = csr_matrix((size, size), dtype=np.float32)
    for distance in range(1, _WINDOW + 1):
        together = text[distance:] == text[:-distance]
        pair = (word[:-distance][together], word[distance:][together])
        total = total + csr_matrix((np.full(len(pair[0]), 1 / distance, dtype=np.float32), pair), shape=(size, size))
    total = (total + total.T).tocsr()
    total.data[total.data < _LEAST_COUNT] = 0
    total.eliminate_zeros()
    return total


def _information(near: csr_matrix) -> csr_matrix:
    """Positive pointwise mutual information of a word and its neighbour."""
    sums = np.asarray(near.sum(axis=1), dtype=np.float64).ravel() + 1e-9
    chance = sums**_SMOOTHING / (sums**_SMOOTHING).sum()
    information = (diags(1 / sums) @ near @ diags(1 / chance)).tocsr()
    information.data = np.maximum(np.log(np.maximum(information.data, 1e-12)), 0).astype(np.float32)
    information.eliminate_zeros()
    return information.astype(np.float32)


def word_matrix(texts: Sequence[str], words: WordVectors) -> csr_matrix:
    """One row a text, one column a word: the word's weight, each word once, over the root of the text's weights."""
    vocabulary, parts = Vocabulary(words.hashes), []
    for first in range(0, len(texts), 1000):
        reading = read(texts[first : first + 1000])
        found, known = vocabulary.found(reading.word_hashes)
        text, word = np.divmod(distinct(reading.words.texts[known] * len(vocabulary) + found[known]), len(vocabulary))
        count = len(reading.plain.texts)
        norm = np.sqrt(np.maximum(np.bincount(text, weights=words.weight[word], minlength=count), 1e-6))
        ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(text, minlength=count))))
        values = (words.weight[word] / norm[text]).astype(np.float32)
        parts.append(csr_matrix((values, word, ends), shape=(count, len(vocabulary))))
    return vstack(parts).tocsr()
