"""The Store: put (idempotent by id and revision), search, count over time, delete by age.

Two backends keep one contract (tests/test_store.py): SQLite with FTS5 (`sqlite_store.py`) and, on a cluster,
Elasticsearch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec

from tingchao.config.language import Said
from tingchao.models.scores import Scores
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.grams import grams
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import Post, Scored

BUCKET_LIMIT = 100_000  # buckets of one answer: 69 days of minutes, 11 years of hours
ALIGNED = 8 * 3600 * 1000  # milliseconds: steps begin so long before the epoch, at midnight in Beijing


class Bucket(NamedTuple):
    """Posts published in [start, start + step)."""

    start: datetime
    posts: int


class Store(Protocol):
    """Scored posts by id. No voice is ever stored."""

    def put(self, batch: Sequence[Scored]) -> list[str]:
        """Outcomes in order: indexed (a new id), updated (a newer or equal revision), stale (an older one).

        Durable when it returns; a search sees it at the latest after `refresh`. Posts of one id are put by one
        process at a time (the log sees to that). Raises Retry when the store cannot take it now: part of the batch may
        stand then, and the same batch is put again. Raises Poison when it never will take a post of the batch.
        """

    def refresh(self) -> None:
        """What any process has put before this call is seen by all that follows."""

    def search(self, query: Query) -> list[Scored]:
        """Hits by `published_at`, then id, newest first; at most `query.limit`."""

    def count(self, query: Query) -> int:
        """All hits; `limit` and `after` do not matter."""

    def over_time(self, query: Query, step: timedelta) -> list[Bucket]:
        """Posts in each step, from the first hit to the last; empty steps are 0. A day begins at midnight in Beijing.

        Raises Refused when that makes more than BUCKET_LIMIT steps.
        """

    def delete_before(self, when: datetime) -> int:
        """Delete what was both published and last fetched before `when`, and how many that were.

        Both: history that was read in today is kept as long as news of today. On a cluster whole months go at once:
        a post is kept until all posts of its month may go.
        """

    def rewrite(self, since: datetime, change: Callable[[Sequence[Scored]], Sequence[Scored]]) -> Iterator[int]:
        """Replace each post published at or after `since` by what `change` makes of it; how many, batch by batch.

        `change` keeps ids and times. Posts may be put and searched meanwhile: each is found once, in its old or its
        new form. Broken off, it may be run again.
        """

    def close(self) -> None: ...


def steps(first: int, last: int, step: timedelta) -> range:
    """The numbers of the steps from the first hit to the last. Raises Refused for more than BUCKET_LIMIT."""
    numbers = range(first, last + 1)
    if len(numbers) > BUCKET_LIMIT:
        raise Refused(Said("error.steps", count=len(numbers), step=step, most=BUCKET_LIMIT))
    return numbers


def likeliest(scores: Scores) -> str:
    """The sentiment that a search goes by."""
    chances = {"negative": scores.negative, "neutral": scores.neutral, "positive": scores.positive}
    return max(chances, key=lambda name: chances[name])


def searched(post: Post) -> str:
    """The grams of a post. The title ends a run: a pair across title and text would be found though nobody wrote it."""
    return " ".join(grams(f"{post.title}\n{post.text}"))


def without_voice(scored: Scored) -> Scored:
    """The form in which a post is stored."""
    return msgspec.structs.replace(scored, post=msgspec.structs.replace(scored.post, voice=""))
