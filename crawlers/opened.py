"""The bytes of a page become its blocks, once for all who look at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tingchao.crawlers.blocks import Page
from tingchao.crawlers.charset import decode
from tingchao.crawlers.suspects import judge, judged_page

_MARKUP = re.compile(
    r"<\s*/?\s*(?:!doctype|html|head|body|title|meta|script|div|p|br|span|table|td|a|li|h[1-6])\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """The text of a page, the charset that was used, and its blocks."""

    markup: str
    charset: str
    page: Page


def open_page(body: bytes, content_type: str = "") -> Opened:
    """Decode and read a page; the last one is kept, for a spider asks for its article, its lines and for a wall."""
    opened = _open(body, content_type)
    judge(opened.page)
    return opened


@lru_cache(maxsize=1)
def _open(body: bytes, content_type: str) -> Opened:
    markup, charset = decode(body, content_type)
    return Opened(markup, charset, judged_page(markup if is_text(markup) else ""))


def is_text(markup: str) -> bool:
    """Whether this is a page or plain text, not a picture or an archive: markup, or hardly any unreadable character."""
    head = markup[:20_000]
    unreadable = sum(1 for c in head if c == "\ufffd" or (c < " " and c not in "\t\n\r\f"))
    if unreadable * 50 <= len(head):
        return True
    return unreadable * 5 <= len(head) and _MARKUP.search(head) is not None
