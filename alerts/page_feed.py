"""The page /: active alerts with their evidence and buttons, what ended below; it moves by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from tingchao.alerts.desk import Desk, fitting
from tingchao.alerts.follower import View
from tingchao.alerts.markup import esc
from tingchao.alerts.nice import ui
from tingchao.alerts.page_frame import LOOK, frame
from tingchao.alerts.page_judge import Verdicts
from tingchao.alerts.picture import draw_line
from tingchao.config.language import in_language, text
from tingchao.pipeline.clock import stopwatch
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.records import Alert

PATIENCE = 10.0  # seconds until a page says that an action has not taken effect yet


def add(desk: Desk) -> None:
    """Register the page."""

    @ui.page("/")
    def feed(request: Request) -> None:
        _Feed(desk, frame(desk, request, "alerts"))


class _Feed:
    """One open page."""

    def __init__(self, desk: Desk, language: str) -> None:
        self._desk, self._language = desk, language
        self._seen: View | None = None
        self._number = -1  # of active alerts, in the title
        self._boxes: dict[str, _Box] = {}
        with ui.element("div").classes("page feed"):
            self._calm = ui.html(
                f"<b>{esc(text('page.calm', language))}</b><p>{esc(text('page.calm_more', language))}</p>",
                sanitize=False,
            ).classes("calm")
            self._active = ui.element("section").classes("active")
            with ui.element("details").classes("ended") as self._ended:
                self._summary = ui.html("", sanitize=False, tag="summary")
                self._lines = ui.element("div")
        self._update()
        ui.timer(LOOK, self._update, immediate=False)

    def _update(self) -> None:
        view = self._desk.view
        for box in self._boxes.values():
            box.look_at_watch()
        if view is self._seen:
            return
        before, self._seen = self._seen, view
        if before is None or (before.active, before.ended) != (view.active, view.ended):
            self._draw(view)

    def _draw(self, view: View) -> None:
        shown = {alert.id: alert for alert in (*view.active, *view.ended)}
        for gone in set(self._boxes) - set(shown):
            self._boxes.pop(gone).remove()
        self._place(view.active, self._active, folded=False)
        self._place(view.ended, self._lines, folded=True)
        self._calm.set_visibility(not view.active)
        self._ended.set_visibility(bool(view.ended))
        self._summary.content = esc(text("page.ended", self._language, number=len(view.ended)))
        if self._number != len(view.active):
            self._number = len(view.active)
            name = f"{text('page.brand', self._language)} · {text('page.alerts', self._language)}"
            ui.page_title(f"({self._number}) {name}" if self._number else name)

    def _place(self, alerts: tuple[Alert, ...], parent: ui.element, *, folded: bool) -> None:
        """Each alert's box, in order, under `parent`; boxes that are there already stay as they are."""
        for alert in alerts:
            box = self._boxes.get(alert.id)
            if box is not None and box.folded != folded:
                self._boxes.pop(alert.id).remove()
                box = None
            if box is None:
                with parent:
                    self._boxes[alert.id] = box = _Box(self._desk, self._language, folded=folded)
            box.show(alert)
        for n, alert in enumerate(alerts):
            element = self._boxes[alert.id].element
            if parent.default_slot.children[n] is not element:
                element.move(target_index=n)


class _Box:
    """One alert on one page."""

    def __init__(self, desk: Desk, language: str, *, folded: bool) -> None:
        self._desk, self._language, self.folded = desk, language, folded
        self._alert: Alert | None = None
        self._asked_at: float | None = None
        with ui.element("details" if folded else "article").classes("alert") as self.element:
            self._line = ui.html("", sanitize=False, tag="summary") if folded else None
            self._card = ui.html("", sanitize=False)
            with ui.element("footer"):
                self._buttons = ui.element("div").classes("buttons")
                self._said = ui.label("").classes("said")
                with ui.element("div").classes("judge"):
                    self._verdicts = Verdicts(desk, language, self._said.set_text)

    def show(self, alert: Alert) -> None:
        """Draw what differs from what is shown."""
        if alert == self._alert:
            return
        before, self._alert = self._alert, alert
        now = self._desk.view.status.now
        if self._line is not None:
            self._line.content = draw_line(alert, now, self._language)
        self._card.content = self._desk.pictures.of(alert, now, self._language)
        if before is None or before.level != alert.level:
            self.element.classes(replace=f"alert l{alert.level}")
        if before is None or before.state != alert.state:
            self._draw_buttons(alert)
        self._verdicts.show(alert)

    def look_at_watch(self) -> None:
        """An action that has had no effect for long is told of."""
        if self._asked_at is not None and stopwatch() - self._asked_at > PATIENCE:
            self._asked_at = None
            self._said.set_text(text("page.not_taken", self._language))

    def remove(self) -> None:
        """Take it off the page."""
        self.element.delete()

    def _draw_buttons(self, alert: Alert) -> None:
        self._asked_at = None
        self._said.set_text("")
        self._buttons.clear()
        with self._buttons:
            for action in fitting(alert.state):
                label = text(f"page.action.{action}", self._language)
                button = ui.button(label, color=None, on_click=self._asker(alert.id, action))
                button.props("flat no-caps dense").classes(f"act a-{action}").mark(action)

    def _asker(self, alert: str, action: str) -> Callable[[], Awaitable[None]]:
        async def ask() -> None:
            try:
                await self._desk.send(alert, action)
            except (Refused, Retry) as err:
                self._said.set_text(str(in_language(err, self._language)))
                return
            self._asked_at = stopwatch()
            self._said.set_text(text("page.sent", self._language))

        return ask
