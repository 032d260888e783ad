"""`tingchao doctor`: on one file and on a cluster, and what is wrong is named."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from incident import wait_for

from tingchao.alerts import notify
from tingchao.config.settings import load
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import output
from tingchao.pipeline.records import Alert, Reason, Scored
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.stage import Runner


def doctor(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tingchao.pipeline.cli", *more, "--db", str(folder / "t.db")]
    env = os.environ | {"TINGCHAO_LANG": "en", "NO_COLOR": "1"}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env)


def config(folder: Path, text: str) -> Path:
    made = folder / "config"
    made.mkdir()
    (made / "tingchao.toml").write_text(text)
    return made


def cluster(folder: Path, kafka: str, elasticsearch: str) -> Path:
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    return config(
        folder,
        f'[log]\nkind = "kafka"\n[kafka]\nbootstrap = ["{kafka}"]\nprefix = "{prefix}"\npartitions = 1\n'
        f'[store]\nkind = "elasticsearch"\n[elasticsearch]\nurls = ["{elasticsearch}"]\nprefix = "{prefix}"\n',
    )


def test_one_file_is_looked_at_and_its_posts_are_counted(tmp_path: Path, make_scored: Callable[..., Scored]) -> None:
    store = SqliteStore(tmp_path / "t.db")
    store.put([make_scored("p1"), make_scored("p2")])
    store.close()
    done = doctor(tmp_path, "doctor")
    assert done.returncode == 0, done.stdout
    for line in (f"✓ log: {tmp_path}/t.db", "✓ indexed posts: 2", "✓ waiting: score 0, index 0", "✓ dead letters: 0"):
        assert line in done.stdout


def test_a_channel_that_fails_is_named_with_what_waits(tmp_path: Path) -> None:
    made = config(
        tmp_path,
        '[[notify]]\nkind = "webhook"\nname = "desk"\nurl = "http://127.0.0.1:1/"\n'
        '[[notify]]\nkind = "terminal"\nname = "screen"\n',
    )
    log, clock = SqliteLog(tmp_path / "t.db"), ManualClock(datetime(2026, 3, 1, 4, 0, tzinfo=UTC))
    reason = Reason(rule="r", kind="count", start=clock.now(), end=clock.now(), observed=9.0)
    log.publish([output("alerts", "a1", an_alert(clock.now(), reason))], clock.now())
    for plan in notify.plans(load(made), lambda _: None, clock):
        runner = Runner(plan, log, clock)
        while runner.step():
            pass
    log.close()
    done = doctor(tmp_path, "doctor", "--config", str(made))
    assert done.returncode == 1
    error = "tingchao.toml, notify 'desk' (http://127.0.0.1:1): ConnectError, Connection refused"
    assert f"✗ channels: desk: 1 waiting; last error: {error}; next try: 2026-03-01 12:00" in done.stdout
    assert "✓ channels: screen: 0 waiting\n" in done.stdout


def an_alert(at: datetime, reason: Reason) -> Alert:
    times = {"since": at, "until": at, "opened_at": at, "updated_at": at}
    facts = {"number": 1, "topic": "metro", "title": "地铁", "state": "open", "level": 2, "sure": 0.9}
    return Alert(id="a1", reasons=(reason,), posts=9, voices=9, **facts, **times)


def test_a_wrong_configuration_is_told_with_its_file(tmp_path: Path) -> None:
    made = config(tmp_path, "[page]\nport = 'x'\n")
    done = doctor(tmp_path, "doctor", "--config", str(made))
    assert done.returncode == 1
    assert "✗ configuration: " in done.stdout
    assert "tingchao.toml" in done.stdout


def test_servers_that_are_away_are_named_each(tmp_path: Path) -> None:
    made = cluster(tmp_path, "127.0.0.1:9", "http://127.0.0.1:9")
    done = doctor(tmp_path, "doctor", "--config", str(made))
    assert done.returncode == 1, done.stderr
    assert "✗ log: " in done.stdout
    assert "127.0.0.1:9" in done.stdout
    assert "✗ indexed posts: " in done.stdout
    assert not (tmp_path / "t.db").exists()


@pytest.mark.real
def test_a_cluster_is_looked_at(tmp_path: Path, kafka_bootstrap: str, elasticsearch_url: str) -> None:
    made = cluster(tmp_path, kafka_bootstrap, elasticsearch_url)
    before = doctor(tmp_path, "doctor", "--config", str(made))
    assert before.returncode == 1
    assert "✗ log: " in before.stdout
    assert "tingchao setup" in before.stdout
    setup = subprocess.run(
        [sys.executable, "-m", "tingchao.pipeline.cli", "setup", "--config", str(made)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert setup.returncode == 0, setup.stderr
    # Until a new Kafka has chosen who keeps the positions of groups it has none to tell.
    assert wait_for(lambda: doctor(tmp_path, "doctor", "--config", str(made)).returncode == 0, 60)
    done = doctor(tmp_path, "doctor", "--config", str(made))
    assert f"✓ log: Kafka, {kafka_bootstrap}" in done.stdout
    assert f"✓ indexed posts: Elasticsearch, {elasticsearch_url}: 0" in done.stdout
    assert "✓ waiting: score 0, index 0, watch 0, decide 0" in done.stdout
