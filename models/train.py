"""Labelled rows become the model file: `train` is what `tingchao train` runs.

Each head is a logistic regression over hashed features. Every number that is fitted after it (the mixture of the
sentiment experts, calibration, thresholds) is fitted on outputs for texts that its regression had not seen.
Everything is drawn from the seed; the same data and seed give the same SHA-256.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import skops.io
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression

from tingchao.models.calibrate import fitted_mixture, fitted_scale, fitted_threshold
from tingchao.models.corpora import Row, corpora, part_of
from tingchao.models.features import Vocabulary, chosen, words_of
from tingchao.models.files import FILE, Array, digest, packed
from tingchao.models.layers import COLUMNS, KINDS, POLARITY, SINGLE, Layers, Matrix, mixtures, probabilities
from tingchao.models.normalise import plain_batch
from tingchao.models.scorer import packed_weights
from tingchao.models.scores import HEADS, SIGNALS

Say = Callable[[str], None]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FOLDS = 4
HELD = 10  # one group of ten is kept from training, except of the annotated texts
FEWEST = 3  # texts that a feature must be in
MOST = 300_000  # features; 150,000 lost 0.3 points on posts, 760,000 gained nothing
# Weight of a text from another kind of set in an expert's training; 0.3 was 1.3 points worse on weibo2018.
OTHERS = {"all": 1.0, "weibo": 0.1, "review": 0.1, "smp": 0.3}
EXPERT_KINDS = {"weibo": ("weibo",), "review": ("review",), "smp": ("usual", "virus")}
# Inverse strength of regularisation, the best of 3, 10, 30, 50 by folds.
_STRENGTH_SENTIMENT, _STRENGTH_SIGNAL = 10.0, 40.0
_GATE_TEXTS = 4000  # a kind, so that reviews do not outweigh the rest


class Trained(msgspec.Struct, frozen=True):
    """What training made."""

    path: Path
    sha256: str  # over sorted arrays and settings
    features: int
    rows: int
    seconds: float


class Task(NamedTuple):
    """One column of the table: the rows it learns from, what it should say of them, and how much each counts."""

    rows: npt.NDArray[np.int64]
    truth: Flags
    weight: Floats
    strength: float


def matrix_of(vocabulary: Vocabulary, texts: Sequence[str]) -> csr_matrix:
    """Features of many texts."""
    parts = []
    for first in range(0, len(texts), 500):
        plain = plain_batch(texts[first : first + 500])
        parts.append(vocabulary.matrix(plain, words_of(plain)))
    return vstack(parts).tocsr()


def is_held(row: Row, seed: int) -> bool:
    """Whether a row judges only. Of the annotated texts those whose terms forbid training, of the others one in ten."""
    return not row.may_train or (row.corpus != "annotated" and part_of(row.key, HELD, seed) == 0)


def _column(rows: Sequence[Row], pick: Callable[[Row], Any]) -> list[Any]:
    return [pick(row) for row in rows]


def _tasks(rows: Sequence[Row], generator: np.random.Generator) -> dict[str, Task]:
    """What each column learns from."""
    kind = np.array(_column(rows, lambda row: row.corpus))
    feeling = np.array(_column(rows, lambda row: -1 if row.sentiment is None else row.sentiment))
    tasks = {}
    balanced = np.concatenate([_some(np.flatnonzero(kind == name), _GATE_TEXTS, generator) for name in KINDS])
    for name in KINDS:
        tasks[f"gate {name}"] = _task(balanced, kind[balanced] == name, _STRENGTH_SENTIMENT)
    polar = np.flatnonzero((feeling == 0) | (feeling == 2))
    for name in POLARITY:
        own = np.isin(kind[polar], EXPERT_KINDS.get(name, ()))
        tasks[f"polarity {name}"] = _task(
            polar, feeling[polar] == 2, _STRENGTH_SENTIMENT, np.where(own, 1.0, OTHERS[name])
        )
    for name, kinds in (("smp", ("usual", "virus")), ("car", ("car",)), ("annotated", ("annotated",))):
        some = np.flatnonzero(np.isin(kind, kinds) & (feeling >= 0))
        tasks[f"neutral {name}"] = _task(some, feeling[some] == 1, _STRENGTH_SENTIMENT)
    tasks |= _annotated_tasks(rows, np.flatnonzero(kind == "annotated"))
    spam = _some(np.flatnonzero(kind == "sms"), 6000, generator)
    usual = np.concatenate(
        [
            _some(np.flatnonzero(kind == name), 3000, generator)
            for name in ("weibo", "usual", "virus", "annotated", "review")
        ]
    )
    both = np.concatenate((spam, usual))
    tasks["advert"] = _task(both, kind[both] == "sms", _STRENGTH_SENTIMENT)
    return tasks


def _annotated_tasks(rows: Sequence[Row], some: npt.NDArray[np.int64]) -> dict[str, Task]:
    tasks = {}
    for number, name in enumerate(SIGNALS):
        truth = np.array([bool((rows[at].signals or ())[number]) for at in some])
        tasks[name] = _task(some, truth, _STRENGTH_SIGNAL)
    severity = np.array([rows[at].severity or 0 for at in some])
    for step in (1, 2, 3):
        tasks[f"severity {step}"] = _task(some, severity >= step, _STRENGTH_SIGNAL)
    tasks["live"] = _task(some, np.array([bool(rows[at].live) for at in some]), _STRENGTH_SIGNAL)
    return tasks


def _some(numbers: npt.NDArray[np.int64], most: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    return numbers if len(numbers) <= most else np.sort(generator.choice(numbers, most, replace=False))


def _task(rows: npt.NDArray[np.int64], truth: Flags, strength: float, weight: Floats | None = None) -> Task:
    return Task(rows, truth, np.ones(len(rows)) if weight is None else weight, strength)


def _fitted(features: csr_matrix, task: Task, seed: int) -> tuple[Floats, float]:
    """Weights and constant of one column."""
    model = LogisticRegression(
        C=task.strength, solver="liblinear", dual=True, tol=0.01, max_iter=300, random_state=seed
    )
    model.fit(features[task.rows], task.truth, sample_weight=task.weight)
    return model.coef_[0], float(model.intercept_[0])


def _crossed(features: csr_matrix, tasks: dict[str, Task], fold: npt.NDArray[np.int64], seed: int, say: Say) -> Matrix:
    """Raw outputs of every column for every row, by regressions that had not seen the row's group."""
    raw = np.zeros((features.shape[0], len(COLUMNS)), dtype=np.float32)
    for number in range(FOLDS):
        say(f"cross-fitting, part {number + 1} of {FOLDS}")
        out = np.flatnonzero(fold == number)
        for column, name in enumerate(COLUMNS):
            task = tasks[name]
            kept = fold[task.rows] != number
            part = Task(task.rows[kept], task.truth[kept], task.weight[kept], task.strength)
            weights, constant = _fitted(features, part, seed)
            raw[out, column] = features[out] @ weights + constant
    return raw


def _table(features: csr_matrix, tasks: dict[str, Task], seed: int) -> tuple[Matrix, Matrix]:
    weights = np.zeros((features.shape[1], len(COLUMNS)), dtype=np.float32)
    bias = np.zeros(len(COLUMNS), dtype=np.float32)
    for column, name in enumerate(COLUMNS):
        weights[:, column], bias[column] = _fitted(features, tasks[name], seed)
    return weights, bias


def _layers(raw: Matrix, rows: Sequence[Row], tasks: dict[str, Task]) -> Layers:
    polarity_inputs, neutral_inputs = mixtures(raw)
    kind = np.array(_column(rows, lambda row: row.corpus))
    feeling = np.array(_column(rows, lambda row: -1 if row.sentiment is None else row.sentiment))
    polar = np.flatnonzero((feeling == 0) | (feeling == 2))
    three = np.flatnonzero((feeling >= 0) & np.isin(kind, ("usual", "virus", "car", "annotated")))
    random = np.array(_column(rows, lambda row: row.random))
    single = []
    for name in SINGLE:
        task = tasks[name]
        outputs = raw[task.rows, COLUMNS.index(name)]
        mix = random[task.rows] if name != "advert" else np.zeros(len(task.rows), dtype=np.bool_)
        single.append(fitted_scale(outputs, task.truth, mix))
    return Layers(
        fitted_mixture(polarity_inputs[polar], feeling[polar] == 2, kind[polar]),
        fitted_mixture(neutral_inputs[three], feeling[three] == 1, kind[three]),
        np.array(single, dtype=np.float32).T,
    )


def _base(rows: Sequence[Row]) -> list[float]:
    """What holds for a text of which nothing is known: the rates among the annotated texts drawn at random."""
    some = [row for row in rows if row.random]
    feelings = [float(np.mean([row.sentiment == number for row in some])) for number in range(3)]
    signals = [float(np.mean([(row.signals or ())[number] for row in some])) for number in range(len(SIGNALS))]
    return [
        *feelings,
        *signals,
        float(np.mean([row.severity or 0 for row in some])),
        float(np.mean([bool(row.live) for row in some])),
        ADVERTS,
    ]


# Share of advertising in public posts that is assumed where the data says nothing: no set here has both kinds.
ADVERTS = 0.03


def train(data: Path, out: Path, seed: int = 0, say: Say = lambda _: None) -> Trained:
    """Train every head from the folder `data` (data/ and annotation/ below it); write the model file into `out`."""
    started = time.monotonic()
    say("reading")
    rows = [row for row in corpora(data) if not is_held(row, seed)]
    texts = [row.text for row in rows]
    say(f"choosing features of {len(rows)} texts")
    vocabulary = Vocabulary(chosen(texts, FEWEST, MOST))
    features = matrix_of(vocabulary, texts)
    tasks = _tasks(rows, np.random.default_rng(seed))
    fold = np.array([part_of(row.key, FOLDS, seed + 1) for row in rows])
    raw = _crossed(features, tasks, fold, seed, say)
    say("calibrating")
    layers = _layers(raw, rows, tasks)
    numbers = probabilities(raw, layers)
    thresholds = [fitted_threshold(numbers[tasks[name].rows, HEADS.index(name)], tasks[name].truth) for name in SIGNALS]
    say("fitting the table")
    weights, bias = _table(features, tasks, seed)
    small, scale = packed_weights(weights)
    arrays: dict[str, Array] = {
        "hashes": vocabulary.hashes,
        "weights": small,
        "scale": scale,
        "bias": bias,
        "polarity": layers.polarity,
        "neutral": layers.neutral,
        "single": layers.single,
        "thresholds": np.array(thresholds, dtype=np.float32),
    }
    settings = {"columns": COLUMNS, "signals": SIGNALS, "base": _base(rows), "seed": seed}
    path = out / FILE
    out.mkdir(parents=True, exist_ok=True)
    skops.io.dump(packed(arrays, settings), path, compression=8, compresslevel=9)
    return Trained(path, digest(arrays, settings), len(vocabulary), len(rows), time.monotonic() - started)
