"""Posts of the past, from a file or the store, become the mentions that `score` would have written of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from tingchao.config.settings import Settings
from tingchao.models.reasons import Reasons
from tingchao.models.scores import Scores
from tingchao.pipeline.clock import millis
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.intake import Intake
from tingchao.pipeline.log import Log
from tingchao.pipeline.matching import Matcher
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import Mention, Post, Scored, decode
from tingchao.pipeline.rows import Line, raw
from tingchao.pipeline.score import Models, Score
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input
from tingchao.pipeline.store import Store

_BATCH = 500
Span = tuple[datetime | None, datetime | None]  # published_at, from and without


def from_lines(lines: Iterable[Line], now: datetime, span: Span, bad: Counter[str]) -> list[Post]:
    """The posts of a file, each as if fetched when it was published; `bad` counts lines by what is wrong.

    A post without a time, or of one to come, is left out: its place in the past is not known.
    """
    with TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder) / "voices.db")  # only for the keys of the voices, gone with the folder
        try:
            return list(_posts(lines, now, span, bad, log))
        finally:
            log.close()


def from_store(store: Store, span: Span) -> list[Scored]:
    """The scored posts of the store. It keeps no voices: each post stands for one, which is the most there can be."""
    found: list[Scored] = []
    query = Query(since=span[0], until=span[1], limit=1000)
    while hits := store.search(query):
        found += [_as_fetched(hit) for hit in hits]
        last = found[-1].post
        query = replace(query, after=(millis(last.published_at), last.id))
    return found[::-1]


def mentions(posts: Sequence[Post], settings: Settings, models: Models) -> Iterator[Mention]:
    """What `score` writes for the watched topics."""
    stage = Score(models, Matcher(settings.topics, settings.sources))
    for first in range(0, len(posts), _BATCH):
        result = stage.process([Input(post, post.fetched_at) for post in posts[first : first + _BATCH]])
        yield from (decode(Mention, one.value) for one in result.outputs if one.topic == "mentions")


class Stored:
    """Stands for the models where the scores are known already."""

    version = "stored"

    def __init__(self, scores: Iterable[Scores]) -> None:
        """`scores`: of the posts in the order in which they will be asked for."""
        self._scores = iter(scores)

    def score(self, texts: Sequence[str]) -> list[Scores]:
        return [next(self._scores) for _ in texts]

    def phrases(
        self,
        texts: Sequence[str],
        heads: Sequence[Sequence[str]],
        limit: int = 8,  # noqa: ARG002 as Models has it
        part: float = 0.0,  # noqa: ARG002
    ) -> list[dict[str, Reasons]]:
        """No words: they are not stored."""
        return [{name: Reasons([], []) for name in names} for _, names in zip(texts, heads, strict=True)]


def _posts(lines: Iterable[Line], now: datetime, span: Span, bad: Counter[str], log: Log) -> Iterator[Post]:
    intake, seen = Intake(log), Counter[bytes]()
    for line in lines:
        try:
            found = raw(line, "backtest", now, seen)
            at = _past(found.published_at, now)
            if (span[0] is None or at >= span[0]) and (span[1] is None or at < span[1]):
                yield intake.post(replace(found, fetched_at=at))
        except Poison as err:
            bad[err.reason] += 1


def _past(published: datetime | None, now: datetime) -> datetime:
    """Live such a post counts when it comes; of a file nobody knows that any more. Raises Poison."""
    if published is None:
        raise Poison("post.no_time", "no time of publication")
    if published > now:
        raise Poison("post.future", "published in the future")
    return published


def _as_fetched(hit: Scored) -> Scored:
    post = structs.replace(hit.post, fetched_at=hit.post.published_at, voice=hit.post.id[:16])
    return structs.replace(hit, post=post)
