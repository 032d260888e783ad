"""History scored again: with the present models and topics, and without waking anyone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tingchao.config.settings import Settings, load
from tingchao.models.scores import Scores
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import Scored
from tingchao.pipeline.replay import replay
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.store import Store

START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
TOPIC = '[[topic]]\nname = "metro"\ntitle = "地铁"\nany = ["地铁", "公交"]\n'


class NewModels:
    """Models that find everything negative."""

    version = "new"

    def __init__(self, scores: Scores) -> None:
        self._scores = scores

    def score(self, texts: Sequence[str]) -> list[Scores]:
        return [self._scores for _ in texts]

    def phrases(self, *_: Any) -> Any:
        raise AssertionError("no mention is written, so no word is looked for")


@pytest.fixture
def backend(store_backend: Any) -> Any:
    """Each kind of store."""
    return store_backend


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "topics.toml").write_text(TOPIC)
    (tmp_path / "sources.toml").write_text("")
    (tmp_path / "rules.toml").write_text("")
    return load(tmp_path)


def test_posts_get_the_scores_and_topics_of_today(
    store: Store, settings: Settings, make_scored: Callable[..., Scored], make_scores: Callable[..., Scores]
) -> None:
    store.put([make_scored(f"p{n}", "地铁停运" if n % 2 else "天气", minute=n, voice="ab" * 8) for n in range(10)])
    models = NewModels(make_scores(negative=0.9, neutral=0.05, positive=0.05))
    assert sum(replay(settings, models, store, START + timedelta(minutes=4))) == 6
    assert [hit.post.id for hit in store.search(Query(sentiment="negative"))] == ["p9", "p8", "p7", "p6", "p5", "p4"]
    assert [hit.post.id for hit in store.search(Query(topic="metro"))] == ["p9", "p7", "p5"]
    assert [hit.model for hit in store.search(Query())] == ["new"] * 6 + [""] * 4
    assert sum(replay(settings, models, store, START + timedelta(days=99))) == 0


def test_the_command_writes_nothing_to_the_log(tmp_path: Path, make_scored: Callable[..., Scored]) -> None:
    db = tmp_path / "tingchao.db"
    store, log = SqliteStore(db), SqliteLog(db)
    store.put([make_scored("p1", "地铁停运，大家都很生气"), make_scored("p2", "天气很好", minute=-99999)])
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "replay", "--db", str(db), "--from", "2026-01-01"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"TINGCHAO_LANG": "en"})
    assert done.stdout.startswith("1 posts scored again with model ")
    first, second = store.search(Query())
    assert (bool(first.model), bool(second.model)) == (True, False)
    assert first.post == make_scored("p1", "地铁停运，大家都很生气").post
    assert [log.end(topic) for topic in ("posts", "scored", "mentions", "alerts")] == [0, 0, 0, 0]
