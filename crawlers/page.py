"""One page that a person named (`tingchao crawl --url`) becomes posts: a feed's entries, or the article it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from tingchao.config.language import Said
from tingchao.config.sources import Source
from tingchao.crawlers.base import Found
from tingchao.crawlers.charset import decode
from tingchao.crawlers.entries import looks_like_feed
from tingchao.crawlers.feed import FeedSpider
from tingchao.crawlers.visit import Answer
from tingchao.pipeline.errors import Poison, Refused


class PageSpider(FeedSpider):
    """No kind of source: it has no name of its own, so Scrapy does not list it."""

    name = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(name="page", **kwargs)

    def read(self, answer: Answer) -> Iterator[Found]:
        if looks_like_feed(answer.body):
            yield from super().read(answer)
            return
        self.visit.charset = decode(answer.body, self.content_type(answer))[1]
        raw, trouble = self.article(answer, self.raw(answer, url=answer.asked, text=""))
        if trouble is not None:
            if trouble.outcome != "title_only":
                raise Poison(trouble.outcome, trouble.detail)
            self.visit.end(trouble)
        yield Found(raw)


def page_source(url: str) -> Source:
    """The source that one page counts under: named after its host. Raises Refused for what is no http(s) address."""
    try:
        parts = urlsplit(url.strip())
        host = "" if parts.port == 0 else parts.hostname or ""  # asking for the port is what checks it
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not host or re.search(r"\s", host):
        raise Refused(Said("error.url", url=url))
    name = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")[:64] or "page"
    # geturl writes the scheme in lower case, which is how Source wants it.
    return Source(name=name, kind="page", url=parts.geturl(), topics=["*"], every=timedelta(minutes=15))
