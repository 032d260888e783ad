"""Harvests become Posts in the log: the end of every spider, as a Scrapy item pipeline."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import structlog

from tingchao.crawlers.seen import GROUP
from tingchao.crawlers.visit import Harvest, Visit
from tingchao.pipeline.errors import Poison, Retry
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.privacy import mask_url
from tingchao.pipeline.records import Dead, Fetch, Post

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = structlog.get_logger()


class Publish:
    """Commits the posts of a page and what is remembered of it in one transaction; at the end the visit's record."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    async def process_item(self, item: Harvest) -> Harvest:
        visit = self._visit
        if visit.office.stopping:
            return item
        posts, dead = make_posts(visit, item.raws)
        outputs = [output("posts", post.source, post) for post in posts]
        outputs += [output("dead", letter.id, letter) for letter in dead]
        outputs += [output("fetches", fetch.source, fetch) for fetch in item.fetches]
        await commit(visit, outputs, item.state)
        visit.items += len(posts)
        tell(visit, posts, item.fetches)
        return item

    async def close_spider(self) -> None:
        if not self._visit.office.stopping:
            await finish(self._visit)

    @property
    def _visit(self) -> Visit:
        visit: Visit = self._crawler.spider.visit  # type: ignore[union-attr]
        return visit


async def finish(visit: Visit) -> Fetch:
    """Commit the record of the visit and what is remembered of the source, once."""
    if visit.fetch is None:
        fetch, state = visit.finish()
        await commit(visit, [output("fetches", fetch.source, fetch)], state)
        tell(visit, (), (fetch,))
        visit.fetch = fetch
    return visit.fetch


def make_posts(visit: Visit, raws: Sequence[Raw]) -> tuple[list[Post], list[Dead]]:
    """Masked posts, and a dead letter without content for each entry that cannot be one."""
    posts: list[Post] = []
    dead: list[Dead] = []
    for raw in raws:
        try:
            posts.append(visit.office.intake.post(raw))
        except Poison as err:
            dead.append(_bury(visit, raw, err))
    return posts, dead


async def commit(visit: Visit, outputs: Sequence[Output], state: Mapping[str, bytes | None]) -> None:
    """Publish with the state of the crawl; waits for as long as the log cannot take it."""
    complaint = ""
    while True:
        try:
            visit.office.log.publish(outputs, visit.now, group=GROUP, state=state)
        except Retry as err:
            if str(err) != complaint:  # the same complaint once, not at every try
                complaint = str(err)
                logger.warning("crawl.retry", source=visit.source.name, error=complaint, after=err.after)
            await asyncio.sleep(err.after)
        else:
            return


def tell(visit: Visit, posts: Sequence[Post], fetches: Sequence[Fetch]) -> None:
    """Tell who asked to hear of posts and fetches, once they are committed."""
    if visit.office.on_post is not None:
        for post in posts:
            visit.office.on_post(post)
    if visit.office.on_fetch is not None:
        for fetch in fetches:
            visit.office.on_fetch(fetch)


def _bury(visit: Visit, raw: Raw, err: Poison) -> Dead:
    content = f"{raw.source}\n{raw.url}\n{raw.basis}\n{raw.title}\n{raw.text}".encode("utf-8", "replace")
    found = hashlib.blake2b(content, digest_size=8).hexdigest()
    return Dead(
        id=found,
        stage="crawl",
        reason=err.reason,
        error=str(err),
        at=visit.now,
        origin=mask_url(raw.url) or visit.source.url,
        hash=found,
    )
