"""A real Elasticsearch with TLS and users: each role with the rights of docs/deploy.md; secrets stay secret."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backends import Elastic

from tingchao.config.elastic import ElasticSettings
from tingchao.config.load import ConfigError
from tingchao.pipeline.elastic_client import connect
from tingchao.pipeline.elastic_layout import setup
from tingchao.pipeline.elastic_store import ElasticStore
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Scored

pytestmark = pytest.mark.real
START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
KEEP = timedelta(days=180)  # of posts
SECRET = "geheimes-Wort-9d3f"
DOC = Path(__file__).resolve().parent.parent / "docs" / "deploy.md"
Make = Callable[..., Scored]


@pytest.fixture(scope="module")
def cluster(secure_elasticsearch: Any) -> Iterator[Any]:
    """Set up by an administrator; `roles` gives users to it."""
    made = Elastic(
        urls=[f"https://127.0.0.1:{secure_elasticsearch.port}"],
        ca_file=secure_elasticsearch.ca,
        user="admin",
        password_file=secure_elasticsearch.password("admin"),
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def roles(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ElasticSettings]:
    """Settings of a user for each role of the document, who has its rights only."""
    (block,) = re.findall(r"```json\n(\{\s+\"setup\".*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path_factory.mktemp("secrets") / "password"
    file.write_text(f"{SECRET}\n")
    found = {}
    for role, rights in json.loads(block.replace("tingchao-posts", f"{cluster.settings.prefix}-posts")).items():
        name = f"{cluster.settings.prefix}-{role}"
        cluster.client.security.put_role(name=name, cluster=rights["cluster"], indices=rights["indices"])
        cluster.client.security.put_user(username=name, password=SECRET, roles=[name])
        found[role] = changed(cluster, user=name, password_file=file)
    return found


def changed(cluster: Any, **fields: Any) -> ElasticSettings:
    return ElasticSettings.model_validate(cluster.settings.model_dump() | fields)


def refused(call: Callable[[], object], reason: str) -> None:
    """It fails under this name, and the secret stands nowhere in what is told."""
    with pytest.raises(Retry) as caught:
        call()
    assert caught.value.reason == reason
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_each_role_can_do_its_work_and_no_more(
    cluster: Any, roles: dict[str, ElasticSettings], make_scored: Make
) -> None:
    with connect(roles["setup"]) as client:
        assert setup(client, roles["setup"], KEEP) == []
    index, web, replay = (ElasticStore(roles[role]) for role in ("index", "web", "replay"))
    assert index.put([make_scored("p1", "地铁"), make_scored("old", "地铁", minute=-99999)]) == ["indexed", "indexed"]
    index.refresh()
    for limit in (5, None):
        assert [hit.post.id for hit in web.search(Query(parse("地铁"), limit=limit))] == ["p1", "old"]
    assert web.count(Query()) == 2
    assert len(web.over_time(Query(since=START), timedelta(hours=1))) == 1
    assert sum(replay.rewrite(START, lambda page: page)) == 1
    assert index.delete_before(START) == 1
    assert index.put([make_scored("p1", "地铁", minute=5)]) == ["updated"]
    with connect(roles["setup"]) as client:
        assert setup(client, roles["setup"], KEEP) == [f"{cluster.settings.prefix}-posts-2026-01-2"]

    refused(lambda: web.put([make_scored("p2")]), "elasticsearch.rights")
    refused(lambda: web.delete_before(START), "elasticsearch.rights")
    refused(lambda: list(web.rewrite(START, lambda page: page)), "elasticsearch.rights")
    refused(lambda: setup(connect(roles["web"]), roles["web"], KEEP), "elasticsearch.rights")
    refused(lambda: setup(connect(roles["index"]), roles["index"], KEEP), "elasticsearch.rights")
    refused(lambda: ElasticStore(roles["setup"]).search(Query()), "elasticsearch.rights")
    elsewhere = roles["index"].model_copy(update={"prefix": "another"})
    refused(lambda: ElasticStore(elsewhere).put([make_scored("p1")]), "elasticsearch.rights")


def test_an_api_key_opens_what_it_was_made_for(cluster: Any, roles: dict[str, ElasticSettings], tmp_path: Path) -> None:
    with connect(roles["web"]) as client, pytest.raises(Exception, match="unauthorized"):
        client.security.create_api_key(name="too much")
    rights = {"web": {"indices": [{"names": [f"{cluster.settings.prefix}-posts*"], "privileges": ["read"]}]}}
    key = cluster.client.security.create_api_key(name="web", role_descriptors=rights)["encoded"]
    (tmp_path / "key").write_text(key)
    settings = changed(cluster, user="", password_file=None, api_key_file=tmp_path / "key")
    assert isinstance(ElasticStore(settings).count(Query()), int)
    (tmp_path / "key").write_text(SECRET)
    refused(lambda: ElasticStore(settings).count(Query()), "elasticsearch.login")


def test_a_secret_may_come_from_the_environment(
    roles: dict[str, ElasticSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = roles["web"].model_copy(update={"password_file": None})
    with pytest.raises(ConfigError, match="TINGCHAO_ELASTICSEARCH_PASSWORD"):
        ElasticStore(settings)
    monkeypatch.setenv("TINGCHAO_ELASTICSEARCH_PASSWORD", SECRET)
    assert isinstance(ElasticStore(settings).count(Query()), int)
    monkeypatch.setenv("TINGCHAO_ELASTICSEARCH_PASSWORD", f"{SECRET}-old")
    refused(lambda: ElasticStore(settings).count(Query()), "elasticsearch.login")


def test_who_cannot_prove_to_be_the_server_gets_no_password(roles: dict[str, ElasticSettings], tmp_path: Path) -> None:
    stranger = roles["web"].model_copy(update={"ca_file": None})  # the machine's own authorities do not know it
    refused(lambda: ElasticStore(stranger).count(Query()), "elasticsearch.tls")
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(Refused, match=r"ca\.pem"):
        ElasticStore(roles["web"].model_copy(update={"ca_file": tmp_path / "ca.pem"}))


def test_no_one_gets_in_without_a_name(cluster: Any) -> None:
    refused(lambda: ElasticStore(changed(cluster, user="", password_file=None)).count(Query()), "elasticsearch.login")


def test_nothing_that_is_shown_has_the_secret(roles: dict[str, ElasticSettings]) -> None:
    with connect(roles["index"]) as client:
        store = ElasticStore(roles["index"], client)
        assert (
            SECRET not in f"{roles['index']!r} {client!r} {store!r} {vars(store)!r} {roles['index'].model_dump_json()}"
        )
