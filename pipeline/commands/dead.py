"""`tingchao dead`: what was set aside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tingchao.config.settings import load
from tingchao.pipeline import dead as dead_letters
from tingchao.pipeline import shows
from tingchao.pipeline.backends import existing_log
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.commands.base import DB, LANGUAGE, AsJson, ConfigDir, Database, group, help_of, out, say, t
from tingchao.pipeline.flow import waiting
from tingchao.pipeline.log import Log
from tingchao.pipeline.roles import Role

dead_app = group("dead")


@dead_app.command("list", help=help_of("dead_list"))
def dead_list(json: AsJson = False, config: ConfigDir = None, db: Database = DB) -> None:
    letters = dead_letters.letters(existing_log(load(config), db))
    if json:
        sys.stdout.write(shows.json_lines(letters))
    elif letters:
        shows.console().print(shows.dead_table(letters, LANGUAGE))
    else:
        say(t("said.none_found"))


@dead_app.command("show", help=help_of("dead_show"))
def dead_show(
    dead_id: Annotated[str, typer.Argument(metavar="ID", help=help_of("dead_id"))],
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    letter = dead_letters.letter(existing_log(load(config), db), dead_id)
    out(msgspec.json.format(msgspec.json.encode(letter)).decode())


@dead_app.command("replay", help=help_of("dead_replay"))
def dead_replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help=help_of("dead_ids"))] = None,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    log = existing_log(load(config), db)
    count = dead_letters.replay(log, SystemClock(), ids or [])
    say(t("said.replayed", count=count))
    if left := len(dead_letters.letters(log)):
        say(t("said.not_replayable", count=left))
    tell_waiting(log, db)


def tell_waiting(log: Log, db: Path) -> None:
    """Say that posts wait for their stages, when nobody runs these."""
    count = waiting(log, "score")
    if count and not Role(db, "score").held():
        say(t("said.waiting", count=count))
