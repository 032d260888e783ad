"""A list page becomes posts: the articles behind its links."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from lxml import etree

from tingchao.crawlers.base import Found, SourceSpider
from tingchao.crawlers.blocks import parse
from tingchao.crawlers.charset import decode
from tingchao.crawlers.links import Link, list_links
from tingchao.crawlers.visit import Answer
from tingchao.pipeline.errors import Poison

_SECOND_LEVEL = frozenset({"com", "net", "org", "gov", "edu", "ac", "co", "mil"})  # of .cn, .hk, .tw and the like


class SiteSpider(SourceSpider):
    """kind = "site". Without `articles` (a regular expression on addresses) the list is found by its form."""

    name = "site"

    def read(self, answer: Answer) -> Iterator[Found]:
        links = self._links(answer)
        if not links:
            raise Poison("no_list", "no links to articles")
        for link in links:
            yield Found(self.raw(answer, url=link.url, title=link.title, text=""), follow=True)

    def _links(self, answer: Answer) -> list[Link]:
        content_type = self.content_type(answer)
        if self.source.articles:
            pattern = re.compile(self.source.articles)
            return [link for link in all_links(answer.body, answer.url, content_type) if pattern.search(link.url)]
        home = site_of(answer.url)
        return [link for link in list_links(answer.body, answer.url, content_type) if site_of(link.url) == home]


def all_links(body: bytes, url: str, content_type: str) -> list[Link]:
    """Every link of a page once, in order, with the longest text that it stands under."""
    root = parse(decode(body, content_type)[0])
    found: dict[str, str] = {}
    for anchor in root.iter("a") if root is not None else ():
        address = _address(anchor, url)
        text = " ".join("".join(str(piece) for piece in anchor.itertext()).split())
        title = max(text, (anchor.get("title") or "").strip(), key=len)
        if address and len(title) >= len(found.get(address, "")):
            found[address] = title
    return [Link(title, address) for address, title in found.items()]


def site_of(url: str) -> str:
    """The name that a site's hosts share: news.example.com.cn and www.example.com.cn are example.com.cn."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        labels = host.split(".")
        kept = 3 if len(labels) > 2 and labels[-2] in _SECOND_LEVEL and len(labels[-1]) == 2 else 2
        return ".".join(labels[-kept:])


def _address(anchor: etree._Element, url: str) -> str:
    href = (anchor.get("href") or "").strip()
    try:
        address = urljoin(url, href).split("#")[0] if href else ""
    except ValueError:
        return ""
    return address if address.startswith(("http://", "https://")) else ""
