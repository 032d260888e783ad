"""Where an installation keeps its log and its posts. The only place that chooses."""

from __future__ import annotations

from pathlib import Path

from tingchao.config.elastic import ElasticSettings
from tingchao.config.settings import Settings
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.store import Store


def open_log(settings: Settings, db: Path) -> Log:  # noqa: ARG001 a cluster's address stands in the settings
    """The log; one object a thread."""
    return SqliteLog(db)


def open_store(settings: Settings, db: Path) -> Store:
    """The store; one object a thread."""
    if settings.main.store.kind == "elasticsearch":
        return _elastic_store(settings.main.elasticsearch)
    return SqliteStore(db)


def _elastic_store(settings: ElasticSettings) -> Store:
    from tingchao.pipeline.elastic_store import ElasticStore  # noqa: PLC0415 who has no cluster loads no client

    return ElasticStore(settings)


def model_folder(settings: Settings, db: Path) -> Path:
    """Where models trained here are kept (`models.versions`); on a cluster a folder that all who score can read."""
    return settings.main.models.dir or db.with_name(f"{db.name}-models")


def require(settings: Settings, db: Path) -> None:  # noqa: ARG001 as above
    """Raises Refused when there is nothing to look at yet: a view must not make an empty database."""
    if not db.exists():
        raise Refused(f"database {db}: not there; run 'tingchao up' or 'tingchao ingest' first, or give --db")


def require_posts(settings: Settings, db: Path) -> None:
    """Raises Refused when there is no store yet."""
    if settings.main.store.kind == "sqlite":
        require(settings, db)
