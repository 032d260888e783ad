"""A Kafka that lets in only whom it knows, over TLS, and each only to what it needs (docs/deploy.md, 'Rights')."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

from tingchao.config.cluster import KafkaSettings
from tingchao.config.load import ConfigError
from tingchao.config.settings import KeepSettings
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.flow import READS
from tingchao.pipeline.kafka_cluster import Cluster
from tingchao.pipeline.kafka_log import KafkaLog
from tingchao.pipeline.kafka_topics import setup, wanted
from tingchao.pipeline.log import Output

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
DEPLOY = Path(__file__).resolve().parent.parent / "docs" / "deploy.md"
CHANNEL = {"notify.desk": ("alerts",)}


class Site:
    """A secure cluster with the rights that docs/deploy.md gives to the users named like the roles."""

    def __init__(self, server: Any) -> None:
        self.server, self.prefix = server, f"test-{secrets.token_hex(6)}"
        self.opened: list[KafkaLog] = []
        self.admin = KafkaAdminClient(**self._login("admin"))

    def settings(self, user: str, **fields: Any) -> KafkaSettings:
        given = {
            "bootstrap": [f"127.0.0.1:{self.server.port}"],
            "prefix": self.prefix,
            "partitions": 2,
            "tls": True,
            "ca_file": self.server.ca,
            "mechanism": "SCRAM-SHA-512",
            "user": user,
            "password_file": self.server.password(user),
        }
        return KafkaSettings(**(given | fields))

    def log(self, user: str, **fields: Any) -> KafkaLog:
        self.opened.append(log := KafkaLog(Cluster.of(self.settings(user, **fields)), patience=20))
        return log

    def close(self) -> None:
        for log in self.opened:
            log.close()
        self.admin.close()

    def grant(self, user: str, lines: list[tuple[str, str, str, str]]) -> None:
        for kind, name, pattern, operations in lines:
            resource = ResourcePattern(
                ResourceType[kind], name.replace("PREFIX", self.prefix), ACLResourcePatternType[pattern]
            )
            self.admin.create_acls(
                [
                    ACL(f"User:{user}", "*", ACLOperation[one], ACLPermissionType.ALLOW, resource)
                    for one in operations.split()
                ]
            )

    def _login(self, user: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": [f"127.0.0.1:{self.server.port}"],
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.server.ca),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": self.server.password(user).read_text(),
        }


def rights() -> dict[str, list[tuple[str, str, str, str]]]:
    """The table of docs/deploy.md: role -> kind, name, pattern and operations."""
    text = DEPLOY.read_text(encoding="utf-8")
    table = text[text.index("### Rights") :]
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    row = re.compile(r"^\| ([a-z, ]+) \| (TOPIC|GROUP|TRANSACTIONAL_ID) \| ([^|]+) \| ([A-Z_ ]+) \|$", re.MULTILINE)
    for roles, kind, names, operations in row.findall(table):
        for role, name in itertools.product(roles.split(", "), re.findall(r"`([^`]+)`", names)):
            pattern = "PREFIXED" if name.endswith("*") else "LITERAL"
            found.setdefault(role, []).append((kind, name.rstrip("*"), pattern, operations))
    return found


@pytest.fixture(scope="module")
def site(secure_kafka: Any) -> Iterator[Site]:
    made = Site(secure_kafka)
    for role, lines in rights().items():
        made.grant(role, lines)
    cluster = Cluster.of(made.settings("setup"))
    steps = setup(cluster, wanted(cluster, KeepSettings(), READS | CHANNEL))
    assert {step.did for step in steps} == {"created"}
    assert {step.did for step in setup(cluster, wanted(cluster, KeepSettings(), READS | CHANNEL))} == {"kept"}
    yield made
    made.close()


# role -> the groups in which it works, and what it writes there
WORK: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "score": {"score": ("scored", "mentions", "dead")},
    "index": {"index": ("dead",)},
    "watch": {"watch": ("candidates", "dead"), "sources": ("candidates", "mentions", "dead")},
    "decide": {"decide": ("alerts", "verdicts", "silences", "dead")},
    "notify": {"notify.desk": ("dead",)},
    "crawl": {"schedule": (), "visits": ()},
}
TICKED = {"watch", "decide"}  # their runners write the clock into what they read
SENDS = {"crawl": ("posts", "posts_backfill", "fetches", "jobs", "dead"), "web": ("commands",)}


@pytest.mark.real
@pytest.mark.parametrize("role", WORK)
def test_a_role_does_its_work_with_its_rights(site: Site, role: str) -> None:
    feeder, log = site.log("admin"), site.log(role)
    for group, writes in WORK[role].items():
        reads = (READS | CHANNEL)[group]
        feeder.publish([Output(topic, "k", topic.encode()) for topic in reads], NOW)
        reader, left = log.reader(group, reads), set(reads)
        while left:
            batch = reader.read(10)
            assert batch is not None
            left -= {entry.topic for entry in batch.entries}
            reader.commit(batch, [Output(topic, "k", role.encode()) for topic in writes], {"n": b"1"}, NOW)
        if role in TICKED:
            log.publish([Output(reads[0], "@tick", b"", 0)], NOW)
        assert reader.state(batch.partition) == {"n": b"1"}
        reader.close()
        for topic in reads:
            assert log.position(group, topic) <= log.end(topic)


@pytest.mark.real
def test_crawlers_publish_keep_state_and_share_the_key_of_the_voices(site: Site) -> None:
    log = site.log("crawl")
    outputs = [Output(topic, "k", b"1") for topic in SENDS["crawl"]]
    log.publish(outputs, NOW, group="crawl", state={"source/a": b"1"})
    assert log.state("crawl") == {"source/a": b"1"}
    assert log.claim("voice", "2026-01-05", b"key") == b"key"


@pytest.mark.real
def test_the_page_reads_what_it_shows_and_takes_commands(site: Site) -> None:
    log = site.log("web")
    log.publish([Output("commands", "k", b"1")], NOW)
    for topic in ("alerts", "dead", "fetches", "verdicts", "silences"):
        list(log.newest(topic))
    log.last("posts")
    for group, topics in (READS | CHANNEL).items():
        assert all(log.position(group, topic) <= log.end(topic) for topic in topics)
    assert log.state("notify.desk").keys() <= {"n"}


@pytest.mark.real
def test_retention_runs_beside_the_index(site: Site) -> None:
    log = site.log("index")
    log.publish((), NOW, group="voice", state={"2026-01-01": None})
    log.forget("alerts", ["k"])
    log.forget("dead", ["k"])
    assert log.trim(NOW) >= 0


@pytest.mark.real
def test_what_a_role_does_not_need_is_not_granted(site: Site) -> None:
    log = site.log("web")
    for topic in ("posts", "alerts"):
        with pytest.raises(Retry, match=r"user 'web' lacks a right.*docs/deploy.md"):
            log.publish([Output(topic, "k", b"forged")], NOW)
    with pytest.raises(Retry, match="lacks a right"):
        log.state("voice")  # the keys of the voices
    with pytest.raises(Retry, match="lacks a right"):
        site.log("score").publish([Output("alerts", "k", b"forged")], NOW)


@pytest.mark.real
def test_a_stranger_may_do_nothing(site: Site) -> None:
    log = site.log("stranger")
    with pytest.raises((Retry, Refused)):
        log.reader("score", ("posts",))
    with pytest.raises((Retry, Refused)):
        log.publish([Output("posts", "k", b"1")], NOW)


@pytest.mark.real
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused_and_shown_nowhere(site: Site, tmp_path: Path, mechanism: str) -> None:
    (tmp_path / "password").write_text("hunter2-wrong\n")
    fields: dict[str, Any] = {"password_file": tmp_path / "password", "mechanism": mechanism}
    settings, cluster = site.settings("score", **fields), Cluster.of(site.settings("score", **fields))
    with pytest.raises((Refused, Retry), match=r"kafka\.password_file") as caught:
        site.log("score", **fields).reader("score", ("posts",))
    shown = f"{caught.value} {caught.value.__cause__!r} {cluster!r} {settings!r} {settings.model_dump_json()}"
    assert "hunter2" not in shown
    assert site.log("score").end("posts") >= 0  # the right one is let in


@pytest.mark.real
def test_plain_over_tls_lets_in(site: Site) -> None:
    assert site.log("score", mechanism="PLAIN").end("posts") >= 0


@pytest.mark.real
def test_an_authority_that_did_not_sign_is_not_believed(site: Site) -> None:
    with pytest.raises(Retry, match="certificate"):
        site.log("score", ca_file=None).end("posts")


# Settings alone


def test_a_secret_comes_from_its_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("from file\n")
    given: dict[str, Any] = {"mechanism": "SCRAM-SHA-512", "user": "u"}
    monkeypatch.setenv("TINGCHAO_KAFKA_PASSWORD", "from environment")
    assert KafkaSettings(**given, password_file=tmp_path / "password").password() == "from file"
    assert KafkaSettings(**given).password() == "from environment"
    monkeypatch.delenv("TINGCHAO_KAFKA_PASSWORD")
    with pytest.raises(ConfigError, match=r"kafka\.password_file: missing"):
        KafkaSettings(**given).password()
    with pytest.raises(ConfigError, match=r"kafka\.password_file: no file .*nowhere"):
        KafkaSettings(**given, password_file=tmp_path / "nowhere").password()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mechanism": "PLAIN", "user": "u"}, "sends the password as it is"),
        ({"user": "u"}, "belong together"),
        ({"mechanism": "SCRAM-SHA-512"}, "belong together"),
        ({"prefix": "with space"}, "prefix"),
        ({"bootstrap": []}, "bootstrap"),
    ],
)
def test_settings_that_do_not_fit_are_mistakes(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KafkaSettings(**fields)
