"""One visit to one source: what was known, what came, and its record; and the office that all visits share."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import structlog
from scrapy import Request
from scrapy.http import Response

from tingchao.config.language import Said, text
from tingchao.config.settings import Settings, load
from tingchao.config.sources import Source
from tingchao.crawlers.frame import Frame
from tingchao.crawlers.jobs import until_next
from tingchao.crawlers.outcome import Trouble, ahead, line
from tingchao.crawlers.polite import ROBOTS, Sites
from tingchao.crawlers.seen import GROUP, Pages, Seen, SourceState, read_source
from tingchao.pipeline.clock import Clock, SystemClock, speed
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.intake import Intake, Raw
from tingchao.pipeline.log import Log
from tingchao.pipeline.privacy import mask_url
from tingchao.pipeline.records import FINE, Fetch, Post
from tingchao.pipeline.sqlite_log import SqliteLog

logger = structlog.get_logger()
MOST_FAILED = 20  # records of failed articles a visit; the last record says how many there were
ODD = 4  # new articles that may fail one after another while the site is fine: files, videos, what is taken back
MOST_IN_A_ROW = 3  # articles that time out or cannot be reached one after another, until the visit gives up
MOST_FRAMES = 32  # kept in memory; the others are read again from the log when their site is visited
FRAME_PAGES = (
    12  # pages of a visit from which the frame of the site is learned; a guess: menus and footers stand on all of them
)


class Office:
    """What all visits of a process share."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        clock: Clock,
        on_post: Callable[[Post], None] | None = None,
        on_fetch: Callable[[Fetch], None] | None = None,
    ) -> None:
        self.settings, self.log, self.clock = settings, log, clock
        self.on_post, self.on_fetch = on_post, on_fetch
        self.intake = Intake(log)
        self.stopping = False  # what still comes is the noise of breaking off, and not committed
        self.sites = Sites(settings.main.crawl, SystemClock(), _held(log))
        self._frames: dict[str, Frame] = {}

    def frame(self, url: str) -> Frame:
        """The lines that return on the pages of this site."""
        site = urlsplit(url).netloc
        frame = self._frames.pop(site, None)
        if frame is None:
            stored = self.log.state(GROUP, f"frame/{site}").get(f"frame/{site}")
            frame = Frame.from_json(stored) if stored else Frame()
        self._frames[site] = frame  # the last one used stands last
        if len(self._frames) > MOST_FRAMES:
            del self._frames[next(iter(self._frames))]
        return frame


class Answer(msgspec.Struct, frozen=True):
    """A page that came, as the kinds of sources read it."""

    url: str  # where it came from in the end
    asked: str  # what was asked for; another one after redirects
    body: bytes
    content_type: str
    fetched_at: datetime
    etag: str = ""
    modified: str = ""


class Visit:
    """One attempt at one source; `finish` gives its one record."""

    def __init__(
        self, office: Office, source: Source, *, anew: bool = False, planned_at: datetime | None = None
    ) -> None:
        self.office, self.source, self._planned_at = office, source, planned_at
        self.pages = Pages(office.log, source.name)
        self.anew = anew  # read and publish also what is known and unchanged (a person asked for this page)
        state = read_source(office.log.state(GROUP, f"source/{source.name}"), source.name)
        self.known = state if state.url == source.url else SourceState(url=source.url, at=state.at)
        self.items = 0  # posts published
        self.failed = 0  # articles that failed
        self.read = False  # whether an article was read, or is as it was
        self.unread: list[Trouble] = []  # of new articles
        self.learned: dict[str, int] = {}  # site -> pages its frame learned from
        self.listed: set[str] = set()
        self.complete = True  # everything new on the list was dealt with, so an unchanged list hides nothing
        self.in_a_row = 0  # articles that failed one after another for a reason that may pass
        self.fetch: Fetch | None = None
        self._trouble: Trouble | None = None
        self._answer = SourceState(url=source.url)
        self.charset = ""  # of the source's own page
        self._status, self._robots = 0, ""

    @classmethod
    def from_environment(cls, name: str) -> Visit:
        """For `scrapy crawl KIND -a source=NAME`: settings of TINGCHAO_CONFIG, database of TINGCHAO_DB."""
        directory = os.environ.get("TINGCHAO_CONFIG")
        settings = load(Path(directory) if directory else None)
        sources = {source.name: source for source in settings.sources}
        if name not in sources:
            raise Refused(Said("error.spider_source", name=name, known=", ".join(sources)))
        log = SqliteLog(Path(os.environ.get("TINGCHAO_DB", "tingchao.db")))
        return cls(Office(settings, log, SystemClock()), sources[name])

    @property
    def now(self) -> datetime:
        return self.office.clock.now()

    def asked(self, request: Request, response: Response | None, trouble: Trouble | None) -> None:
        """The source's own page came, or did not."""
        self._robots = str(request.meta.get(ROBOTS, ""))
        self._status = response.status if response is not None else 0
        if trouble is not None:
            self.end(trouble)

    def listed_as(self, answer: Answer) -> None:
        """The list was read; its validators hold for the next visit if this one gets through."""
        self._answer = SourceState(url=self.source.url, etag=answer.etag, modified=answer.modified)

    def end(self, trouble: Trouble) -> None:
        """What the record of the visit will say; the first word counts."""
        self._trouble = self._trouble or trouble

    def bug(self, error: BaseException) -> None:
        """A mistake of ours. Told by its place and kind only: its words and locals may hold what stands on the page."""
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = f"{Path(place[0].filename).name}:{place[0].lineno}" if place else ""
        logger.error("crawl.bug", source=self.source.name, error=type(error).__name__, where=where)
        self.end(Trouble("error", detail=f"{type(error).__name__} {where}".strip()))

    def failure(self, url: str, request: Request, trouble: Trouble) -> list[Fetch]:
        """The record of an article that failed; none beyond MOST_FAILED."""
        self.failed += 1
        if self.failed > MOST_FAILED:
            return []
        now, shown = self.now, mask_url(url)
        message = line(self._language, self.source.name, trouble, None, now) + f" ({shown})"
        robots = str(request.meta.get(ROBOTS, ""))
        return [self._record(shown, now, trouble, robots=robots, status=trouble.status, message=message)]

    def finish(self) -> tuple[Fetch, dict[str, bytes | None]]:
        """The record of the visit and the state to commit with it."""
        now = self.now
        trouble = self._trouble or Trouble("ok")
        unread = self._unread() if trouble.outcome in FINE else None
        trouble = unread or trouble
        held = self.office.sites.held_for(urlsplit(self.source.url).netloc)
        wait = max(held, self._until_next(now))
        next_at = ahead(self.office.clock, wait) if wait else None
        shown_next = None if trouble.outcome in FINE else next_at
        message = line(self._language, self.source.name, trouble, shown_next, now, items=self.items)
        message += text("crawl.list_only", self._language) if unread else ""
        fetch = self._record(
            self.source.url,
            now,
            trouble,
            robots=self._robots,
            status=unread.status if unread else self._status,
            message=message,
            items=self.items,
            charset=self.charset,
            next_at=next_at,
        )
        return fetch, self._state(trouble, now)

    def _unread(self) -> Trouble | None:
        """Why the source is not read although its list is: none of its new articles can be.

        That holds for visits without new articles too, until one is read, unless those that failed may be odd ones.
        """
        unread = self.unread or self.known.unread > ODD
        return self._why() if unread and not self.read else None

    def _why(self) -> Trouble:
        """Why most of the new articles failed that were asked for last."""
        return Counter(self.unread).most_common(1)[0][0] if self.unread else Trouble(*self.known.trouble)

    def _until_next(self, now: datetime) -> timedelta:
        """Real time until the next planned visit; none when this one was not planned."""
        if self._planned_at is None:
            return timedelta()
        return timedelta(seconds=until_next(self.source, self._planned_at, now, speed(self.office.clock)))

    @property
    def gave_up(self) -> bool:
        """Whether the site seems to be down: what is left stays new and is asked for at the next visit."""
        return self.in_a_row >= MOST_IN_A_ROW

    @property
    def _language(self) -> str:
        return self.office.settings.main.language

    def _record(self, url: str, at: datetime, trouble: Trouble, **values: object) -> Fetch:
        return Fetch(source=self.source.name, url=url, at=at, outcome=trouble.outcome, **values)  # type: ignore[arg-type]

    def _state(self, trouble: Trouble, now: datetime) -> dict[str, bytes | None]:
        kept = self._answer if self.complete and trouble.outcome == "ok" else SourceState(url=self.source.url)
        if trouble.outcome not in {"ok", "empty", "title_only"}:  # nothing was read: what was known still holds
            kept = self.known
        failed = 0 if self.read else self.known.unread + len(self.unread)
        outcome, status, detail = self._why()
        kept = msgspec.structs.replace(kept, at=now, unread=failed, trouble=(outcome, status, str(detail)))
        state: dict[str, bytes | None] = {f"source/{self.source.name}": msgspec.json.encode(kept)}
        state |= self.pages.forget(self.listed)
        state |= {f"frame/{site}": self.office.frame(f"//{site}").to_json() for site in self.learned}
        for site, until in self.office.sites.holds().items():
            state[f"hold/{site}"] = until.isoformat().encode() if until is not None else None
        return state


class Harvest(msgspec.Struct, frozen=True):
    """What one page gave: posts, what to remember of it, records of failures; committed together or not at all."""

    raws: tuple[Raw, ...] = ()
    state: Mapping[str, bytes | None] = {}
    fetches: tuple[Fetch, ...] = ()


def seen_now(
    before: Seen | None, now: datetime, *, digest: str = "", mark: str = "", answer: Answer | None = None
) -> Seen:
    """What is known of a page after a good look at it."""
    stamp = int(now.timestamp())
    return Seen(
        first=before.first if before else stamp,
        checked=stamp,
        digest=digest,
        mark=mark,
        etag=answer.etag if answer else "",
        modified=answer.modified if answer else "",
    )


def _held(log: Log) -> dict[str, datetime]:
    held = {}
    for key, value in log.state(GROUP, "hold/").items():
        until = datetime.fromisoformat(value.decode())
        held[key.removeprefix("hold/")] = until.astimezone(UTC)
    return held
