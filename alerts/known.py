"""A CSV of events that truly happened, for `backtest --events`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime

from tingchao.alerts.backtest import Known
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.times import when


def read(lines: Iterable[str], name: str, now: datetime) -> list[Known]:
    """Columns `at` and, where known, `until`, `topic`, `name`; times without a zone are Beijing's. Raises Refused."""
    reader = csv.DictReader(lines)
    if "at" not in (reader.fieldnames or ()):
        raise Refused(f"{name}: no column at; expected e.g. at,until,topic,name in the first line")
    found = []
    for row in reader:
        try:
            until = when(row["until"], now) if row.get("until") else None
            found.append(Known(when(row["at"] or "", now), until, row.get("topic") or "", row.get("name") or ""))
        except Refused as err:
            raise Refused(f"{name}, line {reader.line_num}: {err}") from err
    return found
