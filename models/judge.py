"""Rows, scores and the truth become the figures of the model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from tingchao.models.calibrate import fitted_threshold
from tingchao.models.corpora import Row
from tingchao.models.fit import Cut
from tingchao.models.layers import Matrix
from tingchao.models.measures import Calibration, Figure, calibration, class_figure, signal_figures
from tingchao.models.scores import HEADS, SENTIMENTS, SIGNALS
from tingchao.models.tasks import column, feelings
from tingchao.models.taught import unknown

CROSSED = "crossfit.json"
_FIRST, _LAST = len(SENTIMENTS), len(SENTIMENTS) + len(SIGNALS)
_SEVERITY, _LIVE, _ADVERT = HEADS.index("severity"), HEADS.index("live"), HEADS.index("advert")
_BAD, _GOOD = HEADS.index("negative"), HEADS.index("positive")
_GROUP = 150  # texts that a group needs to be told of
_ASKED = "0.75 asked of vendors"


class Crossed(msgspec.Struct, frozen=True):
    """What cross-fitting says of annotated texts and reviews that train: scored by fits that had not seen the group.

    Mixtures, calibration and thresholds had not seen it either.
    """

    figures: tuple[Figure, ...]
    signals: tuple[tuple[str, int, float, float], ...]  # name, texts that have it, F1, average precision
    calibrations: tuple[Calibration, ...]
    groups: tuple[Figure, ...]  # where it is better or worse


def crossed_report(rows: Sequence[Row], views: Sequence[Matrix], cut: Cut) -> str:
    """The report as JSON.

    For each fold a view: the numbers of all rows, one column a name of HEADS, as they are where all that is fitted saw
    other folds only. Each row is judged in the view of its fold.
    """
    numbers = np.stack(views)[cut.fold, np.arange(len(rows))]
    places = [at for at, row in enumerate(rows) if row.corpus == "annotated"]
    some, chance = [rows[at] for at in places], numbers[places].astype(np.float64)
    given = _given_by_others(some, [view[places] for view in views], cut.fold[places])
    new = [at for at, row in enumerate(some) if unknown(row.key)]
    figures = annotated_figures("annotated, cross-fitted", some, chance, given)
    figures += annotated_figures(
        "annotated, also new to the teacher", [some[at] for at in new], chance[new], given[new]
    )
    figures += review_figures(rows, numbers, cut)
    found = Crossed(
        tuple(figures),
        tuple(signal_table(some, chance, given)),
        tuple(calibrations(some, chance)),
        tuple(groups(some, chance, given)),
    )
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"


def read_crossed(path: Path) -> Crossed | None:
    """The report that lies beside a model, None if there is none."""
    return msgspec.json.decode(path.read_bytes(), type=Crossed) if path.exists() else None


def _truth(rows: Sequence[Row]) -> npt.NDArray[np.bool_]:
    return np.array([row.signals for row in rows], dtype=np.bool_)


def _given_by_others(
    rows: Sequence[Row], views: Sequence[Matrix], fold: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which signals are given, by thresholds fitted on the other folds in the fold's own view."""
    truth, given = _truth(rows), np.zeros((len(rows), len(SIGNALS)), dtype=np.bool_)
    for number, view in enumerate(views):
        out = fold == number
        for signal in range(len(SIGNALS)):
            score = view[:, _FIRST + signal]
            given[out, signal] = score[out] >= fitted_threshold(score[~out], truth[~out, signal])
    return given


def annotated_figures(
    name: str, rows: Sequence[Row], chance: npt.NDArray[np.float64], given: npt.NDArray[np.bool_]
) -> list[Figure]:
    """Signals, live, severity and sentiment of annotated texts."""
    severity = np.clip(np.rint(chance[:, _SEVERITY]), 0, 3).astype(int)
    return [
        *signal_figures(name, _truth(rows), chance[:, _FIRST:_LAST], given, _ASKED),
        class_figure(f"{name}: live", "accuracy", [bool(row.live) for row in rows], (chance[:, _LIVE] > 0.5).tolist()),
        class_figure(f"{name}: severity", "quadratic kappa", [row.severity or 0 for row in rows], severity.tolist()),
        class_figure(
            f"{name}: sentiment",
            "macro-F1",
            [row.sentiment or 0 for row in rows],
            chance[:, :_FIRST].argmax(axis=1).tolist(),
        ),
    ]


def review_figures(rows: Sequence[Row], numbers: Matrix, cut: Cut) -> list[Figure]:
    """Sentiment of reviews, apart for those whose domain was new to the fit that scored them."""
    review, feeling = column(rows, lambda row: row.corpus == "review"), feelings(rows)
    better = np.where(numbers[:, _GOOD] > numbers[:, _BAD], _GOOD, _BAD)
    found = []
    for name, which in (("reviews, cross-fitted", ~cut.new), ("reviews of a new domain", cut.new)):
        some = np.flatnonzero(review & which)
        if len(some):
            found.append(class_figure(name, "accuracy", feeling[some].tolist(), better[some].tolist()))
    return found


def signal_table(
    rows: Sequence[Row], chance: npt.NDArray[np.float64], given: npt.NDArray[np.bool_]
) -> list[tuple[str, int, float, float]]:
    """Each signal: its name, how many texts have it, F1 and average precision."""
    truth = _truth(rows)
    table = []
    for number, name in enumerate(SIGNALS):
        one = slice(number, number + 1)
        f1, precision = signal_figures(name, truth[:, one], chance[:, _FIRST + number, None], given[:, one])
        table.append((name, int(truth[:, number].sum()), f1.ours, precision.ours))
    return table


def calibrations(rows: Sequence[Row], chance: npt.NDArray[np.float64]) -> list[Calibration]:
    """Each head on the texts drawn at random; severity is no probability."""
    random = np.array([row.random for row in rows])
    some, odds = [row for row in rows if row.random], chance[random]
    found = [
        calibration(name, odds[:, number], np.array([row.sentiment == number for row in some]))
        for number, name in enumerate(SENTIMENTS)
    ]
    truth = _truth(some)
    found += [calibration(name, odds[:, _FIRST + at], truth[:, at]) for at, name in enumerate(SIGNALS)]
    found.append(calibration("live", odds[:, _LIVE], np.array([bool(row.live) for row in some])))
    return [*found, calibration("advert", odds[:, _ADVERT], np.array([bool(row.advert) for row in some]))]


def groups(rows: Sequence[Row], chance: npt.NDArray[np.float64], given: npt.NDArray[np.bool_]) -> list[Figure]:
    """The signals by length of the text and by the set that it came from."""
    lengths = np.array([len(row.text) for row in rows])
    sets = np.array([row.part for row in rows])
    parts = {
        "below 25 characters": lengths < 25,
        "25 to 79 characters": (lengths >= 25) & (lengths < 80),
        "80 characters and more": lengths >= 80,
        **{name: sets == name for name in np.unique(sets).tolist()},
    }
    found = []
    for name, some in parts.items():
        if some.sum() >= _GROUP:
            picked = [rows[at] for at in np.flatnonzero(some).tolist()]
            found += signal_figures(name, _truth(picked), chance[some, _FIRST:_LAST], given[some])[:1]
    return found
