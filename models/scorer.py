"""A batch of texts becomes a batch of Scores, with the model file that ships beside this code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tingchao.models.explain import without, word_shares
from tingchao.models.features import Reading, Vocabulary, read
from tingchao.models.files import FILE, Array, advice, read_model
from tingchao.models.language import languages
from tingchao.models.layers import COLUMNS, DEEP, TABLE, Layers, Matrix, probabilities
from tingchao.models.meaning import Meaning
from tingchao.models.normalise import LONGEST
from tingchao.models.reasons import WORDS, Reasons, phrased
from tingchao.models.scores import HEADS, SIGNALS, ModelError, Scores
from tingchao.models.table import Table

Floats = npt.NDArray[np.float64]

BATCH = 500  # texts scored at once; larger batches were not faster
_EXPLAINED = 100  # texts explained at once: their words, each left out once, take 10 MB
# Characters of several texts scored and explained at once; posts have about 80. 500 articles took 2 GB without.
_SCORED_SIGNS, _EXPLAINED_SIGNS = 100_000, 10_000
_LEAST_CHANGE = 0.01  # of log-odds: less is not worth a word
_FIRST_SIGNAL = 3
_LAST_SIGNAL = _FIRST_SIGNAL + len(SIGNALS)
_SEVERITY = HEADS.index("severity")


class Model(NamedTuple):
    """What a model file holds, ready for use."""

    vocabulary: Vocabulary
    table: Table
    meaning: Meaning
    layers: Layers
    thresholds: Matrix  # one a signal
    base: Matrix  # what the heads say of a text that they cannot judge, in the order of HEADS
    version: str


def model_from(arrays: dict[str, Array], settings: dict[str, Any], sha256: str) -> Model:
    """The model in the arrays and settings of a file; KeyError or ValueError if they do not fit together."""
    if tuple(settings["columns"]) != COLUMNS or tuple(settings["signals"]) != SIGNALS:
        raise ValueError("its heads are not those of this program")
    table = Table(arrays["weights"], arrays["scale"], arrays["bias"])
    if table.shape != (len(arrays["hashes"]), len(TABLE)):
        raise ValueError(f"weights of shape {table.shape}, expected {(len(arrays['hashes']), len(TABLE))}")
    if arrays["deep constant"].shape != (len(DEEP),):
        raise ValueError(f"a network of {len(arrays['deep constant'])} outputs, expected {len(DEEP)}")
    base = np.array(settings["base"], dtype=np.float32)
    if base.shape != (len(HEADS),):
        raise ValueError(f"{len(base)} base rates, expected {len(HEADS)}")
    if arrays["thresholds"].shape != (len(SIGNALS),):
        raise ValueError(f"{len(arrays['thresholds'])} thresholds, expected {len(SIGNALS)}")
    layers = Layers(arrays["polarity"], arrays["neutral"], arrays["mix"], arrays["single"])
    probabilities(np.zeros((1, len(COLUMNS)), dtype=np.float32), layers)  # ValueError where a shape is another one
    return Model(
        Vocabulary(arrays["hashes"]),
        table,
        Meaning(arrays),
        layers,
        arrays["thresholds"],
        base,
        sha256[:12],
    )


def _scores(row: list[float], over: list[bool], lang: str, *, abstained: bool) -> Scores:
    """One row of numbers, in the order of HEADS, as the record that others read."""
    return Scores(
        row[0],
        row[1],
        row[2],
        tuple(row[_FIRST_SIGNAL:_LAST_SIGNAL]),
        row[_LAST_SIGNAL],
        row[_LAST_SIGNAL + 1],
        row[_LAST_SIGNAL + 2],
        tuple(name for name, yes in zip(SIGNALS, over, strict=True) if yes) if True in over else (),
        lang,
        abstained,
    )


# The words of a text, each with its position, and for each head how far each of them moves it; no changes where the
# head abstained.
_Moves = tuple[list[tuple[int, str]], dict[str, Floats]]


class Scorer:
    """Reads texts; has no state but its model, so it may be shared by threads."""

    def __init__(self, model: Model) -> None:
        """`model`: from `model_from`; use `load` for a file."""
        self._model = model

    @classmethod
    def load(cls, directory: Path | None = None) -> Scorer:
        """The model in `directory`, by default the one shipped beside the code; ModelError if it cannot be trusted.

        From then on BLAS has one thread in this process: the products here are small, and its other threads would
        spin between them (measured: 317 us of processor time a post instead of 127, and no sooner).
        """
        threadpool_limits(1)
        path = (directory or Path(__file__).parent) / FILE
        arrays, settings, sha256 = read_model(path)
        try:
            return cls(model_from(arrays, settings, sha256))
        except (LookupError, ValueError, TypeError) as err:
            raise ModelError(f"model file {path} is of another version: {err}; {advice(path)}") from err

    @property
    def version(self) -> str:
        """Short hash of the model, to be stored with what it scored."""
        return self._model.version

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """One Scores a text, in the same order."""
        return [scores for part in _parts(texts, BATCH, _SCORED_SIGNS) for scores in self._batch(texts[part])]

    def _batch(self, texts: Sequence[str]) -> Iterator[Scores]:
        reading = read(texts)
        model = self._model
        numbers = self.numbers(reading)
        langs, judged = languages(reading.plain)
        given = (numbers[:, _FIRST_SIGNAL:_LAST_SIGNAL] >= model.thresholds) & judged[:, None]
        numbers[~judged] = model.base
        for row, over, lang, known in zip(numbers.tolist(), given.tolist(), langs, judged.tolist(), strict=True):
            yield _scores(row, over, lang, abstained=not known)

    def numbers(self, reading: Reading) -> Matrix:
        """One row a text, one column a name of HEADS."""
        return self._numbers(*self._inner(reading))

    def _inner(self, reading: Reading) -> tuple[Matrix, Matrix]:
        """What is added up over a text: the outputs of the table, and the first layer of the network."""
        model = self._model
        return model.table.outputs(model.vocabulary.matrix(reading)), model.meaning.hidden(reading)

    def _numbers(self, table: Matrix, hidden: Matrix) -> Matrix:
        raw = np.concatenate((table, self._model.meaning.outputs(hidden)), axis=1)
        return probabilities(raw, self._model.layers)

    def unknown(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """For each text how many words it has, and how many of them the model does not know."""
        found: list[tuple[int, int]] = []
        for part in _parts(texts, BATCH, _SCORED_SIGNS):
            some = texts[part]
            reading = read(some)
            _, known = self._model.vocabulary.found(reading.word_hashes)
            words = np.bincount(reading.words.texts, minlength=len(some))
            strange = np.bincount(reading.words.texts[~known], minlength=len(some))
            found += zip(words.tolist(), strange.tolist(), strict=True)
        return found

    def why(self, text: str, head: str, limit: int = 8) -> list[tuple[str, float]]:
        """The words that moved a head (of HEADS), strongest first; empty if the head abstained.

        Each with how far the log-odds of the head (for severity: its value) would move back without the word.
        """
        return self.whys([text], [(head,)], limit)[0][head]

    def whys(
        self, texts: Sequence[str], heads: Sequence[Sequence[str]], limit: int = 8
    ) -> list[dict[str, list[tuple[str, float]]]]:
        """`why` for a batch: for each text the heads that are asked of it."""
        return [
            {head: _strongest(words, changes, limit) for head, changes in moved.items()}
            for words, moved in self._moves(texts, heads)
        ]

    def phrases(
        self, texts: Sequence[str], heads: Sequence[Sequence[str]], limit: int = 8, part: float = 0.0
    ) -> list[dict[str, Reasons]]:
        """For each text and head at most `limit` words and phrases either way; none where the head abstained.

        `part`: words that move a head less than so much of its strongest word are left out.
        """
        return [
            {
                head: phrased(words, dict(_strongest(words, changes, WORDS, part)), limit)
                for head, changes in moved.items()
            }
            for words, moved in self._moves(texts, heads)
        ]

    def _moves(self, texts: Sequence[str], heads: Sequence[Sequence[str]]) -> Iterator[_Moves]:
        if unknown := {head for asked in heads for head in asked} - set(HEADS):
            raise ValueError(f"no head {', '.join(map(repr, unknown))}; expected some of {', '.join(HEADS)}")
        for part in _parts(texts, _EXPLAINED, _EXPLAINED_SIGNS):
            yield from self._moved(read(texts[part]), heads[part])

    def _moved(self, reading: Reading, heads: Sequence[Sequence[str]]) -> Iterator[_Moves]:
        plain, words, model = reading.plain, reading.words, self._model
        table, hidden = self._inner(reading)
        whole = self._numbers(table, hidden)
        each = whole[:0]
        if len(words.texts):
            bias, shares = model.table.bias, word_shares(reading, model.vocabulary, model.table)
            left = without(table[words.texts] - bias, *shares) + bias
            each = self._numbers(left, without(hidden[words.texts], *model.meaning.shares(reading)))
        ends = np.searchsorted(words.texts, np.arange(len(plain.texts) + 1))
        begins = np.concatenate(([0], np.cumsum([len(one) + 1 for one in plain.texts])))  # a newline ends each text
        _, judged = languages(plain)
        for number, (known, asked) in enumerate(zip(judged.tolist(), heads, strict=True)):
            part = slice(ends[number], ends[number + 1])
            starts = (words.starts[part] - begins[number]).tolist()
            spans = zip(starts, words.lengths[part].tolist(), strict=True)
            written = [(start, reading.written[number][start : start + length]) for start, length in spans]
            values = np.concatenate((whole[number : number + 1], each[part]))
            told = len(written) if known else 0
            yield written, {head: _moved(values, HEADS.index(head))[:told] for head in asked}


def _parts(texts: Sequence[str], most: int, signs: int) -> Iterator[slice]:
    """Parts of at most so many texts, of which several have at most so many characters that are read."""
    first = total = 0
    for at, text in enumerate(texts):
        size = min(len(text), LONGEST)
        if at - first == most or (at > first and total + size > signs):
            yield slice(first, at)
            first, total = at, 0
        total += size
    if texts:
        yield slice(first, len(texts))


def _moved(values: Matrix, column: int) -> Floats:
    """How far the first row lies above each other one, in log-odds (for severity: as it is)."""
    chances = values[:, column].astype(np.float64)
    if column != _SEVERITY:
        chances = np.clip(chances, 1e-6, 1 - 1e-6)
        chances = np.log(chances / (1 - chances))
    moved: Floats = chances[0] - chances[1:]
    return moved


def _strongest(
    words: Sequence[tuple[int, str]], moved: Floats, limit: int, part: float = 0.0
) -> list[tuple[str, float]]:
    """The first `limit` distinct words by the size of their change, each with its largest."""
    found: dict[str, float] = {}
    size = np.abs(moved)
    least = max(_LEAST_CHANGE, part * float(size.max(initial=0.0)))
    changes = moved.tolist()
    for place in np.argsort(-size, kind="stable")[: np.count_nonzero(size > least)].tolist():
        if len(found) == limit:
            break
        word = words[place][1]
        if word not in found and _readable(word):
            found[word] = changes[place]
    return list(found.items())


def _readable(word: str) -> bool:
    return any(map(str.isalnum, word)) or any(ord(character) > 0x2190 for character in word)
