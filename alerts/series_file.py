"""A CSV of `timestamp,value` becomes verdicts, one a row, for `backtest --series`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from statistics import median

from tingchao.alerts.series import Detector, Verdict
from tingchao.config.language import Said
from tingchao.config.rules import Rule
from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.errors import Refused

_FIRST = 24  # rows from which the step is told: before so many nothing is judged yet, so no verdict looks ahead
_STEPS = (60, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)
_NEAR = 0.05  # timestamps tremble; a step that is so near to a common one is that one
_COLUMNS = ("timestamp", "value")
_SHOWN = 40  # characters of what cannot be read: an open quote takes the rest of the file
_MOST = 1e100  # a value; squares of greater ones are no numbers any more


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file."""

    timestamp: str
    at: float  # seconds since 1970
    value: float | None  # None: nothing is known of it


def verdicts(lines: Iterable[str], name: str, rules: Sequence[Rule]) -> Iterator[tuple[Row, Verdict]]:
    """Each row with what the detector says of it, from it and the rows before it only.

    The rule is the first of kind baseline that counts posts. Raises Refused with the line that is wrong.
    """
    rows = _rows(lines, name)
    first = list(islice(rows, _FIRST))
    if not first:
        return
    step = _step(first)
    detector = Detector(step, float(_least(rules)))
    start, origin = first[0].at, round(first[0].at / step) * step
    for row in chain(first, rows):
        # Timestamps that are some seconds early or late still mean their own row.
        yield row, detector.add(origin + round((row.at - start) / step) * step, row.value)


def _least(rules: Sequence[Rule]) -> int:
    found = [rule.min_posts for rule in rules if rule.kind == "baseline" and not rule.signal]
    if not found:
        raise Refused(Said("error.series.no_rule"))
    return found[0]


def _step(rows: Sequence[Row]) -> int:
    """Seconds from one row to the next, as most rows have it."""
    steps = [b.at - a.at for a, b in pairwise(sorted(rows, key=lambda row: row.at)) if b.at > a.at]
    step = median(steps) if steps else 3600.0
    near = min(_STEPS, key=lambda usual: abs(usual - step))
    return near if abs(near - step) <= _NEAR * near else max(1, round(step))


def _rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    reader = csv.DictReader(lines)
    try:
        reader.fieldnames = columns = [column.strip().lower() for column in reader.fieldnames or ()]
        if missing := [column for column in _COLUMNS if column not in columns]:
            raise Refused(Said("error.series.columns", file=name, missing=", ".join(missing), known=",".join(_COLUMNS)))
        for row in reader:
            place = Said("error.series.place", file=name, line=reader.line_num)
            yield _row(row.get("timestamp") or "", (row.get("value") or "").strip(), place)
    except csv.Error as err:
        place = Said("error.series.place", file=name, line=reader.line_num + 1)
        raise Refused(Said("error.series.not_csv", place=place, error=err)) from err


def _row(timestamp: str, value: str, place: Said) -> Row:
    try:
        at = datetime.fromisoformat(timestamp.strip())
        at = (at if at.tzinfo else at.replace(tzinfo=BEIJING)).astimezone(UTC)
        number = float(value) if value else None
    except (ValueError, OverflowError) as err:  # overflow: before the year 1, or after 9999
        shown = {"timestamp": timestamp[:_SHOWN], "value": value[:_SHOWN]}
        raise Refused(Said("error.series.row", place=place, **shown)) from err
    if number is not None and (number > _MOST or number < 0):
        raise Refused(Said("error.series.value", place=place, value=value))
    if number is not None and math.isnan(number):
        number = None
    return Row(timestamp, at.timestamp(), number)
