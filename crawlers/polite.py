"""Politeness towards sites: robots.txt, patience when one asks for it, one request at a time, no page twice in vain.

These are Scrapy downloader middlewares. What they know of a site they keep in `Sites`, which all visits of a process
share, so that two sources of one site do not visit it side by side.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

from protego import Protego
from scrapy import Request
from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler  # what Scrapy itself uses without a reactor
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK

from tingchao.config.politeness import product
from tingchao.config.settings import CrawlSettings
from tingchao.crawlers.outcome import Forbidden, RobotsUnavailable, Waiting, of_error
from tingchao.pipeline.clock import Clock, stopwatch

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from tingchao.crawlers.visit import Visit  # which imports this file for Sites

ROBOTS_KEPT = 3600.0  # seconds; RFC 9309 section 2.4 allows a day, an hour notices a site's change of mind sooner
ROBOTS_FAILED_KEPT = 60.0  # seconds; the next visit asks again, other sources of the same site meanwhile do not
ROBOTS_LIMIT = 1024 * 1024  # bytes; RFC 9309 section 2.5 asks for at least 500 KiB
LONGEST_CRAWL_DELAY = 120.0  # seconds; some ask for hours, which is a way to say no that Disallow says better
LONGEST_PATIENCE = timedelta(days=1)
SHORTEST_PATIENCE = timedelta(seconds=1)
NO_PATIENCE_GIVEN = timedelta(minutes=5)  # 429 without Retry-After

_ROBOTS_REQUEST = "tingchao_robots_request"
_ENTERED = "tingchao_entered"
ROBOTS = "tingchao_robots"  # the key of Request.meta with the decision, in words


class Rules(NamedTuple):
    """What a site's robots.txt says, or why it says nothing."""

    answer: str  # "robots.txt 200", "robots.txt 404", "robots.txt 503", "robots.txt timeout"
    parser: Protego | None  # None: no rules, everything is allowed
    available: bool
    cause: Exception | None = None
    delay: float = 0.0  # seconds between two requests


class Download(AiohttpDownloadHandler):
    """Scrapy's handler, made when first needed: it reads all certificates of the system, also for plain http."""

    lazy = True

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._open = _sites(crawler).downloads
        self._open.add(self)

    async def close(self) -> None:
        """Close the connections."""
        self._open.discard(self)
        await super().close()


class Gate:
    """The way into one site for all visits of the process."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._next = 0.0

    async def enter(self, delay: float) -> None:
        """Wait for a place, and until `delay` seconds have passed since the last one entered."""
        await self._places.acquire()
        try:
            start = max(stopwatch(), self._next)
            self._next = start + delay
            await asyncio.sleep(max(0.0, start - stopwatch()))
        except BaseException:
            self._places.release()
            raise

    def leave(self) -> None:
        self._places.release()


class Sites:
    """What the process knows of sites. `real` is the machine's clock: politeness runs on real time."""

    def __init__(self, crawl: CrawlSettings, real: Clock, held: Mapping[str, datetime]) -> None:
        self.crawl, self._real = crawl, real
        self.agent = product(crawl)
        self.downloads: set[Download] = set()  # with connections that are open
        self._held = dict(held)
        self._rules: dict[str, tuple[float, asyncio.Future[Rules]]] = {}
        self._gates: dict[str, Gate] = {}

    def hold(self, site: str, wait: timedelta) -> None:
        """Ask nothing of a site for so long."""
        until = self._real.now() + min(max(wait, SHORTEST_PATIENCE), LONGEST_PATIENCE)
        self._held[site] = max(until, self._held.get(site, until))

    def held_for(self, site: str) -> timedelta:
        """How long the site still wants to be left alone."""
        return max(self._held.get(site, self._real.now()) - self._real.now(), timedelta())

    def holds(self) -> dict[str, datetime | None]:
        """Every site that asked for patience and until when; None, and forgotten here, when the time is over."""
        holds = {site: until if self.held_for(site) else None for site, until in self._held.items()}
        self._held = {site: until for site, until in holds.items() if until is not None}
        return holds

    def gate(self, host: str) -> Gate:
        return self._gates.setdefault(host, Gate(self.crawl.requests_per_site))

    def delay(self, url: str) -> float:
        """Seconds between two requests: the setting, or the site's Crawl-delay when that is longer."""
        known = self._rules.get(origin(url))
        asked = known[1].result().delay if known and known[1].done() and not known[1].cancelled() else 0.0
        return max(self.crawl.delay.total_seconds(), asked)

    async def rules(self, url: str, crawler: Crawler) -> Rules:
        """The rules of the site of `url`, fetched once for all who ask meanwhile."""
        key, now = origin(url), stopwatch()
        known = self._rules.get(key)
        if known is None or now >= known[0]:
            future: asyncio.Future[Rules] = asyncio.ensure_future(_fetch_rules(key, self.agent, crawler))
            known = self._rules[key] = (now + ROBOTS_KEPT, future)
        rules = await asyncio.shield(known[1])
        if not rules.available and known[0] > now + ROBOTS_FAILED_KEPT:
            self._rules[key] = (now + ROBOTS_FAILED_KEPT, known[1])
        return rules


class _Middleware:
    """What Scrapy makes for each crawl."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)


class Robots(_Middleware):
    """Obeys robots.txt and writes each decision into the request: allowed, disallowed or unavailable, and by what."""

    async def process_request(self, request: Request) -> None:
        if request.meta.get(_ROBOTS_REQUEST):
            return
        sites = _sites(self._crawler)
        rules = await sites.rules(request.url, self._crawler)
        if not rules.available:
            request.meta[ROBOTS] = f"unavailable: {rules.answer}"
            if isinstance(rules.cause, Waiting):
                raise Waiting(request.url)
            raise RobotsUnavailable(rules.answer, rules.cause)
        allowed = rules.parser is None or rules.parser.can_fetch(request.url, sites.agent)
        delay = f", crawl-delay {rules.delay:g}" if rules.delay else ""
        request.meta[ROBOTS] = f"{'allowed' if allowed else 'disallowed'}: {rules.answer}{delay}"
        if not allowed:
            raise Forbidden(request.url)


class Patience(_Middleware):
    """429, and 503 with Retry-After: the site is left alone for as long as it asks, also by later visits.

    A visit that found the site down asks for no more either.
    """

    def process_request(self, request: Request) -> None:
        visit: Visit = self._crawler.spider.visit  # type: ignore[union-attr]
        if visit.gave_up or visit.office.sites.held_for(urlsplit(request.url).netloc):
            raise Waiting(request.url)


class OneAtATime(_Middleware):
    """At most `requests_per_site` requests to one host, whichever sources they are for, and the delay between them."""

    async def process_request(self, request: Request) -> None:
        sites, host = _sites(self._crawler), urlsplit(request.url).netloc
        await sites.gate(host).enter(sites.delay(request.url))
        request.meta[_ENTERED] = True
        if sites.held_for(host):  # since this request passed Patience, another one's answer asked for it
            self._leave(request)
            raise Waiting(request.url)

    def process_response(self, request: Request, response: Response) -> Response:
        wait = retry_after(response)
        if wait is not None:  # before the next request comes in
            _sites(self._crawler).hold(urlsplit(request.url).netloc, wait)
        self._leave(request)
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:  # noqa: ARG002 Scrapy names it
        self._leave(request)

    def _leave(self, request: Request) -> None:
        # Scrapy also tells of errors of middlewares before this one, whose requests never came in.
        if request.meta.pop(_ENTERED, False):
            _sites(self._crawler).gate(urlsplit(request.url).netloc).leave()


def conditional(etag: str, modified: str) -> dict[str, str]:
    """The headers that ask for a page only if it has changed (RFC 9110 section 13)."""
    headers = {"If-None-Match": etag} if etag else {}
    return headers | ({"If-Modified-Since": modified} if modified else {})


def validators(response: Response) -> tuple[str, str]:
    """ETag and Last-Modified of an answer; odd ones are dropped, as they would be sent back."""
    return _header(response, "ETag", 200), _header(response, "Last-Modified", 64)


def retry_after(response: Response) -> timedelta | None:
    """How long to wait after this answer; None when it does not ask to (RFC 9110 section 10.2.3, RFC 6585)."""
    if response.status not in {429, 503}:
        return None
    given = _header(response, "Retry-After", 64)
    if re.fullmatch(r"\d{1,9}", given):
        return timedelta(seconds=int(given))
    try:
        until = parsedate_to_datetime(given)
        now = parsedate_to_datetime(_header(response, "Date", 64) or format_datetime(datetime.now(UTC)))
        return max(until - now, timedelta())
    except (ValueError, TypeError):
        return NO_PATIENCE_GIVEN if response.status == 429 else None


def origin(url: str) -> str:
    """Scheme and host: what one robots.txt stands for."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _fetch_rules(site: str, agent: str, crawler: Crawler) -> Rules:
    request = Request(
        f"{site}/robots.txt",
        callback=NO_CALLBACK,
        priority=1000,
        dont_filter=True,
        meta={_ROBOTS_REQUEST: True, "dont_retry": True, "download_maxsize": ROBOTS_LIMIT},
    )
    try:
        response = await crawler.engine.download_async(request)
    except Exception as err:  # noqa: BLE001 whatever it is, without robots.txt nothing may be fetched
        return Rules(f"robots.txt {of_error(err).outcome}", None, available=False, cause=err)
    answer = f"robots.txt {response.status}"
    if response.status == 429 or response.status >= 500:
        return Rules(answer, None, available=False)
    if not 200 <= response.status < 300:
        return Rules(answer, None, available=True)  # RFC 9309 section 2.3.1.3: there are no rules
    parser = Protego.parse(response.body.decode("utf-8-sig", "ignore"))
    return Rules(answer, parser, available=True, delay=min(parser.crawl_delay(agent) or 0.0, LONGEST_CRAWL_DELAY))


def _header(response: Response, name: str, limit: int) -> str:
    value = (response.headers.get(name) or b"").decode("latin-1").strip()
    return value if len(value) <= limit and value.isascii() and value.isprintable() else ""


def _sites(crawler: Crawler) -> Sites:
    sites: Sites = crawler.spider.visit.office.sites  # type: ignore[union-attr]
    return sites
