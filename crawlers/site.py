"""A list page becomes posts: the articles behind its links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from tldextract import TLDExtract

from tingchao.crawlers.base import Found, SourceSpider
from tingchao.crawlers.charset import decode
from tingchao.crawlers.links import Link, all_links, list_links
from tingchao.crawlers.visit import Answer
from tingchao.pipeline.errors import Poison

# The list of public suffixes that comes with the package: nothing is fetched, nothing is kept.
_DOMAIN = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)


class SiteSpider(SourceSpider):
    """kind = "site". Without `articles` (a regular expression on addresses) the list is found by its form."""

    name = "site"

    def read(self, answer: Answer) -> Iterator[Found]:
        links = self._links(answer)
        self.visit.charset = decode(answer.body, self.content_type(answer))[1]
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


def site_of(url: str) -> str:
    """The name that a site's hosts share: news.example.com.cn and www.example.com.cn are example.com.cn."""
    return _DOMAIN(url).top_domain_under_public_suffix or (urlsplit(url).hostname or "").rstrip(".")
