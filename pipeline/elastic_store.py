"""The Store on Elasticsearch: one index a month (`elastic_layout.py`), versions by revision, read through one alias."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from elasticsearch import Elasticsearch, helpers

from tingchao.config.elastic import ElasticSettings
from tingchao.pipeline import metrics
from tingchao.pipeline.clock import from_millis
from tingchao.pipeline.elastic_client import busy, connect, forbidden, mapping, missing, named
from tingchao.pipeline.elastic_client import cause as cause_of
from tingchao.pipeline.elastic_layout import Names, differences, document, make_month
from tingchao.pipeline.elastic_pages import PAGE, pages, scored
from tingchao.pipeline.elastic_query import ORDER, clause
from tingchao.pipeline.elastic_rewrite import Copying, rewrite, unblock
from tingchao.pipeline.errors import Poison, Retry
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import Post, Scored
from tingchao.pipeline.store import ALIGNED, Bucket, steps

_ID_BYTES = 512  # Elasticsearch's limit; a longer id makes it refuse the whole request
_RECENT = 20_000  # ids put lately that are remembered, some 10 MB; then one refresh
_CHUNK_BYTES = 10_000_000  # of one bulk request; the server takes 100 MB, and 5 to 15 MB go fastest
_ASKED = ("items.*.status", "items.*.result", "items.*.error")  # all else of an answer is not read
_BAD_VALUE = frozenset({"document_parsing_exception", "mapper_parsing_exception"})
_BUCKETS = 10_000  # of one answer; the server's limit is 65,536


class Standing(NamedTuple):
    """What there is of a post: its first time of publication and its newest revision."""

    published_at: datetime
    revision: int


class Placed(NamedTuple):
    """A post on its way into an index."""

    into: str  # an index, or the alias of a month
    scored: Scored


class ElasticStore:
    """See `store.Store` for what each method promises."""

    def __init__(self, settings: ElasticSettings, client: Elasticsearch | None = None) -> None:
        self._client = connect(settings) if client is None else client
        self._names = Names(settings.prefix)
        self._months: set[str] = set()  # known to be there
        # What this process put since the last refresh: a search does not see it yet.
        self._recent: dict[str, Standing] = {}

    def put(self, batch: Sequence[Scored]) -> list[str]:
        outcomes: list[str] = []
        for start in range(0, len(batch), PAGE):
            outcomes += self._put(batch[start : start + PAGE])
        return outcomes

    def refresh(self) -> None:
        with named():
            answer = self._client.indices.refresh(index=self._names.all, ignore_unavailable=True)
        if failed := answer["_shards"]["failed"]:
            raise busy("refresh", f"{failed} shards did not refresh")
        self._recent.clear()

    def search(self, query: Query) -> list[Scored]:
        if query.limit is not None and query.limit <= PAGE:
            return self._newest(query) if query.limit else []
        every = (hit for page in pages(self._client, self._names.all, clause(query), ORDER) for hit in page)
        return list(itertools.islice(every, query.limit))

    def count(self, query: Query) -> int:
        answer = self._aggregate(replace(query, after=None), {})
        return int(answer["hits"]["total"]["value"])

    def over_time(self, query: Query, step: timedelta) -> list[Bucket]:
        query, width = replace(query, after=None), step // timedelta(milliseconds=1)
        ends = {"first": {"min": {"field": "published_at"}}, "last": {"max": {"field": "published_at"}}}
        answer = self._aggregate(query, ends)
        if not answer["hits"]["total"]["value"]:
            return []
        found = answer["aggregations"]
        first, last = (int(found[end]["value"]) + ALIGNED for end in ends)
        counts = dict(self._buckets(query, width))
        starts = (n * width - ALIGNED for n in steps(first // width, last // width, step))
        return [Bucket(from_millis(start), counts.get(start, 0)) for start in starts]

    def delete_before(self, when: datetime) -> int:
        return sum(self._drop(index, when) for index in self._indices() if self._names.end(index) <= when)

    def rewrite(self, since: datetime, change: Callable[[Sequence[Scored]], Sequence[Scored]]) -> Iterator[int]:
        def send(index: str, posts: Sequence[Scored]) -> None:
            self._send([Placed(index, one) for one in posts], require_alias=False)

        return rewrite(Copying(self._client, self._names, send, since, change))

    def close(self) -> None:
        self._client.close()

    # ------------------------------------------------------------ putting

    def _put(self, part: Sequence[Scored]) -> list[str]:
        for one in part:
            _check(one.post)
        standing = self._standing({one.post.id for one in part})
        outcomes: list[str] = []
        newest: dict[str, Scored] = {}
        for one in part:
            post = one.post
            known = standing.get(post.id)
            if known is not None and known.revision > post.revision:
                outcomes.append("stale")
                continue
            outcomes.append("indexed" if known is None else "updated")
            # The first revision fixes the time of publication, and with it the month.
            first = post.published_at if known is None else known.published_at
            standing[post.id] = Standing(first, post.revision)
            newest[post.id] = msgspec.structs.replace(one, post=msgspec.structs.replace(post, published_at=first))
        placed = [Placed(self._names.month(one.post.published_at), one) for one in newest.values()]
        self._months_are_there({one.into for one in placed})
        overtaken = {one.scored.post.id for one, fresh in zip(placed, self._send(placed), strict=True) if not fresh}
        self._remember({ident: standing[ident] for ident in newest})
        return ["stale" if one.post.id in overtaken else outcome for one, outcome in zip(part, outcomes, strict=True)]

    def _standing(self, ids: set[str]) -> dict[str, Standing]:
        """What there is of these posts, in whatever month it stands."""
        found = {ident: self._recent[ident] for ident in ids & self._recent.keys()}
        if len(found) == len(ids):
            return found
        with named():
            answer = self._client.search(
                index=self._names.all,
                ignore_unavailable=True,
                allow_partial_search_results=False,  # what is not found is put as new: no shard may be missing
                query={"ids": {"values": sorted(ids - found.keys())}},
                source_includes=["record.post.published_at", "fetched_at"],
                size=len(ids),
                track_total_hits=False,
            )
        for hit in answer["hits"]["hits"]:
            source = hit["_source"]
            published = datetime.fromisoformat(source["record"]["post"]["published_at"])
            found[hit["_id"]] = Standing(published, source["fetched_at"])
        return found

    def _remember(self, put: dict[str, Standing]) -> None:
        self._recent |= put
        if len(self._recent) > _RECENT:
            self.refresh()

    def _months_are_there(self, months: set[str]) -> None:
        for month in sorted(months - self._months):
            make_month(self._client, self._names, month)
            self._months.add(month)

    def _send(self, placed: Sequence[Placed], *, require_alias: bool = True) -> list[bool]:
        """For each post whether it was written; False where a newer revision stands. Raises Retry before Poison."""
        with named():
            items = [
                item["index"]
                for _, item in helpers.streaming_bulk(
                    self._client,
                    placed,  # type: ignore[arg-type]  # what expand_action_callback takes
                    chunk_size=PAGE,
                    max_chunk_bytes=_CHUNK_BYTES,
                    expand_action_callback=_action,  # type: ignore[arg-type]
                    raise_on_error=False,
                    require_alias=require_alias,
                    filter_path=_ASKED,
                    timeout="10s",  # for a shard that is not there, before it is given up
                )
            ]
        problems = [
            problem
            for one, item in zip(placed, items, strict=True)
            if (problem := self._problem(one, item)) is not None
        ]
        for problem in problems:
            metrics.REJECTIONS.labels(problem.reason or "other").inc()
        for problem in sorted(problems, key=lambda err: not isinstance(err, Retry)):
            raise problem
        return [item["status"] != _CONFLICT for item in items]

    def _problem(  # noqa: PLR0911 a meaning each
        self, one: Placed, item: dict[str, Any]
    ) -> Retry | Poison | None:
        """What the answer to one post of a bulk request means."""
        status = int(item["status"])
        if status in {200, 201, _CONFLICT}:
            return None
        kind, reason = cause_of(item)
        if kind == "index_not_found_exception":
            self._months.discard(one.into)  # made anew at the next try
            return missing(f"{one.into} is not there (any more)")
        if status == 403:
            return forbidden(kind, reason)
        if kind == "strict_dynamic_mapping_exception":
            return mapping(f"{one.into}: {reason}")
        if kind in _BAD_VALUE:
            if wrong := differences(self._client, one.into):
                return mapping("; ".join(wrong[:5]))
            return Poison("store.document", f"Elasticsearch refuses this document: {reason}")
        return busy(kind, reason)

    # ------------------------------------------------------------ reading

    def _newest(self, query: Query) -> list[Scored]:
        with named():
            answer = self._client.search(
                index=self._names.all,
                ignore_unavailable=True,  # before the first post there is no index
                allow_partial_search_results=False,
                query=clause(query),
                sort=ORDER,
                size=query.limit,
                source_includes=["record"],
                track_total_hits=False,
            )
        return [scored(hit) for hit in answer["hits"]["hits"]]

    def _aggregate(self, query: Query, aggregations: dict[str, Any], index: str = "") -> Any:
        with named():
            return self._client.search(
                index=index or self._names.all,
                ignore_unavailable=True,
                allow_partial_search_results=False,
                query=clause(query),
                size=0,
                track_total_hits=True,
                aggs=aggregations or None,
            )

    def _buckets(self, query: Query, width: int) -> Iterator[tuple[int, int]]:
        """Start in milliseconds and number of posts, of steps with posts only."""
        asked = {"field": "published_at", "fixed_interval": f"{width}ms", "offset": f"-{ALIGNED}ms"}
        composite: dict[str, Any] = {"size": _BUCKETS, "sources": [{"start": {"date_histogram": asked}}]}
        while True:
            found = self._aggregate(query, {"steps": {"composite": composite}})["aggregations"]["steps"]
            yield from ((bucket["key"]["start"], bucket["doc_count"]) for bucket in found["buckets"])
            if "after_key" not in found:
                return
            composite["after"] = found["after_key"]

    # ------------------------------------------------------------ ageing

    def _indices(self) -> list[str]:
        """Every index of ours that the cluster itself does not drop, also one that a broken replay left."""
        with named():
            found = self._client.indices.get(index=self._names.pattern, features="settings").body
        return [
            index
            for index, body in sorted(found.items())
            if self._names.ours(index) and "lifecycle" not in body["settings"]["index"]
        ]

    def _drop(self, index: str, when: datetime) -> int:
        """Drop the index of a month that has ended, unless something was fetched into it since `when`; its posts."""
        if self._last_fetched(index) >= when:
            return 0
        with named():  # nothing may come in between the look and the deletion
            self._client.indices.add_block(index=index, block="write")
        dropped = False
        try:
            with named():
                self._client.indices.refresh(index=index)
            posts = self._aggregate(Query(), {}, index)["hits"]["total"]["value"]
            if self._last_fetched(index) < when:
                with named():
                    self._client.indices.delete(index=index)
                dropped = True
        finally:
            if not dropped:
                unblock(self._client, index)
        self._months.clear()
        self._recent.clear()
        return int(posts) if dropped else 0

    def _last_fetched(self, index: str) -> datetime:
        found = self._aggregate(Query(), {"last": {"max": {"field": "fetched_at"}}}, index)["aggregations"]["last"]
        return from_millis(int(found["value"] or 0))


_CONFLICT = 409


def _check(post: Post) -> None:
    """What makes Elasticsearch refuse a whole request instead of one document. Raises Poison."""
    if len(post.id.encode()) > _ID_BYTES or not post.id:
        raise Poison("store.id", f"an id of {len(post.id.encode())} bytes, expected 1 to {_ID_BYTES}")
    if post.revision < 0:
        raise Poison("store.revision", f"fetched_at {post.fetched_at.isoformat()}, expected a time after 1970")


def _action(placed: Placed) -> tuple[dict[str, Any], bytes]:
    post = placed.scored.post
    header = {"_index": placed.into, "_id": post.id, "version": post.revision, "version_type": "external_gte"}
    return {"index": header}, document(placed.scored)
