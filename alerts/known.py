"""A CSV of events that truly happened, for `backtest --events`."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from datetime import datetime

from tingchao.alerts.backtest import Known
from tingchao.config.language import Said
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.times import when


def read(lines: Iterable[str], name: str, now: datetime, topics: Collection[str]) -> list[Known]:
    """Columns `at` and, where known, `until`, `topic`, `name`; times without a zone are Beijing's.

    Raises Refused, also for a topic that is none of `topics`: no alert could be of it.
    """
    reader = csv.DictReader(lines)
    try:
        return _events(reader, name, now, topics)
    except csv.Error as err:
        place = Said("error.series.place", file=name, line=reader.line_num + 1)
        raise Refused(Said("error.series.not_csv", place=place, error=err)) from err


def _events(reader: csv.DictReader[str], name: str, now: datetime, topics: Collection[str]) -> list[Known]:
    if "at" not in (reader.fieldnames or ()):
        raise Refused(Said("error.series.columns", file=name, missing="at", known="at,until,topic,name"))
    found = []
    for row in reader:
        place = Said("error.series.place", file=name, line=reader.line_num)
        try:
            at, until = when(row["at"] or "", now), when(row["until"], now) if row.get("until") else None
        except Refused as err:
            raise Refused(Said("error.series.line", place=place, error=err.args[0])) from err
        if until is not None and until < at:
            raise Refused(Said("error.series.order", place=place, at=row["at"], until=row["until"]))
        if (topic := (row.get("topic") or "").strip()) and topic not in topics:
            known = ", ".join(sorted(topics))
            raise Refused(Said("error.series.topic", place=place, topic=topic, known=known))
        found.append(Known(at, until, topic, row.get("name") or ""))
    return found
