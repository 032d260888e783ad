"""A feed becomes posts: RSS, Atom, RDF and JSON Feed."""

from __future__ import annotations

from collections import Counter
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
        links = Counter(canonical(entry.link) for entry in feed.entries if entry.link)
        # Once entries share a link the feed is known for it, so that an entry keeps its id when the others are gone.
        visit.by_guid = visit.by_guid or any(number > 1 for number in links.values())
        for entry in feed.entries:
            yield self._found(entry, answer)

    def _found(self, entry: Entry, answer: Answer) -> Found:
        raw = self.raw(
            answer,
            title=entry.title,
            text=entry.text,
            url=entry.link,
            author=entry.author or None,
            published_at=entry.published_at,
            basis=_basis(entry, by_guid=self.visit.by_guid),
        )
        wanted = bool(self.source.options.get("full_text")) and bool(entry.link)
        return Found(raw, entry.updated, follow=wanted and (not entry.whole or len(entry.text) < SHORT))


def _basis(entry: Entry, *, by_guid: bool) -> str:
    """'' (the link tells) unless there is no link or several entries share theirs."""
    if entry.link and not by_guid:
        return ""
    return f"{canonical(entry.link) if entry.link else ''}#{entry.guid or entry.title or entry.text[:200]}"
