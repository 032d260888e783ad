"""Posts that staff judged become a challenger of the model in use: what `tingchao train --feedback` runs.

The challenger learns from the data folder and from the older verdicts; both are then measured on the texts that the
card is made of and on the latest verdicts, which neither learned from. Nothing is replaced here: see `versions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tingchao.config.language import Said
from tingchao.models.compare import Difference, differences, replaces
from tingchao.models.corpora import DataError, Row, corpora, grouped
from tingchao.models.drift import write_reference
from tingchao.models.evaluate import FLOORS, data_hash, judging_sets, not_pinned, read_floors
from tingchao.models.scorer import Scorer
from tingchao.models.scores import SIGNALS
from tingchao.models.train import Trained, is_held, train

VERDICTS = "verdicts, latest"
_FLOORS = Path(__file__).with_name(FLOORS)
_JUDGING = 0.2  # share of the verdicts, the latest ones, that judge and do not train


@dataclass(frozen=True, slots=True)
class Example:
    """A post that was judged by itself."""

    text: str
    signals: tuple[str, ...]  # all that it tells of
    group: str  # the alert that showed it: its posts resemble each other
    at: datetime  # of the verdict


@dataclass(frozen=True, slots=True)
class Challenge:
    """What came out: the challenger, and how it stands against the model in use."""

    trained: Trained
    champion: str  # versions
    challenger: str
    differences: tuple[Difference, ...]
    learned: int  # verdicts that the challenger learned from
    judged: int  # verdicts that judged it
    left_out: int  # verdicts on texts that the models cannot judge or that stand in the data that judges

    @property
    def wins(self) -> bool:
        """Whether the challenger may replace the model in use."""
        return replaces(self.differences)


def challenge(
    data: Path,
    champion: Path,
    out: Path,
    examples: Sequence[Example],
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    floors: Path = _FLOORS,
) -> Challenge:
    """Train a challenger into the folder `out` and compare it with the model in the folder `champion`.

    Raises DataError when there are no verdicts to learn from, no data, or other texts to judge by than `floors` names:
    a model that saw less would win where only a few easy texts judge.
    """
    if not (data / "data").is_dir() or not (data / "annotation").is_dir():
        raise DataError(
            f"{data}: no data/ and annotation/ in it. Verdicts alone are too few: a challenger is trained on them "
            "together with the data that the model in use was trained on; give that folder"
        )
    rows = corpora(data)
    sets = judging_sets(rows)
    if other := not_pinned({name: data_hash(some) for name, some in sets.items()}, read_floors(floors)):
        raise DataError(Said("error.other_data", folder=data, floors=floors, sets="; ".join(other)))
    before = Scorer.load(champion)
    known = [one for one in examples if one.text.strip() and not before.score([one.text])[0].abstained]
    learning, judging = split(joined(known, rows))
    if not learning:
        raise DataError(
            f"{len(examples)} posts were judged one by one and {len(known)} of them can be read: none is left to "
            "learn from; judge posts with `tingchao alerts verdict ID … --post POST` or on the page"
        )
    trained = train(data, out, seed, say, learning)
    after = Scorer.load(out)
    write_reference(data, out)
    say("comparing")
    found = differences(sets | {VERDICTS: judging}, before.score, after.score)
    left_out = len(examples) - len(learning) - len(judging)
    return Challenge(trained, before.version, after.version, tuple(found), len(learning), len(judging), left_out)


def joined(examples: Sequence[Example], rows: Sequence[Row]) -> list[tuple[Example, Row]]:
    """Examples as rows, each with the key of the group of near-duplicates that it falls into, the oldest first.

    Left out are those whose group judges: what is measured on it would no longer hold.
    """
    ordered = sorted(examples, key=lambda one: one.at)
    keys = grouped([*(row.text for row in rows), *(one.text for one in ordered)])
    groups = dict(zip(keys, rows, strict=False))  # a key of rows alone may have got another name
    judges = {key for key, row in zip(keys, rows, strict=False) if is_held(row)}
    return [
        (one, replace(_row(one), key=groups[key].key if key in groups else key))
        for one, key in zip(ordered, keys[len(rows) :], strict=True)
        if key not in judges
    ]


def _row(one: Example) -> Row:
    """A judged text: its signals are known, its severity only where there is none, its sentiment is not."""
    return Row(
        one.text,
        "desk",
        signals=tuple(name in one.signals for name in SIGNALS),
        severity=None if one.signals else 0,
        live=bool(one.signals),
        part="desk",
    )


def split(examples: Sequence[tuple[Example, Row]]) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows that judge: the latest fifth by time, in whole alerts, without near-duplicates.

    With one alert only there are none that judge.
    """
    last: dict[str, datetime] = {}
    for one, _ in examples:
        last[one.group] = max(one.at, last.get(one.group, one.at))
    judging: set[str] = set()
    for group in sorted(last, key=lambda name: (last[name], name), reverse=True)[: len(last) - 1]:
        if sum(one.group in judging for one, _ in examples) >= _JUDGING * len(examples):
            break
        judging.add(group)
    judges = [replace(row, key=one.group) for one, row in examples if one.group in judging]
    seen = {row.key for one, row in examples if one.group in judging}
    return [row for one, row in examples if one.group not in judging and row.key not in seen], judges
