"""Posts into Elasticsearch: a second, and bytes a post, beside `helpers.bulk` on the same server and posts.

Needs ELASTICSEARCH_URL (`eval $(python tests/services.py up elasticsearch)`); see docs/deploy.md for the figures.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from elasticsearch import Elasticsearch, helpers
from parts import alternate, posts, ratio, spread

from tingchao.config.elastic import ElasticSettings
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.elastic_client import connect
from tingchao.pipeline.elastic_layout import MAPPINGS, document, settings_of, setup
from tingchao.pipeline.elastic_store import ElasticStore
from tingchao.pipeline.records import Post, Scored

COUNT = 30_000
ROUNDS = 3
BATCH = 500
NOW = datetime(2026, 1, 20, tzinfo=UTC)


def scored(shared: Path) -> list[Scored]:
    scores = Scores(0.2, 0.7, 0.1, (0.05,) * len(SIGNALS), 0.4, 0.6, 0.02, given=("outage",))
    return [
        Scored(
            post=Post(
                id=uuid.uuid5(uuid.NAMESPACE_URL, str(number)).hex,
                source=str(row["source"]),
                url=f"https://news.example/{number}",
                text=str(row["text"]),
                published_at=(at := NOW + timedelta(seconds=number)),
                fetched_at=at,
            ),
            scores=scores,
            topics=("metro",),
            model="bench",
        )
        for number, row in enumerate(posts(shared, COUNT))
    ]


class Bench:
    """One prefix a round; the sizes of the last round are kept."""

    def __init__(self, client: Elasticsearch, url: str, batch: list[Scored]) -> None:
        self._client, self._url, self._posts = client, url, batch
        self.bytes = {"ours": 0.0, "bare": 0.0}

    def ours(self) -> float:
        settings = ElasticSettings(urls=[self._url], prefix=f"bench-{time.monotonic_ns()}")
        setup(self._client, settings, timedelta(days=180))
        store = ElasticStore(settings)
        store.put(self._posts[:1])  # makes the month
        began = time.perf_counter()
        for start in range(0, COUNT, BATCH):
            store.put(self._posts[start : start + BATCH])
        rate = COUNT / (time.perf_counter() - began)
        self._size("ours", f"{settings.prefix}-posts-2026-01-1")
        self._client.indices.delete_index_template(name=f"{settings.prefix}-posts")
        return rate

    def bare(self) -> float:
        """The same documents, made before the clock starts, into one index, no versions, no look for older ones."""
        name = f"bench-{time.monotonic_ns()}"
        shape = settings_of(ElasticSettings(urls=[self._url]))
        self._client.indices.create(index=name, settings={"index": shape}, mappings=MAPPINGS)
        rows = [(one.post.id, msgspec.json.decode(document(one))) for one in self._posts]
        began = time.perf_counter()
        for start in range(0, COUNT, BATCH):
            batch = rows[start : start + BATCH]
            actions = ({"_index": name, "_id": ident, "_source": source} for ident, source in batch)
            helpers.bulk(self._client, actions, chunk_size=BATCH)
        rate = COUNT / (time.perf_counter() - began)
        self._size("bare", name)
        return rate

    def _size(self, name: str, index: str) -> None:
        self._client.indices.forcemerge(index=index, max_num_segments=1)
        self._client.indices.refresh(index=index)
        stats = self._client.indices.stats(index=index, metric="store")
        self.bytes[name] = stats["_all"]["primaries"]["store"]["size_in_bytes"] / COUNT
        self._client.indices.delete(index=index)


def main(shared: Path) -> None:
    url = os.environ["ELASTICSEARCH_URL"]
    client = connect(ElasticSettings(urls=[url]))
    bench = Bench(client, url, scored(shared))
    mine, bare = alternate(bench.ours, bench.bare, ROUNDS)
    print(f"elastic: {COUNT:,} posts of about 80 characters in batches of {BATCH}, {ROUNDS} rounds")
    print(f"  ElasticStore.put   {spread(mine)} posts/s, {bench.bytes['ours']:,.0f} bytes a post")
    print(f"  helpers.bulk alone {spread(bare)} posts/s, {bench.bytes['bare']:,.0f} bytes a post")
    print(f"  ratio              {ratio(mine, bare)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
