"""A cluster that drops indices itself. The real server at hand cannot, so this one only answers as such a one would."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tingchao.config.elastic import ElasticSettings
from tingchao.pipeline.elastic_client import connect
from tingchao.pipeline.elastic_layout import setup
from tingchao.pipeline.elastic_store import ElasticStore

JSON = "application/vnd.elasticsearch+json;compatible-with=9"
NAME = "tingchao-posts"
SHAPE = {"creation_date": "1", "number_of_shards": "1"}


@pytest.fixture
def asked(httpserver: HTTPServer) -> list[tuple[str, str, Any]]:
    """Method, path and body of every request. One index is there, under the cluster's care."""
    seen: list[tuple[str, str, Any]] = []

    def answer(request: Request) -> Response:
        seen.append((request.method, request.path, request.get_json(silent=True)))
        there = {f"{NAME}-2020-01-1": {"settings": {"index": SHAPE | {"lifecycle": {"name": NAME}}}}}
        body, status = (there, 200) if request.method == "GET" else ({"acknowledged": True}, 200)
        if request.path == f"/_index_template/{NAME}" and request.method == "GET":
            body, status = {}, 404
        headers = {"X-Elastic-Product": "Elasticsearch"}
        return Response(json.dumps(body), status, headers, content_type=JSON)

    httpserver.expect_request(re.compile(".*")).respond_with_handler(answer)
    return seen


@pytest.fixture
def settings(httpserver: HTTPServer) -> ElasticSettings:
    return ElasticSettings(urls=[httpserver.url_for("").rstrip("/")])


def test_setup_hands_the_ageing_to_the_cluster(asked: list[tuple[str, str, Any]], settings: ElasticSettings) -> None:
    with connect(settings) as client:
        setup(client, settings, timedelta(days=180))
    sent = {path: body for method, path, body in asked if method == "PUT"}
    phases = {"delete": {"min_age": f"{211 * 24}h", "actions": {"delete": {}}}}
    assert sent[f"/_ilm/policy/{NAME}"] == {"policy": {"phases": phases}}
    assert sent[f"/_index_template/{NAME}"]["template"]["settings"]["index"]["lifecycle.name"] == NAME
    assert sent[f"/{NAME}-2020-01-1/_settings"]["index"]["lifecycle.name"] == NAME


def test_our_own_job_leaves_such_indices_alone(asked: list[tuple[str, str, Any]], settings: ElasticSettings) -> None:
    assert ElasticStore(settings).delete_before(datetime(2026, 1, 1, tzinfo=UTC)) == 0
    assert [method for method, _, _ in asked] == ["GET"]
