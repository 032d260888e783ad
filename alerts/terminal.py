"""A message becomes a panel where `tingchao up` runs."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from tingchao.alerts.message import Message, Report, body
from tingchao.config.language import text
from tingchao.config.settings import Terminal

COLOURS = {1: "yellow", 2: "dark_orange", 3: "bold red"}
_ENDED = "green"
WIDTH = 100  # columns; a narrower terminal wraps, a wider one stays readable


class TerminalChannel:
    """Draws with `say`, which prints one block of text; with colours where a person watches."""

    def __init__(self, settings: Terminal, language: str, say: Callable[[str], None], *, colour: bool) -> None:
        self.name, self.min_level = settings.name, settings.min_level
        self.together, self.flood, self.whole = 50, 0, False
        self._settings, self._language, self._say, self._colour = settings, language, say, colour

    def send(self, message: Message) -> Report:
        """See `Channel.send`."""
        console = Console(
            file=io.StringIO(),
            width=WIDTH,
            force_terminal=self._colour,
            no_color=not self._colour,
            legacy_windows=False,
        )
        style = COLOURS[message.alert.level] if message.event in {"opened", "raised", "repeated"} else _ENDED
        what = text(f"notify.event.{message.event}", self._language)
        level = text(f"notify.level.{message.alert.level}", self._language)
        # Text and not markup: a post may hold [brackets].
        console.print(
            Panel(
                Text(body(message, self._language)),
                title=Text(f" {what} · {level} "),
                title_align="left",
                border_style=style,
            )
        )
        assert isinstance(console.file, io.StringIO)
        self._say(console.file.getvalue().rstrip("\n"))
        return Report()
