"""Where every Post is made: crawlers and ingest hand over what they read, masked Posts come out.

This is the only place that sees an author, and only long enough to hash it. Fields that are not named here do
not exist further down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tingchao.pipeline.errors import Poison
from tingchao.pipeline.ids import canonical, post_id
from tingchao.pipeline.log import Log
from tingchao.pipeline.privacy import mask, mask_url
from tingchao.pipeline.records import Counts, Post
from tingchao.pipeline.voice import Voices

TEXT_LIMIT = 256 * 1024  # bytes of UTF-8; a text of 1 MiB exceeds Kafka's default limit
TITLE_LIMIT = 1024  # characters; the longest real title in the data beside the project has 180
SOURCE_LIMIT = 128  # characters; names in sources.toml have at most 64, files may say more
URL_LIMIT = 2048  # characters; what browsers and servers commonly take
NO_COUNTS = Counts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What a reader found, before masking; never written anywhere."""

    source: str
    text: str
    title: str = ""
    url: str = ""
    kind: str = "post"
    author: str | None = None
    published_at: datetime | None = None
    fetched_at: datetime
    counts: Counts = NO_COUNTS
    basis: str = ""  # what tells this post from others of its source; '' = its canonical URL
    flags: tuple[str, ...] = ()


class Intake:
    """Makes Posts of what readers found."""

    def __init__(self, log: Log) -> None:
        self._voices = Voices(log)

    def post(self, raw: Raw) -> Post:
        """The masked Post. Raises Poison for one without any text, title included, or without id and URL."""
        source, title, text, url = _clean(raw.source), _clean(raw.title), _clean(raw.text), _clean(raw.url)
        if not (title or text):
            raise Poison("post.empty", "no text and no title; a post needs at least one of them")
        basis = raw.basis or (canonical(url) if url else "")
        if not basis:
            raise Poison("post.no_basis", "no id and no URL; the reader must give one of them")
        flags = list(raw.flags)
        # Masked first, then cut: half a number is personal data that no pattern knows.
        return Post(
            id=post_id(raw.source, basis),
            source=mask(source)[:SOURCE_LIMIT],
            kind=mask(_clean(raw.kind))[:SOURCE_LIMIT],
            url=mask_url(url)[:URL_LIMIT],
            title=mask(title)[:TITLE_LIMIT],
            text=_cut(mask(text), flags),
            published_at=_published(raw, flags),
            fetched_at=raw.fetched_at.astimezone(UTC),
            counts=raw.counts,
            voice=self._voices.voice(raw.source, raw.author, raw.fetched_at),
            flags=tuple(flags),
        )


# Control characters but tab and line feed: no text means them, and JSON writes each as six bytes.
_CONTROL = {code: " " for code in range(32) if code not in {9, 10}} | {13: "\n"}


def _clean(text: str) -> str:
    """Without control characters and lone surrogates, which neither SQLite's text nor JSON can carry."""
    return text.replace("\r\n", "\n").translate(_CONTROL).encode("utf-8", "replace").decode().strip()


def _cut(text: str, flags: list[str]) -> str:
    data = text.encode()
    if len(data) <= TEXT_LIMIT:
        return text
    flags.append("cut")
    return data[:TEXT_LIMIT].decode("utf-8", "ignore")


def _published(raw: Raw, flags: list[str]) -> datetime:
    fetched = raw.fetched_at.astimezone(UTC)
    published = _utc(raw.published_at)
    if published is None:
        flags.append("no_time")
        return fetched
    if published > fetched:  # clocks differ by seconds everywhere; more than a minute is worth a flag
        if published - fetched > timedelta(minutes=1):
            flags.append("future")
        return fetched
    return published


def _utc(when: datetime | None) -> datetime | None:
    try:
        return None if when is None else when.astimezone(UTC)
    except OverflowError:  # the year 1 in a zone east of Greenwich: a page's way to say that it does not know
        return None
