"""A feed becomes posts: RSS, Atom, RDF and JSON Feed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tingchao.crawlers.base import Found, SourceSpider
from tingchao.crawlers.entries import Entry, read_feed
from tingchao.crawlers.visit import Answer
from tingchao.pipeline.ids import canonical

SHORT = 80  # characters; a shorter text is a teaser, and `full_text` asks for the article behind it


class FeedSpider(SourceSpider):
    """kind = "feed". With `options = { full_text = true }` the article is fetched where the feed has only a summary."""

    name = "feed"

    def read(self, answer: Answer) -> Iterator[Found]:
        source, visit = self.source, self.visit
        feed = read_feed(answer.body, answer.url, answer.content_type, answer.fetched_at, source.encoding)
        visit.charset = feed.charset
        behind: defaultdict[str, set[str]] = defaultdict(set)
        for entry in feed.entries:
            behind[canonical(entry.link) if entry.link else ""].add(_mark(entry))
        for entry in feed.entries:
            yield self._found(entry, answer, self._basis(entry, behind))

    def _basis(self, entry: Entry, behind: dict[str, set[str]]) -> str:
        """'' (the link tells) unless there is no link or different entries (`behind` a link, by guid) share it."""
        link = canonical(entry.link) if entry.link else ""
        basis = f"{link}#{_mark(entry)}"
        # An entry that once shared its link keeps its id when the others are gone.
        known = self.visit.pages.get(self.visit.pages.key(basis)) is not None
        return basis if not link or known or len(behind[link]) > 1 else ""

    def _found(self, entry: Entry, answer: Answer, basis: str) -> Found:
        raw = self.raw(
            answer,
            title=entry.title,
            text=entry.text,
            url=entry.link,
            author=entry.author or None,
            published_at=entry.published_at,
            basis=basis,
        )
        wanted = bool(self.source.options.get("full_text")) and bool(entry.link)
        return Found(raw, entry.updated, follow=wanted and (not entry.whole or len(entry.text) < SHORT))


def _mark(entry: Entry) -> str:
    """What tells an entry from others with its link."""
    return entry.guid or entry.title or entry.text[:200]
