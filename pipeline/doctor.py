"""`tingchao doctor`: what a person would look at first when something seems wrong."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tingchao.config.load import ConfigError
from tingchao.config.settings import load
from tingchao.models.scorer import Scorer
from tingchao.models.scores import ModelError
from tingchao.models.versions import in_use
from tingchao.pipeline.backends import model_folder
from tingchao.pipeline.dead import letters
from tingchao.pipeline.errors import TingchaoError
from tingchao.pipeline.flow import WAY, waiting
from tingchao.pipeline.log import Log
from tingchao.pipeline.records import FINE, Fetch, decode
from tingchao.pipeline.roles import ROLES, Role
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import outcomes
from tingchao.pipeline.times import local

_FREE_BYTES = 1 << 30  # 500,000 posts with log and index take about as much


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    message: str
    well: bool = True


def examine(config: Path | None, db: Path) -> Iterator[Finding]:
    """Look at machine, configuration, models and database; the database is made if it is not there."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", version, well=sys.version_info >= (3, 11))
    yield _sqlite()
    yield _config(config)
    yield _models(config, db)
    free = shutil.disk_usage(db.absolute().parent).free
    yield Finding("disk", f"{free / (1 << 30):.1f} GiB", well=free > _FREE_BYTES)
    try:
        log = SqliteLog(db)
    except TingchaoError as err:
        yield Finding("database", str(err), well=False)
        return
    yield Finding("database", f"{db} ({db.stat().st_size / (1 << 20):.1f} MiB)")
    yield from _log(log, db)
    yield from _sources(log)


def _sqlite() -> Finding:
    with sqlite3.connect(":memory:") as memory:
        options = {row[0] for row in memory.execute("PRAGMA compile_options")}
    return Finding("sqlite", sqlite3.sqlite_version, well="ENABLE_FTS5" in options)


def _config(config: Path | None) -> Finding:
    try:
        settings = load(config)
    except ConfigError as err:
        return Finding("config", "; ".join(err.mistakes), well=False)
    return Finding("config", f"{len(settings.sources)} + {len(settings.topics)} + {len(settings.rules)}")


def _models(config: Path | None, db: Path) -> Finding:
    try:
        scorer = Scorer.load(in_use(model_folder(load(config), db)))
        scorer.score(["地铁停运"])
        return Finding("models", scorer.version)
    except ConfigError as err:
        return Finding("models", "; ".join(err.mistakes), well=False)
    except ModelError as err:
        return Finding("models", str(err), well=False)


def _log(log: Log, db: Path) -> Iterator[Finding]:
    running = [name for name in ROLES if Role(db, name).held()]
    yield Finding("roles", ", ".join(running) or "-")
    yield Finding("waiting", ", ".join(f"{stage} {waiting(log, stage)}" for stage in WAY))
    for stage in WAY:
        if counts := outcomes(log, stage):
            yield Finding("counts", f"{stage}: " + ", ".join(f"{name} {n}" for name, n in counts.items()))
    dead = len(letters(log))
    yield Finding("dead", str(dead), well=dead == 0)


def _sources(log: Log) -> Iterator[Finding]:
    for entry in log.newest("fetches"):
        fetch = decode(Fetch, entry.value)
        well = fetch.outcome in FINE
        message = f"{fetch.source}: {fetch.outcome} {local(fetch.at)} {fetch.message}".strip()
        yield Finding("sources", message, well=well)
