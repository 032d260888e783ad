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

TEXT_LIMIT = 256 * 1024  # bytes of UTF-8; a text of 1 MiB exceeds Kafka's default limit (design.md 5)
TITLE_LIMIT = 1024  # characters; the longest real title in the data beside the project has 180
URL_LIMIT = 2048  # characters; what browsers and servers commonly take


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
    counts: Counts = Counts()
    basis: str = ""  # what tells this post from others of its source; '' = its canonical URL
    flags: tuple[str, ...] = ()


class Intake:
    """Makes Posts of what readers found."""

    def __init__(self, log: Log) -> None:
        self._voices = Voices(log)

    def post(self, raw: Raw) -> Post:
        """The masked Post. Raises Poison for one without any text, title included, or without id and URL."""
        title, text, url = _clean(raw.title)[:TITLE_LIMIT], _clean(raw.text), _clean(raw.url)[:URL_LIMIT]
        if not (title or text):
            raise Poison("post.empty", "no text and no title; a post needs at least one of them")
        basis = raw.basis or (canonical(url) if url else "")
        if not basis:
            raise Poison("post.no_basis", "no id and no URL; the reader must give one of them")
        flags = list(raw.flags)
        text = _cut(text, flags)
        return Post(
            id=post_id(raw.source, basis),
            source=raw.source,
            kind=raw.kind,
            url=mask_url(url),
            title=mask(title),
            text=mask(text),
            published_at=_published(raw, flags).astimezone(UTC),
            fetched_at=raw.fetched_at.astimezone(UTC),
            counts=raw.counts,
            voice=self._voices.voice(raw.source, raw.author, raw.fetched_at),
            flags=tuple(flags),
        )


def _clean(text: str) -> str:
    """Without NUL and lone surrogates, which neither SQLite's text nor JSON can carry."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode().strip()


def _cut(text: str, flags: list[str]) -> str:
    data = text.encode()
    if len(data) <= TEXT_LIMIT:
        return text
    flags.append("cut")
    return data[:TEXT_LIMIT].decode("utf-8", "ignore")


def _published(raw: Raw, flags: list[str]) -> datetime:
    if raw.published_at is None:
        flags.append("no_time")
        return raw.fetched_at
    if raw.published_at > raw.fetched_at:  # clocks differ by seconds everywhere; more than a minute is worth a flag
        if raw.published_at - raw.fetched_at > timedelta(minutes=1):
            flags.append("future")
        return raw.fetched_at
    return raw.published_at
