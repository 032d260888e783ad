"""[scored] → index → store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tingchao.pipeline.flow import READS
from tingchao.pipeline.metrics import delayed
from tingchao.pipeline.records import Scored
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage
from tingchao.pipeline.store import Store


def plan(store: Store) -> Plan:
    """The stage over a store that belongs to this process."""

    def make(_: Memory) -> Stage:
        return Index(store)

    return Plan("index", READS["index"], make, done=_measure)


def _measure(inputs: Sequence[Input], now: datetime) -> None:
    posts = [one.record.post for one in inputs if isinstance(one.record, Scored)]
    delayed("index", now, ((post.published_at, post.fetched_at) for post in posts))


class Index:
    """Puts each batch before its position is committed; a repeated put changes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fresh = False

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcome indexed, updated or stale, as the store says."""
        if not self._fresh:  # whoever had this partition before may have put these very posts a moment ago
            self._store.refresh()
            self._fresh = True
        return Result((), self._store.put([one.record for one in inputs if isinstance(one.record, Scored)]))
