"""Which pages of a source are known, so that only new and changed ones are fetched: one small keyed state a page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from tingchao.pipeline.ids import canonical, post_id
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.log import Log

GROUP = "crawl"
MOST = 4000
"""Pages remembered of one source; lists and feeds show 20 to 500, so one stays known long after it left them."""

MOST_DOUBLINGS = 8  # a page that keeps failing is tried at last every 256 intervals (2.7 days at 15 minutes)
_FIRST_LOOK = 4  # intervals until a page is looked at again; then whenever its age has doubled
_SLACK = 0.9  # of a waiting time; a schedule is never exact to the second


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a page. Times are seconds since 1970 of the crawl's clock."""

    first: int
    checked: int
    digest: str = ""  # of what was published; '' = nothing was
    mark: str = ""  # what the list said of its version (a feed's `updated`)
    etag: str = ""
    modified: str = ""
    failed: int = 0  # attempts since the last good one
    soon: bool = False  # it failed in a way that may pass, so an unchanged list is read again for it

    def due(self, now: datetime, every: timedelta) -> bool:
        """Whether to look again at a page that is still listed."""
        waited, interval = now.timestamp() - self.checked, every.total_seconds()
        if self.failed:
            return waited >= _SLACK * interval * float(1 << min(self.failed - 1, MOST_DOUBLINGS))
        return waited >= _SLACK * max(_FIRST_LOOK * interval, self.checked - self.first)


class Pages:
    """The known pages of one source, as committed so far."""

    def __init__(self, log: Log, source: str) -> None:
        self._source = source
        self._prefix = f"page/{source}/"
        self._seen: dict[str, Seen] = {}
        for key, value in log.state(GROUP, self._prefix).items():
            try:
                self._seen[key] = msgspec.json.decode(value, type=Seen)
            except msgspec.MsgspecError:  # of another version: the page counts as new, its id keeps it from doubling
                continue

    def key(self, basis: str) -> str:
        """The key of the page or entry that `basis` tells apart."""
        return self._prefix + post_id(self._source, basis)[:16]

    def get(self, key: str) -> Seen | None:
        return self._seen.get(key)

    def put(self, key: str, seen: Seen) -> dict[str, bytes | None]:
        """Remember; the change to commit."""
        self._seen[key] = seen
        return {key: msgspec.json.encode(seen)}

    def forget(self, listed: set[str]) -> dict[str, bytes | None]:
        """Forget the longest unchecked pages beyond MOST, never a listed one; the changes to commit."""
        excess = len(self._seen) - MOST
        if excess <= 0:
            return {}
        old = sorted((key for key in self._seen if key not in listed), key=lambda key: self._seen[key].checked)[:excess]
        for key in old:
            del self._seen[key]
        return dict.fromkeys(old)

    def __len__(self) -> int:
        return len(self._seen)


def basis_of(raw: Raw) -> str:
    """What tells a post from others of its source, as Intake takes it."""
    return raw.basis or canonical(raw.url)


def digest(raw: Raw, mark: str = "") -> str:
    """64 bits as hex of everything whose change makes a new revision."""
    published = raw.published_at.isoformat() if raw.published_at is not None else ""
    said = msgspec.json.encode((raw.title, raw.text, published, raw.counts, mark))
    return hashlib.blake2b(said, digest_size=8).hexdigest()


def text_digest(raw: Raw) -> str:
    """64 bits as hex of title and text: pages show other counts and relative times at every fetch."""
    return hashlib.blake2b(f"{raw.title}\n{raw.text}".encode("utf-8", "replace"), digest_size=8).hexdigest()


class SourceState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a source between its visits."""

    url: str = ""  # validators belong to this address
    etag: str = ""
    modified: str = ""
    at: datetime | None = None  # the last finished visit, by the crawl's clock
    unread: int = 0  # new articles that failed since one was last read,
    trouble: tuple[str, int, str] = ("", 0, "")  # and why most of the last ones did (outcome.Trouble)


def read_source(state: Mapping[str, bytes], name: str) -> SourceState:
    """The state of a source; an empty one when there is none or it is unreadable."""
    value = state.get(f"source/{name}")
    try:
        return msgspec.json.decode(value, type=SourceState) if value else SourceState()
    except msgspec.MsgspecError:
        return SourceState()
