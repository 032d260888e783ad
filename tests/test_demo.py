"""The demo: the invented city's web shows what the clock has published, and `demo/run.py` ends with an alert."""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from urllib.parse import quote
from urllib.robotparser import RobotFileParser

import feedparser
import pytest

from tingchao.alerts import ledger
from tingchao.config.load import DEFAULTS
from tingchao.config.settings import load
from tingchao.pipeline.clock import BEIJING, ManualClock, stopwatch
from tingchao.pipeline.privacy import mask
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Alert, decode
from tingchao.pipeline.roles import ROLES, Role
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore

ROOT = Path(__file__).resolve().parent.parent
DAY = datetime(2026, 5, 14, tzinfo=BEIJING)


def demo_module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"demo_{name}", ROOT / "demo" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


site = demo_module("site")
run = demo_module("run")


def at(clock: str) -> datetime:
    return datetime.combine(DAY, datetime.strptime(clock, "%H:%M").time(), BEIJING)  # noqa: DTZ007 the zone follows


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("13:36"))


@pytest.fixture
def city(clock: ManualClock) -> Iterator[http.client.HTTPConnection]:
    with site.Server(clock, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = http.client.HTTPConnection(*server.server_address, timeout=10)
        yield connection
        connection.close()
        server.shutdown()
        thread.join()


def get(
    city: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    city.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = city.getresponse()
    return answer.status, answer.headers, answer.read()


def test_pages_show_only_what_the_clock_has_published(city: http.client.HTTPConnection, clock: ManualClock) -> None:
    quiet = get(city, "/forum/")[2].decode("gbk")
    assert "焦糊味" not in quiet
    last = max(int(number) for number in re.findall(r"thread-(\d+)\.html", quiet))
    assert get(city, f"/forum/thread-{last}.html")[0] == 200
    assert get(city, f"/forum/thread-{last + 1}.html")[0] == 404

    clock.move(at("13:58") - at("13:36"))

    assert "2号线梧桐路站一股焦糊味" in get(city, "/forum/")[2].decode("gbk")
    assert get(city, f"/forum/thread-{last + 1}.html")[0] == 200
    assert "梧桐路站冒烟" not in get(city, "/news/")[2].decode()  # the press comes twelve minutes later
    clock.move(timedelta(minutes=12))
    assert "梧桐路站冒烟" in get(city, "/news/")[2].decode()


def test_robots_forbids_one_folder_that_is_there(city: http.client.HTTPConnection) -> None:
    robots = RobotFileParser()
    robots.parse(get(city, "/robots.txt")[2].decode().splitlines())

    assert robots.can_fetch("Tingchao", "/forum/")
    assert robots.can_fetch("Tingchao", "/news/1.html")
    assert not robots.can_fetch("Tingchao", "/inside/")
    assert get(city, "/inside/")[0] == 200


@pytest.mark.parametrize("path", ["/feed.xml", "/news/", "/news/1.html", "/notices/1.html"])
def test_who_has_a_page_gets_304_until_it_changes(
    city: http.client.HTTPConnection, clock: ManualClock, path: str
) -> None:
    status, headers, body = get(city, path)
    assert (status, len(body) > 0) == (200, True)

    for known in ({"If_None_Match": headers["ETag"]}, {"If_Modified_Since": headers["Last-Modified"]}):
        assert get(city, path, **known)[::2] == (304, b"")
    assert get(city, path, If_None_Match='"another"', If_Modified_Since=headers["Last-Modified"])[0] == 200
    assert get(city, path, If_Modified_Since="no date")[0] == 200

    clock.move(timedelta(minutes=45))  # notices and news came in between
    changed = path in {"/feed.xml", "/news/"}
    assert get(city, path, If_None_Match=headers["ETag"])[0] == (200 if changed else 304)


def test_nothing_is_modified_after_its_date(city: http.client.HTTPConnection) -> None:
    headers = get(city, "/feed.xml")[1]

    date, modified = (datetime.strptime(headers[n], "%a, %d %b %Y %H:%M:%S %Z") for n in ("Date", "Last-Modified"))  # noqa: DTZ007
    assert modified <= date


def test_the_forum_is_gbk_and_says_so_in_the_page_only(city: http.client.HTTPConnection) -> None:
    _, headers, body = get(city, "/forum/thread-1.html")

    assert headers["Content-Type"] == "text/html"
    assert "六点的云州有人醒着吗" in body.decode("gbk")
    with pytest.raises(UnicodeDecodeError):
        body.decode()


def test_the_forum_tells_times_as_forums_do(city: http.client.HTTPConnection, clock: ManualClock) -> None:
    clock.move(at("14:00") + timedelta(seconds=30) - at("13:36"))
    listed = get(city, "/forum/")[2].decode("gbk")

    for words in ("刚刚", "1分钟前", "23分钟前", "今天 06:02"):
        assert f'<td class="date">{words}</td>' in listed
    assert site.relative(at("23:50") - timedelta(days=1), at("06:00")) == "2026-05-13 23:50"


def test_the_feed_is_rss_with_absolute_links_and_zones(city: http.client.HTTPConnection) -> None:
    feed = feedparser.parse(get(city, "/feed.xml")[2])

    assert not feed.bozo
    assert feed.entries[0].link.startswith(f"http://{city.host}:{city.port}/notices/")
    assert feed.entries[-1].published == "Thu, 14 May 2026 06:10:00 +0800"


@pytest.mark.parametrize("path", ["/news/0.html", "/news/１.html", "/news/01.html", "/news/9999.html", "/a/../etc"])
def test_what_is_not_there_is_404(city: http.client.HTTPConnection, path: str) -> None:
    assert get(city, quote(path))[0] == 404


def test_head_has_no_body(city: http.client.HTTPConnection) -> None:
    status, headers, body = get(city, "/news/1.html", method="HEAD")

    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == len(get(city, "/news/1.html")[2])


def test_the_story_has_hours_of_quiet_before_forty_minutes_of_incident() -> None:
    story = site.load_story(DAY.date())
    first = min(item.at for item in story.threads if "梧桐路站" in item.title and "焦糊味" in item.title)
    before = [item for item in story.threads if item.at < first]
    titles = [item.title for item in story.threads]

    assert first == at("13:58")
    assert before[0].at < at("06:10")
    assert len(before) >= 120
    assert sum(item.at < first for item in story.news) >= 20
    assert [item.number for item in story.threads] == list(range(1, len(titles) + 1))
    assert len(set(titles)) == len(titles)  # a title finds its thread
    assert any("[手机号]" in mask(item.text) for item in story.threads)


def test_the_demo_runs_with_the_shipped_rules_and_a_valid_configuration(tmp_path: Path) -> None:
    run.write_config(run.Place(tmp_path, "http://127.0.0.1:12345", "http://127.0.0.1:23456"))
    settings = load(tmp_path / "config")

    assert (tmp_path / "config" / "rules.toml").read_bytes() == (DEFAULTS / "rules.toml").read_bytes()
    assert {source.url.split("/")[2] for source in settings.sources} == {"127.0.0.1:12345"}
    assert settings.main.page.port == 23456
    assert run.WATCHED in {topic.name for topic in settings.topics}
    load(ROOT / "demo" / "config")  # as it stands, for `demo/site.py --port 8770` by hand


def test_the_incident_begins_some_seconds_after_the_start() -> None:
    now = datetime(2026, 5, 13, 23, 0, tzinfo=UTC)  # already the 14th in Beijing
    clock = run.story_clock(now)

    assert clock.start == at("13:38")
    assert clock.start + clock.speed * run.QUIET == at("13:58")


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`demo/run.py` in a group of its own, of which nothing is left afterwards."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "demo" / "run.py"), "--dir", str(folder), *options],
        env=os.environ | {"TINGCHAO_LANG": "zh", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def held(db: Path) -> list[str]:
    return [role for role in (*ROLES, "demo") if Role(db, role).held()]


def test_the_demo_ends_with_an_alert_and_leaves_nothing_running(tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as process:
        said, _ = process.communicate(timeout=110)  # it gives up by itself after 90 s

    assert process.returncode == 0, said
    db = tmp_path / "tingchao.db"
    active = [alert for alert in ledger.alerts(SqliteLog(db)).values() if alert.state == "open"]
    assert [alert.topic for alert in active] == ["metro"], said
    assert all(alert.until > at_today("13:58") for alert in active), said
    # It may have been updated between the card and the end; the card shows a form that it had.
    forms = [decode(Alert, entry.value) for entry in SqliteLog(db).scan("alerts")]
    firsts = {form.evidence[0].title[:10] for form in forms if form.id == active[0].id}
    assert any(title in said[: said.index("alerts ack")] for title in firsts)  # the card, then what to try
    store = SqliteStore(db)
    assert store.count(Query(parse("焦糊味"))) >= 1
    assert store.count(Query(parse("值班编辑名单"))) == 0  # the folder that robots.txt forbids
    data = b"".join(path.read_bytes() for path in tmp_path.glob("tingchao.db*"))
    assert "[手机号]".encode() in data
    assert b"138-0013-8000" not in data
    assert "鹭溪老渔翁".encode() not in data  # nobody's name is kept
    assert held(db) == []


def test_an_interrupt_ends_all_of_the_demo(tmp_path: Path) -> None:
    db = tmp_path / "tingchao.db"
    with demo(tmp_path) as process:
        began = stopwatch()
        # All have begun; asking for the locks themselves would get in their way.
        while (
            sum(bool(lock.read_text()) for lock in tmp_path.glob("*.lock")) < len(ROLES) + 1
            and stopwatch() < began + 30
        ):
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)

    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert held(db) == []


def at_today(clock: str) -> datetime:
    today = datetime.now(BEIJING)
    return datetime.combine(today, datetime.strptime(clock, "%H:%M").time(), BEIJING)  # noqa: DTZ007 the zone follows
