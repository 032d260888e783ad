"""`tingchao up`: one command, one file, three processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from incident import FIRE, wait_for
from pytest_httpserver import HTTPServer
from werkzeug import Response

COMMAND = (sys.executable, "-m", "tingchao.pipeline.cli")


class Installation:
    """A configuration, a database, and `up` running on them."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.db = folder, folder / "t.db"
        (folder / "tingchao.toml").write_text(f"[page]\nport = {self.port}\n")
        # Port 9 (discard) is never served here: a source without a network.
        (folder / "sources.toml").write_text(
            '[[source]]\nname = "gone"\nkind = "feed"\nurl = "http://127.0.0.1:9/feed"\ntopics = ["*"]\n'
        )
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        return [*COMMAND, *arguments, "--config", str(self.folder), "--db", str(self.db)]

    def up(self) -> subprocess.Popen[bytes]:
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(self.command("up"), stdout=said, stderr=said)
        assert wait_for(self.answers), self.told()
        return self.process

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def told(self) -> str:
        return (self.folder / "said").read_text()

    def roles(self) -> dict[str, int]:
        """Role -> process id of the children."""
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
        arguments = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in children}
        return {given[given.index("run") + 1]: pid for pid, given in arguments.items() if "run" in given}

    def tingchao(self, *arguments: str, data: bytes = b"") -> str:
        environment = os.environ | {"TINGCHAO_LANG": "en"}
        done = subprocess.run(
            self.command(*arguments), input=data, capture_output=True, timeout=60, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.stop()


def posts(*texts: str) -> bytes:
    return "".join(json.dumps({"text": t, "source": t, "author": t}, ensure_ascii=False) + "\n" for t in texts).encode()


def test_a_day_with_tingchao(here: Installation) -> None:
    process = here.up()
    assert wait_for(lambda: set(here.roles()) == {"score", "crawl"})
    assert wait_for(lambda: "gone" in here.told()), "the source without a network says so"

    here.tingchao("ingest", "-", data=posts(*FIRE))
    assert "着火" in here.tingchao("search", "着火", "--json")
    (alert,) = [json.loads(line) for line in here.tingchao("alerts", "list", "--state", "open", "--json").splitlines()]
    shown = httpx.get(f"http://127.0.0.1:{here.port}/api/alerts").json()
    assert alert["id"] in json.dumps(shown)
    assert wait_for(lambda: "地铁运营" in here.told()), "the terminal channel tells it"
    lags = {one["topic"]: one for one in map(json.loads, here.tingchao("lag", "--json").splitlines())}
    assert lags["posts"]["end"] == lags["posts"]["read"] == len(FIRE)
    assert "acknowledged" in here.tingchao("alerts", "ack", alert["id"][:8], "--note", "看到了")

    second = subprocess.run(here.command("up"), capture_output=True, timeout=30, check=False)
    assert second.returncode == 1
    assert str(process.pid) in second.stderr.decode()

    stages = here.roles()["score"]
    os.kill(stages, signal.SIGKILL)
    assert wait_for(lambda: here.roles().get("score", stages) != stages), "what dies is started again"

    children = list(here.roles().values())
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0, here.told()
    assert time.monotonic() - began < 8
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)

    here.up()
    (kept,) = [json.loads(line) for line in here.tingchao("alerts", "list", "--json").splitlines()]
    assert kept["state"] == "acknowledged"


def test_what_is_not_told_stands_in_the_log_of_the_running_program_alone(here: Installation) -> None:
    (here.folder / "routes.toml").write_text(NEVER)
    here.up()
    said = subprocess.run(here.command("ingest", "-"), input=posts(*FIRE), capture_output=True, timeout=60, check=True)
    assert wait_for(lambda: "decide.held" in here.told())
    assert "why=muted" in here.told()
    here.stop()
    assert b"decide.held" not in said.stderr
    elsewhere = [*COMMAND, "ingest", "-", "--config", str(here.folder), "--db", str(here.folder / "other.db")]
    said = subprocess.run(elsewhere, input=posts(*FIRE), capture_output=True, timeout=60, check=True)
    assert b"decide.held" not in said.stderr, "the stages behind a command log as it does"


NEVER = """
[[route.routes]]
mute_time_intervals = ["always"]
[[time_intervals]]
name = "always"
[[time_intervals.time_intervals]]
times = [{ start_time = "00:00", end_time = "24:00" }]
"""


def test_children_end_when_up_is_killed(here: Installation) -> None:
    process = here.up()
    assert wait_for(lambda: set(here.roles()) == {"score", "crawl"})
    children = list(here.roles().values())
    process.kill()
    process.wait()
    assert wait_for(lambda: not any(alive(pid) for pid in children), 15)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
        return False


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("tingchao.toml", "[page]\nprot = 1\n", "page.prot: unknown key; did you mean 'port'?"),
        ("tingchao.toml", '[page]\nport = "x"\n', "page.port"),
        ("tingchao.toml", '[page]\nhost = "0.0.0.0"\n', "token_file"),
        (
            "sources.toml",
            '[[source]]\nname = "a"\nkind = "feed"\nurl = "http://a/f"\n',
            "source[1] (a).topics: missing",
        ),
        ("sources.toml", '[[source]]\nname = "a"\nkind = "feed"\nurl = "http://a/f"\ntopics = ["x"]\n', "no topic 'x'"),
        ("topics.toml", '[[topic]]\nname = "a"\ntitle = "a"\n', "topic[1] (a)"),
        ("rules.toml", '[[rule]]\nname = "a"\nkind = "cuont"\nthreshold = 1\n', "rule[1] (a).kind"),
        ("rules.toml", "[[rule]\n", "rules.toml"),
    ],
)
def test_check_names_file_and_key(here: Installation, file: str, content: str, told: str) -> None:
    (here.folder / file).write_text(content)
    english = os.environ | {"TINGCHAO_LANG": "en"}
    done = subprocess.run(here.command("check"), capture_output=True, timeout=30, check=False, env=english)
    assert done.returncode == 1
    assert file in done.stderr.decode()
    assert told in done.stderr.decode().replace("\n", "")


def test_check_names_a_secret_s_file_that_is_not_there(here: Installation) -> None:
    file = here.folder / "tingchao.toml"
    file.write_text("[page]\ntoken_file = 'page.token'\n", encoding="utf-8")
    english = os.environ | {"TINGCHAO_LANG": "en"}
    done = subprocess.run(here.command("check"), capture_output=True, timeout=60, check=False, env=english)
    assert done.returncode == 1
    assert "page.token_file: no file" in done.stderr.decode()


# What identifies a person, as posts carry it; none of it may be found anywhere behind the reader.
PERSONAL = (
    "13800138000",
    "138-0013-8000",
    "11010519491231002X",
    "wang.xiaoming@example.com",
    "京A12345",
    "鹭溪老渔翁",
    "王小明爱钓鱼",
)


def told_by(person: str) -> str:
    return (
        f"地铁二号线车厢发生火灾，多人受伤送医，有事找{person}。@鹭溪老渔翁 电话13800138000 或138-0013-8000，{person}"
    )


def test_no_personal_data_stands_in_file_page_exports_or_messages(here: Installation, httpserver: HTTPServer) -> None:
    body = "".join(f"<p>{told_by(person)}</p>" for person in PERSONAL if person[0] not in "鹭王")
    title = "地铁火灾 联系wang.xiaoming@example.com"
    article = (
        f"<html><head><title>{title}</title><meta name=author content=王小明爱钓鱼></head>"
        f"<body><h1>{title}</h1><p>作者：王小明爱钓鱼</p>{body}</body></html>"
    )
    httpserver.expect_request("/robots.txt").respond_with_data("User-agent: *\nAllow: /\n", content_type="text/plain")
    httpserver.expect_request("/news.html").respond_with_data(article, content_type="text/html; charset=utf-8")
    sent: list[bytes] = []
    httpserver.expect_request("/hook").respond_with_handler(lambda asked: sent.append(asked.data) or Response())  # type: ignore[func-returns-value]
    with (here.folder / "tingchao.toml").open("a") as file:
        file.write(f'\n[[notify]]\nkind = "webhook"\nname = "hook"\nurl = "{httpserver.url_for("/hook")}"\n')
    here.up()
    outputs = [here.tingchao("crawl", "--url", httpserver.url_for("/news.html"), "--json")]
    rows = [
        {"text": told_by(person), "source": f"s{number}", "author": "王小明爱钓鱼", "title": f"着火了 {person}"}
        for number, person in enumerate(PERSONAL[:5])
    ]
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    outputs.append(here.tingchao("ingest", "-", data=data + b'{"title": "13800138000", "author": "no text"}\n'))
    assert wait_for(lambda: sent), "the webhook hears of the alert"
    hits = here.tingchao("search", "火灾", "--json")
    assert len(hits.splitlines()) == 6
    outputs += [hits, here.tingchao("search", "火灾", "--csv"), here.tingchao("alerts", "list", "--json")]
    outputs += [here.tingchao("alerts", "show", json.loads(outputs[-1].splitlines()[0])["id"])]
    outputs += [here.tingchao("dead", "list", "--json"), here.told()]
    for path in ("/", "/api/alerts", "/search", "/sources"):
        outputs.append(httpx.get(f"http://127.0.0.1:{here.port}{path}", follow_redirects=True).text)
    files = b"".join(path.read_bytes() for path in here.folder.glob("t.db*"))
    everything = "\n".join(outputs).encode() + b"\n".join(sent) + files

    assert "[手机号]".encode() in files, "the check sees what was stored"
    assert "[手机号]" in hits
    assert [person for person in PERSONAL if person.encode() in everything] == []
