"""What every kind of source shares: a spider that asks for the source's page, follows what is new, and keeps the books.

A new kind is a subclass with a `name` and one method, `read`, which turns the source's page into posts.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.python.failure import Failure

from tingchao.config.language import from_environment, in_language
from tingchao.config.sources import Source
from tingchao.crawlers.article import Article, page_lines, read_article
from tingchao.crawlers.outcome import Trouble, of_error, of_status, passing
from tingchao.crawlers.polite import conditional, validators
from tingchao.crawlers.seen import Seen, basis_of, digest, text_digest
from tingchao.crawlers.visit import FRAME_PAGES, Answer, Harvest, Visit, seen_now
from tingchao.crawlers.walls import is_login_wall
from tingchao.crawlers.writer import without_name, writer
from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.errors import Poison, Refused
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.records import Fetch

WALL_BELOW = 240  # characters; is_login_wall takes every page with more text for an article, and parses it to see
BATCH = 200  # posts a commit; feeds have 20 to 100 entries, so it is nearly always one


class Found(NamedTuple):
    """A post on the source's page, or the link to one."""

    raw: Raw
    mark: str = ""  # its version, where the page tells one (a feed's `updated`)
    follow: bool = False  # the text is behind raw.url; what raw holds is what is left when it cannot be had


class SourceSpider(Spider):
    """Visits one source once. Subclasses give `name`, the `kind` in sources.toml, and `read`."""

    def __init__(self, source: str = "", visit: Visit | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.visit = visit if visit is not None else Visit.from_environment(source)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> SourceSpider:
        try:
            spider = super().from_crawler(crawler, *args, **kwargs)
        except Refused as err:
            # `scrapy crawl` without a source that it knows. Of a cancelled task asyncio logs no traceback, and Scrapy
            # ends with exit code 1 since there is no spider.
            sys.stderr.write(f"{in_language(err, from_environment())}\n")
            raise asyncio.CancelledError from None
        crawler.signals.connect(spider.broke, signals.spider_error)
        crawler.signals.connect(spider.broke, signals.item_error)
        return spider

    def read(self, answer: Answer) -> Iterable[Raw | Found]:
        """What the source's page holds; nothing, where it is whole and lists nothing.

        Raises Poison, its reason an outcome, when it is not what it should be.
        """
        raise NotImplementedError

    @property
    def source(self) -> Source:
        return self.visit.source

    def raw(self, answer: Answer, **fields: Any) -> Raw:
        """A Raw of this source; fields as in `Raw`."""
        return Raw(**{"source": self.source.name, "kind": self.source.posts, "fetched_at": answer.fetched_at, **fields})

    async def start(self) -> AsyncIterator[Any]:
        known = self.visit.known
        yield self._ask(
            self.source.url, self._came, self._missed, ("", "") if self.visit.anew else (known.etag, known.modified)
        )

    def _ask(self, url: str, came: Any, missed: Any, known: tuple[str, str] = ("", ""), **values: Any) -> Request:
        # dont_filter: Scrapy's filter would swallow a page that redirects to itself without a word.
        return Request(url, came, errback=missed, headers=conditional(*known), dont_filter=True, cb_kwargs=values)

    def _came(self, response: Response) -> Iterator[Any]:
        trouble = of_status(response.status, (response.headers.get("Location") or b"").decode("latin-1"))
        assert response.request is not None
        self.visit.asked(response.request, response, trouble)
        if trouble is not None:
            return
        answer = self._answer(response, self.source.url)
        try:
            found = [item if isinstance(item, Found) else Found(item) for item in self.read(answer)]
        except Poison as err:
            wall = is_login_wall(answer.body, answer.content_type) if _is_text(answer.content_type) else None
            self.visit.end(Trouble("login" if wall else err.reason, response.status, wall or err.args[0]))
            return
        self.visit.listed_as(answer)
        yield from self._take(found, answer)

    def _missed(self, failure: Failure) -> None:
        self.visit.asked(failure.request, None, _trouble(failure))  # type: ignore[attr-defined]

    def broke(self, failure: Failure) -> None:
        """A bug, in the reading or publishing of one page: seen, told in one line, and the rest goes on."""
        error = failure.value
        assert error is not None
        self.visit.complete = False
        self.visit.bug(error)

    def _take(self, found: list[Found], answer: Answer) -> Iterator[Any]:
        """Publish what is new or changed, and ask for the pages that are to be followed."""
        visit = self.visit
        fresh: list[tuple[str, Found]] = []
        follow: dict[str, Found] = {}
        for item in found:
            key = visit.pages.key(basis_of(item.raw))
            if key in visit.listed:
                continue
            visit.listed.add(key)
            if item.follow:
                follow[key] = item
            elif visit.anew or _changed(visit.pages.get(key), digest(item.raw, item.mark)):
                fresh.append((key, item))
        batches = iter(fresh)
        while batch := list(islice(batches, BATCH)):
            yield self._harvest_of(batch, answer)
        yield from self._follow(follow)

    def _harvest_of(self, batch: list[tuple[str, Found]], answer: Answer) -> Harvest:
        state: dict[str, bytes | None] = {}
        for key, item in batch:
            seen = seen_now(self.visit.pages.get(key), answer.fetched_at, digest=digest(item.raw, item.mark))
            state |= self.visit.pages.put(key, seen)
        return Harvest(tuple(item.raw for _, item in batch), state)

    def _follow(self, items: dict[str, Found]) -> Iterator[Request]:
        """New and changed pages first, then known ones that are due for another look, at most `limit` in all."""
        visit, now, limit = self.visit, self.visit.now, self.source.limit
        known = {key: visit.pages.get(key) for key in items}
        new = [key for key, seen in known.items() if seen is None or (items[key].mark != seen.mark and not seen.failed)]
        again = [
            key
            for key, seen in known.items()
            if seen is not None and key not in new and seen.due(now, self.source.every)
        ]
        visit.complete = len(new) <= limit and not any(seen is not None and seen.soon for seen in known.values())
        for key in [*new, *again][:limit]:
            seen = known[key]
            validators_known = (seen.etag, seen.modified) if seen is not None and key in again else ("", "")
            yield self._ask(
                items[key].raw.url, self._article, self._article_missed, validators_known, key=key, item=items[key]
            )

    def _article(self, response: Response, key: str, item: Found) -> Iterator[Harvest]:
        before = self.visit.pages.get(key)
        trouble = of_status(response.status, (response.headers.get("Location") or b"").decode("latin-1"))
        assert response.request is not None
        if response.status < 500:
            self.visit.in_a_row = 0
        if trouble is not None and trouble.outcome == "unchanged" and before is not None:
            self.visit.read = True
            checked = int(self.visit.now.timestamp())
            seen = msgspec.structs.replace(before, checked=checked, mark=item.mark, failed=0, soon=False)
            yield Harvest(state=self.visit.pages.put(key, seen))
            return
        answer = self._answer(response, item.raw.url)
        raw = item.raw
        if trouble is None:
            raw, trouble = self.article(answer, item.raw)
        if trouble is not None:
            yield self._failed(response.request, key, item, raw, trouble)
            return
        self.visit.read = True
        found = text_digest(raw)
        seen = seen_now(before, answer.fetched_at, digest=found, mark=item.mark, answer=answer)
        changed = self.visit.anew or _changed(before, found)
        yield Harvest((raw,) if changed else (), self.visit.pages.put(key, seen))

    def _article_missed(self, failure: Failure) -> Iterator[Harvest]:
        request: Request = failure.request  # type: ignore[attr-defined]
        trouble = _trouble(failure)
        if trouble.outcome == "waiting":  # not an attempt: the page stays new, and the list is read again for it
            self.visit.complete = False
            return
        item: Found = request.cb_kwargs["item"]
        yield self._failed(request, request.cb_kwargs["key"], item, item.raw, trouble)

    def _failed(self, request: Request, key: str, item: Found, raw: Raw, trouble: Trouble) -> Harvest:
        """Record the failure, and publish what the list said of the page where that is worth a post."""
        visit, now = self.visit, int(self.visit.now.timestamp())
        if passing(trouble):
            visit.complete = False
            visit.in_a_row += 1
        before = visit.pages.get(key)
        if before is None and not item.raw.text:
            visit.unread.append(trouble)
        worth = bool(item.raw.text) or trouble.outcome == "title_only"
        found = text_digest(raw) if worth else ""
        seen = Seen(
            first=before.first if before else now,
            checked=now,
            digest=found or (before.digest if before else ""),
            mark=item.mark,
            failed=(before.failed if before else 0) + 1,
            soon=passing(trouble),
        )
        publish = worth and (visit.anew or before is None or not before.digest)
        fetches: list[Fetch] = visit.failure(item.raw.url, request, trouble)
        return Harvest((raw,) if publish else (), visit.pages.put(key, seen), tuple(fetches))

    def article(self, answer: Answer, listed: Raw) -> tuple[Raw, Trouble | None]:
        """The page behind a link as a post, or why it is none; `listed` is what the list said of it."""
        if not _is_text(answer.content_type):
            return listed, Trouble("not_a_page", detail=answer.content_type[:60])
        if _sent_home(answer):
            return listed, Trouble("gone")
        frame = self.visit.office.frame(answer.url)
        article = read_article(answer.body, answer.url, answer.fetched_at, self.content_type(answer), frame)
        wall = is_login_wall(answer.body, answer.content_type) if len(article.text) < WALL_BELOW else None
        if wall:
            return listed, Trouble("login", detail=wall)
        # For the voice only: Intake hashes it and drops it.
        name = writer(answer.body, self.content_type(answer))
        author = listed.author or name
        self._learn(answer, author)
        raw = _with_article(replace(listed, fetched_at=answer.fetched_at, author=author), article)
        raw = replace(raw, title=without_name(raw.title, name), text=without_name(raw.text, name))
        if article.text:
            return raw, None
        if raw.title and not raw.text:
            return replace(raw, flags=(*raw.flags, "title_only")), Trouble("title_only")
        return raw, Trouble("empty")

    def _learn(self, answer: Answer, author: str | None) -> None:
        """Teach the frame of the site, so that its menus and footers are known on the next page.

        Of lines with the writer's name not even a hash is kept.
        """
        site = urlsplit(answer.url).netloc
        taught = self.visit.learned.get(site, 0)
        if taught < FRAME_PAGES:
            self.visit.learned[site] = taught + 1
            lines = page_lines(answer.body, self.content_type(answer))
            learned = [line for line in lines if not author or author not in line]
            self.visit.office.frame(answer.url).learn(learned, answer.url)

    def _answer(self, response: Response, asked: str) -> Answer:
        etag, modified = validators(response)
        content_type = (response.headers.get("Content-Type") or b"").decode("latin-1")
        return Answer(response.url, asked, response.body, content_type, self.visit.now, etag, modified)

    def content_type(self, answer: Answer) -> str:
        """What the server declares, or the charset that sources.toml says is right."""
        return f"text/html; charset={self.source.encoding}" if self.source.encoding else answer.content_type


def _trouble(failure: Failure) -> Trouble:
    assert failure.value is not None
    return of_error(failure.value)


def _changed(seen: Seen | None, found: str) -> bool:
    return seen is None or seen.digest != found


def _is_text(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or kind.startswith("text/") or any(word in kind for word in ("html", "xml", "json"))


def _sent_home(answer: Answer) -> bool:
    """Whether a page that is gone was answered with the site's front page."""
    came, asked = urlsplit(answer.url), urlsplit(answer.asked)
    return came.path in {"", "/"} and not came.query and asked.path not in {"", "/"}


def _with_article(listed: Raw, article: Article) -> Raw:
    published: datetime | None = article.published_at or listed.published_at
    flags = listed.flags
    if article.published_at is not None and not article.minute:
        # Only a day: today's page was most likely published since the last visit, so the fetch is nearer than midnight.
        today = article.published_at.astimezone(BEIJING).date() == listed.fetched_at.astimezone(BEIJING).date()
        published = listed.published_at or (None if today else article.published_at)
        flags = (*flags, "date_only") if published is not None and listed.published_at is None else flags
    return replace(
        listed,
        title=article.title or listed.title,
        text=article.text or listed.text,
        published_at=published,
        flags=flags,
    )
