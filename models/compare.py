"""Two models on the same texts become differences with their intervals: may one replace the other.

Paired bootstrap (Efron and Tibshirani 1993, chapter 16): both are measured on the same resample, so what is hard for
both cancels out. Groups of texts that belong together (near-duplicates, posts of one alert) are drawn together.

One figure that is better is enough to replace, so `better` asks for 95 % over all figures at once (Bonferroni: each at
1 - 0.05 / their number). `worse` asks for 95 % of each figure alone, which holds more challengers back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from tingchao.models.corpora import Row
from tingchao.models.evaluate import ADVERTS
from tingchao.models.measures import (
    accuracy,
    average_precision,
    macro_f1,
    mean_average_precision,
    mean_f1,
    quadratic_kappa,
)
from tingchao.models.scores import SIGNALS, Scores

Index = npt.NDArray[np.int64]
Measure = Callable[[Index], float]
Score = Callable[[Sequence[str]], list[Scores]]

_RESAMPLES = 4000  # of 15 figures the corrected end is the 7th of them
_TAIL = 0.025
_FEWEST_GROUPS = 10  # of fewer a bootstrap makes intervals that are far too narrow: of one, none at all


class Difference(msgspec.Struct, frozen=True):
    """One figure of both models; the interval is that of the challenger's minus the champion's."""

    name: str
    metric: str
    count: int
    champion: float
    challenger: float
    low: float  # 95 %
    high: float
    surely: float  # the lower end where 95 % are asked of all figures together

    @property
    def better(self) -> bool:
        """Whether the challenger is better, beyond what chance gives one of so many figures."""
        return self.surely > 0

    @property
    def worse(self) -> bool:
        """Whether the challenger is worse beyond the interval of this figure alone."""
        return self.high < 0

    def __str__(self) -> str:
        sign = "+" if self.better else "-" if self.worse else " "
        if not np.isfinite(self.low):
            figures = f"{self.champion:8.4f}  {self.challenger:10.4f}  too few groups to tell"
            return f"{self.name:28} {self.metric:24} {self.count:6d}  {figures}"
        figures = f"{self.champion:8.4f}  {self.challenger:10.4f}  {self.low:+.4f} to {self.high:+.4f} {sign}"
        return f"{self.name:28} {self.metric:24} {self.count:6d}  {figures}"


HEAD = f"{'set':28} {'metric':24} {'texts':>6}  champion  challenger  difference, 95 % (+ better, - worse)"


def replaces(differences: Sequence[Difference]) -> bool:
    """Better beyond its interval somewhere, and worse beyond it nowhere."""
    return any(one.better for one in differences) and not any(one.worse for one in differences)


def differences(sets: dict[str, list[Row]], champion: Score, challenger: Score) -> list[Difference]:
    """Every figure of every set; a set without texts has none."""
    both = {
        name: [_measures(name, rows, score([row.text for row in rows])) for score in (champion, challenger)]
        for name, rows in sets.items()
        if rows
    }
    tail = _TAIL / max(sum(len(ours) for ours, _ in both.values()), 1)
    found = []
    for name, (ours, theirs) in both.items():
        draws = _draws([row.key for row in sets[name]])
        found += [
            _difference(name, metric, ours[metric], theirs[metric], draws, len(sets[name]), tail) for metric in ours
        ]
    return found


def _difference(
    name: str, metric: str, champion: Measure, challenger: Measure, draws: Sequence[Index], count: int, tail: float
) -> Difference:
    apart = [challenger(some) - champion(some) for some in draws]
    ends = np.quantile(apart, (_TAIL, 1 - _TAIL, tail)) if draws else (-np.inf, np.inf, -np.inf)
    every = np.arange(count)
    return Difference(name, metric, count, champion(every), challenger(every), *map(float, ends))


def _draws(keys: Sequence[str]) -> list[Index]:
    """Resamples of whole groups, each as the places of its rows; none where there are too few groups."""
    generator = np.random.default_rng(0)
    _, group = np.unique(keys, return_inverse=True)
    size, rows = int(group.max()) + 1, np.arange(len(keys))
    if size < _FEWEST_GROUPS:
        return []
    return [
        np.repeat(rows, np.bincount(generator.integers(0, size, size), minlength=size)[group])
        for _ in range(_RESAMPLES)
    ]


def _measures(name: str, rows: Sequence[Row], scores: Sequence[Scores]) -> dict[str, Measure]:
    """What is asked of a model on such rows; greater is better."""
    if name == ADVERTS:
        return _adverts(rows, scores)
    if rows[0].corpus == "desk":
        return _desk(rows, scores)
    feeling = np.array([row.sentiment for row in rows], dtype=np.int64)
    if rows[0].signals is not None:
        return _annotated(rows, scores) | {"sentiment, macro-F1": _classes(macro_f1, feeling, _feelings(scores))}
    if 1 in feeling:
        return {"macro-F1": _classes(macro_f1, feeling, _feelings(scores))}
    said = np.array([2 if one.positive > one.negative else 0 for one in scores], dtype=np.int64)
    return {"accuracy": _classes(accuracy, feeling, said)}


def _desk(rows: Sequence[Row], scores: Sequence[Scores]) -> dict[str, Measure]:
    """Few posts, and some signals among none of them: shares of right answers, and how near the chances are."""
    truth = np.array([row.signals for row in rows], dtype=np.float64)
    given = np.array([[name in one.given for name in SIGNALS] for one in scores])
    chance = np.array([one.signals for one in scores], dtype=np.float64)
    live = np.array([bool(row.live) for row in rows])
    said = np.array([one.live > 0.5 for one in scores])
    return {
        "signals, share right": lambda some: float(np.mean(truth[some] == given[some])),
        "signals, 1 - Brier": lambda some: float(1 - np.mean((truth[some] - chance[some]) ** 2)),
        "live, share right": lambda some: float(np.mean(live[some] == said[some])),
    }


def _adverts(rows: Sequence[Row], scores: Sequence[Scores]) -> dict[str, Measure]:
    truth = np.array([bool(row.advert) for row in rows])
    chance = np.array([one.advert for one in scores], dtype=np.float64)
    return {"average precision": lambda some: average_precision(truth[some], chance[some])}


def _annotated(rows: Sequence[Row], scores: Sequence[Scores]) -> dict[str, Measure]:
    truth = np.array([row.signals for row in rows], dtype=np.bool_)
    given = np.array([[name in one.given for name in SIGNALS] for one in scores], dtype=np.bool_)
    chance = np.array([one.signals for one in scores], dtype=np.float64)
    live = np.array([bool(row.live) for row in rows], dtype=np.int64)
    severity = np.array([row.severity or 0 for row in rows], dtype=np.int64)
    grave = np.clip(np.rint([one.severity for one in scores]), 0, 3).astype(np.int64)
    return {
        "signals, macro-F1": lambda some: mean_f1(truth[some], given[some]),
        "signals, mean AP": lambda some: mean_average_precision(truth[some], chance[some]),
        "live, accuracy": _classes(accuracy, live, np.array([one.live > 0.5 for one in scores], dtype=np.int64)),
        "severity, quadratic kappa": _classes(quadratic_kappa, severity, grave),
    }


def _feelings(scores: Sequence[Scores]) -> Index:
    found: Index = np.array([[one.negative, one.neutral, one.positive] for one in scores]).argmax(axis=1)
    return found


def _classes(measure: Callable[[Index, Index], float], truth: Index, said: Index) -> Measure:
    return lambda some: measure(truth[some], said[some])
