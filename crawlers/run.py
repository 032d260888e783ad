"""Visits are made: once, or on schedule until told to stop.

Both run Scrapy on an event loop of their own, without Twisted's reactor, so they can be called from any thread and any
number of times. They leave signals alone: the caller owns SIGINT.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import structlog
from scrapy.crawler import Crawler
from scrapy.settings import Settings as ScrapySettings
from twisted.logger import LogPublisher, globalLogBeginner

from tingchao.config.language import Said, text
from tingchao.config.politeness import scrapy_values
from tingchao.config.settings import Settings
from tingchao.config.sources import Source
from tingchao.crawlers.base import SourceSpider
from tingchao.crawlers.feed import FeedSpider
from tingchao.crawlers.jobs import Due, Jobs
from tingchao.crawlers.page import PageSpider, page_source
from tingchao.crawlers.publish import finish
from tingchao.crawlers.schedule import Schedule, first_wait
from tingchao.crawlers.seen import GROUP, read_source
from tingchao.crawlers.site import SiteSpider
from tingchao.crawlers.visit import Office, Visit
from tingchao.pipeline.clock import Clock, SystemClock, speed, stopwatch
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.health import HEALTH
from tingchao.pipeline.log import Log
from tingchao.pipeline.records import FINE, Fetch, Post
from tingchao.pipeline.roles import patiently

logger = structlog.get_logger()
AT_ONCE = 8  # visits at the same time, each to another site or waiting for its turn; bounds the memory of pages
_LOOK = 0.1  # seconds between two looks at `stop`
_SAY_AGAIN = 600.0  # seconds until the same trouble of the same source is told again
_ENDING = 1.0  # seconds for what is under way to end before it is dropped; nothing uncommitted is counted as done

P = ParamSpec("P")
T = TypeVar("T")


def crawl_once(
    settings: Settings,
    log: Log,
    clock: Clock,
    names: Sequence[str] = (),
    url: str | None = None,
    on_post: Callable[[Post], None] | None = None,
    on_fetch: Callable[[Fetch], None] | None = None,
) -> int:
    """Visit the named sources (without names all enabled ones), or the one page `url`, once.

    Posts, fetches and state go to the log; the callbacks hear of them once they are committed. Returns 0, or 1 when
    any visit brought nothing to read. Raises Refused for an unknown name or kind, or what is no address.
    """
    office = Office(settings, log, clock, on_post, on_fetch)
    sources = [page_source(url)] if url is not None else _chosen(settings, names)
    fetches = _on_a_loop(office, _visit_all(office, sources))
    return 0 if all(fetch.outcome in FINE for fetch in fetches) else 1


def crawl_forever(
    settings: Settings, open_log: Callable[[], Log], clock: Clock, stop: threading.Event, say: Callable[[str], None]
) -> None:
    """Visit every enabled source at its interval until `stop` is set, then return within 2 seconds.

    Any number of processes may do so on one log: one of them plans, and they share the sites.

    `say` gets one line for people when a source cannot be read (again every ten minutes while it lasts) and when it
    can again. What was under way when stopping is not counted as done, and done again after the next start.
    """
    teller = _Teller(settings, say)
    log, jobs_log = open_log(), open_log()
    office = patiently("crawl", lambda: Office(settings, log, clock, None, teller.hear), stop)
    jobs = patiently("jobs", lambda: Jobs(jobs_log, clock), stop)
    try:
        _on_a_loop(office, _Crew(office, jobs, _chosen(settings, ())).serve(stop))
    finally:
        jobs.close()


def kinds() -> dict[str, type[SourceSpider]]:
    """Every kind of source by its name in sources.toml: the subclasses of SourceSpider that have been imported."""
    found: dict[str, type[SourceSpider]] = {FeedSpider.name: FeedSpider, SiteSpider.name: SiteSpider}
    waiting: list[type[SourceSpider]] = [SourceSpider]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if getattr(kind, "name", ""):
            found.setdefault(kind.name, kind)
    return found


async def _visit_all(office: Office, sources: Sequence[Source]) -> list[Fetch]:
    places = asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(_visit(office, source, places) for source in sources))


class _Crew:
    """Plans the visits if this process is the one that does, and makes those that are due to it."""

    def __init__(self, office: Office, jobs: Jobs, sources: Sequence[Source]) -> None:
        self._office, self._jobs = office, jobs
        self._sources = {source.name: source for source in sources}
        self._schedule: Schedule | None = None
        self._places = asyncio.Semaphore(AT_ONCE)
        self._visits: dict[str, tuple[int, asyncio.Task[None]]] = {}  # source -> partition of its job, and the visit

    async def serve(self, stop: threading.Event) -> None:
        """Until `stop`; whatever is under way then is dropped, and made by whoever is next."""
        complaint = ""
        try:
            while not stop.is_set():
                try:
                    await self._look()
                    complaint = ""
                except Retry as err:
                    if str(err) != complaint:  # the same complaint once, not at every try
                        complaint = str(err)
                        logger.warning("crawl.retry", error=complaint, after=err.after)
                HEALTH.turned("crawl", complaint)
                await asyncio.sleep(_LOOK)
        finally:
            HEALTH.left("crawl")
            self._lead(leads=False)

    async def _look(self) -> None:
        news = await asyncio.to_thread(self._jobs.look)
        self._lead(leads=news.leads)
        for fetch in news.fetches:
            self._hear(fetch)
        for name, (partition, visit) in list(self._visits.items()):
            if partition not in news.kept:
                visit.cancel()
                del self._visits[name]
        for due in news.due:
            source = self._sources.get(due.job.source)
            if source is None or source.name in self._visits:  # no longer ours to visit, or being visited: not doubled
                if source is None:
                    await asyncio.to_thread(self._jobs.done, due)
                continue
            self._visits[source.name] = due.partition, asyncio.create_task(self._make(source, due))

    def _lead(self, *, leads: bool) -> None:
        if leads and self._schedule is None:
            self._schedule = Schedule(list(self._sources.values()), self._announce, SystemClock())
            state = self._office.log.state(GROUP, "source/")
            clock = self._office.clock
            self._schedule.start(lambda source: first_wait(source, read_source(state, source.name).at, clock))
        elif not leads and self._schedule is not None:
            self._schedule.stop()
            self._schedule = None

    def _hear(self, fetch: Fetch) -> None:
        """A site that asked for patience is not due before."""
        source = self._sources.get(fetch.source)
        if self._schedule is not None and source is not None and fetch.url == source.url and fetch.next_at is not None:
            self._schedule.put_off(source.name, (fetch.next_at - self._office.clock.now()) / speed(self._office.clock))

    async def _announce(self, source: Source) -> None:
        try:
            await asyncio.to_thread(self._jobs.publish, source)
        except Retry as err:
            logger.warning("crawl.unplanned", source=source.name, error=str(err))  # the next interval tries again

    async def _make(self, source: Source, due: Due) -> None:
        try:
            await _visit(self._office, source, self._places, due.job.planned_at)
            await asyncio.to_thread(self._jobs.done, due)
        except Retry as err:
            logger.warning("crawl.undone", source=source.name, error=str(err))  # visited again after a restart
        except Exception as err:  # noqa: BLE001 one source must not stop the others; the next visit tries again
            logger.error("crawl.unrecorded", source=source.name, error=f"{type(err).__name__}: {err}")  # noqa: TRY400 rich tracebacks print pages
        finally:
            if self._visits.get(source.name, (0, None))[1] is asyncio.current_task():
                del self._visits[source.name]


async def _visit(
    office: Office, source: Source, places: asyncio.Semaphore, planned_at: datetime | None = None
) -> Fetch:
    """One visit; whatever goes wrong in it becomes its record, so that the other sources do not notice."""
    async with places:
        visit = Visit(office, source, anew=source.kind == "page", planned_at=planned_at)
        spider = PageSpider if source.kind == "page" else kinds()[source.kind]
        try:
            await Crawler(spider, ScrapySettings(scrapy_values(office.settings.main.crawl))).crawl_async(visit=visit)
        except Exception as err:  # noqa: BLE001 it is told, and recorded
            visit.bug(err)
        if office.stopping:
            raise asyncio.CancelledError  # Scrapy takes the end of its tasks for the end of a visit
        return visit.fetch or await finish(visit)


def _chosen(settings: Settings, names: Sequence[str]) -> list[Source]:
    known = {source.name: source for source in settings.sources}
    if unknown := [name for name in names if name not in known]:
        raise Refused(Said("error.source", name=", ".join(unknown), known=", ".join(known) or "–"))
    chosen = [known[name] for name in names] or [source for source in settings.sources if source.enabled]
    for source in chosen:
        if source.kind not in kinds():
            known_kinds = ", ".join(sorted(kinds()))
            raise Refused(Said("error.config.no_kind", name=source.name, kind=source.kind, known=known_kinds))
    return chosen


class _Teller:
    """Tells people of trouble, and of its end; not of every try."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._sources = {source.url: source.name for source in settings.sources}
        self._language, self._say = settings.main.language, say
        self._told: dict[str, tuple[str, float]] = {}

    def hear(self, fetch: Fetch) -> None:
        if self._sources.get(fetch.url) != fetch.source:
            return  # of one article; the visit's own record follows
        before, at = self._told.get(fetch.source, ("", 0.0))
        if fetch.outcome in FINE:
            if self._told.pop(fetch.source, None):
                self._say(text("crawl.recovered", self._language, name=fetch.source, items=fetch.items))
        elif fetch.outcome != before or stopwatch() - at >= _SAY_AGAIN:
            self._told[fetch.source] = (fetch.outcome, stopwatch())
            self._say(fetch.message)


class _Threads(ThreadPoolExecutor):
    """A thread a call, none of which a stopping process waits for: the system's look-up of a name may take a minute."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as err:  # noqa: BLE001 it belongs to whoever waits for the result
                future.set_exception(err)

        threading.Thread(target=run, daemon=True, name="crawl-lookup").start()
        return future


def _on_a_loop(office: Office, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on an event loop of its own; what it leaves behind is dropped, and not counted as done."""
    _quiet()
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_Threads())
    try:
        return loop.run_until_complete(main)
    finally:
        office.stopping = True
        try:
            loop.run_until_complete(_drop_the_rest(office))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


async def _drop_the_rest(office: Office) -> None:
    """Cancel until nothing is left: what Scrapy does about a cancelled download is again a task."""
    until = stopwatch() + _ENDING
    while (tasks := asyncio.all_tasks() - {asyncio.current_task()}) and stopwatch() < until:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_LOOK)
    for download in list(office.sites.downloads):
        await download.close()


_NOBODY: Any = LogPublisher()  # of no observers
_quieted = False


def _quiet() -> None:
    """Scrapy, Twisted and the scheduler say nothing: what people need to know is in the records of the visits."""
    global _quieted  # noqa: PLW0603 logging is one for the process
    for name in ("scrapy", "twisted", "apscheduler", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if not _quieted:
        _quieted = True
        globalLogBeginner.beginLoggingTo([_NOBODY], discardBuffer=True, redirectStandardIO=False)
