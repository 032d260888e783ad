"""Texts that no model was trained on become the figures of models/CARD.md: what `tingchao evaluate` runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from tingchao.models.card import card
from tingchao.models.contrast import contrast_figures, read_pairs
from tingchao.models.corpora import Row, corpora
from tingchao.models.judge import CROSSED, Crossed, annotated_figures, read_crossed
from tingchao.models.measures import Figure, class_figure, found_figures
from tingchao.models.scorer import Scorer
from tingchao.models.scores import SIGNALS, Scores
from tingchao.models.train import is_held

FLOORS = "floors.json"
CARD = "CARD.md"
ADVERTS = "adverts and spam among all the others"
_FOLDER = Path(__file__).parent
_DIGITS = 12  # of a hash that is shown
# What others reach, and where they say so. Their test parts are not ours: read them as an order of size.
_PUBLISHED = {
    "weibo2018": "BERT and LSTM 0.870, SVM 0.856 on the official test part (BettaFish)",
    "chnsenticorp": "BERT 0.950 on the official test part (README of ymcui/Chinese-BERT-wwm)",
    "smp2020 usual": "BERT 0.739 over six emotions, with four times the training data (README of the source)",
}


class Floor(msgspec.Struct, frozen=True):
    """The least that a figure may be, on exactly these texts and labels."""

    name: str
    metric: str
    least: float
    data: str  # hash of texts and labels


class Report(msgspec.Struct, frozen=True):
    """Every figure, and which floors do not hold."""

    version: str
    figures: tuple[Figure, ...]
    crossed: Crossed | None
    hashes: dict[str, str]  # of the texts and labels behind the figures, by their names
    broken: tuple[str, ...]
    contrast: tuple[Figure, ...] = ()  # no floors: what is pinned gets fitted to
    elsewhere: tuple[str, ...] = ()  # sets that are not those which the floors were pinned on, see `not_pinned`

    @property
    def floors_hold(self) -> bool:
        """Whether no figure lies below its floor."""
        return not self.broken

    def __str__(self) -> str:
        title = f"model {self.version}"
        head = f"{'set':34} {'metric':24} {'texts':>6}  {'major.':>6}  {'ours':>6}  {'95 %':11}  published"
        lines = [title, head, *map(str, self.figures)]
        if self.crossed:
            lines += map(str, self.crossed.figures)
        lines += map(str, self.contrast)
        return "\n".join([*lines, *(f"BELOW THE FLOOR: {one}" for one in self.broken)])


def evaluate(data: Path, models: Path | None = None, card_to: Path | None = None) -> Report:
    """Judge the model in `models` (by default the shipped one) on the texts of `data` that did not train it.

    Writes the model card into `card_to`; by default beside the code, but not from other texts than the floors' own:
    it would tell everybody of figures that nobody else can have. Floors are read beside the model.
    """
    folder = models or _FOLDER
    scorer = Scorer.load(folder)
    rows = corpora(data)
    sets = judging_sets(rows)
    figures = [figure for name, rows in sets.items() for figure in _figures(name, rows, scorer)]
    hashes = {name: data_hash(rows) for name, rows in sets.items()}
    floors = read_floors(folder / FLOORS)
    broken, elsewhere = tuple(_broken(figures, hashes, floors)), tuple(not_pinned(hashes, floors))
    contrast = tuple(contrast_figures(read_pairs(), scorer.score))
    report = Report(scorer.version, tuple(figures), read_crossed(folder / CROSSED), hashes, broken, contrast, elsewhere)
    if card_to or not elsewhere:
        target = card_to or _FOLDER / CARD
        target.write_text(card(report.version, report.figures, report.crossed, report.contrast), "utf-8")
    return report


def held_sets(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows with a sentiment that judge only, by the name under which they are reported."""
    names = {"weibo": "weibo2018", "usual": "smp2020 usual", "virus": "smp2020 virus", "car": "bdci_car2018"}
    sets: dict[str, list[Row]] = {}
    for row in rows:
        if not is_held(row) or row.sentiment is None:
            continue
        review = "chnsenticorp" if row.part == "chnsenticorp" else "online_shopping10"
        name = names.get(row.corpus, review if row.corpus == "review" else "annotated, other sets")
        sets.setdefault(name, []).append(row)
    return dict(sorted(sets.items()))


def judging_sets(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """These sets, and for `advert` all that judges as one; without the car forum, where nobody looked for adverts."""
    return held_sets(rows) | {ADVERTS: [row for row in rows if is_held(row) and row.corpus != "car"]}


def data_hash(rows: Sequence[Row]) -> str:
    """SHA-256 over texts and labels."""
    total = hashlib.sha256()
    for row in rows:
        total.update(repr((row.text, row.sentiment, row.signals, row.severity, row.live)).encode("utf-8", "replace"))
    return total.hexdigest()


def not_pinned(got: dict[str, str], floors: Sequence[Floor]) -> list[str]:
    """The sets whose hash is not that of the texts and labels that the floors were pinned on, each with both hashes."""
    wanted = {floor.name.split(":")[0]: floor.data for floor in floors}
    names = sorted({*got, *wanted})
    return [
        f"{name} {got.get(name, '')[:_DIGITS] or '-'} ≠ {wanted.get(name, '')[:_DIGITS] or '-'}"
        for name in names
        if got.get(name) != wanted.get(name)
    ]


def _figures(name: str, rows: Sequence[Row], scorer: Scorer) -> list[Figure]:
    scores = scorer.score([row.text for row in rows])
    if name == ADVERTS:
        return found_figures(name, np.array([bool(row.advert) for row in rows]), np.array([s.advert for s in scores]))
    truth = [row.sentiment or 0 for row in rows]
    if rows[0].signals is not None:
        given = np.array([[signal in one.given for signal in SIGNALS] for one in scores])
        return annotated_figures(name, rows, np.array([_numbers(one) for one in scores]), given)
    if 1 not in truth:  # a set without a neutral class
        said = [2 if one.positive > one.negative else 0 for one in scores]
        return [class_figure(name, "accuracy", truth, said, _PUBLISHED.get(name, ""))]
    said = [int(np.argmax((one.negative, one.neutral, one.positive))) for one in scores]
    return [
        class_figure(name, "macro-F1", truth, said, _PUBLISHED.get(name, "")),
        class_figure(name, "accuracy", truth, said),
    ]


def _numbers(one: Scores) -> tuple[float, ...]:
    return one.negative, one.neutral, one.positive, *one.signals, one.severity, one.live, one.advert


def read_floors(path: Path) -> list[Floor]:
    """The pinned floors; none where there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=list[Floor]) if path.exists() else []


def _broken(figures: Sequence[Figure], hashes: dict[str, str], floors: Sequence[Floor]) -> list[str]:
    """What does not hold, in words."""
    ours = {(figure.name, figure.metric): figure.ours for figure in figures}
    broken = []
    for floor in floors:
        set_name = floor.name.split(":")[0]
        got = ours.get((floor.name, floor.metric))
        if got is None or hashes.get(set_name) != floor.data:
            broken.append(f"{floor.name}: the evaluation data is not that of {FLOORS}; evaluate on that or pin it anew")
        elif got < floor.least:
            broken.append(f"{floor.name}, {floor.metric}: {got:.4f}, at least {floor.least:.4f} wanted")
    return broken


def pinned(report: Report, slack: float = 0.01) -> list[Floor]:
    """Floors a little below the figures of a report: lowering them is a commit of its own."""
    return [
        Floor(figure.name, figure.metric, round(figure.ours - slack, 3), report.hashes[figure.name.split(":")[0]])
        for figure in report.figures
    ]


def pin(report: Report, path: Path) -> None:
    """Write the floors of a report."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(pinned(report)), indent=1) + b"\n")
