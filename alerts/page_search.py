"""The page /search: scored posts by words and conditions, the newest first. A plain form, so a search is a link."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.requests import Request

from tingchao.alerts.desk import Desk
from tingchao.alerts.markup import chips, esc, link, local, marked, table
from tingchao.alerts.nice import ui
from tingchao.alerts.page_frame import frame
from tingchao.config.language import in_language, text
from tingchao.config.signals import SIGNALS
from tingchao.pipeline.clock import BEIJING, millis
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Scored

PER_PAGE = 30  # posts
EXCERPT = 160  # characters of a post in the table
_SENTIMENTS = ("negative", "neutral", "positive")
_FIELDS = ("q", "since", "until", "sentiment", "signal", "topic", "source")
_FIELD_LIMIT = 500  # characters


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it was filled in."""

    q: str = ""
    since: str = ""
    until: str = ""
    sentiment: str = ""
    signal: str = ""
    topic: str = ""
    source: str = ""
    after: str = ""

    @classmethod
    def of(cls, request: Request) -> Asked:
        """What the request's address asks for."""
        given = request.query_params
        return cls(**{name: given.get(name, "").strip()[:_FIELD_LIMIT] for name in (*_FIELDS, "after")})

    def address(self, after: str = "") -> str:
        """The address of this search, from the post `after` on."""
        filled = {name: value for name in _FIELDS if (value := getattr(self, name))}
        return "/search?" + urlencode(filled | ({"after": after} if after else {}))

    def query(self, language: str) -> Query:
        """Raises Refused for what cannot be read."""
        return Query(
            expression=parse(self.q),
            since=_time(self.since, language),
            until=_time(self.until, language),
            topic=self.topic,
            sentiment=self.sentiment,
            signal=self.signal,
            source=self.source,
            limit=PER_PAGE,
            after=_place(self.after),
        )


def add(desk: Desk) -> None:
    """Register the page."""

    @ui.page("/search", response_timeout=60)
    async def search(request: Request) -> None:
        asked = Asked.of(request)
        language = frame(desk, request, "search")
        with ui.element("div").classes("page search"):
            ui.html(_form(desk, asked, language), sanitize=False)
            result = ui.html("", sanitize=False)
        try:
            hits, total = await desk.search(asked.query(language))
        except (Refused, Retry) as err:
            result.content = f'<p class="wrong">{esc(in_language(err, language))}</p>'
            return
        result.content = _result(asked, hits, total, desk.clock.now(), language)


def _result(asked: Asked, hits: list[Scored], total: int, now: datetime, language: str) -> str:
    if not hits:
        return f'<p class="nothing">{esc(text("page.find.nothing", language))}</p>'
    heads = [text(f"page.find.{name}", language) for name in ("time", "source", "sentiment", "signal", "post")]
    words = _words(asked.q)
    rows = table(heads, (_row(hit, words, now, language) for hit in hits), "hits")
    found = esc(text("page.find.found", language, number=f"{total:,}"))
    return f'<p class="found">{found}</p>{rows}<p class="pager">{_pager(asked, hits, language)}</p>'


def _row(hit: Scored, words: list[str], now: datetime, language: str) -> list[str]:
    post, scores = hit.post, hit.scores
    chances = {"negative": scores.negative, "neutral": scores.neutral, "positive": scores.positive}
    mood = max(chances, key=lambda name: chances[name])
    excerpt = post.text[:EXCERPT] + ("…" if len(post.text) > EXCERPT else "")
    title = post.title or (excerpt if not post.text else "")
    return [
        f'<span class="when">{esc(local(post.published_at, now))}</span>',
        esc(post.source),
        f'<span class="mood m-{mood}">{esc(text(f"cli.sentiment.{mood}", language))} {chances[mood]:.0%}</span>',
        f'<div class="chips">{chips(text(f"signal.{name}", language) for name in scores.given)}</div>',
        (f'<div class="title">{link(post.url, title, words)}</div>' if title else "")
        + f"<p>{marked(excerpt, words)}</p>"
        + ("" if title or not post.url else f"<p>{link(post.url, post.url)}</p>"),
    ]


def _pager(asked: Asked, hits: list[Scored], language: str) -> str:
    last = hits[-1].post
    newest = f'<a href="{esc(asked.address())}">{esc(text("page.find.newest", language))}</a>' if asked.after else ""
    if len(hits) < PER_PAGE:
        return newest
    older = asked.address(f"{millis(last.published_at)},{last.id}")
    return f'{newest}<a class="older" href="{esc(older)}">{esc(text("page.find.older", language))}</a>'


def _form(desk: Desk, asked: Asked, language: str) -> str:
    topics = {topic.name: topic.title for topic in desk.settings.topics}
    signals = {name: text(f"signal.{name}", language) for name in SIGNALS}
    moods = {name: text(f"cli.sentiment.{name}", language) for name in _SENTIMENTS}
    sources = {*(source.name for source in desk.settings.sources), *desk.view.fetches}
    options = "".join(f'<option value="{esc(name)}">' for name in sorted(sources))
    hint = esc(text("page.find.query", language))
    return (
        '<form class="find" action="/search" method="get">'
        f'<input class="q" type="search" name="q" value="{esc(asked.q)}" placeholder="{hint}" aria-label="{hint}">'
        f"<button>{esc(text('page.find.go', language))}</button>"
        f'<div class="conditions">{_moment("since", asked.since, language)}{_moment("until", asked.until, language)}'
        f"{_choice('topic', topics, asked.topic, language)}{_choice('sentiment', moods, asked.sentiment, language)}"
        f"{_choice('signal', signals, asked.signal, language)}"
        f"<label>{esc(text('page.find.source', language))}"
        f'<input name="source" list="sources" value="{esc(asked.source)}">'
        f'<datalist id="sources">{options}</datalist></label></div></form>'
    )


def _moment(name: str, value: str, language: str) -> str:
    label = esc(text(f"page.find.{name}", language))
    return f'<label>{label}<input type="datetime-local" name="{name}" value="{esc(value)}"></label>'


def _choice(name: str, choices: dict[str, str], chosen: str, language: str) -> str:
    entries: Iterable[tuple[str, str]] = [("", text("page.find.any", language)), *choices.items()]
    options = "".join(
        f'<option value="{esc(value)}"{" selected" if value == chosen else ""}>{esc(words)}</option>'
        for value, words in entries
    )
    return f'<label>{esc(text(f"page.find.{name}", language))}<select name="{name}">{options}</select></label>'


def _time(value: str, language: str) -> datetime | None:
    """A time without a zone is Beijing's. Raises Refused."""
    if not value:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError as err:
        raise Refused(text("page.find.wrong_time", language, value=value)) from err
    return when if when.tzinfo is not None else when.replace(tzinfo=BEIJING)


def _place(after: str) -> tuple[int, str] | None:
    """Where the page before ended; an address that somebody mangled starts at the newest."""
    found = re.fullmatch(r"(-?\d{1,16}),(\S{1,64})", after)
    return (int(found[1]), found[2]) if found else None


def _words(query: str) -> list[str]:
    """The words to mark: those looked for, not those left out."""
    wanted = re.sub(r'(?:-|\bNOT\s+)(?:"[^"]*"|\S+)', " ", query)
    return [word for word in re.findall(r'[^\s"()*]+', wanted) if word not in {"OR", "AND", "NOT"}]
