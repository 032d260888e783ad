"""The Store: put (idempotent by id and revision), search, count over time, delete by age.

Two backends keep one contract (tests/test_store.py): SQLite with FTS5 (`sqlite_store.py`) and, on a cluster,
Elasticsearch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from tingchao.pipeline.query import Query
from tingchao.pipeline.records import Scored

BUCKET_LIMIT = 100_000  # buckets of one answer: 69 days of minutes, 11 years of hours


class Bucket(NamedTuple):
    """Posts published in [start, start + step)."""

    start: datetime
    posts: int


class Store(Protocol):
    """Scored posts by id. No voice is ever stored."""

    def put(self, batch: Sequence[Scored]) -> list[str]:
        """Outcomes in order: indexed (a new id), updated (a newer or equal revision), stale (an older one).

        Durable when it returns. Raises Retry when the store cannot take it now.
        """

    def search(self, query: Query) -> list[Scored]:
        """Hits by `published_at`, then id, newest first; at most `query.limit`."""

    def count(self, query: Query) -> int:
        """All hits; `limit` and `after` do not matter."""

    def over_time(self, query: Query, step: timedelta) -> list[Bucket]:
        """Posts in each step, aligned to the epoch, from the first hit to the last; empty steps are 0.

        Raises Refused when that makes more than BUCKET_LIMIT steps.
        """

    def delete_before(self, when: datetime) -> int:
        """Delete what was both published and last fetched before `when`, and how many that were.

        Both: history that was read in today is kept as long as news of today.
        """

    def close(self) -> None: ...
