"""What is typed behind `tingchao search`."""

from __future__ import annotations

from pathlib import Path

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
        (["--signal", "nope"], "--signal 'nope'：应为 safety"),
    ],
)
def test_what_cannot_be_looked_for_is_said_in_the_readers_language(tmp_path: Path, words: list[str], said: str) -> None:
    code, refused = run(tmp_path, *words)
    assert code == 1
    assert said in refused
