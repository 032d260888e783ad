"""An alert becomes the HTML that pages show of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from tingchao.alerts import card
from tingchao.alerts.markup import chips, esc, link, local, marked, sparkline
from tingchao.alerts.precedents import Precedent
from tingchao.alerts.representatives import representatives
from tingchao.alerts.sources import about_sources
from tingchao.config.language import text
from tingchao.config.signals import head_name
from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.records import Alert, Change, Evidence

logger = structlog.get_logger()

_SIGNAL_SHOWN = 0.5  # expected posts with the signal; less is noise for a reader
_CHANGES = 6  # lines of the history
_HELD = 500  # cards; a feed shows some tens
_PEOPLE = frozenset(
    {"opened", "raised", "acknowledged", "in_hand", "resolved", "false_alarm", "reopened", "quiet", "judged"}
)


class Pictures:
    """Cards without their buttons, each drawn once for all who look."""

    def __init__(self, before: Callable[[Alert], Sequence[Precedent]] = lambda _: ()) -> None:
        self._before = before
        self._drawn: dict[tuple[str, str], tuple[object, str]] = {}

    def of(self, alert: Alert, now: datetime, language: str) -> str:
        """The alert's card. It changes with the alert, and at midnight, since times of today have no date."""
        stands_for = (alert.number, alert.updated_at, now.astimezone(BEIJING).date())
        held = self._drawn.get((alert.id, language))
        if held is None or held[0] != stands_for:
            if len(self._drawn) >= _HELD:
                self._drawn.clear()
            held = self._drawn[alert.id, language] = (
                stands_for,
                _any_card(alert, now, language, self._before(alert)),
            )
        return held[1]


def draw_line(alert: Alert, now: datetime, language: str) -> str:
    """The alert in one line, for those that ended."""
    return (
        f'<span class="level l{alert.level}">{esc(text(f"notify.level.{alert.level}", language))}</span>'
        f'<span class="when">{esc(local(alert.since, now))}</span><b>{esc(alert.title)}</b>'
        f'<span class="headline">{esc(_headline(alert, language))}</span>'
        f'<span class="state">{esc(text(f"cli.state.{alert.state}", language))}</span>'
    )


def _headline(alert: Alert, language: str) -> str:
    try:
        return card.headline(alert, language)
    except Exception:  # as in `_any_card`
        logger.exception("page.picture", alert=alert.id)
        return ""


def _any_card(alert: Alert, now: datetime, language: str, before: Sequence[Precedent]) -> str:
    """A card in any case: one alert that cannot be drawn must not hide the others."""
    try:
        return _card(alert, now, language, before)
    except Exception:  # whatever it is, it is logged in full, and the alert stays on the page
        logger.exception("page.picture", alert=alert.id)
        return f"{_head(alert, now, language, alert.title)}<p>{esc(text('page.not_drawn', language))}</p>"


def _head(alert: Alert, now: datetime, language: str, headline: str) -> str:
    since = text("page.since", language, since=local(alert.since, now), until=local(alert.until, now))
    return (
        '<header><div class="tags">'
        f'<span class="level l{alert.level}">{esc(text(f"notify.level.{alert.level}", language))}</span>'
        f'<span class="topic">{esc(alert.title)}</span>'
        f'<span class="state s-{esc(alert.state)}">{esc(text(f"cli.state.{alert.state}", language))}</span>'
        f'<span class="when">{esc(since)}</span></div>'
        f"<h2>{esc(headline)}</h2></header>"
    )


def _card(alert: Alert, now: datetime, language: str, before: Sequence[Precedent]) -> str:
    shown = card.card(alert, language, before)
    told = _sentences(shown, "why", "what") + _evidence(alert, now, language) + _sentences(shown, "precedents")
    beside = "" if about_sources(alert) else _numbers(alert, language) + _curve(alert, language)
    beside += _signals(alert, language) + _sentences(shown, "who") + _history(alert, now, language)
    return (
        f"{_head(alert, now, language, shown.headline)}"
        f'<div class="body"><div class="left">{told}</div>'
        f"<aside>{beside}{_sentences(shown, 'sure', 'unknown', 'held')}</aside></div>"
    )


def _sentences(shown: card.Card, *names: str) -> str:
    parts = [section for section in shown.sections if section.name in names]
    return "".join(
        f'<h3>{esc(part.heading)}</h3><ul class="said-{esc(part.name)}">'
        + "".join(f"<li>{esc(line)}</li>" for line in part.lines)
        + "</ul>"
        for part in parts
    )


def _numbers(alert: Alert, language: str) -> str:
    facts = [
        ("sure", f"{alert.sure:.0%}"),
        ("posts", str(alert.posts)),
        ("voices", str(alert.voices)),
        ("negative", f"{alert.negative_share:.0%}"),
    ]
    items = "".join(f"<div><dt>{esc(text(f'page.{key}', language))}</dt><dd>{value}</dd></div>" for key, value in facts)
    return f'<dl class="numbers">{items}</dl>'


def _curve(alert: Alert, language: str) -> str:
    if not alert.curve:
        return ""
    label = text("page.curve", language, minutes=round(alert.bucket / 60), most=max(alert.curve))
    return f"<figure>{sparkline(alert.curve, label)}<figcaption>{esc(label)}</figcaption></figure>"


def _signals(alert: Alert, language: str) -> str:
    signals = [
        f"{text(f'signal.{name}', language)} {mass:.1f}"
        for name, mass in sorted(alert.signals.items(), key=lambda pair: -pair[1])
        if mass >= _SIGNAL_SHOWN
    ]
    return f'<div class="chips signals">{chips(signals)}</div>'


def _evidence(alert: Alert, now: datetime, language: str) -> str:
    if not alert.evidence:
        return ""
    shown = [post for _, post in representatives(alert.evidence)]
    rest = [post for post in alert.evidence if post not in shown]
    found = f"<h3>{esc(text('page.evidence', language))}</h3>{_posts(shown, now, language)}"
    if rest:
        more = esc(text("page.more", language, number=len(rest)))
        found += f'<details class="more"><summary>{more}</summary>{_posts(rest, now, language)}</details>'
    return found


def _posts(posts: Sequence[Evidence], now: datetime, language: str) -> str:
    return f"<ol class=posts>{''.join(_post(post, now, language) for post in posts)}</ol>"


def _post(post: Evidence, now: datetime, language: str) -> str:
    first = f'<span class="first">{esc(text("page.first", language))}</span>' if post.role == "first" else ""
    title = post.title or post.excerpt[:40] or text("page.untitled", language)
    excerpt = post.excerpt if post.title else post.excerpt[40:]
    unseen = [word for word in post.words if word not in title + excerpt]
    return (
        f'<li><div class="meta"><span class="when">{esc(local(post.published_at, now))}</span>'
        f"<span>{esc(post.source)}</span>{first}</div>"
        f'<div class="title">{link(post.url, title, post.words)}</div>'
        + (f"<p>{marked(excerpt, post.words)}</p>" if excerpt else "")
        + (f'<div class="chips words">{chips(unseen)}</div>' if unseen else "")
        + "".join(f'<div class="meta why">{esc(_why(head, post.why[head], language))}</div>' for head in post.why)
        + "</li>"
    )


def _why(head: str, moved: Sequence[tuple[str, float]], language: str) -> str:
    """The words and phrases for the head and against it, as `tingchao score --why` shows them."""
    up, down = ([word for word, change in moved if change * sign > 0] for sign in (1, -1))
    comma = text("alert.comma", language)
    return " ".join(
        [
            head_name(head, language),
            *(f"{sign} {comma.join(words)}" for sign, words in (("↑", up), ("↓", down)) if words),
        ]
    )


def _history(alert: Alert, now: datetime, language: str) -> str:
    lines = [change for change in alert.history if change.what in _PEOPLE][-_CHANGES:]
    items = "".join(f"<li>{_change(line, now, language)}</li>" for line in reversed(lines))
    return f"<h3>{esc(text('page.history', language))}</h3><ul class=history>{items}</ul>" if items else ""


def _what(change: Change, language: str) -> str:
    if change.verdict is None:
        return text(f"page.change.{change.what}", language)
    key = "page.change.judged_post" if change.post else "page.change.judged"
    return text(key, language, verdict=text(f"cli.verdict.{change.verdict}", language))


def _change(change: Change, now: datetime, language: str) -> str:
    note = f" · {esc(change.note)}" if change.note else ""
    what = esc(_what(change, language))
    return f'<span class="when">{esc(local(change.at, now))}</span> {what}{note}'
