"""`tingchao doctor`: what a person would look at first when something seems wrong."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tingchao.config.load import ConfigError
from tingchao.config.settings import Settings, load
from tingchao.models.scores import ModelError
from tingchao.pipeline.backends import clustered, open_log, open_store, scorer_in_use
from tingchao.pipeline.dead import letters
from tingchao.pipeline.errors import TingchaoError
from tingchao.pipeline.flow import WAY, waiting
from tingchao.pipeline.log import Log
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import FINE, Fetch, decode
from tingchao.pipeline.roles import ROLES, Role
from tingchao.pipeline.stage import outcomes
from tingchao.pipeline.times import local

_FREE_BYTES = 1 << 30  # 500,000 posts with log and index take about as much


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    message: str
    well: bool = True


Look = Callable[[Settings, Log], Iterator[Finding]]


def examine(config: Path | None, db: Path, channels: Look) -> Iterator[Finding]:
    """Look at machine, configuration, models, log and store; a database file is made if it is not there.

    `channels` looks at what waits to be told: this package knows nothing of alerts.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", version, well=sys.version_info >= (3, 11))
    yield _sqlite()
    free = shutil.disk_usage(db.absolute().parent).free
    yield Finding("disk", f"{free / (1 << 30):.1f} GiB", well=free > _FREE_BYTES)
    try:
        settings = load(config)
    except ConfigError as err:
        yield Finding("config", "; ".join(err.mistakes), well=False)
        return  # where log and store are is not known
    yield Finding("config", f"{len(settings.sources)} + {len(settings.topics)} + {len(settings.rules)}")
    yield _models(settings, db)
    yield from _log(settings, db, channels)
    yield _store(settings, db)


def _sqlite() -> Finding:
    with sqlite3.connect(":memory:") as memory:
        options = {row[0] for row in memory.execute("PRAGMA compile_options")}
    return Finding("sqlite", sqlite3.sqlite_version, well="ENABLE_FTS5" in options)


def _models(settings: Settings, db: Path) -> Finding:
    try:
        scorer = scorer_in_use(settings, db)
    except ModelError as err:
        return Finding("models", str(err), well=False)
    scorer.score(["地铁停运"])
    return Finding("models", scorer.version)


def _log(settings: Settings, db: Path, channels: Look) -> Iterator[Finding]:
    try:
        with closing(open_log(settings, db)) as log:
            log.states("score")  # says also which topics are missing
            kafka = ", ".join(settings.main.kafka.bootstrap)
            yield Finding("log", f"Kafka, {kafka}" if clustered(settings) else _file(db))
            if not clustered(settings):  # who runs elsewhere says so at its own /healthz
                yield Finding("roles", ", ".join(name for name in ROLES if Role(db, name).held()) or "-")
            yield from _work(log)
            yield from _sources(log)
            yield from channels(settings, log)
    except TingchaoError as err:
        yield Finding("log", str(err), well=False)


def _file(db: Path) -> str:
    return f"{db} ({db.stat().st_size / (1 << 20):.1f} MiB)"


def _work(log: Log) -> Iterator[Finding]:
    yield Finding("waiting", ", ".join(f"{stage} {waiting(log, stage)}" for stage in WAY))
    for stage in WAY:
        if counts := outcomes(log, stage):
            yield Finding("counts", f"{stage}: " + ", ".join(f"{name} {n}" for name, n in counts.items()))
    dead = len(letters(log))
    yield Finding("dead", str(dead), well=dead == 0)


def _store(settings: Settings, db: Path) -> Finding:
    try:
        with closing(open_store(settings, db)) as store:
            posts = store.count(Query())
    except TingchaoError as err:
        return Finding("store", str(err), well=False)
    where = ", ".join(settings.main.elasticsearch.urls)
    return Finding(
        "store", f"Elasticsearch, {where}: {posts}" if settings.main.store.kind == "elasticsearch" else f"{posts}"
    )


def _sources(log: Log) -> Iterator[Finding]:
    for entry in log.newest("fetches"):
        fetch = decode(Fetch, entry.value)
        well = fetch.outcome in FINE
        message = f"{fetch.source}: {fetch.outcome} {local(fetch.at)} {fetch.message}".strip()
        yield Finding("sources", message, well=well)
