"""The words of a text become a few numbers about what it tells, and those the outputs of a small network.

Each word has a row. Training starts it from which words stand near it in half a million texts, so that a word that no
label ever met still counts like its neighbours in meaning. A text costs one sum of its words' rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tingchao.models.features import Ids, Reading, Vocabulary, distinct
from tingchao.models.files import Array
from tingchao.models.layers import Matrix

Bytes = npt.NDArray[np.int8]


class Meaning:
    """Word rows and the network on top of them."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        """`arrays`: those of a model file whose names begin with "word" and "deep"; ValueError if they do not fit."""
        self._vocabulary = Vocabulary(arrays["word hashes"])
        self._weight: Matrix = arrays["word weight"]  # rare words count more
        self._rows: Bytes = arrays["word rows"]
        self._size: Matrix = arrays["word size"]  # what one step of a row is worth
        self._bias: Matrix = arrays["deep bias"]
        self._out: Matrix = arrays["deep out"]
        self._constant: Matrix = arrays["deep constant"]
        words, width = self._rows.shape
        if (len(self._vocabulary), len(self._weight), len(self._size)) != (words, words, words):
            raise ValueError(f"{words} word rows for {len(self._vocabulary)} words")
        if self._bias.shape != (width,) or self._out.shape != (width, len(self._constant)):
            raise ValueError(f"a network of {self._out.shape} on rows of {width}")

    def hidden(self, reading: Reading) -> Matrix:
        """One row a text: the sum of its words' rows, each word once, over the root of their weights."""
        texts, count = reading.words.texts, len(reading.plain.texts)
        found, known = self._vocabulary.found(reading.word_hashes)
        width = max(len(self._vocabulary), 1)
        text, word = np.divmod(distinct(texts[known] * width + found[known]), width)
        used, place = np.unique(word, return_inverse=True)
        norm = self._norm(text, word, count)
        ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(text, minlength=count))))
        sums = csr_matrix((self._size[word] / norm[text], place, ends), shape=(count, len(used)))
        result: Matrix = sums @ self._rows[used].astype(np.float32)
        return result

    def _norm(self, text: Ids, word: Ids, count: int) -> Matrix:
        weight = np.bincount(text, weights=self._weight[word], minlength=count)
        return np.sqrt(np.maximum(weight, 1e-6)).astype(np.float32)

    def shares(self, reading: Reading) -> tuple[Matrix, Matrix]:
        """One row a word: what it adds to its text's `hidden`, and which part of its text's weight it has.

        A repeated word adds its part each time.
        """
        texts, width = reading.words.texts, max(len(self._vocabulary), 1)
        found, known = self._vocabulary.found(reading.word_hashes)
        result = np.zeros((len(found), self._rows.shape[1]), dtype=np.float32)
        part = np.zeros(len(found), dtype=np.float32)
        cells, place, repeats = np.unique(texts[known] * width + found[known], return_inverse=True, return_counts=True)
        text, word = np.divmod(cells, width)
        norm = self._norm(text, word, len(reading.plain.texts))[text]
        result[known] = self._rows[word[place]] * (self._size[word] / (norm * repeats))[place, None]
        part[known] = (self._weight[word] / (norm * norm * repeats))[place]
        return result, part

    def outputs(self, hidden: Matrix) -> Matrix:
        """One row a text, one column a name of `layers.DEEP`, in log-odds."""
        result: Matrix = np.maximum(hidden + self._bias, 0) @ self._out + self._constant
        return result


def packed_rows(rows: Matrix) -> tuple[Bytes, Matrix]:
    """Rows as bytes, and what one step of each row is worth: to within 0.4 % of the row's largest number."""
    size = (np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127).astype(np.float32)
    return np.rint(rows / size[:, None]).astype(np.int8), size
