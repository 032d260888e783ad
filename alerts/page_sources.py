"""The page /sources: when each source was last visited and what came, and what waits in the channels."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request

from tingchao.alerts.desk import Desk
from tingchao.alerts.follower import View
from tingchao.alerts.markup import esc, link, local, table
from tingchao.alerts.nice import ui
from tingchao.alerts.outbox import ChannelState
from tingchao.alerts.page_frame import frame
from tingchao.config.language import text
from tingchao.config.sources import Source
from tingchao.pipeline.records import FINE, Fetch


def add(desk: Desk) -> None:
    """Register the page."""

    @ui.page("/sources")
    def sources(request: Request) -> None:
        language = frame(desk, request, "sources")
        with ui.element("div").classes("page sources"):
            tables = ui.html(_tables(desk, language), sanitize=False)

        def update() -> None:
            tables.content = _tables(desk, language)

        ui.timer(1.0, update, immediate=False)


def _tables(desk: Desk, language: str) -> str:
    view = desk.view
    known = {source.name for source in desk.settings.sources}
    rows = [
        _source(source, view.fetches.get(source.name), view.status.now, language) for source in desk.settings.sources
    ]
    rows += [
        _fetched(esc(name), fetch, view.status.now) for name, fetch in sorted(view.fetches.items()) if name not in known
    ]
    heads = [text(f"page.source.{name}", language) for name in ("name", "last", "outcome", "items", "robots", "next")]
    none = f'<p class="nothing">{esc(text("page.source.none", language))}</p>'
    return (table(heads, rows, "visits") if rows else none) + _channels(view, language)


def _source(source: Source, fetch: Fetch | None, now: datetime, language: str) -> list[str]:
    name = f"{link(source.url, source.title or source.name)}<small>{esc(source.name)} · {esc(source.kind)}</small>"
    if fetch is not None:
        return _fetched(name, fetch, now)
    state = text("page.source.never" if source.enabled else "page.source.disabled", language)
    return [name, "", f'<span class="faint">{esc(state)}</span>', "", "", ""]


def _fetched(name: str, fetch: Fetch, now: datetime) -> list[str]:
    fine = "fine" if fetch.outcome in FINE else "trouble"
    status = f" {fetch.status}" if fetch.status and fine == "trouble" else ""
    message = f"<small>{esc(fetch.message)}</small>" if fetch.message else ""
    return [
        name,
        f'<span class="when">{esc(local(fetch.at, now))}</span>',
        f'<span class="{fine}">{esc(fetch.outcome)}{esc(status)}</span>{message}',
        esc(fetch.items),
        esc(fetch.robots),
        f'<span class="when">{esc(local(fetch.next_at, now))}</span>' if fetch.next_at else "",
    ]


def _channels(view: View, language: str) -> str:
    if not view.channels:
        return ""
    heads = [
        text(f"page.source.{name}", language) for name in ("channel", "sent", "waiting", "refused", "outcome", "next")
    ]
    rows = [_channel(channel, view.status.now) for channel in view.channels]
    return f"<h2>{esc(text('page.source.channels', language))}</h2>{table(heads, rows, 'channels')}"


def _channel(channel: ChannelState, now: datetime) -> list[str]:
    error = channel.health.error
    return [
        esc(channel.name),
        esc(channel.health.sent),
        esc(channel.waiting),
        esc(channel.health.refused),
        f'<span class="trouble">{esc(error)}</span>' if error else '<span class="fine">ok</span>',
        f'<span class="when">{esc(local(channel.next_try, now))}</span>' if channel.next_try else "",
    ]
