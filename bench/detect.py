"""How well surges are found on labelled series, beside the yardsticks of public-health surveillance and of bursts.

    python bench/detect.py ../shared/data/nab_tweets

NAB's own scoring (sweeper.py of numenta/NAB: window sigmoid, probation of 15 %, one threshold for all files, standard
profile). `best`: at the threshold that is best for all files together, which is NAB's rule; `unseen`: each file at the
threshold that is best for the other files; `default`: the rows at which our alerts begin, with nothing chosen at all.
The rivals get the same help as ours: an hour's window that slides by five minutes, and of each burst only the rows
that are stronger than all of the day before.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tingchao.alerts.series import Detector

Numbers = NDArray[np.float64]

DAY, HOUR = 288, 12  # rows
FALSE = 0.11  # fpWeight of the standard profile
COLD = 1.5 * DAY


@dataclass(frozen=True)
class File:
    name: str
    times: list[datetime]
    values: Numbers
    windows: list[tuple[int, int]]


def files(folder: Path) -> list[File]:
    labels = json.loads((folder / "windows.json").read_text())
    found = []
    for name in sorted(labels):
        if not (folder / name).exists():
            continue
        with (folder / name).open() as lines:
            rows = [(datetime.fromisoformat(row["timestamp"]), float(row["value"])) for row in csv.DictReader(lines)]
        times = [at for at, _ in rows]
        place = {at: number for number, at in enumerate(times)}
        windows = [
            (place[datetime.fromisoformat(a)], place[datetime.fromisoformat(b)]) for a, b in labels[name]["windows"]
        ]
        found.append(File(name, times, np.array([value for _, value in rows]), windows))
    return found


# ---------------------------------------------------------------- NAB's scoring


def sigmoid(position: float) -> float:
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


_WORTH: dict[str, tuple[Numbers, NDArray[np.int64], int]] = {}


def worth(file: File) -> tuple[Numbers, NDArray[np.int64], int]:
    if file.name not in _WORTH:
        _WORTH[file.name] = _worth(file)
    return _WORTH[file.name]


def _worth(file: File) -> tuple[Numbers, NDArray[np.int64], int]:
    """What a detection in each row is worth, its window or -1, and the length of the probation."""
    count = len(file.values)
    points, inside = np.full(count, -FALSE), np.full(count, -1)
    for number, (first, last) in enumerate(file.windows):
        width = last - first + 1
        for row in range(first, last + 1):
            points[row] = sigmoid(-(last - row + 1) / width) / sigmoid(-1.0)
        inside[first : last + 1] = number
        end = file.windows[number + 1][0] if number + 1 < len(file.windows) else count
        for row in range(last + 1, end):
            points[row] = sigmoid((row - last) / (width - 1)) * FALSE
    return points, inside, int(min(math.floor(0.15 * count), 0.15 * 5000))


def raw(file: File, scores: Numbers, threshold: float) -> float:
    points, inside, probation = worth(file)
    hit = scores >= threshold
    hit[:probation] = False
    total = float(points[hit & (inside < 0)].sum())
    for number in range(len(file.windows)):
        mine = hit & (inside == number)
        total += float(points[mine].max()) if mine.any() else -1.0
    return total


def normal(total: float, of: Sequence[File]) -> float:
    """100 for a perfect detector, 0 for one that finds nothing."""
    windows = sum(len(file.windows) for file in of)
    return 100 * (total + windows) / (2 * windows)


def threshold(of: Sequence[File], scores: Mapping[str, Numbers]) -> float:
    """The best one for all these files together."""
    tried = np.unique(np.concatenate([scores[file.name][scores[file.name] > 0] for file in of]))[-200:]
    return max((sum(raw(file, scores[file.name], t) for file in of), float(t)) for t in tried)[1]


# ---------------------------------------------------------------- detectors


def ours(file: File) -> tuple[Numbers, Numbers]:
    detector = Detector(300, 3.0)
    found = [
        detector.add(int(at.replace(tzinfo=UTC).timestamp()), float(value))
        for at, value in zip(file.times, file.values, strict=True)
    ]
    return np.array([one.score for one in found]), np.array([float(one.alert) for one in found])


def hourly(file: File) -> Numbers:
    total = np.concatenate([[0.0], np.cumsum(file.values)])
    rows = np.arange(len(file.values))
    return total[rows + 1] - total[np.maximum(0, rows + 1 - HOUR)]


def ears(lag: int, *, sums: int = 1) -> Callable[[File], Numbers]:
    """C1 (lag 0), C2 (lag 2), C3 (C2 summed over three): distance from the same hour of seven days, in deviations."""

    def run(file: File) -> Numbers:
        seen, found = hourly(file), np.zeros(len(file.values))
        for row in range(int(COLD), len(seen)):
            past = [seen[row - DAY * k] for k in range(1 + lag, 8 + lag) if row >= DAY * k]
            if len(past) >= 3:
                found[row] = (seen[row] - np.mean(past)) / max(float(np.std(past, ddof=1)), 1.0)
        if sums == 1:
            return found
        parts = [np.roll(np.maximum(0, found - 1), HOUR * k) for k in range(sums)]
        return np.sum(parts, axis=0)

    return run


def farrington(file: File) -> Numbers:
    """Flexible: the same hour and its neighbours of four weeks, quasi-Poisson, outbreaks weighted down above 2.58."""
    seen, found = hourly(file), np.zeros(len(file.values))
    for row in range(int(COLD), len(seen)):
        places = [row - DAY * k + HOUR * j for k in range(1, 29) for j in (-1, 0, 1)]
        past = seen[[place for place in places if HOUR <= place <= row - HOUR]]
        if len(past) < 3:
            continue
        weights = np.ones(len(past))
        for _ in range(2):
            mean = max(float(weights @ past / weights.sum()), 0.1)
            over = max(1.0, float(weights @ ((past - mean) ** 2 / mean)) / max(len(past) - 1, 1))
            residual = 1.5 * (past ** (2 / 3) - mean ** (2 / 3)) / (mean ** (1 / 6) * math.sqrt(over))
            weights = np.where(residual > 2.58, np.maximum(residual, 1e-9) ** -2.0, 1.0)
            weights *= len(past) / weights.sum()
        deviation = math.sqrt(over * mean + over * mean / len(past))
        limit = mean * (1 + 2 / 3 * 2.58 * deviation / mean) ** 1.5
        found[row] = (seen[row] - mean) / max(limit - mean, 1.0)
    return found


def kleinberg(file: File) -> Numbers:
    """Two states, rates 3 apart, in batches (Kleinberg 2002, section 4), forward: how much cheaper a burst is."""
    found, cost = np.zeros(len(file.values)), 0.0
    for row in range(1, len(file.values)):
        base = max(float(file.values[max(0, row - 7 * DAY) : row].mean()), 0.05)
        gain = file.values[row] * math.log(3) - 2 * base  # log-likelihood of the burst against the base, Poisson
        cost = max(0.0, cost + gain) if cost + gain < 50 * base else 50 * base
        found[row] = cost / math.sqrt(base) if row > COLD else 0.0
    return found


def records(scores: Numbers) -> Numbers:
    """Only what is stronger than all of the day before."""
    kept = np.zeros_like(scores)
    for row in range(len(scores)):
        before = scores[max(0, row - DAY) : row]
        if not len(before) or scores[row] > before.max():
            kept[row] = scores[row]
    return kept


def main(folder: Path) -> None:
    every = files(folder)
    rivals: dict[str, Callable[[File], Numbers]] = {
        "EARS C1": ears(0),
        "EARS C2": ears(2),
        "EARS C3": ears(2, sums=3),
        "Farrington flexible": farrington,
        "Kleinberg": kleinberg,
    }
    mine = {file.name: ours(file) for file in every}
    print(f"{'NAB realTweets, ' + str(len(every)) + ' files':30s} best unseen default")
    default = normal(sum(raw(file, mine[file.name][1], 0.5) for file in every), every)
    show("ours", every, {name: scores for name, (scores, _) in mine.items()}, f"{default:7.1f}")
    for name, rival in rivals.items():
        show(name, every, {file.name: records(rival(file)) for file in every}, "")


def show(name: str, every: Sequence[File], scores: Mapping[str, Numbers], more: str) -> None:
    best = normal(sum(raw(file, scores[file.name], threshold(every, scores)) for file in every), every)
    unseen = 0.0
    for file in every:
        others = [one for one in every if one is not file]
        unseen += raw(file, scores[file.name], threshold(others or every, scores))
    single = " ".join(f"{normal(raw(f, scores[f.name], threshold(every, scores)), [f]):.0f}" for f in every)
    print(f"{name:30s} {best:4.1f} {normal(unseen, every):6.1f} {more:7s} | {single}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
