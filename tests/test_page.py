"""The page: a real server on a temporary database, asked by programs, by strangers and by a browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_site import free_port
from lxml import html as lxml_html
from msgspec.structs import replace
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from structlog.testing import capture_logs

from tingchao.alerts import page
from tingchao.alerts.follower import Follower
from tingchao.alerts.markup import is_link, link, marked, sparkline
from tingchao.alerts.picture import Pictures, draw_line
from tingchao.config.language import in_language
from tingchao.config.settings import MainFile, Settings
from tingchao.models.scores import Scores
from tingchao.pipeline.clock import ManualClock, SystemClock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import output
from tingchao.pipeline.records import Alert, Command, Evidence, Fetch, Post, Reason, Scored, decode
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
TOKEN = "quiet-tide-and-loud-drops"

SERVE = """
import sys, threading
from pathlib import Path
from tingchao.alerts import page
from tingchao.config.settings import load
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore

db = Path(sys.argv[2])
page.serve(load(Path(sys.argv[1])), lambda: SqliteLog(db), lambda: SqliteStore(db), SystemClock(), threading.Event(),
           lambda: print("background", flush=True))
print("ended", flush=True)
"""


def alert(**changes: Any) -> Alert:
    reason = Reason(rule="safety", kind="signal", signal="safety", start=NOW, end=NOW, observed=4.2, threshold=2.0)
    post = Evidence(
        id="p1",
        source="forum",
        published_at=NOW,
        title="三号线站厅冒烟",
        url="https://example.org/1",
        excerpt="有人看到烟",
        signals={"safety": 0.9},
        words=("烟",),
        role="first",
    )
    fields: dict[str, Any] = {
        "id": "a1",
        "number": 1,
        "topic": "metro",
        "title": "地铁运营",
        "state": "open",
        "level": 3,
        "sure": 0.9,
        "since": NOW - timedelta(minutes=20),
        "until": NOW,
        "opened_at": NOW,
        "updated_at": NOW,
        "reasons": (reason,),
        "posts": 12,
        "voices": 9,
        "sources": {"forum": 12},
        "signals": {"safety": 4.2},
        "evidence": (post,),
        "curve": (0, 1, 3, 8),
        "bucket": 300,
    }
    return Alert(**(fields | changes))


def scored(number: int, title: str = "三号线停运", **changes: Any) -> Scored:
    post = Post(
        id=f"{number:032x}",
        source="forum",
        url=f"https://example.org/p/{number}",
        title=title,
        text=f"{title}，等了二十分钟",
        published_at=NOW - timedelta(minutes=number),
        fetched_at=NOW,
        voice="feedfacefeedface",
    )
    scores = Scores(0.8, 0.1, 0.1, (0.1,) * 9, severity=1.0, live=0.9, advert=0.0, given=("outage",))
    return Scored(post=post, scores=scores, topics=("metro",), **changes)


@dataclass
class Site:
    """A page that is served by a process of its own."""

    process: subprocess.Popen[str]
    url: str
    db: Path

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, trust_env=False, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=30, trust_env=False, **options)

    def publish(self, *alerts: Alert) -> None:
        log = SqliteLog(self.db)
        log.publish([output("alerts", one.id, one) for one in alerts], datetime.now(UTC))
        log.close()

    def commands(self) -> list[Command]:
        log = SqliteLog(self.db)
        found = [decode(Command, entry.value) for entry in log.scan("commands")]
        log.close()
        return found

    def handshake(self, **headers: str) -> int:
        """The answer's status to opening the websocket of the pages."""
        host = self.url.removeprefix("http://")
        lines = {"Host": host, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        lines |= {"Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="} | headers
        request = "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
        request += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        name, port = host.split(":")
        with socket.create_connection((name, int(port)), timeout=30) as connection:
            connection.sendall(request.encode())
            return int(connection.recv(1024).split()[1])


def start(folder: Path, *, token: bool = False) -> Site:
    port, db = free_port(), folder / "t.db"
    lines = ['language = "zh"', "[page]", f"port = {port}"]
    if token:
        (folder / "page.token").write_text(f"{TOKEN}\n")
        lines.append(f'token_file = "{folder / "page.token"}"')
    (folder / "tingchao.toml").write_text("\n".join(lines))
    log, store = SqliteLog(db), SqliteStore(db)
    log.publish([output("alerts", "a1", alert())], NOW)
    store.put([scored(n) for n in range(70)] + [scored(99, "<script>alert(1)</script>")])
    log.publish(
        [output("fetches", "xinhua", Fetch(source="xinhua", url="x", at=NOW, outcome="status", status=503))], NOW
    )
    log.close()
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder), str(db)], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    site = Site(process, f"http://127.0.0.1:{port}", db)
    wait_for(lambda: answers(site) or process.poll() is not None)
    assert process.poll() is None
    return site


def answers(site: Site) -> bool:
    try:
        return bool(site.get("/healthz").status_code)
    except httpx.TransportError:
        return False


def wait_for(what: Callable[[], Any]) -> Any:
    """Its first true value; a test that never gets one fails."""
    for _ in range(600):
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("did not happen within 30 s")


def end(site: Site) -> None:
    site.process.kill()
    site.process.communicate()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = start(tmp_path_factory.mktemp("open"))
    wait_for(lambda: running.get("/api/alerts").json())
    yield running
    end(running)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = start(tmp_path_factory.mktemp("locked"), token=True)
    yield running
    end(running)


# ---------------------------------------------------------------- programs


def test_health_and_metrics_are_for_programs(site: Site) -> None:
    assert site.get("/healthz").json()["stuck"] == []
    assert site.get("/readyz").json() == {"waiting": {}, "stuck": []}
    assert "tingchao_records_total" in site.get("/metrics").text


def test_api_gives_alerts_as_json(site: Site) -> None:
    (found,) = [one for one in site.get("/api/alerts").json() if one["id"] == "a1"]
    alone = site.get("/api/alerts/a1").json()
    assert (alone.pop("precedents"), found.pop("precedents")) == ([], None), "a list is not searched for each"
    assert found == alone
    assert found["topic"] == "metro"
    assert "voice" not in found
    assert site.get("/api/alerts/none").status_code == 404


def test_api_takes_verdicts_on_an_alert_and_on_its_posts(site: Site) -> None:
    site.publish(alert(id="v1"))
    wait_for(lambda: site.get("/api/alerts/v1").status_code == 200)
    assert site.post("/api/alerts/v1/verdict", json={"verdict": "true_alarm"}).status_code == 202
    said = {"verdict": "wrong_signal", "post": "p1", "signals": ["outage"], "note": "no smoke"}
    assert site.post("/api/alerts/v1/verdict", json=said).status_code == 202
    whole, one = [command for command in site.commands() if command.alert == "v1"]
    assert (whole.verdict, whole.example) == ("true_alarm", None)
    assert one.example is not None
    assert (one.example.post, one.example.signals) == ("p1", ("outage",))
    assert one.example.text == "三号线站厅冒烟\n有人看到烟"
    for wrong, status in (({}, 400), ({"verdict": "x"}, 409), ({"verdict": "true_alarm", "post": "p9"}, 409)):
        assert site.post("/api/alerts/v1/verdict", json=wrong).status_code == status
    assert site.post("/api/alerts/none/verdict", json=said).status_code == 404


def test_api_publishes_what_staff_did(site: Site) -> None:
    site.publish(alert(id="b1"))
    wait_for(lambda: site.get("/api/alerts/b1").status_code == 200)
    answer = site.post("/api/alerts/b1/acknowledge", json={"note": "值班已知"})
    assert answer.status_code == 202
    (command,) = [one for one in site.commands() if one.alert == "b1"]
    assert (command.id, command.action, command.note) == (answer.json()["command"], "acknowledge", "值班已知")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/alerts/none/acknowledge", b"", 404),
        ("/api/alerts/a1/delete", b"", 404),
        ("/api/alerts/a1/reopen", b"", 409),
        ("/api/alerts/a1/resolve", b"not json", 400),
        ("/api/alerts/a1/resolve", b'{"note": "' + b"a" * 9000 + b'"}', 400),
    ],
)
def test_api_refuses_with_the_reason(site: Site, path: str, body: bytes, status: int) -> None:
    before = site.commands()
    answer = site.post(path, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert site.commands() == before


# ---------------------------------------------------------------- strangers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost.evil.example:1"])
def test_other_names_are_refused_without_a_token(site: Site, host: str) -> None:
    for path in ("/", "/api/alerts", "/healthz"):
        assert site.get(path, headers={"Host": host}).status_code == 403
    assert site.handshake(Host=host) == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8760", "127.0.0.1:99", "127.1.2.3", "[::1]:8760"])
def test_names_of_this_machine_are_answered(site: Site, host: str) -> None:
    assert site.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_others_can_do_nothing(site: Site, headers: dict[str, str]) -> None:
    before = site.commands()
    assert site.post("/api/alerts/a1/resolve", headers=headers).status_code == 403
    assert site.commands() == before
    if "Origin" in headers:
        assert site.handshake(**headers) == 403
        assert site.get("/_nicegui_ws/socket.io/?EIO=4&transport=polling", headers=headers).status_code == 403


def test_own_page_may_open_the_websocket(site: Site) -> None:
    assert site.handshake(Origin=site.url) == 101


def test_answers_carry_the_protecting_headers(site: Site) -> None:
    headers = site.get("/").headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "server" not in headers


def test_everything_needs_the_token(locked: Site) -> None:
    static = re.findall(r"/_nicegui/[^\"']+quasar[^\"']+\.js", locked.get("/", headers=bearer(TOKEN)).text)[0]
    for path in ("/", "/search", "/sources", "/healthz", "/api/alerts", "/api/alerts/a1", "/language/en", static):
        assert locked.get(path).status_code == 401
        assert locked.get(path, headers=bearer(TOKEN[:-1])).status_code == 401
        assert locked.get(path, headers=bearer(TOKEN)).status_code in {200, 303}
    assert locked.post("/api/alerts/a1/resolve").status_code == 401
    assert locked.commands() == []
    assert locked.handshake() in {401, 403}
    assert locked.handshake(Authorization=f"Bearer {TOKEN}") == 101


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_token_in_the_address_becomes_a_cookie(locked: Site) -> None:
    answer = locked.get(f"/search?q=地铁&token={TOKEN}")
    kept = answer.headers["Set-Cookie"]
    assert "HttpOnly" in kept
    assert "SameSite=strict" in kept
    assert TOKEN not in kept + answer.text
    assert "/search?q=%E5%9C%B0%E9%93%81" in answer.text
    cookie = kept.split(";")[0]
    assert locked.get("/", headers={"Cookie": cookie}).status_code == 200
    assert locked.handshake(Cookie=cookie) == 101
    assert locked.handshake(Cookie=cookie, Origin="https://evil.example") == 403
    assert locked.get("/", headers={"Cookie": cookie[:-1]}).status_code == 401
    assert locked.get("/?token=wrong").status_code == 401
    assert locked.get(f"/api/alerts?token={TOKEN}").json()


def test_with_a_token_other_names_are_answered_too(locked: Site) -> None:
    assert locked.get("/healthz", headers=bearer(TOKEN) | {"Host": "duty.example"}).status_code == 200


def test_welcome_goes_nowhere_else(locked: Site) -> None:
    for path in ("//evil.example/x", "/%5Cevil.example", "/%5C/evil.example"):
        answer = locked.get(f"{path}?token={TOKEN}")
        target = re.search(r"url=([^\"]*)", answer.text)
        assert target is None or re.match(r"/[^/\\]", target[1])


def test_choice_of_language_goes_nowhere_else(site: Site) -> None:
    for back, target in {"/search?q=x": "/search?q=x", "//evil.example": "/", "/\\evil.example": "/", "x": "/"}.items():
        answer = site.get("/language/en", params={"back": back})
        assert (answer.status_code, answer.headers["Location"]) == (303, target)
    assert "tingchao_language=en" in answer.headers["Set-Cookie"]


# ---------------------------------------------------------------- people


def test_pages_show_their_facts_in_both_languages(site: Site) -> None:
    for path, words in {
        "/": ("三号线站厅冒", "确认收到"),
        "/sources": ("xinhua", "503"),
        "/search": ("三号线停运",),
    }.items():
        shown = site.get(path).text
        assert all(word in shown for word in words)
    english = site.get("/", headers={"Cookie": "tingchao_language=en"}).text
    assert "Acknowledge" in english


def test_page_loads_nothing_from_elsewhere(site: Site) -> None:
    for path in ("/", "/search", "/sources"):
        shown = site.get(path).text
        addresses = set(re.findall(r"https?://[\w.\-]+", shown))
        assert addresses <= {"http://www.w3.org", "https://example.org"} | known_sources()
    style = site.get(re.findall(r"url\(\"(/_nicegui/[^\"]+fonts\.css)", shown)[0]).text
    assert "//" not in re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)


def known_sources() -> set[str]:
    text = (Path(page.__file__).parent.parent / "config" / "sources.toml").read_text(encoding="utf-8")
    return set(re.findall(r"https?://[\w.\-]+", text))


def test_no_voice_leaves_the_page(site: Site) -> None:
    for path in ("/", "/search?q=停运", "/sources", "/api/alerts"):
        assert "feedface" not in site.get(path).text


def test_search_finds_two_characters_and_turns_pages(site: Site) -> None:
    first = site.get("/search", params={"q": "停运"}).text
    assert "共 70 帖" in first
    links = set(re.findall(r"after=(\d+%2C\w+)", first))
    second = site.get("/search", params={"q": "停运", "after": links.pop().replace("%2C", ",")}).text
    ids = [set(re.findall(r"example\.org/p/(\d+)", shown)) for shown in (first, second)]
    assert len(ids[0]) == len(ids[1]) == 30
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"sentiment": "negative"}, 71),
        ({"sentiment": "positive"}, 0),
        ({"signal": "outage", "topic": "metro", "source": "forum"}, 71),
        ({"source": "elsewhere"}, 0),
        ({"since": "2026-03-01T11:55", "until": "2026-03-01T12:00"}, 5),  # Beijing, as people there write it
    ],
)
def test_search_by_conditions(site: Site, asked: dict[str, str], found: int) -> None:
    shown = site.get("/search", params=asked).text
    assert f"共 {found} 帖" in shown if found else "没有找到" in shown


@pytest.mark.parametrize(
    "asked", [{"q": "(地铁"}, {"q": "title:x"}, {"since": "yesterday"}, {"q": "\x00", "since": "1"}]
)
def test_search_that_cannot_be_read_says_so(site: Site, asked: dict[str, str]) -> None:
    answer = site.get("/search", params=asked)
    assert answer.status_code == 200
    assert "wrong" in answer.text


def test_each_post_says_which_words_and_phrases_moved_its_score() -> None:
    why = {"safety": (("三号线冒烟", 2.5), ("<i>演习", -1.0))}
    post = replace(alert().evidence[0], why=why)
    drawn = Pictures().of(alert(evidence=(post,)), NOW, "zh")
    said = lxml_html.fromstring(drawn).xpath("//*[contains(@class, 'why') and contains(@class, 'meta')]/text()")
    assert said == ["安全 ↑ 三号线冒烟 ↓ <i>演习"]


def test_hostile_posts_stay_text() -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    post = Evidence(
        id="p",
        source=evil,
        published_at=NOW,
        title=evil,
        url="javascript:alert(1)",
        excerpt=evil,
        words=(evil, "<"),
        why={"safety": ((evil, 1.0), (evil, -1.0))},
    )
    drawn = Pictures().of(alert(title=evil, evidence=(post,), sources={evil: 3}, signals={}, history=()), NOW, "zh")
    tree = lxml_html.fromstring(drawn)
    assert not tree.xpath("//script | //img | //a")
    assert not tree.xpath("//@*[starts-with(name(), 'on')]")
    assert "<script>alert(1)</script>" in tree.text_content()


def test_alert_that_cannot_be_drawn_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(one: Alert, _language: str) -> None:
        raise KeyError(one.id)

    monkeypatch.setattr("tingchao.alerts.card.headline", broken)
    monkeypatch.setattr("tingchao.alerts.card.card", broken)
    with capture_logs() as lines:
        shown = Pictures().of(alert(title="供水"), NOW, "zh") + draw_line(alert(title="供水"), NOW, "zh")
    assert "供水" in shown
    assert [line["event"] for line in lines] == ["page.picture", "page.picture"]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "//evil.example",
        "/relative",
        "http:evil",
        "https://",
        "http://a b.example/",
        "http://e.example\\@evil.example",
        "java\nscript:alert(1)",
        "https://[",
        "",
    ],
)
def test_only_addresses_of_pages_become_links(url: str) -> None:
    assert not is_link(url)
    assert "<a" not in link(url, "words")


def test_links_tell_the_other_side_nothing() -> None:
    (anchor,) = lxml_html.fragments_fromstring(link('https://example.org/?a=1&b="2"', "x"))
    assert anchor.get("href") == 'https://example.org/?a=1&b="2"'
    assert set(anchor.get("rel").split()) == {"noopener", "noreferrer", "nofollow"}


@given(st.text(), st.lists(st.text(max_size=5), max_size=4))
def test_marking_keeps_the_text_and_makes_nothing_else(text: str, words: list[str]) -> None:
    shown = marked(text, words)
    assert set(re.findall(r"<[^>]*>", shown)) <= {"<mark>", "</mark>"}
    assert "<" not in re.sub(r"</?mark>", "", shown)


def test_sparkline_of_nothing_and_of_zeros() -> None:
    assert sparkline((), "x") == ""
    assert "<rect" not in sparkline((0, 0), "x")
    assert sparkline((0, 1, 2), "x").count("<rect") == 2


# ---------------------------------------------------------------- the follower and the end


def test_follower_counts_posts_a_minute_and_what_waits(tmp_path: Path) -> None:
    clock, log, stop = ManualClock(NOW), SqliteLog(tmp_path / "t.db"), threading.Event()
    follower = Follower(lambda: SqliteLog(tmp_path / "t.db"), ["terminal"], clock, stop)
    rates = []
    for n in range(4):
        posts = [scored(n * 10 + m).post for m in range(10)]
        log.publish([output("posts", post.id, post) for post in posts], clock.now())
        rates.append(follower._status(log).rate)
        clock.move(timedelta(seconds=30))
    status = follower._status(log)
    assert rates == [0, 10, 20, 20]
    assert (status.rate, status.waiting) == (10, 40)
    assert status.last_post == NOW + timedelta(seconds=90)


def test_ends_at_once_and_cleanly_with_an_open_page(tmp_path: Path) -> None:
    running = start(tmp_path)
    name, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((name, int(port))) as held, httpx.Client(trust_env=False) as client:
        client.get(running.url)
        held.sendall(
            b"GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        assert b" 101 " in held.recv(1024)
        os.kill(running.process.pid, signal.SIGTERM)
        said, _ = running.process.communicate(timeout=30)
    assert running.process.returncode == 0
    assert said.split("\n") == ["background", "ended", ""]


def test_taken_port_and_missing_token_are_refused_with_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=r"change host or port under \[page\]") as caught:
            serve(tmp_path, {"port": port})
    assert f"127.0.0.1:{port}：已被别的程序占用" in str(in_language(caught.value, "zh"))
    with pytest.raises(Refused, match="token_file"):
        serve(tmp_path, {"token_file": str(tmp_path / "absent")})


def serve(folder: Path, settings: dict[str, Any]) -> None:
    main = MainFile.model_validate({"page": settings})
    path = folder / "t.db"
    page.serve(
        Settings(main, (), (), ()),
        lambda: SqliteLog(path),
        lambda: SqliteStore(path),
        SystemClock(),
        threading.Event(),
    )


# ---------------------------------------------------------------- a browser


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1440,1000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.mark.browser
def test_alert_appears_without_reload_and_is_acknowledged(tmp_path: Path, browser: webdriver.Chrome) -> None:
    running = start(tmp_path)
    try:
        wait = WebDriverWait(browser, 30)
        browser.get(running.url)
        wait.until(lambda driver: "三号线站厅冒烟" in driver.find_element(By.TAG_NAME, "body").text)
        browser.execute_script("window.sameDocument = true")
        evil = Evidence(
            id="p2", source="forum", published_at=NOW, title="<img src=x onerror=document.title='owned'>水发黄"
        )
        running.publish(alert(id="b2", title="供水", since=NOW, evidence=(evil,)))
        wait.until(lambda driver: "水发黄" in driver.find_element(By.CSS_SELECTOR, ".active").text)
        assert len(browser.find_elements(By.CSS_SELECTOR, "article.alert")) == 2
        assert not browser.find_elements(By.CSS_SELECTOR, "article img")

        first = browser.find_element(By.CSS_SELECTOR, "article.alert")
        assert "供水" in first.text  # equally grave, and newer
        first.find_element(By.CSS_SELECTOR, ".a-acknowledge").click()
        commands = wait_for(running.commands)
        assert [(one.alert, one.action) for one in commands] == [("b2", "acknowledge")]

        running.publish(alert(id="b2", number=2, title="供水", state="acknowledged", since=NOW, evidence=(evil,)))
        wait.until(lambda _: "已确认" in first.text)
        assert not first.find_elements(By.CSS_SELECTOR, ".a-acknowledge")
        running.publish(alert(id="b2", number=3, title="供水", state="resolved", since=NOW))
        wait.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, "article.alert")) == 1)
        assert browser.execute_script("return window.sameDocument") is True

        browser.find_element(By.LINK_TEXT, "English").click()
        wait.until(lambda driver: "Acknowledge" in driver.page_source)
        assert "owned" not in browser.title
        assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        end(running)


@pytest.mark.browser
def test_posts_are_judged_one_by_one_on_the_page(tmp_path: Path, browser: webdriver.Chrome) -> None:
    running = start(tmp_path)
    try:
        wait = WebDriverWait(browser, 30)
        browser.get(running.url)
        wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".a-judge"))
        browser.find_element(By.CSS_SELECTOR, ".a-judge").click()
        rows = wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".judge-row"))
        assert [row.find_element(By.CSS_SELECTOR, ".judge-what").text for row in rows] == [
            "整条预警",
            "三号线站厅冒烟 有人看到烟",
        ]
        rows[1].find_element(By.CSS_SELECTOR, ".v-wrong_signal").click()
        wait.until(lambda driver: "请先选" in driver.find_element(By.CSS_SELECTOR, ".said").text)
        rows[1].find_element(By.CSS_SELECTOR, ".v-true_alarm").click()
        (command,) = wait_for(running.commands)
        assert command.example is not None
        assert (command.verdict, command.example.post) == ("true_alarm", "p1")
        running.publish(alert(number=2, judged={"p1": "true_alarm"}))
        wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".judge-row .chosen"))
        assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        end(running)
