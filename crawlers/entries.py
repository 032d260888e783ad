"""A feed becomes entries: RSS, Atom and RDF by feedparser, JSON Feed by itself; markup becomes text."""

from __future__ import annotations

import calendar
import html
import io
import re
from datetime import UTC, datetime
from time import struct_time
from typing import Any, NamedTuple
from urllib.parse import urljoin

import feedparser
import msgspec
from lxml import etree

from tingchao.crawlers.clock_words import parse_time
from tingchao.pipeline.errors import Poison

MOST_ENTRIES = 5000  # of one feed; the longest seen have some hundreds
_SNIFFED = 64 * 1024  # bytes; comments and style sheets may stand before the first element of a feed
_SMALL = 256 * 1024  # bytes; feedparser's search for a feed in other pages is too slow for larger ones
_FEED = re.compile(rb"<(?:[a-z0-9_-]+:)?(?:rss|feed|rdf|channel)[\s>/]", re.IGNORECASE)
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_ZONE = re.compile(r"(?:\bZ|\d\s*Z|[+-]\d{2}:?\d{2}|\b(?:GMT|UTC?|[ECMP][SD]T|CST|JST|HKT))\s*(?:\([^)]*\))?\s*$")
_TAG = re.compile(r"<[a-zA-Z/!][^>]*>")
_SPACES = re.compile(r"[^\S\n]+")
# fmt: off
_BREAKS = frozenset({
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "figcaption", "h1", "h2", "h3", "h4",
    "h5", "h6", "hr", "li", "ol", "p", "pre", "section", "table", "tr", "ul",
})
# fmt: on
_UNREAD = frozenset({"script", "style", "noscript", "iframe", "object", "svg", "template"})


class Entry(NamedTuple):
    """One entry of a feed, as text."""

    title: str
    text: str
    link: str  # absolute http(s) address, '' without one
    guid: str
    author: str  # only for Raw.author, which Intake hashes and drops
    published_at: datetime | None
    updated: str  # as the feed wrote it: another one is another version
    whole: bool  # the feed carries the content, not only a summary


class Feed(NamedTuple):
    """What a feed holds, and the charset it was read in ('' when unknown)."""

    entries: list[Entry]
    charset: str


def looks_like_feed(body: bytes) -> bool:
    """Whether the bytes may be a feed: its root stands at the beginning, or it is a JSON object of entries."""
    head = body[:_SNIFFED].replace(b"\0", b"")
    return _FEED.search(head) is not None or _json_object(body) is not None


def read_feed(body: bytes, url: str, content_type: str, fetched_at: datetime, encoding: str = "") -> Feed:
    """The entries of a feed, newest or oldest first as it lists them.

    Raises Poison("not_a_feed") when it is none; a feed with mistakes is read as far as it goes.
    """
    data = _json_object(body)
    if data is not None:
        return Feed(_json_entries(data, url, fetched_at), "utf-8")
    head = body[:_SNIFFED].replace(b"\0", b"")
    if _FEED.search(head) is None and (_HTML.search(head) or len(body) > _SMALL):
        raise Poison("not_a_feed", _what(body, head))
    parsed = _parse(body, url, content_type, encoding)
    if not parsed.get("version") and not parsed.entries:
        raise Poison("not_a_feed", _what(body, head))
    entries = [_xml_entry(entry, url, fetched_at) for entry in parsed.entries[:MOST_ENTRIES]]
    return Feed(entries, str(parsed.get("encoding") or ""))


def plain(markup: str) -> str:
    """The text of a piece of HTML, a line for each block."""
    if not _TAG.search(markup):
        return _tidy(html.unescape(markup))
    body = markup.replace("\0", " ").encode("utf-8", "replace")
    try:
        root = etree.fromstring(body, etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True))
    except (etree.LxmlError, ValueError):
        root = None
    if root is None:
        return _tidy(html.unescape(_TAG.sub(" ", markup)))
    return _tidy("".join(_pieces(root)))


def _pieces(root: etree._Element) -> list[str]:
    found: list[str] = []
    skipped = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else "script"
        skipped += (event == "start") - (event == "end") if tag in _UNREAD else 0
        if tag in _BREAKS:
            found.append("\n")
        text = element.text if event == "start" else element.tail
        if text and not skipped:
            found.append(text.replace("\n", " "))
    return found


def _tidy(text: str) -> str:
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _parse(body: bytes, url: str, content_type: str, encoding: str) -> Any:
    """What feedparser makes of it. The charset that is declared is overruled by sources.toml, and by valid UTF-8."""
    kind = content_type.partition(";")[0].strip() or "application/xml"
    if encoding or _is_utf8(body):
        content_type = f"{kind}; charset={encoding or 'utf-8'}"
    headers = {"content-type": content_type or kind, "content-location": url}
    # A stream: given bytes, feedparser would try them as a path first.
    return feedparser.parse(io.BytesIO(body), response_headers=headers)


def _is_utf8(body: bytes) -> bool:
    """Whether the bytes are UTF-8 beyond ASCII; two-byte text of another charset is not, but by a rare chance."""
    if body.isascii() or b"\0" in body[:_SNIFFED]:
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _xml_entry(entry: Any, url: str, fetched_at: datetime) -> Entry:
    contents = [str(part.get("value") or "") for part in dict.get(entry, "content") or []]
    content = max((plain(part) for part in contents), key=len, default="")
    summary = plain(str(dict.get(entry, "summary") or ""))
    # Looked up as a plain dict: feedparser's own lookup answers `updated` with `published` and warns.
    published, updated = str(dict.get(entry, "published") or ""), str(dict.get(entry, "updated") or "")
    when = _time(published, dict.get(entry, "published_parsed"), fetched_at)
    return Entry(
        title=_one_line(str(dict.get(entry, "title") or "")),
        text=max(content, summary, key=len),
        link=_link(str(dict.get(entry, "link") or ""), url),
        guid=str(dict.get(entry, "id") or "").strip(),
        author=str(dict.get(entry, "author") or ""),
        published_at=when or _time(updated, dict.get(entry, "updated_parsed"), fetched_at),
        updated=updated,
        whole=bool(content),
    )


def _json_object(body: bytes) -> dict[str, Any] | None:
    """A JSON Feed, or None."""
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"{"):
        return None
    try:
        data = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    known = isinstance(data, dict) and isinstance(data.get("items"), list)
    return data if known and "jsonfeed.org/version" in str(data.get("version", "")) else None


def _json_entries(data: dict[str, Any], url: str, fetched_at: datetime) -> list[Entry]:
    return [_json_entry(item, url, fetched_at) for item in data["items"][:MOST_ENTRIES] if isinstance(item, dict)]


def _json_entry(item: dict[str, Any], url: str, fetched_at: datetime) -> Entry:
    def said(name: str) -> str:
        value = item.get(name)
        return str(value) if isinstance(value, str | int | float) else ""

    authors = item.get("authors") if isinstance(item.get("authors"), list) else [item.get("author")]
    names = [str(author["name"]) for author in authors or [] if isinstance(author, dict) and author.get("name")]
    content = said("content_text") or plain(said("content_html"))
    published, modified = said("date_published"), said("date_modified")
    return Entry(
        title=_one_line(said("title")),
        text=content or plain(said("summary")),
        link=_link(said("url") or said("external_url"), url),
        guid=said("id").strip(),
        author=", ".join(names),
        published_at=_time(published, None, fetched_at) or _time(modified, None, fetched_at),
        updated=modified,
        whole=bool(content),
    )


def _time(written: str, parsed: struct_time | None, fetched_at: datetime) -> datetime | None:
    """The stated time; without a zone it is Beijing's, where feedparser would take it for Greenwich's."""
    if parsed is not None and _ZONE.search(written.strip()):
        try:
            return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
        except (ValueError, OverflowError, OSError):
            return None
    found = parse_time(written, fetched_at) if written else None
    return found.at if found is not None else None


def _one_line(markup: str) -> str:
    return " ".join(plain(markup).split())


def _link(link: str, url: str) -> str:
    try:
        whole = urljoin(url, link.strip()) if link.strip() else ""
    except ValueError:
        return ""
    return whole if whole.startswith(("http://", "https://")) else ""


def _what(body: bytes, head: bytes) -> str:
    """What came instead of a feed, for the message."""
    if not body.strip():
        return "empty"
    if _HTML.search(head):
        return "HTML"
    return "JSON" if body.lstrip()[:1] in {b"{", b"["} else "text"
