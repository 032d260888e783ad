"""A fetched page becomes an Article: title, text, time of publishing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tingchao.crawlers.blocks import Block, Page
from tingchao.crawlers.body import article_blocks
from tingchao.crawlers.charset import decode
from tingchao.crawlers.clock_words import ParsedTime, parse_time
from tingchao.crawlers.foreign import foreign_text, is_chinese
from tingchao.crawlers.frame import Frame
from tingchao.crawlers.headline import find_title
from tingchao.crawlers.links import Link, list_links
from tingchao.crawlers.metadata import Metadata, read_metadata, script_bodies
from tingchao.crawlers.published import find_published
from tingchao.crawlers.suspects import judged_page
from tingchao.crawlers.walls import is_login_wall

__all__ = ["Article", "Frame", "Link", "ParsedTime", "decode", "is_login_wall", "list_links", "page_lines", "parse_time", "read_article"]

SHORT = 60
"""Characters: below, the visible text may be a teaser and the text in script data is looked at."""


@dataclass(frozen=True, slots=True)
class Article:
    """What a page says, without what surrounds it.

    `title` is '' and `text` is '' when the page has none; the paragraphs of `text` are joined by a line break;
    `published_at` is aware (Asia/Shanghai unless the page states another zone) and None when the page states none;
    `minute` tells whether a time of day was stated; `charset` is the one used to decode.
    """

    title: str
    text: str
    published_at: datetime | None
    minute: bool
    charset: str


def read_article(body: bytes, url: str, fetched_at: datetime, content_type: str = "", frame: Frame | None = None) -> Article:
    """Read one page; never raises, whatever the bytes are.

    `fetched_at` (aware) resolves words like 昨天 08:10; `content_type` is the HTTP header; `frame` knows the lines that return
    on other pages of the site and may be None.
    """
    markup, charset = decode(body, content_type)
    page = judged_page(markup)
    meta = read_metadata(page.root, markup)
    title, headline = find_title(page, meta)
    blocks = article_blocks(page, title, headline, frame.is_frame if frame is not None else None)
    published = find_published(page, meta, url, headline, blocks, fetched_at)
    text = "" if is_chinese(page) else foreign_text(markup, page, title, headline)
    text = text or "\n".join(block.text for block in blocks)
    if len(text) < SHORT:
        text = _from_scripts(text, meta, markup)
    return Article(title, text, published.at if published else None, minute=bool(published and published.minute), charset=charset)


def page_lines(body: bytes, content_type: str = "") -> list[str]:
    """All visible lines of a page, for Frame.learn."""
    return [block.text for block in judged_page(decode(body, content_type)[0]).blocks]


def _from_scripts(text: str, meta: Metadata, markup: str) -> str:
    """The longest text in JSON-LD or script data if the page shows none; `text` otherwise."""
    found = max([meta.body, *script_bodies(markup)], key=_han, default="")
    if _han(found) < max(40, 2 * _han(text)):
        return text
    lines = _lines(found)
    return "\n".join(lines) if sum(map(len, lines)) > 2 * len(text) else text


def _lines(text: str) -> list[str]:
    if "<" in text and ">" in text:
        page: Page = judged_page(text)
        blocks: list[Block] = article_blocks(page, "", -1)
        return [block.text for block in blocks]
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _han(text: str) -> int:
    return sum(1 for c in text if "\u4e00" <= c <= "\u9fff")
