"""What a page says about itself to machines: titles, times and text in meta, JSON-LD and script data."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import msgspec
from lxml import etree

LONGEST_JSON = 2_000_000
"""Characters of one script that are read as JSON."""

HEAD = 100_000
"""Characters of markup in which the meta tags of a title stand."""

# Names of meta elements in the order of trust; lower case. Open Graph (ogp.me), schema.org, Dublin Core, and the
# names of the government's site standard (国办发〔2017〕47号 and its "网站标签" table: ArticleTitle, PubDate).
_TITLE_NAMES = ("og:title", "articletitle", "twitter:title", "headline", "dc.title", "dcterms.title", "title")
_TIME_NAMES = (
    "article:published_time", "og:published_time", "og:article:published_time", "bytedance:published_time",
    "og:release_date", "og:pubdate", "datepublished", "pubdate", "publishdate", "publish_date", "publish-date",
    "publish_time", "publishtime", "article:create_at", "apub:time", "date.published", "dcterms.created",
    "dcterms.issued",
    "dc.date.issued", "dc.date", "parsely-pub-date", "sailthru.date", "article.published", "weibo:article:create_at",
    "_pubtime", "pub_date", "pubtime", "date",
)  # fmt: skip
_CHANGED_NAMES = (
    "dateupdate",
    "datemodified",
    "article:modified_time",
    "og:updated_time",
    "lastmod",
    "last-modified",
    "dcterms.modified",
)
_SITE_NAMES = ("og:site_name", "sitename", "application-name", "apple-mobile-web-app-title")
# A quote inside an attribute ends it for a parser; here the value goes to the last quote before the end of the element.
_BROKEN_META = re.compile(
    r"""<meta\s[^<>]{0,80}?(?:property|name)\s*=\s*["']?(?P<name>og:title|twitter:title|ArticleTitle)["']?\s+content\s*=\s*"(?P<value>[^<>]{1,400})"\s*/?>""",
    re.IGNORECASE,
)
# Found by the value and then judged by the name before it: a search for the names alone takes 300 ms in the 770 KB of
# a WeChat page.
_SCRIPT_VALUE = re.compile(r"(?:20\d\d[-/年.]\d{1,2}[-/月.]\d{1,2}[^\"'<>,;]{0,24}|1\d{9}(?:\d{3})?)(?=[\"',;}\s])")
_SCRIPT_NAME = re.compile(
    r"""(?:datepublished|pub(?:lish)?(?:ed)?_?(?:time|date|at)|p_?time|(?:create|release|issue|post)d?_?(?:time|date|at)|\bct)["']?\s*[:=]\s*["']?$""",
    re.IGNORECASE,
)
_ATTRIBUTE_NAME = re.compile(r"(?:pub(?:lish)?(?:ed)?[-_]?(?:time|date|at)|p_?time|create[-_]?time)$", re.IGNORECASE)
_SCRIPT_BODY = re.compile(
    r'"(?:articleBody|article_?content|content_?html|content|body|text|html|desc)"\s*:\s*"((?:[^"\\]|\\.){60,})"'
)
_SCRIPT_TITLE = re.compile(r'"(?:title|headline|article_?title|news_?title)"\s*:\s*"((?:[^"\\]|\\.){4,200})"')
_ARTICLE_TYPES = re.compile(r"article|posting|report|webpage|videoobject|discussion|question", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Titles and times in the order of trust (times as stated, not parsed), site names, and the text of JSON-LD.

    `times` are those of publishing, `changed` those of the last change, `marked` those of the page's first <time>
    elements.
    """

    titles: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    page_title: str = ""
    body: str = ""


def read_metadata(root: etree._Element | None, markup: str) -> Metadata:
    """Collect them from a parsed page and its markup (for what the parser cannot read: quotes inside a meta tag)."""
    if root is None:
        return Metadata()
    metas: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = meta.get("property") or meta.get("name") or meta.get("itemprop") or ""
        value = clean(meta.get("content") or "")
        if name and value:
            metas.setdefault(name.strip().lower(), value)
    linked = _linked_data(root)
    titles = [*linked.titles, *(metas[name] for name in _TITLE_NAMES if name in metas)]
    broken = [clean(re.sub(r'"?\s*=\s*"*\s*$', "", match["value"])) for match in _BROKEN_META.finditer(markup[:HEAD])]
    titles = [_whole(title, broken) for title in titles]
    times = [*linked.times, *(metas[name] for name in _TIME_NAMES if name in metas), *_item_times(root)]
    page_title = root.find(".//title")
    return Metadata(
        titles=titles,
        times=times,
        changed=[*linked.changed, *(metas[name] for name in _CHANGED_NAMES if name in metas)],
        marked=[text for element in islice(root.iter("time"), 3) if (text := clean(element.get("datetime") or ""))],
        sites=[*linked.sites, *(metas[name] for name in _SITE_NAMES if name in metas)],
        page_title=clean("".join(str(part) for part in page_title.itertext())) if page_title is not None else "",
        body=linked.body,
    )


def clean(text: str) -> str:
    """One line, entities decoded (also those that were encoded twice), blanks collapsed."""
    if "&" in text:
        text = html.unescape(text)
    return " ".join(text.split())


def _whole(title: str, broken: list[str]) -> str:
    """The title that a quote mark inside the meta tag has cut, as far as the markup still holds it."""
    return next(
        (value for value in broken if value.startswith(title) and value[len(title) : len(title) + 1] == '"'), title
    )


def _linked_data(root: etree._Element) -> Metadata:
    """Headline, time and text of the articles in JSON-LD."""
    found = Metadata()
    for thing in _linked_things(root):
        kinds = str(thing.get("@type") or "")
        _add_text(
            found.titles, thing.get("headline") or (thing.get("title") if not kinds or "WebPage" in kinds else None)
        )
        for key in ("datePublished", "pubDate", "uploadDate", "dateCreated"):
            _add_text(found.times, thing.get(key))
        _add_text(found.changed, thing.get("dateModified"))
        publisher = thing.get("publisher")
        if isinstance(publisher, dict):
            _add_text(found.sites, publisher.get("name"))
        body = thing.get("articleBody")
        if isinstance(body, str) and len(body) > len(found.body):
            found = replace(found, body=body)
    return found


def linked_writers(root: etree._Element) -> list[str]:
    """The names in `author` of the articles in JSON-LD; only for writer.py, never part of Metadata."""
    names: list[str] = []
    for thing in _linked_things(root):
        authors = thing.get("author")
        for author in authors if isinstance(authors, list) else [authors]:
            _add_text(names, author.get("name") if isinstance(author, dict) else author)
    return names


def _linked_things(root: etree._Element) -> Iterator[dict[str, Any]]:
    """The articles in JSON-LD, and what has no type."""
    for script in root.iter("script"):
        if "ld+json" not in (script.get("type") or "").lower():
            continue
        for thing in _things(_loads(script.text or "")):
            kind = thing.get("@type", "")
            kinds = " ".join(str(k) for k in kind) if isinstance(kind, list) else str(kind)
            if not kinds or _ARTICLE_TYPES.search(kinds):
                yield thing


def _add_text(texts: list[str], value: Any) -> None:
    if isinstance(value, str) and value.strip():
        texts.append(clean(value))


def _loads(text: str) -> Any:
    """JSON as pages write it (comments around, line breaks in strings, a comma too many); None if hopeless."""
    text = text.strip()[:LONGEST_JSON].removeprefix("<!--").removeprefix("//<![CDATA[").strip().rstrip(";").strip()
    for attempt in (
        text,
        re.sub(r"[\x00-\x1f]+", " ", text),
        re.sub(r",\s*([}\]])", r"\1", re.sub(r"[\x00-\x1f]+", " ", text)),
    ):
        try:
            return msgspec.json.decode(attempt.encode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError):
            continue
    return None


def _things(data: Any) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-LD document, its lists and its @graph; not what they refer to (authors, images)."""
    stack, seen = [data], 0
    while stack and seen < 500:
        seen += 1
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))
        elif isinstance(item, dict):
            yield item
            stack.extend(item[key] for key in ("mainEntity", "@graph") if key in item)


def _item_times(root: etree._Element) -> list[str]:
    """Times in markup that names them: <time datetime>, itemprop=datePublished, data-publishtime and its like."""
    found: list[str] = []
    for element in root.iter("time", "span", "div", "em", "i", "p", "abbr", "relative-time", "video"):
        attributes = element.attrib
        if not attributes:
            continue
        if attributes.get("itemprop", "").lower() in {"datepublished", "datecreated"}:
            _add_text(
                found,
                attributes.get("datetime")
                or attributes.get("content")
                or "".join(str(part) for part in element.itertext()),
            )
        if element.tag == "time" and "pubdate" in attributes:
            _add_text(found, attributes.get("datetime") or "".join(str(part) for part in element.itertext()))
    return found


def script_times(root: etree._Element | None) -> list[str]:
    """Times that script variables name as those of publishing (pubtime = '2020-10-04 20:30', ct = "1581463200")."""
    found: list[str] = []
    for script in root.iter("script") if root is not None else ():
        text = script.text or ""
        for match in _SCRIPT_VALUE.finditer(text[:LONGEST_JSON]):
            named = _SCRIPT_NAME.search(text[max(0, match.start() - 40) : match.start()])
            found.extend([clean(match[0])] if named else [])
    return found[:20]


def attribute_times(root: etree._Element | None) -> list[str]:
    """Times in attributes that name them as those of publishing (data-publishtime, data-ptime, pubdate)."""
    if root is None:
        return []
    found = root.xpath("(//@*[contains(name(), 'time') or contains(name(), 'date')])[position() <= 200]")
    values = found if isinstance(found, list) else []
    named = [value for value in values if _ATTRIBUTE_NAME.search(str(getattr(value, "attrname", "")))]
    return [clean(str(value)) for value in named]


def script_bodies(markup: str) -> list[str]:
    """Long strings of script data that are named as the text of an article, unescaped; they may be markup."""
    found = []
    for match in _SCRIPT_BODY.finditer(markup):
        value = _unescape(match[1])
        if value:
            found.append(value)
        if len(found) >= 200:
            break
    return found


def script_title(markup: str) -> str:
    """The first title that script data names, '' without one."""
    match = _SCRIPT_TITLE.search(markup)
    return clean(_unescape(match[1])) if match else ""


def _unescape(text: str) -> str:
    try:
        value = msgspec.json.decode(f'"{text}"'.encode("utf-8", "replace"))
    except msgspec.DecodeError:
        return ""
    return value if isinstance(value, str) else ""
