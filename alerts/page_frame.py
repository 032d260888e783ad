"""What every page has around it: the name, the ways to the other pages, the language, the status line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request

from tingchao.alerts.desk import Desk
from tingchao.alerts.follower import Status
from tingchao.alerts.markup import esc, local
from tingchao.alerts.nice import ui
from tingchao.config.language import text

STYLE = Path(__file__).with_name("page.css")
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5c6b"/>'
    '<path d="M4 19c4 0 4-6 8-6s4 6 8 6 4-6 8-6" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/>'
    "</svg>"
)
_TICKS = 2  # ticks of the clock stand among the mentions; so few are no backlog
LOOK = 0.3  # seconds between two looks of an open page at the view
_PLACES = (("alerts", "/"), ("search", "/search"), ("sources", "/sources"))


def frame(desk: Desk, request: Request, here: str) -> str:
    """Draw the head of the page `here` (a key of [page]); the reader's language."""
    language = desk.language(request)
    ui.page_title(f"{text('page.brand', language)} · {text(f'page.{here}', language)}")
    places = "".join(
        f'<a href="{path}"{" aria-current=page" if name == here else ""}>{esc(text(f"page.{name}", language))}</a>'
        for name, path in _PLACES
    )
    other = "en" if language == "zh" else "zh"
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    name = esc(text("page.other_language", language))
    switch = f'<a class="switch" href="/language/{other}?back={quote(back, safe="")}">{name}</a>'
    with ui.element("nav").classes("top"):
        ui.html(
            f'<a class="brand" href="/">{ICON}<b>{esc(text("page.brand", language))}</b></a>{places}',
            sanitize=False,
        ).classes("places")
        _Line(desk, language)
        ui.html(switch, sanitize=False)
    return language


class _Line:
    """The status line, which moves by itself."""

    def __init__(self, desk: Desk, language: str) -> None:
        self._desk, self._language = desk, language
        self._html = ui.html(self._words(), sanitize=False).classes("status")
        ui.timer(1.0, self._update, immediate=False)

    def _update(self) -> None:
        self._html.content = self._words()  # sent to the browser only when it differs

    def _words(self) -> str:
        status, language = self._desk.view.status, self._language
        parts = [
            text("page.rate", language, rate=f"{status.rate:,.0f}"),
            text("page.last_post", language, time=local(status.last_post, status.now))
            if status.last_post
            else text("page.no_post", language),
            text("page.waiting", language, posts=f"{status.waiting:,}")
            if status.waiting > _TICKS
            else text("page.none_waiting", language),
            local(status.now, status.now),
        ]
        return f'<i class="dot{_mood(status)}"></i>' + "".join(f"<span>{esc(part)}</span>" for part in parts)


def _mood(status: Status) -> str:
    """Green while posts come, else grey: no posts is not good news."""
    return " on" if status.rate > 0 else ""
