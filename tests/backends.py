"""What logs and stores need in tests: an installation of each kind that is empty at first and gone at the end.

Each gives `log()`, `store()` or both, and `opening`: lines of Python by which another process gets them on the same
data.
"""

from __future__ import annotations

import sqlite3
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from incident import wait_for
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tingchao.config.cluster import KafkaSettings
from tingchao.config.elastic import ElasticSettings
from tingchao.config.settings import KeepSettings
from tingchao.pipeline import kafka_topics
from tingchao.pipeline.elastic_client import connect
from tingchao.pipeline.elastic_layout import setup
from tingchao.pipeline.elastic_store import ElasticStore
from tingchao.pipeline.kafka_cluster import Cluster
from tingchao.pipeline.kafka_log import KafkaLog
from tingchao.pipeline.kafka_reader import KafkaReader
from tingchao.pipeline.log import Batch, Output
from tingchao.pipeline.records import Scored
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore


class Sqlite:
    """The embedded backend: one file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tingchao.db"
        self.opening = (
            "from pathlib import Path\n"
            "from tingchao.pipeline.sqlite_log import SqliteLog\n"
            "from tingchao.pipeline.sqlite_store import SqliteStore\n"
            f"log, store = SqliteLog(Path({str(self.path)!r})), SqliteStore(Path({str(self.path)!r}))\n"
        )
        self._opened: list[SqliteLog | SqliteStore] = []

    def log(self) -> SqliteLog:
        self._opened.append(log := SqliteLog(self.path))
        return log

    def store(self) -> SqliteStore:
        self._opened.append(store := SqliteStore(self.path))
        return store

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the file for writing, for longer than anyone waits."""
        self._all("PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    @contextmanager
    def full(self) -> Iterator[None]:
        """The file cannot grow by a single page."""
        with closing(sqlite3.connect(self.path)) as other:
            ((pages,),) = other.execute("PRAGMA page_count").fetchall()
        self._all(f"PRAGMA max_page_count = {pages}")
        yield
        self._all("PRAGMA max_page_count = 1073741823")

    def stored(self) -> bytes:
        """Every byte that stands on the disk, also in the write-ahead log."""
        return b"".join(file.read_bytes() for file in self.path.parent.glob(self.path.name + "*"))

    def close(self) -> None:
        for one in self._opened:
            one.close()

    def _all(self, statement: str) -> None:
        for one in self._opened:
            one._db.execute(statement).fetchall()


class PromptStore(ElasticStore):
    """Shows what was put at once, as a test looks at once."""

    def put(self, batch: Sequence[Scored]) -> list[str]:
        outcomes = super().put(batch)
        self.refresh()
        return outcomes


class Elastic:
    """The store of a cluster, under a prefix of its own."""

    def __init__(self, **fields: Any) -> None:
        self.settings = ElasticSettings(prefix=f"test-{uuid.uuid4().hex[:12]}", **fields)
        self.client = connect(self.settings)
        self.opening = (
            "from tingchao.config.elastic import ElasticSettings\n"
            "from tingchao.pipeline.elastic_store import ElasticStore\n"
            f"store = ElasticStore(ElasticSettings.model_validate_json({self.settings.model_dump_json()!r}))\n"
        )
        self._opened: list[ElasticStore] = []
        setup(self.client, self.settings, timedelta(days=180))

    def store(self) -> ElasticStore:
        self._opened.append(store := PromptStore(self.settings))
        return store

    def indices(self) -> list[str]:
        """The indices of ours that are there."""
        return sorted(self.client.indices.get(index=f"{self.settings.prefix}-posts-*").body)

    def stored(self) -> bytes:
        """All that it gives back of what was put."""
        found = self.client.search(index=f"{self.settings.prefix}-posts", size=1000, fields=["*"])
        return str(found.body).encode()

    def close(self) -> None:
        for one in self._opened:
            one.close()
        for index in self.indices():
            self.client.indices.delete(index=index)
        self.client.indices.delete_index_template(name=f"{self.settings.prefix}-posts")
        self.client.close()


class PromptLog(KafkaLog):
    """Shows what was written at once, as a test looks at once: a commit returns before its marks are everywhere."""

    def publish(self, outputs: Sequence[Output], at: datetime, **state: Any) -> None:
        super().publish(outputs, at, **state)
        self._settle({self._cluster.topic(out.topic) for out in outputs}, state.get("group", ""))

    def forget(self, topic: str, keys: Sequence[str]) -> None:
        super().forget(topic, keys)
        self._settle({self._cluster.topic(topic)})

    def reader(self, group: str, topics: Sequence[str]) -> KafkaReader:
        made = super().reader(group, topics)
        commit = made.commit

        def prompt(batch: Batch, outputs: Sequence[Output], state: Mapping[str, bytes | None], at: datetime) -> None:
            commit(batch, outputs, state, at)
            self._settle({self._cluster.topic(out.topic) for out in outputs}, group)
            read = {(one.topic, one.partition): one.offset for one in batch.entries}
            wait_for(lambda: all(self._read(group, *place) >= offset for place, offset in read.items()), 2)

        made.commit = prompt  # type: ignore[method-assign]
        return made

    def _read(self, group: str, topic: str, partition: int) -> int:
        name, place = self._cluster.group(group), TopicPartition(self._cluster.topic(topic), partition)
        return self._admin.list_group_offsets({name: [place]})[name][place].offset

    def _settle(self, names: set[str], group: str = "") -> None:
        """Wait until no transaction is open in these topics, but not for one that a killed process left open."""
        names = names | ({self._cluster.state_topic(group)} if group else set())
        with suppress(KafkaError):  # the broker was stopped just now
            known = {one: {n: one.partitions_for_topic(n) for n in names} for one in (self._scanner, self._dirty)}
            places = [TopicPartition(name, number) for name, found in known[self._dirty].items() for number in found]
            wait_for(lambda: self._scanner.end_offsets(places) == self._dirty.end_offsets(places), 2)

    @cached_property
    def _dirty(self) -> KafkaConsumer:
        return KafkaConsumer(bootstrap_servers=self._cluster.settings.bootstrap)

    def close(self) -> None:
        super().close()
        if "_dirty" in self.__dict__:
            self._dirty.close()


class Kafka:
    """The log of a cluster, under a prefix of its own."""

    def __init__(self, partitions: int = 1, **fields: Any) -> None:
        self.settings = KafkaSettings(prefix=f"test-{uuid.uuid4().hex[:12]}", partitions=partitions, **fields)
        self.cluster = Cluster.of(self.settings)
        self.opening = (
            "from tingchao.config.cluster import KafkaSettings\n"
            "from tingchao.pipeline.kafka_cluster import Cluster\n"
            "from tingchao.pipeline.kafka_log import KafkaLog\n"
            f"settings = KafkaSettings.model_validate_json({self.settings.model_dump_json()!r})\n"
            "log = KafkaLog(Cluster.of(settings), patience=30)\n"
        )
        self._opened: list[KafkaLog] = []
        self.setup()

    def setup(self) -> list[kafka_topics.Step]:
        """Topics and the state of some groups."""
        groups = dict.fromkeys(("g", "a", "b", "work", "other"), ("posts",))
        groups |= {"": (), "voice": (), "one": ("commands",)}
        return kafka_topics.setup(self.cluster, kafka_topics.wanted(self.cluster, KeepSettings(), groups))

    def log(self, patience: float = 30) -> KafkaLog:
        kind = KafkaLog if self.settings.user else PromptLog  # who has few rights may not look at all that
        self._opened.append(log := kind(self.cluster, patience))
        return log

    def close(self) -> None:
        for one in self._opened:
            one.close()
        for lock in Path(tempfile.gettempdir()).glob(f"tingchao-{self.settings.prefix}-writer-*.lock"):
            lock.unlink()
        admin = self.cluster.admin()
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(f"{self.settings.prefix}.")])
        admin.close()
