"""All hits of a search, page by page, as they stood at one point in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from tingchao.pipeline.elastic_client import named
from tingchao.pipeline.records import Scored, decode

PAGE = 500  # posts of one answer: about 1 MB, at worst 128 MB
_KEEP_ALIVE = "5m"  # of the point in time, from page to page


def pages(
    client: Elasticsearch,
    index: str,
    query: dict[str, Any],
    sort: Sequence[Any] = ("_shard_doc",),  # the fastest order
    preference: str | None = None,
) -> Iterator[list[Scored]]:
    """Pages of at most PAGE hits; none when there is no such index."""
    with named():
        opened = client.open_point_in_time(
            index=index, keep_alive=_KEEP_ALIVE, ignore_unavailable=True, preference=preference
        )
    pit, behind = opened["id"], None
    try:
        while True:
            with named():
                answer = client.search(
                    query=query,
                    sort=sort,
                    pit={"id": pit, "keep_alive": _KEEP_ALIVE},
                    search_after=behind,
                    size=PAGE,
                    source_includes=["record"],
                    track_total_hits=False,
                )
            hits, pit = answer["hits"]["hits"], answer["pit_id"]
            if hits:
                yield [scored(hit) for hit in hits]
            if len(hits) < PAGE:
                return
            behind = hits[-1]["sort"]
    finally:
        with named():
            client.options(ignore_status=404).close_point_in_time(id=pit)


def scored(hit: dict[str, Any]) -> Scored:
    """The post of a hit. Raises Poison when it is of a version that is not known."""
    return decode(Scored, msgspec.json.encode(hit["_source"]["record"]))
