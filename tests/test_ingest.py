"""A file goes in, and everything in it is found: over the real command line, with real processes."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from incident import FIRE, wait_for

from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.flow import POSTS
from tingchao.pipeline.ingest import publish
from tingchao.pipeline.log import Output
from tingchao.pipeline.records import Post, decode, encode
from tingchao.pipeline.rows import Line, read_jsonl
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input, Plan, Result, Runner

COMMAND = (sys.executable, "-m", "tingchao.pipeline.cli")
NOW = datetime.now(UTC)


def tingchao(*arguments: object, db: Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"TINGCHAO_LANG": "en"}
    command = [*COMMAND, *map(str, arguments), "--db", str(db)]
    return subprocess.run(command, input=data, capture_output=True, timeout=90, check=False, env=environment)


def search(db: Path, *arguments: object) -> list[dict[str, object]]:
    done = tingchao("search", *arguments, "--json", "--limit", 100_000, db=db)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def jsonl(*posts: dict[str, object]) -> bytes:
    return "".join(json.dumps(post, ensure_ascii=False) + "\n" for post in posts).encode()


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


def test_everything_is_found_right_after_and_what_is_wrong_is_told(db: Path) -> None:
    lines = [
        jsonl({"text": "三号线车站冒烟了", "source": "论坛", "published_at": "2020-03-07 19:05", "likes": 3}),
        b"not json\n",
        jsonl({"title": "only a title"}),
        jsonl({"text": "未来的帖子", "published_at": (NOW + timedelta(days=3)).isoformat()}),
        jsonl({"text": "有空\0字符的帖子"}),
        jsonl({"text": "很长的帖子" + "长" * 1_000_000}),
        jsonl({"text": "同一条", "id": "1"}, {"text": "同一条", "id": "1"}),
    ]
    done = tingchao("ingest", "-", db=db, data=b"".join(lines))
    assert done.returncode == 0, done.stderr.decode()
    told = (done.stdout + done.stderr).decode()
    assert "6 posts read; 2 lines set aside" in told
    assert "line.not_json" in told
    assert "post.no_text" in told

    (smoke,) = search(db, "冒烟")
    assert smoke["published_at"] == "2020-03-07T11:05:00Z"
    assert smoke["counts"] == {"reads": None, "likes": 3, "comments": None, "reposts": None}
    assert search(db, "车站")[0]["id"] == smoke["id"]
    (future,) = search(db, "未来")
    assert "future" in future["flags"]  # type: ignore[operator]
    assert datetime.fromisoformat(str(future["published_at"])) <= datetime.now(UTC)
    (long,) = search(db, "很长的帖子")
    assert "cut" in long["flags"]  # type: ignore[operator]
    assert len(search(db, "字符")) == 1
    assert len(search(db, "同一条")) == 1

    dead = [json.loads(line) for line in tingchao("dead", "list", "--json", db=db).stdout.splitlines()]
    assert {(one["reason"], one["origin"]) for one in dead} == {("line.not_json", "-:2"), ("post.no_text", "-:3")}
    assert all("value" not in one for one in dead)


def test_csv_in_and_csv_out(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "posts.csv"
    file.write_text("text,title,published_at\n=cmd,自来水停水通知,2026-01-01 08:00\n", encoding="utf-8-sig")
    assert tingchao("ingest", file, "--source", "表格", db=db).returncode == 0
    out = tingchao("search", "停水", "--csv", db=db).stdout.decode()
    assert out.startswith("\ufeffid,published_at,source")
    assert "2026-01-01 08:00,表格,post,自来水停水通知,'=cmd" in out


@pytest.mark.parametrize("data", [b"", b"\n\n", b"[]"])
def test_a_file_without_posts_is_said_to_be_empty(db: Path, data: bytes) -> None:
    done = tingchao("ingest", "-", db=db, data=data)
    assert done.returncode == 1
    assert "the file is empty" in done.stderr.decode()


def many(count: int) -> bytes:
    return jsonl(*({"text": f"第{n}号帖子说地铁今天很挤", "id": str(n), "source": f"s{n % 7}"} for n in range(count)))


def test_killed_in_the_middle_and_run_again_gives_every_post_once(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(many(6000))
    process = subprocess.Popen([*COMMAND, "ingest", str(file), "--db", str(db)], stderr=subprocess.DEVNULL)
    assert wait_for(lambda: rows(db, "log_posts") > 0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert tingchao("ingest", file, db=db).returncode == 0
    assert rows(db, "posts") == 6000
    assert len({hit["id"] for hit in search(db, "地铁")}) == 6000


@pytest.fixture
def stages() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that run the stages; what a test starts is stopped after it."""
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        with process:  # closes its pipe
            process.kill()


def start_stages(db: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "run", "score", "watch", "decide", "index", "--child", "--db", str(db)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def test_scoring_killed_again_and_again_counts_every_post_once(
    db: Path, tmp_path: Path, stages: list[subprocess.Popen[bytes]]
) -> None:
    stages.append(start_stages(db))
    file = tmp_path / "posts.jsonl"
    file.write_bytes(many(6000))
    ingest = subprocess.Popen([*COMMAND, "ingest", str(file), "--db", str(db)], stderr=subprocess.DEVNULL)
    for killed_at in (500, 2000, 4000):
        assert wait_for(lambda: rows(db, "log_scored") >= killed_at)  # noqa: B023 called at once
        stages[-1].kill()
        stages[-1].wait()
        stages.append(start_stages(db))
    assert ingest.wait(60) == 0
    for stage, outcome in (("score", "scored"), ("index", "indexed"), ("watch", "counted")):
        assert counts(db, stage)[outcome] == 6000
    assert rows(db, "log_scored") == rows(db, "posts") == 6000


def test_what_a_stage_sets_aside_while_the_file_is_still_read_is_told(
    db: Path, stages: list[subprocess.Popen[bytes]], make_post: Callable[..., Post]
) -> None:
    command = [*COMMAND, "ingest", "-", "--db", str(db)]
    environment = os.environ | {"TINGCHAO_LANG": "en"}
    ingest = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    stages.append(ingest)
    assert ingest.stdin is not None
    ingest.stdin.write(many(1000))
    ingest.stdin.flush()
    assert wait_for(lambda: rows(db, "log_posts") >= 500)
    log = SqliteLog(db)
    log.publish([Output("posts", "p", encode(make_post()).replace(b'"v":1', b'"v":99'))], NOW)
    log.close()
    assert wait_for(lambda: rows(db, "log_dead") == 1)
    told = ingest.communicate(b"not json\n", timeout=60)[0].decode()
    assert ingest.returncode == 1, told
    assert "1 lines: score record.version" in told
    assert told.count("line.not_json") == 1
    assert "all of it is indexed" not in told


def test_ingest_waits_for_the_process_that_holds_the_file(db: Path, stages: list[subprocess.Popen[bytes]]) -> None:
    stages.append(start_stages(db))
    time.sleep(1)
    assert tingchao("ingest", "-", db=db, data=many(10)).returncode == 0
    assert len(search(db, "地铁")) == 10
    assert stages[0].poll() is None


PRIVATE = {
    "phone": "13812345678",
    "wide": "１３９１２３４５６７８",
    "identity": "11010519491231002X",
    "mail": "zhang.san@example.com",
    "plate": "京A12345",
    "at": "@张三丰",
    "author": "昵称小明同学",
}


def test_personal_data_stands_nowhere(db: Path) -> None:
    private = " ".join(value for name, value in PRIVATE.items() if name != "author")
    posts: list[dict[str, object]] = [
        {"text": f"{text} {private}", "title": f"求助 {PRIVATE['phone']}", "author": f"{PRIVATE['author']}{n}"}
        for n, text in enumerate(FIRE)
    ]
    bad = b'{"text": "' + PRIVATE["phone"].encode() + b" not closed\n"
    assert tingchao("ingest", "-", db=db, data=jsonl(*posts) + bad).returncode == 0
    (alert, *_) = [json.loads(line) for line in tingchao("alerts", "list", "--json", db=db).stdout.splitlines()]
    for words in (
        ("alerts", "ack", alert["id"], "--note", private),
        ("alerts", "verdict", alert["id"], "true_alarm", "--note", private),
        ("silence", "add", "topic=metro", "--for", "2h", "--comment", private),
    ):
        assert tingchao(*words, db=db).returncode == 0, words
    told = [
        *(path.read_bytes() for path in db.parent.iterdir()),
        tingchao("search", "地铁", "--json", db=db).stdout,
        tingchao("search", "地铁", "--csv", db=db).stdout,
        tingchao("search", "地铁", db=db).stdout,
        tingchao("alerts", "show", alert["id"], db=db).stdout,
        tingchao("alerts", "show", alert["id"], "--json", db=db).stdout,
        tingchao("silence", "list", "--json", db=db).stdout,
        tingchao("dead", "list", "--json", db=db).stdout,
    ]
    assert any("火灾".encode() in one for one in told)
    for name, value in PRIVATE.items():
        assert all(value.encode() not in one for one in told), name


def rows(db: Path, table: str) -> int:
    try:
        with sqlite3.connect(f"file:{db}?mode=ro", uri=True, timeout=5) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def counts(db: Path, stage: str) -> dict[str, int]:
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
        row = connection.execute(
            "SELECT value FROM state WHERE \"group\" = ? AND key LIKE '%counts%'", (stage,)
        ).fetchone()
    found: dict[str, int] = json.loads(row[0])
    return found


def lines(*posts: dict[str, object]) -> Iterator[Line]:
    return read_jsonl(io.BytesIO(jsonl(*posts)))


@pytest.mark.parametrize(
    ("ages", "topic"),
    [
        ((0, 1, 30), "posts"),
        ((3, 61, 2), "posts_backfill"),  # its order counts: all or nothing
    ],
)
def test_a_file_of_old_posts_is_back_fill(log_backend: Any, ages: tuple[int, ...], topic: str) -> None:
    posts = [{"text": f"{age}", "published_at": (NOW - timedelta(minutes=age)).isoformat()} for age in ages]
    log, hour = log_backend.log(), timedelta(hours=1)
    assert publish(lines(*posts), log, ManualClock(NOW), "s", "f", hour, lambda _: None).published == len(ages)
    time.sleep(0.5)  # a commit of Kafka returns before its marks are in every partition
    read = [decode(Post, entry.value).text for entry in log.scan(topic)]
    assert read == [f"{age}" for age in ages]
    (other,) = set(POSTS) - {topic}
    assert log.scan(other) == []


def test_what_is_new_is_worked_on_before_the_rest_of_an_old_file(log_backend: Any) -> None:
    log, clock, done = log_backend.log(), ManualClock(NOW), list[str]()

    class Worker:
        def process(self, inputs: Sequence[Input]) -> Result:
            done.extend(one.record.text for one in inputs if isinstance(one.record, Post))
            return Result((), ["done"] * len(inputs))

    old = ({"text": f"old {n}", "published_at": "2026-01-01T00:00:00Z"} for n in range(300))
    publish(lines(*old), log, clock, "s", "f", timedelta(hours=1), lambda _: None)
    runner = Runner(Plan("g", POSTS, lambda _: Worker(), batch=50), log, clock)
    assert wait_for(runner.step)
    publish(lines({"text": "new"}), log, clock, "s", "-", timedelta(hours=1), lambda _: None)
    assert wait_for(lambda: runner.step() and len(done) == 301)
    assert done.index("new") < 200  # what was read ahead, at most
    assert [text for text in done if text != "new"] == [f"old {n}" for n in range(300)]
    runner.close()
