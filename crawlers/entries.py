"""A feed becomes entries: RSS, Atom and RDF by feedparser, JSON Feed by itself; markup becomes text."""

from __future__ import annotations

import html
import io
import re
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin
from xml.sax import SAXException

import feedparser
import msgspec
from lxml import etree

from tingchao.config.language import Said
from tingchao.crawlers.charset import decode
from tingchao.crawlers.opened import is_text
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.feed_times import feed_time

MOST_ENTRIES = 5000  # of one feed; the longest seen have some hundreds
_SNIFFED = 64 * 1024  # characters; comments and style sheets may stand before the first element of a feed
_SMALL = 256 * 1024  # characters; feedparser's search for a feed in other pages is too slow for larger ones
_ROOTS = frozenset({"rss", "feed", "rdf", "channel"})
_NEXT = re.compile(r"<!--|<(?:[a-z0-9_-]+:)?([a-z][\w.-]*)", re.IGNORECASE)
_FEED = re.compile(r"<(?:[a-z0-9_-]+:)?(?:rss|feed|rdf|channel)[\s>/]", re.IGNORECASE)
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_ENTITY = re.compile(r"""<!ENTITY\s+(?:%\s+)?\S+\s+(?:"([^"]*)"|'([^']*)')""")
_OTHER_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)\w+;|%\w+;")
_LONGEST_ENTITY = 1000  # characters; entities are for signs and phrases, and a feed may repeat one a million times
_HAN = re.compile("[\u4e00-\u9fff]")
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
    """Whether the bytes may be a feed: its root is their first element, or they are a JSON object of entries."""
    text, _ = decode(body)
    return _rooted(text[:_SNIFFED]) or _json_object(text) is not None


def read_feed(body: bytes, url: str, content_type: str, fetched_at: datetime, encoding: str = "") -> Feed:
    """The entries of a feed, newest or oldest first as it lists them.

    `encoding` (of sources.toml) takes the place of the charset that `content_type` declares; the bytes count more than
    either. Raises Poison("not_a_feed") when it is none; a feed with mistakes is read as far as it goes, and is "empty"
    when that is not as far as its first entry. A whole feed without entries is one with nothing new.
    """
    text, charset = decode(body, f"charset={encoding}" if encoding else content_type)
    data = _json_object(text)
    if data is not None:
        return Feed(_json_entries(data, url, fetched_at), charset)
    head = text[:_SNIFFED]
    feed = _FEED.search(head)
    before = head[: feed.start()] if feed else head
    if not _rooted(head) and (_HTML.search(before) or (feed is None and len(text) > _SMALL)):
        raise Poison("not_a_feed", _what(text, head, content_type))
    if _entity_bomb(text):
        raise Poison("not_a_feed", Said("crawl.got.entities"))
    parsed = _parse(text, url, content_type)
    if not parsed.get("version") and not parsed.entries:
        raise Poison("not_a_feed", _what(text, head, content_type))
    if not parsed.entries and isinstance(parsed.get("bozo_exception"), SAXException):
        raise Poison("empty", "a feed that breaks off or has mistakes, without entries")
    listed = parsed.entries[:MOST_ENTRIES]
    chinese = 2 * sum(map(_is_chinese, listed)) >= len(listed)
    return Feed([_xml_entry(entry, url, fetched_at, chinese=chinese) for entry in listed], charset)


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


def _parse(text: str, url: str, content_type: str) -> Any:
    """What feedparser makes of it. It gets UTF-8 and is told so: by itself it believes what feeds declare."""
    kind = content_type.partition(";")[0].strip() or "application/xml"
    headers = {"content-type": f"{kind}; charset=utf-8", "content-location": url}
    # A stream: given bytes, feedparser would try them as a path first.
    return feedparser.parse(io.BytesIO(text.encode("utf-8", "replace")), response_headers=headers)


def _rooted(head: str) -> bool:
    """Whether the first element is the root of a feed; comments before it do not count, whatever they hold."""
    place = 0
    while (found := _NEXT.search(head, place)) is not None:
        if found[1]:
            return found[1].lower() in _ROOTS
        place = head.find("-->", found.end())
        if place < 0:
            break
    return False


def _entity_bomb(text: str) -> bool:
    """Whether entities are declared that grow when they are resolved: long ones, or made of others."""
    start = re.search(r"<\w", text)
    values = (match[1] or match[2] or "" for match in _ENTITY.finditer(text, 0, start.start() if start else len(text)))
    return any(len(value) > _LONGEST_ENTITY or _OTHER_ENTITY.search(value) for value in values)


def _is_chinese(entry: Any) -> bool:
    return _HAN.search(f"{dict.get(entry, 'title')} {dict.get(entry, 'summary')}") is not None


def _xml_entry(entry: Any, url: str, fetched_at: datetime, *, chinese: bool) -> Entry:
    contents = [str(part.get("value") or "") for part in dict.get(entry, "content") or []]
    content = max((plain(part) for part in contents), key=len, default="")
    summary = plain(str(dict.get(entry, "summary") or ""))
    # Looked up as a plain dict: feedparser's own lookup answers `updated` with `published` and warns.
    published, updated = str(dict.get(entry, "published") or ""), str(dict.get(entry, "updated") or "")
    when = feed_time(published, dict.get(entry, "published_parsed"), fetched_at, chinese=chinese)
    changed = feed_time(updated, dict.get(entry, "updated_parsed"), fetched_at, chinese=chinese)
    return Entry(
        title=_one_line(str(dict.get(entry, "title") or "")),
        text=max(content, summary, key=len),
        link=_link(str(dict.get(entry, "link") or ""), url),
        guid=str(dict.get(entry, "id") or "").strip(),
        author=str(dict.get(entry, "author") or ""),
        published_at=when or changed,
        updated=updated,
        whole=bool(content),
    )


def _json_object(text: str) -> dict[str, Any] | None:
    """A JSON Feed, or None."""
    if not text[:64].lstrip().startswith("{"):
        return None
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
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
        published_at=feed_time(published, None, fetched_at, chinese=True)
        or feed_time(modified, None, fetched_at, chinese=True),
        updated=modified,
        whole=bool(content),
    )


def _one_line(markup: str) -> str:
    return " ".join(plain(markup).split())


def _link(link: str, url: str) -> str:
    try:
        whole = urljoin(url, link.strip()) if link.strip() else ""
    except ValueError:
        return ""
    return whole if whole.startswith(("http://", "https://")) else ""


def _what(text: str, head: str, content_type: str) -> str:
    """What came instead of a feed, for the message."""
    if not text.strip():
        return Said("crawl.got.nothing")
    if _HTML.search(head):
        return "HTML"
    if head.startswith("%PDF-"):
        return "PDF"
    if not is_text(head):
        return content_type.partition(";")[0].strip()[:60] or Said("crawl.got.binary")
    return "JSON" if head.lstrip()[:1] in {"{", "["} else Said("crawl.got.text")
