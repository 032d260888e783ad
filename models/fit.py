"""Tasks become the weights of the table and of the network; unlabelled texts join in with what a first round says.

The second round (self-training) adds to each annotated task unlabelled texts with the first round's probability as
their label: by cross-fitting the nine signals gained 0.4 points of F1 and 0.3 of average precision. Where a large model
has read a text (`taught.py`), what it says of signals counts as much as the first round, of severity and `live` alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tingchao.models.layers import COLUMNS, FEELS, TABLE, TELLS, Matrix, sigmoid
from tingchao.models.network import Network, fitted_network, joined
from tingchao.models.scores import SIGNALS
from tingchao.models.tasks import Flags, Floats, Rows, Task, questions_of
from tingchao.models.taught import TAUGHT

# How the first round's two outputs become log-odds. Calibration finds about 0.45 and 0.4; labels as unsure as that
# lost 0.4 points of average precision.
_TABLE_SCALE, _DEEP_SCALE = 0.8, 0.6
_INTERESTING = 0.2  # unlabelled texts in which the first round gives some signal at least this chance are used, and
_QUIET = 15_000  # so many others
_TRUST = 0.3  # what an unlabelled text counts beside a labelled one
_WORTH = 0.02  # a chance below that is taken for 0
_SURE = 1e-3  # the teacher is never surer
# Units of the two networks. On one fold 64 to 192 for the first, and 160 to 192 for the other, differ as much as two
# trainings do; together they take 17.5 of the 20 MB of the model file.
_FEELS_WIDTH, _TELLS_WIDTH = 112, 144
_SHOWN = 4  # times that an epoch shows a text with labels of signals; one that only the large model read is shown once


class Material(NamedTuple):
    """All texts as both learners see them: the labelled rows first, the unlabelled ones after them."""

    features: csr_matrix
    words: csr_matrix
    vectors: Matrix  # one row a column of `words`
    labelled: int
    taught: Matrix  # what the teacher said of the first unlabelled rows, one column a name of TAUGHT


class Cut(NamedTuple):
    """How cross-fitting cuts the labelled rows: one number a row."""

    fold: Rows  # the fit of this number has not seen the row, and gives its raw outputs
    domain: Rows  # of a review: the fit of this number has seen no row of its domain; -1 of the other rows

    def seen(self, number: int) -> Flags:
        """The rows that the fit of this number learns from."""
        known: Flags = (self.fold != number) & (self.domain != number)
        return known

    @property
    def new(self) -> Flags:
        """Reviews whose raw outputs come from a fit that knew no review of their domain."""
        same: Flags = self.fold == self.domain
        return same


class Fit(NamedTuple):
    """What was learned."""

    weights: Matrix  # of the table, one column a name of TABLE
    bias: Matrix
    network: Network

    def raw(self, features: csr_matrix, words: csr_matrix) -> Matrix:
        """One row a text, one column a name of COLUMNS."""
        return np.concatenate((features @ self.weights + self.bias, self.network.outputs(words)), axis=1)


def fit(material: Material, tasks: dict[str, Task], seed: int) -> Fit:
    """Both rounds."""
    network = _network(material, tasks, seed)
    weights = np.zeros((material.features.shape[1], len(TABLE)), dtype=np.float32)
    bias = np.zeros(len(TABLE), dtype=np.float32)
    for number, name in enumerate(TABLE):
        weights[:, number], bias[number] = _column(material.features, tasks[name], seed)
    first = Fit(weights, bias, network)
    for name, task in _taught(material, tasks, first, seed).items():
        number = TABLE.index(name)
        weights[:, number], bias[number] = _column(material.features, task, seed)
    return Fit(weights, bias, network)


def _network(material: Material, tasks: dict[str, Task], seed: int) -> Network:
    """Two side by side: one feels, the other, taught by the large model too, tells of signals.

    One network for both felt less well the more it was taught.
    """
    known = material.labelled + len(material.taught)
    feels, tells = questions_of(tasks, FEELS, known), questions_of(tasks, TELLS, known)
    tells.times[:] *= _SHOWN
    tells.truth[material.labelled :] = material.taught
    tells.asked[material.labelled :] = 1
    tells.times[material.labelled :] = 1
    parts = []
    for questions, width in ((feels, _FEELS_WIDTH), (tells, _TELLS_WIDTH)):
        some = np.flatnonzero(questions.times)
        parts.append(fitted_network(material.words[some], material.vectors, questions.only(some), width, seed))
    return joined(parts)


def _column(features: csr_matrix, task: Task, seed: int) -> tuple[Floats, float]:
    """Weights and constant of one column."""
    model = LogisticRegression(
        C=task.strength, solver="liblinear", dual=True, tol=0.01, max_iter=300, random_state=seed
    )
    some = features[task.rows]
    ratio = _ratio(some, task) if task.by_ratio else None
    model.fit(some if ratio is None else (some @ diags(ratio)).tocsr(), task.truth, sample_weight=task.weight)
    weights: Floats = model.coef_[0] if ratio is None else model.coef_[0] * ratio
    return weights, float(model.intercept_[0])


def _ratio(features: csr_matrix, task: Task) -> Matrix:
    """How much likelier each feature is in true than in false texts, in log (Wang and Manning 2012)."""
    present = features.astype(np.bool_).astype(np.float64).T
    true, false = present @ (task.weight * task.truth) + 1, present @ (task.weight * ~task.truth) + 1
    result: Matrix = np.log((true / true.sum()) / (false / false.sum())).astype(np.float32)
    return result


def _taught(material: Material, tasks: dict[str, Task], first: Fit, seed: int) -> dict[str, Task]:
    """The annotated tasks with unlabelled texts."""
    raw = first.raw(material.features[material.labelled :], material.words[material.labelled :])
    table = raw[:, [COLUMNS.index(name) for name in TAUGHT]]
    deep = raw[:, [COLUMNS.index(name) for name in TELLS]]
    logits = _TABLE_SCALE * table + _DEEP_SCALE * deep
    count, own = len(material.taught), len(SIGNALS)
    teacher = np.clip(material.taught[:, :own], _SURE, 1 - _SURE)
    logits[:count, :own] = (logits[:count, :own] + np.log(teacher / (1 - teacher))) / 2
    chance = sigmoid(logits)
    chance[:count, own:] = material.taught[:, own:]
    interesting = chance[:, :own].max(axis=1) > _INTERESTING
    quiet = np.random.default_rng(seed).permutation(len(chance))[:_QUIET]
    interesting[quiet] = True
    interesting[:count] = True
    return {
        name: _with(tasks[name], chance[:, number], interesting, material.labelled)
        for number, name in enumerate(TAUGHT)
    }


def _with(task: Task, chance: Matrix, used: Flags, first: int) -> Task:
    """Each used text once as false and, if there is a chance, once as true, each with its part of the weight."""
    false, true = np.flatnonzero(used), np.flatnonzero(used & (chance > _WORTH))
    return Task(
        np.concatenate((task.rows, false + first, true + first)),
        np.concatenate((task.truth, np.zeros(len(false), dtype=np.bool_), np.ones(len(true), dtype=np.bool_))),
        np.concatenate((task.weight, _TRUST * (1 - chance[false]), _TRUST * chance[true])),
        task.strength,
    )


def crossed(material: Material, tasks: dict[str, Task], cut: Cut, number: int, seed: int) -> Matrix:
    """Raw outputs for the rows of one fold, by a fit that saw only the others, and nothing of one domain.

    It limits its threads itself, since it may run in a process of its own.
    """
    seen = cut.seen(number)
    others = {name: task.only(seen[task.rows]) for name, task in tasks.items()}
    out = np.flatnonzero(cut.fold == number)
    with threadpool_limits(1):  # sums in another order would give another hash
        return fit(material, others, seed).raw(material.features[out], material.words[out])
