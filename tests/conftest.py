"""Fixtures that every test may use: the shared data, a movable clock, and each backend of Log and Store."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import local_site
import pytest
from incident import wait_for
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tingchao.config.cluster import KafkaSettings
from tingchao.config.elastic import ElasticSettings
from tingchao.config.settings import KeepSettings
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline import kafka_topics
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.elastic_client import connect
from tingchao.pipeline.elastic_layout import setup
from tingchao.pipeline.elastic_store import ElasticStore
from tingchao.pipeline.kafka_cluster import Cluster
from tingchao.pipeline.kafka_log import KafkaLog
from tingchao.pipeline.kafka_reader import KafkaReader
from tingchao.pipeline.log import Batch, Log, Output
from tingchao.pipeline.records import Post, Scored
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.store import Store

ROOT = Path(__file__).resolve().parent.parent
# No test depends on how busy the machine is.
hypothesis.settings.register_profile("tingchao", deadline=None)
hypothesis.settings.load_profile("tingchao")

START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
SHARED = Path(os.environ.get("TINGCHAO_SHARED", ROOT.parent / "shared"))

# marker -> whether what it needs is here, and how to get it
NEEDS = {
    "browser": (
        bool(shutil.which("chromium") and shutil.which("chromedriver")),
        "install chromium and chromium-driver",
    ),
    "shared": ((SHARED / "data").is_dir(), "set TINGCHAO_SHARED to the folder with data/ and annotation/"),
}
NEEDS["real"] = (
    bool(os.environ.get("KAFKA_BOOTSTRAP") and os.environ.get("ELASTICSEARCH_URL")),
    "make test-real, or first: eval $(python tests/services.py up)",
)
LEAVE_NOTHING_OUT = os.environ.get("TINGCHAO_LEAVE_NOTHING_OUT") == "1"
left_out = pytest.StashKey[dict[str, int]]()


class Markers:
    """Marks tests before `-m` chooses among them."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.get_closest_marker("real"):
                item.add_marker(pytest.mark.timeout(300))  # a server that one test starts takes its time


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Markers())


@pytest.hookimpl(trylast=True)  # what `-m` did not choose is not left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here; `pytest_terminal_summary` names it."""
    counts: dict[str, int] = {}
    for item in items:
        for name, (here, how) in NEEDS.items():
            if not here and item.get_closest_marker(name):
                counts[name] = counts.get(name, 0) + 1
                item.add_marker(pytest.mark.skip(reason=f"left out: {how}"))
    config.stash[left_out] = counts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, count in config.stash.get(left_out, {}).items():
        terminalreporter.write_line(f"LEFT OUT: {count} tests marked {name!r}: {NEEDS[name][1]}", yellow=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """CI leaves nothing out: what could not run there is a failure."""
    if LEAVE_NOTHING_OUT and session.config.stash.get(left_out, {}):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real data, beside the project; another place by TINGCHAO_SHARED."""
    return SHARED


_spec = importlib.util.spec_from_file_location("services", Path(__file__).with_name("services.py"))
assert _spec is not None
assert _spec.loader is not None
services = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(services)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """The Kafka that all tests share; for tests marked real."""
    return os.environ["KAFKA_BOOTSTRAP"]


@pytest.fixture(scope="session")
def elasticsearch_url() -> str:
    """The Elasticsearch that all tests share; for tests marked real."""
    return os.environ["ELASTICSEARCH_URL"]


@pytest.fixture(scope="session")
def secure_kafka() -> Iterator[Any]:
    """A Kafka with SASL_SSL and ACLs: `services.Kafka` with port, ca and password(user)."""
    yield from _serving(services.Kafka(_server_home(), secure=True))


@pytest.fixture(scope="session")
def secure_elasticsearch() -> Iterator[Any]:
    """An Elasticsearch with TLS and users: `services.Elasticsearch` with port, ca and password(user)."""
    yield from _serving(services.Elasticsearch(_server_home(), secure=True))


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Any]:
    """A Kafka that the tests of one file may stop, kill and start."""
    yield from _serving(services.Kafka(_server_home()))


@pytest.fixture(scope="module")
def own_elasticsearch() -> Iterator[Any]:
    """An Elasticsearch that the tests of one file may stop, kill and start."""
    yield from _serving(services.Elasticsearch(_server_home()))


@pytest.fixture
def new_server() -> Iterator[Callable[[str], Any]]:
    """Makes a Kafka or an Elasticsearch by its name, not started yet; whoever starts one wipes it."""
    made: list[Any] = []

    def make(kind: str) -> Any:
        services.download()
        made.append(getattr(services, kind)(_server_home()))
        return made[-1]

    yield make
    for server in made:
        shutil.rmtree(server.folder.parent)


def _server_home() -> Path:
    """Not in pytest's folder: whenever another pytest starts, that is closed to all users but ours."""
    return Path(tempfile.mkdtemp(prefix="tingchao-server-"))


def _serving(server: Any) -> Iterator[Any]:
    services.download()
    server.start()
    yield server
    server.wipe()
    server.folder.parent.rmdir()


@pytest.fixture
def clock() -> ManualClock:
    """Stands at START until the test moves it."""
    return ManualClock(START)


class Backend(Protocol):
    """One installation that is empty at first. A second kind needs these methods and a line in BACKENDS."""

    opening: str  # lines of Python by which another process gets `log` and `store` on the same data

    def log(self) -> Log: ...

    def store(self) -> Store: ...

    def locked(self) -> Any: ...

    def full(self) -> Any: ...

    def stored(self) -> bytes: ...

    def close(self) -> None: ...


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


BACKENDS: dict[str, Callable[[Path], Backend]] = {"sqlite": Sqlite}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """An empty installation of each kind."""
    made = BACKENDS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def elastic(elasticsearch_url: str) -> Iterator[Elastic]:
    """An empty store of the cluster that all tests share; for tests marked real."""
    made = Elastic(urls=[elasticsearch_url])
    yield made
    made.close()


@pytest.fixture
def kafka(kafka_bootstrap: str) -> Iterator[Kafka]:
    """An empty log of the cluster that all tests share; for tests marked real."""
    made = Kafka(bootstrap=[kafka_bootstrap])
    yield made
    made.close()


@pytest.fixture(scope="session")
def kafka_backend() -> type[Kafka]:
    """Makes an empty log on another cluster, or with other settings."""
    return Kafka


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.real)])
def log_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An empty log of each kind; the names that the contract tests use are those of Backend."""
    if request.param == "kafka":
        yield request.getfixturevalue("kafka")
        return
    made = Sqlite(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def make_elastic() -> Callable[..., Elastic]:
    """A store on the server of these settings; whoever makes one closes it."""
    return Elastic


@pytest.fixture(scope="module")
def elastic_of_file(elasticsearch_url: str) -> Iterator[Elastic]:
    """One that all tests of a file share."""
    made = Elastic(urls=[elasticsearch_url])
    yield made
    made.close()


@pytest.fixture(params=["sqlite", pytest.param("elastic", marks=pytest.mark.real)])
def store_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An empty store of each kind; the names that the contract tests use are those of Backend."""
    if request.param == "elastic":
        yield request.getfixturevalue("elastic")
        return
    made = Sqlite(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log(backend: Backend) -> Log:
    return backend.log()


@pytest.fixture
def store(backend: Backend) -> Store:
    return backend.store()


@pytest.fixture
def child(backend: Backend) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that runs Python with `log` and `store` of the same installation; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", backend.opening + code]
        started.append(process := subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def make_post() -> Callable[..., Post]:
    """A post with as few words as the test cares about; `minute` is the time of publication and of the fetch."""

    def make(ident: str = "p1", text: str = "", minute: float = 0, **fields: Any) -> Post:
        at = START + timedelta(minutes=minute)
        given = {"source": "weibo", "published_at": at, "fetched_at": at, **fields}
        return Post(id=ident, text=text, **given)

    return make


@pytest.fixture(scope="session")
def make_scores() -> Callable[..., Scores]:
    """Scores of a neutral text without signals, but for what is given."""

    def make(**fields: Any) -> Scores:
        given = {
            "negative": 0.1,
            "neutral": 0.8,
            "positive": 0.1,
            "signals": (0.0,) * len(SIGNALS),
            "severity": 0.0,
            "live": 0.5,
            "advert": 0.0,
            "given": (),
            "lang": "zh",
            "abstained": False,
            **fields,
        }
        return Scores(**given)

    return make


@pytest.fixture(scope="session")
def make_scored(make_post: Callable[..., Post], make_scores: Callable[..., Scores]) -> Callable[..., Scored]:
    """A scored post; `topics` and fields of Scores may be given, all else goes to the post."""

    def make(ident: str = "p1", text: str = "", minute: float = 0, **fields: Any) -> Scored:
        scores = {name: fields.pop(name) for name in Scores.__struct_fields__ if name in fields}
        topics = tuple(fields.pop("topics", ()))
        return Scored(post=make_post(ident, text, minute, **fields), scores=make_scores(**scores), topics=topics)

    return make


@pytest.fixture
def site() -> Iterator[local_site.Site]:
    """A real web server on loopback, without pages at first."""
    with local_site.serving() as served:
        yield served


@pytest.fixture
def desk(tmp_path: Path, site: local_site.Site) -> Iterator[local_site.Desk]:
    """What crawls that site into a log of its own."""
    made = local_site.Desk(tmp_path, site)
    yield made
    made.log.close()
