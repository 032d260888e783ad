"""An answer or an error becomes an outcome: one short word for the record, one clear line for people."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from typing import NamedTuple

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)

from tingchao.config.language import Said, in_language, text
from tingchao.pipeline.clock import BEIJING, Clock, speed

# fmt: off
NAMES = (
    "ok", "unchanged", "empty", "no_list", "not_a_feed", "not_a_page", "status", "timeout", "offline", "tls", "broken",
    "too_large", "redirects", "gone", "login", "robots", "robots_unavailable", "waiting", "failed", "error",
    "title_only", "astray", "unpacked",
)
# fmt: on
"""All outcomes; each is a line under crawl.* in messages.toml."""

# What the next visit may well find mended: the page counts as not yet seen.
PASSING = frozenset({"timeout", "offline", "waiting", "broken", "unpacked", "failed", "robots_unavailable"})


class Trouble(NamedTuple):
    """Why there is nothing to read. `outcome` is also the key of the line under crawl.* in messages.toml."""

    outcome: str
    status: int = 0
    detail: str = ""


class Forbidden(IgnoreRequest):
    """robots.txt does not allow this page."""


class RobotsUnavailable(IgnoreRequest):
    """robots.txt could not be had, so nothing may be fetched for now (RFC 9309 section 2.3.1.4)."""

    def __init__(self, answer: str, cause: Exception | None) -> None:
        super().__init__(answer)
        self.answer, self.cause = answer, cause


class Waiting(IgnoreRequest):
    """The site asked for patience, and the time is not over."""


_OUTCOMES: tuple[tuple[type[Exception], str], ...] = (
    (Forbidden, "robots"),
    (Waiting, "waiting"),
    (DownloadTimeoutError, "timeout"),
    (CannotResolveHostError, "offline"),
    (DownloadConnectionRefusedError, "offline"),
    (DownloadCancelledError, "too_large"),
    (ResponseDataLossError, "broken"),
    (EOFError, "unpacked"),  # of GzipFile, for data that ends too early
)

# The modules that Scrapy unpacks answers with, each of which has errors of its own: gzip, deflate, br and zstd.
_UNPACKERS = frozenset({"gzip", "zlib", "brotli", "brotlicffi", "backports", "compression"})


def of_status(status: int, location: str | None = None) -> Trouble | None:
    """The trouble that a status stands for; None for one that brings a page. `location`: where a redirect leads to."""
    if 200 <= status < 300:
        return None
    if status == 304:
        return Trouble("unchanged", status)
    if 300 <= status < 400:  # Scrapy follows those that lead to an http(s) address
        scheme = (location or "").partition(":")[0].strip()[:20]
        return Trouble("astray", status, f"{scheme}:" if scheme.isalnum() else Said("crawl.got.nothing"))
    return Trouble("status", status, str(status))


def of_error(error: BaseException) -> Trouble:
    """The trouble that an error of the download stands for."""
    if isinstance(error, RobotsUnavailable):
        # Where not even the server can be reached, that is what people need to read.
        below = of_error(error.cause) if error.cause is not None else None
        unreachable = below is not None and below.outcome in {"offline", "tls"}
        return below if below is not None and unreachable else Trouble("robots_unavailable", 0, error.answer)
    if isinstance(error, DownloadConnectionRefusedError) and _is_tls(error):
        return Trouble("tls")
    outcome = next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), "") or _told_apart(error)
    return Trouble(outcome) if outcome else Trouble("failed", detail=type(error).__name__)


def _told_apart(error: BaseException) -> str:
    """The outcome of what has no class of its own to tell it by; '' when unknown."""
    if type(error).__module__.partition(".")[0] in _UNPACKERS:
        return "unpacked"
    # Scrapy raises these two as plain IgnoreRequest, told apart by their words only.
    if isinstance(error, IgnoreRequest) and "redirections" in str(error):
        return "redirects"
    return "too_large" if isinstance(error, IgnoreRequest) and "MAXSIZE" in str(error) else ""


def _is_tls(error: BaseException) -> bool:
    """Whether a certificate is behind it: aiohttp's error for one is a kind of its error for a connection."""
    cause = error.__cause__
    tls = (ssl.SSLError, ssl.CertificateError)
    return isinstance(cause, tls) or isinstance(getattr(cause, "os_error", None), tls)


def passing(trouble: Trouble) -> bool:
    """Whether trying again soon makes sense."""
    return trouble.outcome in PASSING or trouble.status in {408, 429} or trouble.status >= 500


def line(language: str, name: str, trouble: Trouble, next_at: datetime | None, now: datetime, **values: object) -> str:
    """One line for people: `xinhua: 无法连接，20:35 再试`."""
    what = text(
        f"crawl.{trouble.outcome}",
        language,
        status=trouble.status,
        detail=in_language(trouble.detail, language),
        **values,
    )
    again = text("crawl.again", language, time=clock_time(next_at, now)) if next_at is not None else ""
    return f"{name}: {what}{again}"


def clock_time(when: datetime, now: datetime) -> str:
    """Beijing time as people read it: with the date only when it is another day."""
    local = when.astimezone(BEIJING)
    same_day = local.date() == now.astimezone(BEIJING).date()
    return local.strftime("%H:%M" if same_day else "%m-%d %H:%M")


def ahead(clock: Clock, wait: timedelta) -> datetime:
    """What `clock` will show when `wait` of real time is over (the demo's clock runs faster)."""
    return clock.now() + wait * speed(clock)
