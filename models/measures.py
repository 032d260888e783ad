"""Predictions and the truth become figures with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_RESAMPLES = 500
_BINS = 10  # of equal numbers of texts


class Figure(msgspec.Struct, frozen=True):
    """One number about the models, with what it has to be compared with."""

    name: str
    metric: str
    count: int
    majority: float | None  # what answering always the most frequent class reaches
    ours: float
    low: float  # 95 % bootstrap interval
    high: float
    published: str = ""

    def __str__(self) -> str:
        base = "     -" if self.majority is None else f"{self.majority:6.3f}"
        head = f"{self.name:34} {self.metric:24} {self.count:6d}  {base}"
        return f"{head}  {self.ours:6.3f}  {self.low:.3f}-{self.high:.3f}  {self.published}"


class Calibration(msgspec.Struct, frozen=True):
    """How well the probabilities of one head hold for texts drawn at random."""

    head: str
    count: int
    rate: float
    error: float  # expected calibration error over bins of equal size
    low: float
    high: float
    perfect: float  # what probabilities that hold exactly would show at this size
    brier: float
    base_brier: float  # of always answering the rate


def accuracy(truth: Classes, said: Classes) -> float:
    """Share of right answers."""
    return float(np.mean(truth == said))


def macro_f1(truth: Classes, said: Classes) -> float:
    """F1 averaged over the classes that the truth has."""
    return float(np.mean([f1(truth == one, said == one) for one in np.unique(truth)]))


def f1(truth: Flags, said: Flags) -> float:
    """Harmonic mean of precision and recall; 0 if nothing was found."""
    both = int(np.sum(truth & said))
    return 2 * both / max(int(truth.sum()) + int(said.sum()), 1)


def average_precision(truth: Flags, score: Numbers) -> float:
    """Mean precision at each true one, in order of the score; equal scores in the order given."""
    order = np.argsort(-score, kind="stable")
    hits = truth[order]
    if not hits.any():
        return 0.0
    return float(np.mean((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits]))


def mean_f1(truth: Flags, said: Flags) -> float:
    """F1 averaged over the columns."""
    return float(np.mean([f1(truth[:, column], said[:, column]) for column in range(truth.shape[1])]))


def mean_average_precision(truth: Flags, score: Numbers) -> float:
    """Average precision averaged over the columns."""
    return float(np.mean([average_precision(truth[:, column], score[:, column]) for column in range(truth.shape[1])]))


def quadratic_kappa(truth: Classes, said: Classes, classes: int = 4) -> float:
    """Cohen's kappa with squared distances."""
    table = np.zeros((classes, classes))
    np.add.at(table, (truth, said), 1)
    places = np.arange(classes)
    distance = (places[:, None] - places[None, :]) ** 2
    chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(1 - (distance * table).sum() / max(float((distance * chance).sum()), 1e-12))


def interval(measure: Callable[[npt.NDArray[np.int64]], float], count: int) -> tuple[float, float]:
    """95 % bootstrap interval of a measure of some of `count` texts."""
    generator = np.random.default_rng(0)
    values = [measure(generator.integers(0, count, count)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def majority_class(truth: Classes) -> Classes:
    """Always the most frequent class."""
    classes, counts = np.unique(truth, return_counts=True)
    return np.full(len(truth), classes[counts.argmax()])


def calibration_error(chance: Numbers, truth: Flags) -> float:
    """Mean distance of the mean probability from the rate, over bins of equal numbers of texts."""
    order = np.argsort(chance, kind="stable")
    bins = np.array_split(order, _BINS)
    return float(
        sum(abs(chance[part].mean() - truth[part].mean()) * len(part) for part in bins if len(part)) / len(order)
    )


def calibration(head: str, chance: Numbers, truth: Flags) -> Calibration:
    """How well the probabilities of a head hold."""
    generator = np.random.default_rng(0)
    perfect = [calibration_error(chance, generator.random(len(chance)) < chance) for _ in range(100)]
    low, high = interval(lambda some: calibration_error(chance[some], truth[some]), len(chance))
    rate = float(truth.mean())
    return Calibration(
        head,
        len(chance),
        rate,
        calibration_error(chance, truth),
        low,
        high,
        float(np.mean(perfect)),
        float(np.mean((chance - truth) ** 2)),
        rate * (1 - rate),
    )


def class_figure(name: str, metric: str, truth: Sequence[int], said: Sequence[int], published: str = "") -> Figure:
    """A figure over single answers; `metric` is accuracy, macro-F1 or quadratic kappa."""
    measure = {"accuracy": accuracy, "macro-F1": macro_f1, "quadratic kappa": quadratic_kappa}[metric]
    right, ours = np.array(truth, dtype=np.int64), np.array(said, dtype=np.int64)
    low, high = interval(lambda some: measure(right[some], ours[some]), len(right))
    base = measure(right, majority_class(right))
    return Figure(name, metric, len(right), base, measure(right, ours), low, high, published)


def signal_figures(name: str, truth: Flags, chance: Numbers, given: Flags, published: str = "") -> list[Figure]:
    """Macro-F1 and mean average precision over the signals."""
    f1_interval = interval(lambda some: mean_f1(truth[some], given[some]), len(truth))
    precision_interval = interval(lambda some: mean_average_precision(truth[some], chance[some]), len(truth))
    rates = float(truth.mean())
    return [
        Figure(name, "macro-F1 of nine signals", len(truth), 0.0, mean_f1(truth, given), *f1_interval, published),
        Figure(
            name,
            "mean average precision",
            len(truth),
            rates,
            mean_average_precision(truth, chance),
            *precision_interval,
        ),
    ]


def found_figures(name: str, truth: Flags, chance: Numbers) -> list[Figure]:
    """F1 of what has at least an even chance, and average precision, of one head."""
    given, rate = chance >= 0.5, float(truth.mean())
    f1_interval = interval(lambda some: f1(truth[some], given[some]), len(truth))
    precision_interval = interval(lambda some: average_precision(truth[some], chance[some]), len(truth))
    return [
        Figure(name, "F1", len(truth), f1(truth, np.ones_like(truth)), f1(truth, given), *f1_interval),
        Figure(name, "average precision", len(truth), rate, average_precision(truth, chance), *precision_interval),
    ]
