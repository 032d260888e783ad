"""The command line with the log in a file and the posts in a real Elasticsearch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tingchao.config.elastic import ElasticSettings
from tingchao.pipeline.elastic_client import connect

pytestmark = pytest.mark.real
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, elasticsearch_url: str) -> Iterator[Run]:
    """`tingchao` with a configuration whose posts are in Elasticsearch; what it made there is deleted."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    lines = f'[store]\nkind = "elasticsearch"\n[elasticsearch]\nurls = ["{elasticsearch_url}"]\nprefix = "{prefix}"\n'
    (tmp_path / "tingchao.toml").write_text(lines)

    def tingchao(*arguments: str, data: str = "") -> subprocess.CompletedProcess[str]:
        place = ["--config", str(tmp_path), "--db", str(tmp_path / "t.db")]
        command = [sys.executable, "-m", "tingchao.pipeline.cli", *arguments, *place]
        environment = os.environ | {"TINGCHAO_LANG": "en"}
        return subprocess.run(command, input=data, capture_output=True, text=True, check=False, env=environment)

    yield tingchao
    with connect(ElasticSettings(urls=[elasticsearch_url])) as client:
        for index in client.indices.get(index=f"{prefix}-posts-*").body:
            client.indices.delete(index=index)
        client.options(ignore_status=404).indices.delete_index_template(name=f"{prefix}-posts")
        names = client.indices.get(index=f"{prefix}*").body
    assert names == {}


def test_what_is_read_in_is_found_scored_again_and_found(run: Run) -> None:
    assert (done := run("setup")).returncode == 0, done.stderr
    posts = [{"text": f"三号线车站第{n}次冒烟", "published_at": f"2026-0{n % 3 + 1}-07 19:05"} for n in range(9)]
    done = run("ingest", "-", data="".join(json.dumps(post, ensure_ascii=False) + "\n" for post in posts))
    assert done.returncode == 0, done.stderr

    def found() -> list[str]:
        done = run("search", "冒烟", "--json")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def close(number: str) -> Any:
        """BLAS adds in another order in a batch of another size: the last of six digits may differ."""
        return pytest.approx(float(number), abs=2e-6)

    before = next(hits for hits in iter(found, None) if len(hits) == 9)  # a search sees a post after a second
    done = run("replay", "--from", "2026-02-01")
    assert done.stdout.startswith("6 posts scored again with model "), done.stderr
    assert list(map(json.loads, found())) == [json.loads(hit, parse_float=close) for hit in before]


def test_how_the_texts_drift_is_told_without_a_file(run: Run, tmp_path: Path) -> None:
    assert run("setup").returncode == 0
    done = run("models", "drift")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert not (tmp_path / "t.db").exists()


def test_a_server_that_is_not_there_is_told_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tingchao.toml").write_text(
        '[store]\nkind = "elasticsearch"\n[elasticsearch]\nurls = ["http://127.0.0.1:1"]\n'
    )
    done = run("search", "冒烟")
    assert done.returncode != 0
    assert "elasticsearch.unreachable" in done.stderr
    assert "Traceback" not in done.stderr
