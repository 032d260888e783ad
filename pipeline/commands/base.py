"""What the commands share: the application, options, the texts, and the refusals that several of them give.

Packages are imported inside the commands that need them: `tingchao search` must not wait for Scrapy, scikit-learn and
the page, nor carry their memory.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
import typer.core
import typer.rich_utils

from tingchao.config.language import Said, explicit, from_environment, text
from tingchao.config.settings import Settings
from tingchao.pipeline import shows
from tingchao.pipeline.errors import Refused

LANGUAGE = from_environment()


def t(key: str, **values: object) -> str:
    """A text of the command line in the user's language."""
    return text(f"cli.{key}", LANGUAGE, **values)


def help_of(key: str) -> str:
    """The help of a command or option."""
    return t(f"help.{key}")


# typer has no translations of its own; tests/test_search.py sees that nothing of it is left in English.
for _name in ("options", "commands", "arguments", "errors"):
    setattr(typer.rich_utils, f"{_name.upper()}_PANEL_TITLE", t(f"panel.{_name}"))
for _name in ("default", "envvar", "required_long"):
    setattr(typer.rich_utils, f"{_name.upper()}_STRING", t(f"mark.{_name}"))


def _help_option(command: Any, ctx: Any) -> Any:
    found = _own_help_option(command, ctx)
    if found is not None:
        found.help = help_of("help")
    return found


_own_help_option = typer.core.TyperCommand.get_help_option
typer.core.TyperCommand.get_help_option = typer.core.TyperGroup.get_help_option = _help_option  # type: ignore[method-assign, assignment]


class _InOrder(typer.core.TyperGroup):
    """Lists the commands as a newcomer meets them, whatever order their files are imported in."""

    _ORDER = (
        "up",
        "run",
        "crawl",
        "ingest",
        "score",
        "events",
        "search",
        "replay",
        "alerts",
        "silence",
        "routes",
        "backtest",
        "dead",
        "lag",
        "check",
        "setup",
        "doctor",
        "train",
        "evaluate",
        "models",
    )

    def list_commands(self, ctx: Any) -> list[str]:
        place = {name: number for number, name in enumerate(self._ORDER)}
        return sorted(super().list_commands(ctx), key=lambda name: place.get(name, len(place)))


app = typer.Typer(
    cls=_InOrder,
    help=text("cli.app", LANGUAGE),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        out(version("tingchao"))
        raise typer.Exit


_Version = Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help=help_of("version"))]


@app.callback()
def _first(version: _Version = False) -> None:
    pass


def group(name: str) -> typer.Typer:
    """A command with commands of its own."""
    found = typer.Typer(help=help_of(name), no_args_is_help=True)
    app.add_typer(found, name=name)
    return found


ConfigDir = Annotated[Path | None, typer.Option("--config", envvar="TINGCHAO_CONFIG", help=help_of("config"))]
Database = Annotated[Path, typer.Option("--db", envvar="TINGCHAO_DB", help=help_of("db"))]
ClockText = Annotated[str, typer.Option("--clock", envvar="TINGCHAO_CLOCK", hidden=True)]
AsJson = Annotated[bool, typer.Option("--json", help=help_of("json"))]
DataFolder = Annotated[Path, typer.Argument(metavar="DATA", help=help_of("data"), exists=True, file_okay=False)]

DB = Path("tingchao.db")


def say(message: str, *, error: bool = False) -> None:
    """A line for people; on standard error where it would stand between results."""
    shows.console(error=error).print(message)


def out(message: str) -> None:
    """The result of a command."""
    sys.stdout.write(message.rstrip("\n") + "\n")


def spoken(settings: Settings) -> Settings:
    """The settings in the language that TINGCHAO_LANG names, where it is set."""
    main = settings.main.model_copy(update={"language": explicit() or settings.main.language})
    return dataclasses.replace(settings, main=main)


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raises Refused for a value that is given and not known."""
    if value and value not in known:
        raise Refused(Said("error.one_of", option=option, value=value, known=", ".join(known)))


def _cause(err: OSError) -> str:
    """Why a file cannot be opened: in words for the usual causes, else in those of the system."""
    known = {FileNotFoundError: "missing", PermissionError: "forbidden", IsADirectoryError: "folder"}
    return Said(f"error.os.{known[type(err)]}") if type(err) in known else str(err.strerror)


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """A file, or standard input for `-`. Raises Refused when it cannot be read."""
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 closed below; only the opening is a matter of the user's
    except OSError as err:
        raise Refused(Said("error.file", file=file, error=_cause(err))) from err
    with stream:
        yield stream


@contextmanager
def progress() -> Iterator[Any]:
    """A bar for people, on standard error."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shows.console(error=True), refresh_per_second=4) as bar:
        yield bar
