"""What a command cannot do, and how it says so."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tingchao.alerts import decide, ledger, silences
from tingchao.config.language import in_language, text
from tingchao.config.settings import load
from tingchao.pipeline.cli import app, main
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.commands.base import LANGUAGE
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import output
from tingchao.pipeline.records import Candidate, Reason
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Runner

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with one alert that is open."""
    path = tmp_path / "t.db"
    log = SqliteLog(path)
    reason = Reason(rule="many", kind="count", start=NOW - timedelta(hours=1), end=NOW, observed=9.0, threshold=3.0)
    candidate = Candidate(topic="metro", reason=reason, level=2, sure=0.9, posts=9, voices=9, sources={"forum": 9})
    log.publish([output("candidates", "metro", candidate)], NOW)
    runner = Runner(decide.plan(load()), log, ManualClock(NOW))
    while runner.step():
        pass
    assert len(ledger.alerts(log)) == 1
    log.close()
    return path


@pytest.mark.parametrize("words", [["show"], ["ack"], ["resolve"], ["verdict", "true_alarm"]])
def test_an_empty_id_is_not_the_only_alert(database: Path, words: list[str]) -> None:
    arguments = ["alerts", words[0], "", *words[1:], "--db", str(database)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, Refused)
    assert str(in_language(done.exception, LANGUAGE)) == text("cli.said.empty_id", LANGUAGE)
    (alert,) = ledger.alerts(SqliteLog(database)).values()
    assert alert.state == "open"


def test_an_empty_id_is_not_the_only_silence(database: Path) -> None:
    log, clock = SqliteLog(database), ManualClock(NOW)
    silences.add(log, clock, ["topic=metro"], NOW, NOW + timedelta(hours=1), "")
    runner = Runner(decide.plan(load()), log, clock)
    while runner.step():
        pass
    assert len(silences.silences(log, NOW)) == 1
    with pytest.raises(Refused) as caught:
        silences.expire(log, clock, "")
    assert "有 0 个尚未结束的静默" in str(in_language(caught.value, "zh"))


def silence_add(database: Path, *matchers: str) -> Result:
    return CliRunner().invoke(app, ["silence", "add", *matchers, "--for", "2h", "--db", str(database)])


@pytest.mark.parametrize(
    ("matcher", "chinese"),
    [
        ("level=7", "静默：没有 level '7'；应为 1, 2, 3 之一"),
        ('level=~"7|8"', "静默：没有 level '7|8'"),
        ("kind!=baseline", "静默：没有 kind 'baseline'"),
        ("signal=colour", "静默：没有 signal 'colour'"),
        ("state=over", "静默：没有 state 'over'"),
    ],
)
def test_a_silence_of_what_no_alert_can_be_is_refused(database: Path, matcher: str, chinese: str) -> None:
    done = silence_add(database, "topic=metro", matcher)
    assert isinstance(done.exception, Refused)
    assert str(in_language(done.exception, "zh")).startswith(chinese)
    assert silences.silences(SqliteLog(database), datetime.now(UTC)) == []


@pytest.mark.parametrize(
    ("matcher", "told"),
    [
        ("topic=nothere", "nothere"),
        ("topic=~not.*", "not.*"),
        ("rule=gone", "gone"),
        ("topic=metro", ""),
        ("topic=~metro|nothere", ""),
        ('signal=""', ""),
        ("topic=@sources", ""),
        ("source=any", ""),
    ],
)
def test_a_silence_of_a_topic_that_is_not_configured_stands_and_says_so(
    database: Path, matcher: str, told: str
) -> None:
    done = silence_add(database, matcher, "level=2")
    assert done.exit_code == 0, done.output
    assert len(silences.silences(SqliteLog(database), datetime.now(UTC))) == 1
    said = text("cli.said.silence_strange", LANGUAGE, mistake="§").partition("§")[0]
    assert (said in done.stderr) == bool(told)
    assert told in done.stderr


@pytest.mark.parametrize(
    ("words", "chinese"),
    [
        (["search", "a", "--json", "--csv"], "--json 和 --csv 只能写一个"),
        (["train", "--feedback", "--out", "x"], "--feedback 写入"),
    ],
)
def test_options_that_exclude_each_other_are_refused_in_chinese_too(
    database: Path, words: list[str], chinese: str
) -> None:
    folder = [str(database.parent)] if words[0] == "train" else []
    done = CliRunner().invoke(app, [*words, *folder, "--db", str(database)])
    assert isinstance(done.exception, Refused), done.output
    assert str(in_language(done.exception, "zh")).startswith(chinese)


def test_who_gives_up_on_a_locked_file_does_not_say_that_it_still_tries(
    database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tingchao.pipeline.sqlite_file.BUSY_SECONDS", 0.02)
    monkeypatch.setattr(sys, "argv", ["tingchao", "dead", "list", "--db", str(database)])
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SystemExit) as ended:
        main()
    other.close()
    assert ended.value.code == 1
    said = capsys.readouterr().err.replace("\n", "")
    assert "SQLITE_BUSY" in said
    assert "still trying" not in said
    assert {"zh": "已停止：", "en": "stopped: "}[LANGUAGE] in said


def test_a_level_of_the_log_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINGCHAO_LOG", "loud")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert "DEBUG, INFO, WARNING, ERROR, CRITICAL" in capsys.readouterr().err.replace("\n", "")
