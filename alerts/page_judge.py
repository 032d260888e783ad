"""The verdicts of an alert on a page: one on the whole, and one on each post that it shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tingchao.alerts.desk import Desk
from tingchao.alerts.nice import ui
from tingchao.alerts.verdict import JUDGEMENTS
from tingchao.config.language import in_language, text
from tingchao.config.signals import SIGNALS
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.records import Alert, Evidence, in_one_line

_SAID = 60  # characters of a post beside its buttons; the card above shows more
Say = Callable[[str], object]


class Verdicts:
    """A button that opens the verdicts; what it opens is drawn when it is first wanted."""

    def __init__(self, desk: Desk, language: str, say: Say) -> None:
        self._desk, self._language, self._say = desk, language, say
        self._alert: Alert | None = None
        self._drawn: object = None
        self._opener = ui.button(text("page.judge.open", language), color=None, on_click=self._toggle)
        self._opener.props("flat no-caps dense").classes("act a-judge").mark("judge")
        self._rows = ui.element("div").classes("judging")
        self._rows.set_visibility(False)

    def show(self, alert: Alert) -> None:
        """Draw what differs, if it is open."""
        self._alert = alert
        if self._rows.visible:
            self._draw(alert)

    def _toggle(self) -> None:
        self._rows.set_visibility(not self._rows.visible)
        if self._alert is not None and self._rows.visible:
            self._draw(self._alert)

    def _draw(self, alert: Alert) -> None:
        stands_for = (alert.verdict, alert.judged, tuple(one.id for one in alert.evidence))
        if stands_for == self._drawn:
            return
        self._drawn = stands_for
        self._rows.clear()
        with self._rows:
            self._row(alert, None)
            for one in alert.evidence:
                self._row(alert, one)

    def _row(self, alert: Alert, post: Evidence | None) -> None:
        verdict = alert.verdict if post is None else alert.judged.get(post.id)
        whole = text("page.judge.whole", self._language)
        said = whole if post is None else in_one_line(post.title, post.excerpt)[:_SAID]
        with ui.element("div").classes("judge-row"):
            ui.label(said).classes("judge-what")
            chosen = self._signals() if post is not None else None
            for one in JUDGEMENTS:
                button = ui.button(text(f"cli.verdict.{one}", self._language), color=None)
                button.on_click(self._asker(alert.id, one, post.id if post else "", chosen))
                button.props("flat no-caps dense").classes(f"act v-{one}{' chosen' if one == verdict else ''}")

    def _signals(self) -> ui.select:
        """What a post truly tells of; needed for the verdict that its signal is wrong."""
        names = {name: text(f"signal.{name}", self._language) for name in SIGNALS}
        label = text("page.judge.signals", self._language)
        chosen = ui.select(names, multiple=True, value=[], label=label)
        chosen.props("dense options-dense").classes("judge-signals")
        return chosen

    def _asker(self, alert: str, verdict: str, post: str, chosen: ui.select | None) -> Callable[[], Awaitable[None]]:
        async def ask() -> None:
            told: Sequence[str] = chosen.value if chosen is not None and verdict != "false_alarm" else ()
            if verdict == "wrong_signal" and post and not told:
                self._say(text("page.judge.which", self._language))
                return
            try:
                await self._desk.judge(alert, verdict, post, told)
            except (Refused, Retry) as err:
                self._say(str(in_language(err, self._language)))
                return
            self._say(text("page.sent", self._language))

        return ask
