"""A fetched page becomes an Article."""
from __future__ import annotations
from dataclasses import dataclass
from datetime import datetime
from tingchao.crawlers.blocks import parse, read_page
from tingchao.crawlers.body import article_blocks
from tingchao.crawlers.charset import decode
@dataclass(frozen=True, slots=True)
class Article:
    title: str
    text: str
    published_at: datetime | None
    minute: bool
    charset: str
def read_article(body,url,fetched_at,content_type="",frame=None):
    text,cs=decode(body,content_type)
    page=read_page(parse(text))
    h=-1
    return Article("", "\n".join(b.text for b in article_blocks(page,"",h)), None, False, cs)
