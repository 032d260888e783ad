"""Fixtures that every test may use: the shared data, servers, each kind of Log and Store, a movable clock, posts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import local_site
import pytest
import servers
from backends import Elastic, Kafka, Sqlite
from downloads import download

from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import Log
from tingchao.pipeline.records import Post, Scored
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
    """A Kafka with SASL_SSL and ACLs: `servers.Kafka` with port, ca and password(user)."""
    yield from _serving(servers.Kafka(_server_home(), secure=True))


@pytest.fixture(scope="session")
def secure_elasticsearch() -> Iterator[Any]:
    """An Elasticsearch with TLS and users: `servers.Elasticsearch` with port, ca and password(user)."""
    yield from _serving(servers.Elasticsearch(_server_home(), secure=True))


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Any]:
    """A Kafka that the tests of one file may stop, kill and start."""
    yield from _serving(servers.Kafka(_server_home()))


@pytest.fixture(scope="module")
def own_elasticsearch() -> Iterator[Any]:
    """An Elasticsearch that the tests of one file may stop, kill and start."""
    yield from _serving(servers.Elasticsearch(_server_home()))


@pytest.fixture
def new_server() -> Iterator[Callable[[type[servers.Server]], Any]]:
    """Makes a Kafka or an Elasticsearch, not started yet; whoever starts one wipes it."""
    made: list[servers.Server] = []

    def make(kind: type[servers.Server]) -> servers.Server:
        download()
        made.append(kind(_server_home()))
        return made[-1]

    yield make
    for server in made:
        shutil.rmtree(server.folder.parent)


def _server_home() -> Path:
    """Not in pytest's folder: whenever another pytest starts, that is closed to all users but ours."""
    return Path(tempfile.mkdtemp(prefix="tingchao-server-"))


def _serving(server: servers.Server) -> Iterator[servers.Server]:
    download()
    server.start()
    yield server
    server.wipe()
    server.folder.parent.rmdir()


@pytest.fixture
def clock() -> ManualClock:
    """Stands at START until the test moves it."""
    return ManualClock(START)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Sqlite]:
    """An empty log and store in one file."""
    made = Sqlite(tmp_path)
    yield made
    made.close()


@pytest.fixture
def backend(sqlite: Sqlite) -> Any:
    """What `log`, `store` and `child` open; tests of other kinds put theirs in its place."""
    return sqlite


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


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.real)])
def log_backend(request: pytest.FixtureRequest) -> Any:
    """An empty log of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def elastic_of_file(elasticsearch_url: str) -> Iterator[Elastic]:
    """One that all tests of a file share."""
    made = Elastic(urls=[elasticsearch_url])
    yield made
    made.close()


@pytest.fixture(params=["sqlite", pytest.param("elastic", marks=pytest.mark.real)])
def store_backend(request: pytest.FixtureRequest) -> Any:
    """An empty store of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def log(backend: Any) -> Log:
    return backend.log()


@pytest.fixture
def store(backend: Any) -> Store:
    return backend.store()


@pytest.fixture
def child(backend: Any) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
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
