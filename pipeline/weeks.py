"""The store becomes the newest texts of each source and week: what `tingchao models drift` looks at."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from tingchao.pipeline.clock import BEIJING, millis
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import full_text
from tingchao.pipeline.store import Store

_PAGE = 500
_MOST = 2000  # texts of a source and week; a share of 0.1 is then known to within 0.013


def texts_by_week(store: Store, since: datetime, until: datetime) -> dict[tuple[str, date], list[str]]:
    """Texts as they are scored, by source and the Monday of their week (Beijing)."""
    found: dict[tuple[str, date], list[str]] = {}
    after: tuple[int, str] | None = None
    while hits := store.search(Query(since=since, until=until, limit=_PAGE, after=after)):
        for hit in hits:
            day = hit.post.published_at.astimezone(BEIJING).date()
            texts = found.setdefault((hit.post.source, day - timedelta(days=day.weekday())), [])
            if len(texts) < _MOST:
                texts.append(full_text(hit.post.title, hit.post.text))
        after = millis(hits[-1].post.published_at), hits[-1].post.id
    return found
