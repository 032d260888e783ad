"""Where an installation keeps its log and its posts. The only place that chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tingchao.config.cluster import KafkaSettings
from tingchao.config.elastic import ElasticSettings
from tingchao.config.language import Said
from tingchao.config.settings import Settings
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.flow import groups
from tingchao.pipeline.log import Log
from tingchao.pipeline.roles import Role
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.store import Store

if TYPE_CHECKING:
    from tingchao.models.scorer import Scorer


def clustered(settings: Settings) -> bool:
    """Whether the log itself shares the work out; then any number of processes may have a role."""
    return settings.main.log.kind == "kafka"


def locks(settings: Settings, db: Path, names: Sequence[str]) -> list[Role]:
    """What a process must hold to have these roles: nothing on a cluster."""
    return [] if clustered(settings) else [Role(db, name) for name in names]


def open_log(settings: Settings, db: Path) -> Log:
    """The log; one object a thread."""
    if clustered(settings):
        return _kafka_log(settings.main.kafka)
    return SqliteLog(db)


def _kafka_log(settings: KafkaSettings) -> Log:
    from tingchao.pipeline.kafka_cluster import Cluster  # noqa: PLC0415 who has no cluster loads no client
    from tingchao.pipeline.kafka_log import KafkaLog  # noqa: PLC0415 as above

    return KafkaLog(Cluster.of(settings))


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


def scorer_in_use(settings: Settings, db: Path) -> Scorer:
    """What texts are scored with: the model that `tingchao models list` shows as in use. Raises ModelError."""
    from tingchao.models.scorer import Scorer  # noqa: PLC0415 who scores nothing loads no NumPy
    from tingchao.models.versions import in_use  # noqa: PLC0415 as above

    return Scorer.load(in_use(model_folder(settings, db)))


def setup(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Make topics and index templates, or bring them up to date: name, what was done, details. Raises Refused."""
    if clustered(settings):
        from tingchao.pipeline import kafka_topics  # noqa: PLC0415 as above
        from tingchao.pipeline.kafka_cluster import Cluster  # noqa: PLC0415 as above

        cluster = Cluster.of(settings.main.kafka)
        yield from kafka_topics.setup(cluster, kafka_topics.wanted(cluster, settings.main.keep, groups(settings)))
    if settings.main.store.kind == "elasticsearch":
        from tingchao.pipeline import elastic_client, elastic_layout  # noqa: PLC0415 as above

        with elastic_client.connect(settings.main.elasticsearch) as client:
            indices = elastic_layout.setup(client, settings.main.elasticsearch, settings.main.keep.posts)
        yield from ((index, "kept", "") for index in indices)
        yield f"{settings.main.elasticsearch.prefix}-posts", "kept", ""


def require(settings: Settings, db: Path) -> None:
    """Raises Refused when there is nothing to look at yet: a view must not make an empty database."""
    if settings.main.log.kind == "sqlite" and not db.exists():
        raise Refused(Said("error.no_database", file=db))


def existing_log(settings: Settings, db: Path) -> Log:
    """The log, for a view of it. Raises Refused when there is none yet."""
    require(settings, db)
    return open_log(settings, db)


def require_posts(settings: Settings, db: Path) -> None:
    """Raises Refused when there is no store yet."""
    if settings.main.store.kind == "sqlite":
        require(settings, db)
