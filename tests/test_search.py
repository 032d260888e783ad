"""What is typed behind `tingchao search`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tingchao.config.language import in_language
from tingchao.pipeline.commands import search  # noqa: F401 adds the command
from tingchao.pipeline.commands.base import app
from tingchao.pipeline.sqlite_store import SqliteStore


def run(tmp_path: Path, *words: str) -> tuple[int, str]:
    """The exit code and what was refused."""
    SqliteStore(tmp_path / "t.db").close()
    done = CliRunner().invoke(app, ["search", *words, "--db", str(tmp_path / "t.db"), "--json"])
    return done.exit_code, str(in_language(done.exception, "zh")) if done.exception else ""


def test_words_need_no_quotation_marks_around_them(tmp_path: Path) -> None:
    assert run(tmp_path, "地铁", "停运", "-广告") == (0, "")
    assert run(tmp_path, "-广告", "地铁", "--limit", "5") == (0, "")


def test_a_limit_beyond_all_posts_is_none(tmp_path: Path) -> None:
    assert run(tmp_path, "地铁", "--limit", "99999999999999999999") == (0, "")


@pytest.mark.parametrize("time", ["99999999d", "9" * 30 + "h", "0001-01-01", "9999-12-31T23:00:00-12:00"])
def test_a_time_beyond_every_calendar_is_refused(tmp_path: Path, time: str) -> None:
    for option in ("--since", "--until"):
        code, refused = run(tmp_path, "地铁", option, time)
        assert code == 1
        assert f"时间 '{time}'" in refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-x"], "请至少写一个要找的词"),
        (["--sinse", "24h"], "没有选项 --sinse"),
        (["地铁", "("], "读不懂"),
        (["地铁", "--since", "gestern"], "时间 'gestern'"),
        (["--per", "day"], "时间段 'day'"),
        (["--per", "0h"], "时间段 '0h'"),
        (["--signal", "nope"], "--signal 'nope'：应为 safety"),
    ],
)
def test_what_cannot_be_looked_for_is_said_in_the_readers_language(tmp_path: Path, words: list[str], said: str) -> None:
    code, refused = run(tmp_path, *words)
    assert code == 1
    assert said in refused


def test_posts_are_counted_in_steps_as_a_table_as_json_and_as_csv(tmp_path: Path, make_scored: Any) -> None:
    store = SqliteStore(tmp_path / "t.db")
    for n, (day, hour) in enumerate([(1, 15), (1, 16), (2, 15), (3, 16)]):  # UTC: midnight in Beijing is at 16
        published = datetime(2026, 3, day, hour, 30, tzinfo=UTC)
        store.put([make_scored(f"p{n}", "地铁停运", published_at=published)])
    store.close()

    def said(*options: str) -> str:
        done = CliRunner().invoke(app, ["search", "停运", "--per", "1d", *options, "--db", str(tmp_path / "t.db")])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert [json.loads(line)["posts"] for line in said("--json").splitlines()] == [1, 2, 0, 1]
    assert json.loads(said("--json").splitlines()[1])["start"] == "2026-03-01T16:00:00Z"
    assert said("--csv").splitlines()[1:3] == ["2026-03-01 00:00,1", "2026-03-02 00:00,2"]
    _, *lines = said().splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:3] == ["2026-03-02", "00:00", "2"]
