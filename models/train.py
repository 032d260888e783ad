"""Labelled and unlabelled texts become the model file: `train` is what `tingchao train` runs.

Two learners answer each question: a table of hashed features, and a network on word vectors. Every number that is
fitted after them (the mixture of the sentiment experts, calibration, thresholds) is fitted on outputs for texts that
neither had seen. Everything is drawn from the seed: the same data and seed give the same SHA-256 on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import skops.io
from scipy.sparse import csr_matrix, vstack
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tingchao.models.borrow import borrowed
from tingchao.models.calibrate import fitted_mix, fitted_mixture, fitted_scale, fitted_threshold
from tingchao.models.corpora import Row, corpora, part_of, read_later, unlabelled
from tingchao.models.features import Vocabulary, chosen, read
from tingchao.models.files import FILE, Array, digest, packed
from tingchao.models.fit import Fit, Material, crossed, fit
from tingchao.models.judge import CROSSED, crossed_report
from tingchao.models.layers import COLUMNS, SINGLE, Layers, Matrix, mixtures, probabilities, single_inputs
from tingchao.models.meaning import packed_rows
from tingchao.models.scorer import packed_weights
from tingchao.models.scores import HEADS, SENTIMENTS, SIGNALS
from tingchao.models.tasks import Task, column, feelings, tasks_of
from tingchao.models.vectors import WordVectors, mean_vectors, word_vectors

Say = Callable[[str], None]

FOLDS = 4
READ = frozenset({"annotated", "read"})  # texts labelled one by one
HELD = 10  # one group of ten is kept from training, except of the annotated texts
FEWEST = 3  # texts that a feature must be in
MOST = 300_000  # features; 150,000 lost 0.3 points on posts, 760,000 gained nothing
POOL = 140_000  # unlabelled texts that take part in the second round; all of them take part in the word vectors
# Share of advertising in public posts that is assumed where the data says nothing: no set here has both kinds.
ADVERTS = 0.03


class Trained(msgspec.Struct, frozen=True):
    """What training made."""

    path: Path
    sha256: str  # over sorted arrays and settings
    features: int
    rows: int
    seconds: float


def is_held(row: Row) -> bool:
    """Whether a row judges only: one in ten; of the annotated texts only those whose terms forbid training.

    The same rows for every seed, so that `evaluate` never meets a text that trained the model.
    """
    return not row.may_train or (row.corpus not in READ and part_of(row.key, HELD) == 0)


def train(data: Path, out: Path, seed: int = 0, say: Say = lambda _: None, more: Sequence[Row] = ()) -> Trained:
    """Train every head from the folder `data` (data/ and annotation/ below it) and write the model file into `out`.

    `more`: further rows, of posts that staff judged (see feedback.py).
    Beside it lies what cross-fitting says of the annotated texts, for the model card. DataError names a bad file.
    """
    started = time.monotonic()
    with threadpool_limits(1):  # sums in another order would give another hash
        arrays, settings, report, count = _trained(data, seed, say, more)
    out.mkdir(parents=True, exist_ok=True)
    path = out / FILE
    skops.io.dump(packed(arrays, settings), path, compression=8, compresslevel=9)
    (out / CROSSED).write_text(report, "utf-8")
    return Trained(path, digest(arrays, settings), len(arrays["hashes"]), count, time.monotonic() - started)


def _trained(
    data: Path, seed: int, say: Say, more: Sequence[Row]
) -> tuple[dict[str, Array], dict[str, object], str, int]:
    say("reading")
    pool, rows = unlabelled(data), corpora(data)
    judging = {row.key for row in rows if is_held(row)}
    later = [row for row in read_later(rows, pool) if row.key not in judging]
    rows = [*(row for row in rows if not is_held(row)), *later, *more]
    vocabulary, words, material = _material([row.text for row in rows], pool, seed, say)
    tasks = tasks_of(rows, np.random.default_rng(seed))
    fold = np.array([part_of(row.key, FOLDS, seed + 1) for row in rows])
    raw = np.zeros((len(rows), len(COLUMNS)), dtype=np.float32)
    for number in range(FOLDS):
        say(f"cross-fitting, part {number + 1} of {FOLDS}")
        raw[fold == number] = crossed(material, tasks, fold, number, seed)
    say("calibrating")
    layers = _layers(raw, rows, tasks)
    numbers = probabilities(raw, layers)
    thresholds = [fitted_threshold(numbers[tasks[name].rows, HEADS.index(name)], tasks[name].truth) for name in SIGNALS]
    say("fitting the table and the network")
    arrays: dict[str, Array] = {
        "hashes": vocabulary.hashes,
        **_stored(fit(material, tasks, seed), words),
        **layers._asdict(),
        "thresholds": np.array(thresholds, dtype=np.float32),
    }
    settings = {"columns": COLUMNS, "signals": SIGNALS, "base": _base(rows), "seed": seed}
    return arrays, settings, crossed_report(rows, numbers, fold), len(rows)


def _material(texts: list[str], pool: list[str], seed: int, say: Say) -> tuple[Vocabulary, WordVectors, Material]:
    """What both learners see of all texts, and the features and words that they know."""
    some = np.sort(np.random.default_rng(seed).permutation(len(pool))[:POOL])
    both = [*texts, *(pool[at] for at in some)]
    say(f"choosing features of {len(both)} texts")
    vocabulary = Vocabulary(chosen(both, FEWEST, MOST))
    features = matrix_of(vocabulary, both)
    say(f"learning word vectors of {len(pool) + len(texts)} texts")
    words = word_vectors([*pool, *texts], seed)
    own = _spread(texts, words)
    others = _spread(texts, words._replace(vectors=borrowed(words.hashes)))
    vectors = np.concatenate((own.vectors, others.vectors), axis=1)
    words = words._replace(vectors=vectors)
    return vocabulary, words, Material(features, mean_vectors(both, words), len(texts))


def _spread(texts: list[str], words: WordVectors) -> WordVectors:
    """The words with vectors of such a size that the network starts from inputs of size 1."""
    size = max(float(mean_vectors(texts, words).std()), 1e-6)  # 0 if none of the words is known
    return words._replace(vectors=words.vectors / np.float32(size))


def matrix_of(vocabulary: Vocabulary, texts: Sequence[str]) -> csr_matrix:
    """Features of many texts."""
    parts = [vocabulary.matrix(read(texts[first : first + 500])) for first in range(0, len(texts), 500)]
    return vstack(parts).tocsr()


def _layers(raw: Matrix, rows: Sequence[Row], tasks: dict[str, Task]) -> Layers:
    polarity_inputs, neutral_inputs = mixtures(raw)
    kind, feeling = column(rows, lambda row: row.corpus), feelings(rows)
    polar = np.flatnonzero((feeling == 0) | (feeling == 2))
    three = np.flatnonzero((feeling >= 0) & np.isin(kind, ("usual", "virus", "annotated", "read")))
    random = column(rows, lambda row: row.random)
    single = []
    for name in SINGLE:
        task = tasks[name]
        mix = random[task.rows] if name != "advert" else np.zeros(len(task.rows), dtype=np.bool_)
        single.append(fitted_scale(single_inputs(raw[task.rows], name), task.truth, mix))
    neutral = fitted_mixture(neutral_inputs[three], feeling[three] == 1, kind[three])
    return Layers(
        fitted_mixture(polarity_inputs[polar], feeling[polar] == 2, kind[polar]),
        neutral,
        fitted_mix(neutral_inputs[random] @ neutral, feeling[random] == 1),
        np.array(single, dtype=np.float32).T.copy(),
    )


def _stored(learned: Fit, words: WordVectors) -> dict[str, Array]:
    """The table and the network as the file holds them; the first layer is multiplied into the word vectors."""
    weights, scale = packed_weights(learned.weights)
    first = (words.vectors * words.weight[:, None]).astype(np.float32) @ learned.network.first
    rows, size = packed_rows(first)
    return {
        "weights": weights,
        "scale": scale,
        "bias": learned.bias,
        "word hashes": words.hashes,
        "word weight": words.weight,
        "word rows": rows,
        "word size": size,
        "deep bias": learned.network.bias,
        "deep out": learned.network.out,
        "deep constant": learned.network.constant,
    }


def _base(rows: Sequence[Row]) -> list[float]:
    """What holds for a text of which nothing is known: the rates among the annotated texts drawn at random."""
    some = [row for row in rows if row.random]
    feeling = feelings(some)
    signals = column(some, lambda row: row.signals).mean(axis=0)
    rates = [float((feeling == number).mean()) for number in range(len(SENTIMENTS))]
    severity, live = column(some, lambda row: row.severity).mean(), column(some, lambda row: row.live).mean()
    return [*rates, *map(float, signals), float(severity), float(live), ADVERTS]
