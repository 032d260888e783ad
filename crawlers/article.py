"""A fetched page becomes an Article: title, text, time of publishing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tingchao.crawlers.blocks import Block, Page
from tingchao.crawlers.body import article_blocks
from tingchao.crawlers.foreign import foreign_text, is_chinese
from tingchao.crawlers.frame import Frame
from tingchao.crawlers.headline import find_title
from tingchao.crawlers.metadata import Metadata, read_metadata, script_bodies, script_title
from tingchao.crawlers.opened import open_page
from tingchao.crawlers.opening import with_opening
from tingchao.crawlers.published import find_published
from tingchao.crawlers.suspects import judge, judged_page

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


def read_article(
    body: bytes, url: str, fetched_at: datetime, content_type: str = "", frame: Frame | None = None
) -> Article:
    """Read one page; never raises, whatever the bytes are.

    `fetched_at` (aware) resolves words like 昨天 08:10; `content_type` is the HTTP header; `frame` knows the lines
    that return on other pages of the site and may be None.
    """
    opened = open_page(body, content_type)
    markup, page = opened.markup, opened.page
    meta = read_metadata(page.root, markup)
    title, headline = find_title(page, meta)
    blocks = _blocks(page, title, headline, frame)
    published = find_published(page, meta, url, headline, blocks, fetched_at)
    text = "" if is_chinese(page) else foreign_text(markup, page, title, headline)
    text = text or "\n".join(block.text for block in blocks)
    if len(text) < SHORT and page.root is not None:
        text = _from_scripts(text, meta, markup)
        title = title or script_title(markup)
    return Article(
        title=title,
        text=text,
        published_at=published.at if published else None,
        minute=published is not None and published.minute,
        charset=opened.charset,
    )


def _blocks(page: Page, title: str, headline: int, frame: Frame | None) -> list[Block]:
    """The blocks of the article, those of the site's frame left out unless nothing would be left.

    An article that a site shows at two addresses is all frame.
    """
    if frame is None or not len(frame):
        return with_opening(page, title, headline, article_blocks(page, title, headline))
    found = article_blocks(page, title, headline, frame.is_frame)
    found = with_opening(page, title, headline, found, frame.is_frame)
    if sum(block.size for block in found) >= SHORT:
        return found
    judge(page)
    whole = with_opening(page, title, headline, article_blocks(page, title, headline))
    framed = sum(block.size for block in whole if frame.is_frame(block.text))
    return whole if whole and framed >= 0.9 * sum(block.size for block in whole) and headline >= 0 else found


def page_lines(body: bytes, content_type: str = "") -> list[str]:
    """All lines of a page, for Frame.learn; costs nothing right after read_article of the same page."""
    return [block.text for block in open_page(body, content_type).page.blocks]


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
