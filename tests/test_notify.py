"""An alert becomes a message that arrives: whatever the other side does, and however often we are killed."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from prometheus_client import REGISTRY
from pytest_httpserver import HTTPServer
from structlog.testing import capture_logs
from werkzeug import Request, Response

from tingchao.alerts import notify
from tingchao.alerts.message import Message, Report
from tingchao.alerts.outbox import ChannelState, Outbox, Waiting, channel_state
from tingchao.config.settings import MainFile, Settings
from tingchao.pipeline.clock import ManualClock, millis
from tingchao.pipeline.errors import Retry
from tingchao.pipeline.log import output
from tingchao.pipeline.records import Alert, Dead, Delivery, Evidence, Reason, decode
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input, Memory, Runner

START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


def alert(number: int = 1, **changes: Any) -> Alert:
    reason = Reason(rule="safety", kind="signal", signal="safety", start=START, end=START, observed=4.2, threshold=2.0)
    fields: dict[str, Any] = {
        "id": "a1",
        "number": number,
        "topic": "metro",
        "title": "地铁运营",
        "state": "open",
        "level": 2,
        "sure": 0.9,
        "since": START - timedelta(minutes=20),
        "until": START,
        "opened_at": START,
        "updated_at": START,
        "reasons": (reason,),
        "posts": 12,
        "voices": 9,
        "evidence": (
            Evidence(id="p1", source="forum", published_at=START, title="三号线站厅冒烟", excerpt="有人看到烟"),
        ),
    }
    return Alert(**(fields | changes))


class Desk:
    """A webhook that does as it is told and remembers what it met."""

    def __init__(self, server: HTTPServer) -> None:
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answer: Callable[[], Response] = lambda: Response("thanks", 200)
        server.expect_request("/alerts", method="POST").respond_with_handler(self._take)
        self.url = server.url_for("/alerts")

    def _take(self, request: Request) -> Response:
        self.seen.append((dict(request.headers), request.get_json()))
        return self.answer()

    def events(self) -> list[str]:
        return [body["event"] for _, body in self.seen]


class House:
    """One log file and one channel, with a clock that a test moves."""

    def __init__(self, path: Path, block: dict[str, Any], say: Callable[[str], None] = print) -> None:
        self.path, self.block, self.say = path, block, say
        self.clock = ManualClock(START)
        self.log = SqliteLog(path)
        self.restart()

    def restart(self) -> None:
        (plan,) = notify.plans(settings(self.block), self.say, self.clock)
        self.runner = Runner(plan, self.log, self.clock)

    def publish(self, *alerts: Alert) -> None:
        self.log.publish([output("alerts", one.id, one) for one in alerts], self.clock.now())

    def run(self) -> None:
        while self.runner.step():
            pass

    def wait(self, seconds: float) -> None:
        self.clock.move(timedelta(seconds=seconds))
        self.run()

    def dead(self) -> list[Dead]:
        return [decode(Dead, entry.value) for entry in self.log.newest("dead")]

    def outbox(self) -> ChannelState:
        return channel_state(self.block["name"], self.log.state(self.runner.name))


def settings(*blocks: dict[str, Any]) -> Settings:
    return Settings(MainFile.model_validate({"language": "en", "notify": list(blocks)}), (), (), ())


@pytest.fixture
def desk(httpserver: HTTPServer) -> Desk:
    return Desk(httpserver)


@pytest.fixture
def house(tmp_path: Path, desk: Desk) -> House:
    return House(tmp_path / "t.db", {"kind": "webhook", "name": "desk", "url": desk.url, "timeout": "5s"})


# ---------------------------------------------------------------- what is told


def test_told_when_it_opens_rises_and_ends_but_not_at_every_update(house: House, desk: Desk) -> None:
    changes = [alert(1), alert(2, posts=20), alert(3, level=3), alert(4, level=3, state="acknowledged")]
    for change in [*changes, alert(5, level=3, state="resolved"), alert(6, level=3, state="resolved", posts=30)]:
        house.publish(change)
        house.run()
    assert desk.events() == ["opened", "raised", "resolved"]
    assert house.runner.counts() == {"first": 1, "no_change": 3, "raised": 1, "resolved": 1}


def test_body_has_the_alert_as_json_and_as_text(house: House, desk: Desk) -> None:
    house.publish(alert())
    house.run()
    headers, body = desk.seen[0]
    assert set(body) == {"id", "event", "alert", "text"}
    assert body["alert"]["topic"] == "metro"
    assert "三号线站厅冒烟" in body["text"]
    assert headers["Idempotency-Key"] == headers["X-Tingchao-Id"] == body["id"]
    assert headers["Content-Type"].startswith("application/json")
    assert 'voice"' not in json.dumps(body)


def test_false_alarm_and_reopened_are_told(house: House, desk: Desk) -> None:
    for change in [alert(1), alert(2, state="resolved"), alert(3, state="false_alarm"), alert(4)]:
        house.publish(change)
        house.run()
    assert desk.events() == ["opened", "resolved", "false_alarm", "opened"]
    assert house.runner.counts() == {"first": 1, "resolved": 1, "state_change": 2}
    assert len({body["id"] for _, body in desk.seen}) == 4


def test_past_and_low_alerts_are_not_told(tmp_path: Path, desk: Desk) -> None:
    house = House(tmp_path / "t.db", {"kind": "webhook", "name": "desk", "url": desk.url, "min_level": 2})
    house.publish(
        alert(1, id="old", state="past"), alert(1, id="low", level=1), alert(2, id="low", state="resolved", level=1)
    )
    house.run()
    assert desk.seen == []
    assert house.runner.counts() == {"past": 1, "below_level": 1, "no_change": 1}
    house.publish(alert(3, id="low", level=2))
    house.run()
    assert desk.events() == ["opened"]


def test_changes_of_one_batch_become_one_message(house: House, desk: Desk) -> None:
    house.publish(alert(1), alert(2, level=3), alert(3, level=3, posts=99))
    house.run()
    assert [(body["event"], body["alert"]["posts"]) for _, body in desk.seen] == [("opened", 99)]
    assert house.runner.counts() == {"superseded": 1, "raised": 1, "no_change": 1}


def test_what_opened_and_ended_before_anyone_was_told_is_not_told(house: House, desk: Desk) -> None:
    house.publish(alert(1), alert(2, state="resolved"))
    house.run()
    assert desk.seen == []
    assert house.runner.counts() == {"superseded": 1, "no_change": 1}


def test_new_channel_does_not_tell_the_history_of_the_log(tmp_path: Path, desk: Desk) -> None:
    house = House(tmp_path / "t.db", {"kind": "webhook", "name": "desk", "url": desk.url})
    house.publish(alert(1, id="long-ago"))
    house.clock.move(timedelta(hours=2))
    house.publish(alert(1, id="now"))
    house.run()
    assert [body["alert"]["id"] for _, body in desk.seen] == ["now"]
    assert house.runner.counts() == {"past": 1, "first": 1}


# ---------------------------------------------------------------- until it arrives


def test_webhook_down_is_tried_again_over_a_restart_and_arrives(house: House, desk: Desk) -> None:
    desk.answer = lambda: Response("no", 500)
    house.publish(alert())
    house.run()
    assert desk.events() == ["opened"]
    house.wait(4)
    assert len(desk.seen) == 1  # the first wait is 5 seconds
    house.wait(1)
    house.wait(9)
    assert len(desk.seen) == 2  # the second one 10
    house.restart()
    assert house.outbox().waiting == 1
    desk.answer = lambda: Response("thanks", 200)
    house.wait(1)
    assert desk.events() == ["opened"] * 3
    assert len({body["id"] for _, body in desk.seen}) == 1
    assert house.outbox().waiting == 0
    house.wait(3600)
    assert len(desk.seen) == 3


def test_nobody_listens_then_somebody_does(tmp_path: Path, desk: Desk) -> None:
    house = House(tmp_path / "t.db", {"kind": "webhook", "name": "desk", "url": "http://127.0.0.1:1/alerts"})
    house.publish(alert())
    house.run()
    assert "Connection refused" in house.outbox().health.error
    house.block = house.block | {"url": desk.url}
    house.restart()
    house.wait(5)
    assert desk.events() == ["opened"]


def test_waits_double_up_to_ten_minutes(house: House, desk: Desk) -> None:
    desk.answer = lambda: Response("no", 503)
    house.publish(alert())
    house.run()
    waits = []
    for _ in range(9):
        due = house.outbox().next_try
        assert due is not None
        waits.append((due - house.clock.now()).total_seconds())
        house.wait(waits[-1])
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["120", "Sun, 01 Mar 2026 04:02:00 GMT"])
def test_retry_after_is_honoured_for_the_whole_channel(house: House, desk: Desk, status: int, value: str) -> None:
    desk.answer = lambda: Response("slow down", status, headers={"Retry-After": value})
    house.publish(alert())
    house.run()
    house.publish(alert(1, id="a2"))
    house.wait(119)
    assert len(desk.seen) == 1
    desk.answer = lambda: Response("thanks", 200)
    house.wait(1)
    assert [body["alert"]["id"] for _, body in desk.seen] == ["a1", "a2", "a1"]  # first what was tried least


def test_a_channel_that_is_down_for_weeks_loses_nothing() -> None:
    class Down:
        name, min_level, together, flood, whole = "desk", 1, 1, 0, False
        tries = 0

        def send(self, _: Message) -> Report:
            self.tries += 1
            raise Retry("down")

    memory, clock, channel = Memory({}), ManualClock(START), Down()
    outbox = Outbox(memory)
    outbox.put(Waiting(Message(id="m1", event="opened", alert=alert()), 1, millis(START), tries=3000))
    stage = notify.Notify("notify.desk", channel, memory, clock, None, {})
    for _ in range(3):
        assert not stage.process([Input(alert(id="a2"), START)]).outputs
        clock.move(timedelta(seconds=600))
    assert channel.tries >= 3
    assert channel_state("desk", memory).waiting == 2


def test_refusal_is_set_aside_and_stops_nobody_else(house: House, desk: Desk) -> None:
    desk.answer = lambda: Response("bad", 400) if desk.seen[-1][1]["alert"]["id"] == "a1" else Response("thanks", 200)
    house.publish(alert(), alert(1, id="a2"))
    with capture_logs() as lines:
        house.run()
    (dead,) = house.dead()
    assert (dead.stage, dead.reason) == ("notify.desk", "notify.refused")
    assert "400" in dead.error
    assert house.outbox().health.refused == 1
    assert [line["event"] for line in lines].count("notify.refused") == 1
    assert [body["alert"]["id"] for _, body in desk.seen] == ["a1", "a2"]
    house.wait(3600)
    assert len(desk.seen) == 2


def test_a_channel_that_took_nothing_is_told_with_the_next_change(house: House, desk: Desk) -> None:
    desk.answer = lambda: Response("bad", 400)
    house.publish(alert())
    house.run()
    desk.answer = lambda: Response("thanks", 200)
    house.publish(alert(2, state="acknowledged"))
    house.run()
    assert desk.events() == ["opened", "opened"]


@pytest.mark.parametrize("status", [413, 415, 422])
def test_what_is_wrong_with_the_message_itself_is_set_aside(house: House, desk: Desk, status: int) -> None:
    desk.answer = lambda: Response("bad", status)
    house.publish(alert())
    house.run()
    assert (house.outbox().waiting, len(house.dead())) == (0, 1)


@pytest.mark.parametrize("status", [401, 403, 404, 407, 410])
def test_a_rotated_token_or_a_moved_desk_is_waited_for(house: House, desk: Desk, status: int) -> None:
    desk.answer = lambda: Response("no", status)
    house.publish(alert())
    house.run()
    for wait in (5, 10, 20, 40, 80, 160, 320, 600, 600):
        house.wait(wait)
    assert (house.outbox().waiting, house.dead(), len(desk.seen)) == (1, [], 10)
    assert "token_file" in house.outbox().health.error
    desk.answer = lambda: Response("thanks", 200)
    house.wait(600)
    assert (house.outbox().waiting, desk.events()) == (0, ["opened"] * 11)


@pytest.mark.parametrize("status", [302, 408, 409, 425, 429, 500, 599])
def test_what_may_work_later_waits(house: House, desk: Desk, status: int) -> None:
    desk.answer = lambda: Response("later", status, headers={"Location": "/elsewhere"})
    house.publish(alert())
    house.run()
    assert (house.outbox().waiting, house.dead()) == (1, [])


def measured(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_waits_and_what_failed_is_measured(tmp_path: Path, desk: Desk) -> None:
    house = House(tmp_path / "t.db", {"kind": "webhook", "name": "measured", "url": desk.url})
    desk.answer = lambda: Response("no", 503)
    house.publish(alert())
    house.run()
    house.wait(5)
    assert measured("tingchao_channel_waiting", channel="measured") == 1
    assert measured("tingchao_channel_failures_total", channel="measured") == 2
    desk.answer = lambda: Response("bad", 400)
    house.wait(10)
    assert measured("tingchao_channel_waiting", channel="measured") == 0
    assert measured("tingchao_dead_total", stage="notify.measured", reason="notify.refused") == 1


def test_newer_news_replaces_what_waits(house: House, desk: Desk) -> None:
    desk.answer = lambda: Response("no", 500)
    house.publish(alert(1))
    house.run()
    house.publish(alert(2, level=3))
    house.wait(1)
    house.publish(alert(3, level=3, state="resolved"))
    desk.answer = lambda: Response("thanks", 200)
    house.wait(3600)
    # What waited was tried, so it may have arrived: the end is told.
    assert desk.events() == ["opened", "opened", "resolved"]
    assert desk.seen[1][1]["alert"]["level"] == 3


def test_what_waits_tells_the_newest_facts_under_its_first_id(house: House, desk: Desk) -> None:
    desk.answer = lambda: Response("no", 500)
    house.publish(alert(1))
    house.run()
    house.publish(alert(2, posts=500, state="acknowledged"))
    desk.answer = lambda: Response("thanks", 200)
    house.wait(5)
    first, second = (body for _, body in desk.seen)
    assert (first["id"], second["alert"]["posts"]) == (second["id"], 500)


@pytest.mark.parametrize("why", ["silenced", "inhibited", "muted"])
def test_what_waits_is_held_back_too_and_goes_when_it_is_let_go(house: House, desk: Desk, why: str) -> None:
    desk.answer = lambda: Response("down", 503)
    free = Delivery(receiver="desk", news="active 2", at=START)
    house.publish(alert(deliveries=(free,)))
    house.run()
    house.publish(alert(2, deliveries=(msgspec.structs.replace(free, why=why, by="s1"),)))
    desk.seen.clear()
    desk.answer = lambda: Response("thanks", 200)
    house.wait(600)
    assert desk.seen == []
    house.publish(alert(3, deliveries=(free,)))
    house.wait(600)
    assert desk.events() == ["opened"]


def test_what_ends_while_it_is_silenced_is_not_told_late(house: House, desk: Desk) -> None:
    desk.answer = lambda: Response("down", 503)
    free = Delivery(receiver="desk", news="active 2", at=START)
    house.publish(alert(deliveries=(free,)))
    house.run()
    held = Delivery(receiver="desk", news="resolved", at=START, why="silenced", by="s1")
    house.publish(alert(2, state="resolved", deliveries=(held,)))
    desk.seen.clear()
    desk.answer = lambda: Response("thanks", 200)
    house.wait(600)
    house.publish(alert(3, state="resolved", deliveries=(msgspec.structs.replace(held, why="", by=""),)))
    house.wait(600)
    assert (desk.seen, house.outbox().waiting) == ([], 0)


def test_alert_too_large_for_the_state_still_goes_out(house: House, desk: Desk) -> None:
    posts = tuple(
        Evidence(id=str(n), source="x", published_at=START, url="http://e.org/" + "a" * 30000) for n in range(5)
    )
    house.publish(alert(evidence=posts))
    house.run()
    assert desk.events() == ["opened"]


def test_bug_in_a_channel_loses_nothing(house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("with a hunter2 in it")

    monkeypatch.setattr("tingchao.alerts.card.as_json", broken)
    house.publish(alert())
    with capture_logs() as lines:
        house.run()
    assert "hunter2" not in str(lines)
    assert "RuntimeError" in house.outbox().health.error
    monkeypatch.undo()
    house.wait(5)
    assert desk.events() == ["opened"]


KILLED = """
import sys, time
from pathlib import Path
from tingchao.alerts import notify
from tingchao.config.settings import MainFile, Settings
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Input, Memory, Runner

path, url = sys.argv[1:]
main = MainFile.model_validate({"notify": [{"kind": "webhook", "name": "desk", "url": url}]})
(plan,) = notify.plans(Settings(main, (), (), ()), print)
runner = Runner(plan, SqliteLog(Path(path)), SystemClock())
runner.step()  # takes the alert in
runner._reader.commit = lambda *_: (print("sent", file=sys.stderr, flush=True), time.sleep(60))
runner.step()  # sends it, and hangs where it would commit
"""


def test_killed_between_sending_and_commit_sends_again_with_the_same_id(house: House, desk: Desk) -> None:
    house.publish(alert())
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(house.path), desk.url], stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "sent\n"
        os.kill(child.pid, signal.SIGKILL)
    assert desk.events() == ["opened"]
    house.restart()
    house.run()
    assert desk.events() == ["opened", "opened"]
    assert len({body["id"] for _, body in desk.seen}) == 1
    house.wait(3600)
    assert len(desk.seen) == 2


@pytest.mark.parametrize("batch", [False, True])
def test_while_the_commit_fails_the_message_is_not_sent_again(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch, *, batch: bool
) -> None:
    def full(*_: object) -> None:
        raise Retry("database or disk is full")

    house.publish(alert())
    house.runner.step()  # takes it in
    with monkeypatch.context() as patch:
        patch.setattr(house.runner._reader, "commit", full)
        for n in range(20):
            if batch and n == 5:
                house.publish(alert(1, id="a2"))
            house.wait(5)
    assert desk.events() == ["opened"]
    assert house.outbox().waiting == 1
    house.wait(5)
    assert [body["alert"]["id"] for _, body in desk.seen] == ["a1", "a2"][: 1 + batch]
    assert (house.outbox().waiting, house.outbox().health.sent) == (0, 1 + batch)
    house.publish(alert(2, level=3))
    house.run()
    assert desk.events()[1 + batch :] == ["raised"]


def test_one_recipient_later_is_still_tried_after_a_commit_that_failed(
    tmp_path: Path, postbox: tuple[Postbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Retry("database or disk is full")

    box, port = postbox
    box.refuse = {"full@example.org": "452 4.2.2 mailbox full"}
    house = House(tmp_path / "t.db", mail_block(port, "duty@example.org", "full@example.org"))
    house.publish(alert())
    house.runner.step()
    with monkeypatch.context() as patch:
        patch.setattr(house.runner._reader, "commit", full)
        for _ in range(3):
            house.wait(5)
    house.wait(5)
    box.refuse.clear()
    house.wait(5)
    assert [to for to, _ in box.mails] == [["duty@example.org"], ["full@example.org"]]
    assert house.outbox().waiting == 0


# ---------------------------------------------------------------- secrets


def test_secrets_are_in_no_log_and_no_state(
    tmp_path: Path, httpserver: HTTPServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    httpserver.expect_request("/hook").respond_with_data("echo hunter2 swordfish", 400)
    httpserver.expect_request("/moved").respond_with_data("", 500)
    token = tmp_path / "token"
    token.write_text("hunter2\n")
    place = f"{httpserver.host}:{httpserver.port}"
    urls = {
        "refused": f"http://duty:swordfish@{place}/hook?key=sesame",
        "failing": f"http://duty:swordfish@{place}/moved?key=sesame",
        "closed": "http://duty:swordfish@127.0.0.1:1/hook?key=sesame",
        # What the settings take for an address, and whoever sends there does not.
        "wrong": "http://duty:swordfish@127.0.0.1/hook\x7f?key=sesame",
        "broken": "http://duty:swordfish@xn--\u200b/hook?key=sesame",
    }
    with capture_logs() as lines:
        for name, url in urls.items():
            for more in ({}, {"token_file": str(token)}):
                house = House(tmp_path / "t.db", {"kind": "webhook", "name": f"{name}{len(more)}", "url": url} | more)
                house.publish(alert())
                house.run()
    assert len(lines) == 10
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]  # the receiver's own log
    seen = str(lines) + str(ours) + "".join(capsys.readouterr()) + str(house.dead())
    held = (tmp_path / "t.db").read_bytes() + (tmp_path / "t.db-wal").read_bytes()
    for secret in ("hunter2", "swordfish", "sesame"):
        assert secret not in seen
        assert secret.encode() not in held
    authorised = [request.headers["Authorization"] for request, _ in httpserver.log]
    assert {line.split()[0] for line in authorised} == {"Basic", "Bearer"}
    assert "Bearer hunter2" in authorised


def test_token_file_that_is_missing_is_named_and_waits(tmp_path: Path, desk: Desk) -> None:
    block = {"kind": "webhook", "name": "desk", "url": desk.url, "token_file": str(tmp_path / "absent")}
    house = House(tmp_path / "t.db", block)
    house.publish(alert())
    house.run()
    assert desk.seen == []
    assert "token_file" in house.outbox().health.error
    (tmp_path / "absent").write_text("now-there")
    house.wait(5)
    assert desk.seen[0][0]["Authorization"] == "Bearer now-there"


# ---------------------------------------------------------------- e-mail


class Postbox:
    """A real SMTP server; `refuse` maps a recipient to the server's answer."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refuse: dict[str, str] = {}
        self.answer = "250 taken"
        self.sender = "250 ok"

    async def handle_MAIL(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if self.sender.startswith("250"):
            envelope.mail_from = address
        return self.sender

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            mail = message_from_bytes(envelope.content or b"", _class=EmailMessage, policy=policy.default)  # type: ignore[arg-type]
            self.mails.append((list(envelope.rcpt_tos), mail))
        return self.answer


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, int]]:
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def mail_block(port: int, *to: str, **more: Any) -> dict[str, Any]:
    fields = {"kind": "mail", "name": "duty", "host": "127.0.0.1", "port": port, "sender": "tingchao@example.org"}
    return fields | {"to": list(to) or ["duty@example.org"]} | more


def test_mail_arrives_readable_and_threads(tmp_path: Path, postbox: tuple[Postbox, int]) -> None:
    box, port = postbox
    house = House(tmp_path / "t.db", mail_block(port))
    for change in [alert(1, title="地铁\r\nBcc: all@example.org"), alert(2, level=3)]:
        house.publish(change)
        house.run()
    (_, first), (to, second) = box.mails
    assert to == ["duty@example.org"]
    assert first["Bcc"] is None
    assert "地铁" in str(first["Subject"])
    assert first.get_content_type() == "text/plain"
    assert "三号线站厅冒烟" in first.get_content()
    assert first["Message-ID"] == f"<{first['X-Tingchao-Id']}@example.org>"
    assert first["Message-ID"] != second["Message-ID"]
    assert first["References"] == second["References"]
    assert (first["Importance"], second["Importance"]) == (None, "high")


def test_refused_recipient_is_set_aside_and_the_others_get_it(tmp_path: Path, postbox: tuple[Postbox, int]) -> None:
    box, port = postbox
    box.refuse = {"gone@example.org": "550 5.1.1 no such user", "full@example.org": "452 4.2.2 mailbox full"}
    house = House(tmp_path / "t.db", mail_block(port, "duty@example.org", "gone@example.org", "full@example.org"))
    house.publish(alert())
    house.run()
    assert [to for to, _ in box.mails] == [["duty@example.org"]]
    (dead,) = house.dead()
    assert "550 5.1.1" in dead.error
    assert "example.org" not in dead.error.replace("127.0.0.1", "")
    box.refuse.clear()
    house.wait(5)
    assert [to for to, _ in box.mails] == [["duty@example.org"], ["full@example.org"]]
    assert house.outbox().waiting == 0


@pytest.mark.parametrize(
    ("refuse", "answer", "waiting", "dead"),
    [
        ({"duty@example.org": "550 no"}, "250 ok", 0, 1),
        ({"duty@example.org": "451 later"}, "250 ok", 1, 0),
        ({}, "554 5.7.1 spam", 0, 1),
        ({}, "452 4.3.1 full", 1, 0),
    ],
)
def test_smtp_answers(
    tmp_path: Path, postbox: tuple[Postbox, int], refuse: dict[str, str], answer: str, waiting: int, dead: int
) -> None:
    box, port = postbox
    box.refuse, box.answer = refuse, answer
    house = House(tmp_path / "t.db", mail_block(port))
    house.publish(alert())
    house.run()
    assert (house.outbox().waiting, len(house.dead())) == (waiting, dead)


@pytest.mark.parametrize(
    ("place", "answer", "waiting"),
    [
        ("sender", "530 5.7.0 Authentication required", 1),
        ("sender", "538 5.7.11 Encryption required", 1),
        ("sender", "553 Mail from must equal authorized user", 1),
        ("sender", "552 5.3.4 too large", 0),
        ("answer", "530 5.7.0 Authentication required", 1),
        ("answer", "552 5.3.4 too large", 0),
        ("recipient", "530 5.7.0 Authentication required", 1),
        ("recipient", "534 5.7.9 stronger mechanism", 1),
    ],
)
def test_a_mail_setting_that_can_be_mended_is_waited_for(
    tmp_path: Path, postbox: tuple[Postbox, int], place: str, answer: str, waiting: int
) -> None:
    box, port = postbox
    if place == "recipient":
        box.refuse = {"duty@example.org": answer}
    else:
        setattr(box, place, answer)
    house = House(tmp_path / "t.db", mail_block(port))
    house.publish(alert())
    house.run()
    assert (house.outbox().waiting, len(house.dead())) == (waiting, 1 - waiting)
    box.sender, box.answer, box.refuse = "250 ok", "250 taken", {}
    house.wait(5)
    assert len(box.mails) == waiting


def test_mail_server_that_cannot_do_what_is_asked_is_waited_for(tmp_path: Path, postbox: tuple[Postbox, int]) -> None:
    _, port = postbox
    (tmp_path / "password").write_text("hunter2")
    blocks = [
        mail_block(1),
        mail_block(port, security="starttls"),
        mail_block(port, security="tls"),
        mail_block(port, user="duty", password_file=str(tmp_path / "password")),
    ]
    for n, block in enumerate(blocks):
        house = House(tmp_path / f"{n}.db", block)
        house.publish(alert())
        with capture_logs() as lines:
            house.run()
        assert house.outbox().waiting == 1
        assert "hunter2" not in str(lines)


# ---------------------------------------------------------------- terminal, and several at once


def test_terminal_prints_a_panel_without_control_characters(tmp_path: Path) -> None:
    said: list[str] = []
    house = House(tmp_path / "t.db", {"kind": "terminal", "name": "terminal"}, said.append)
    post = Evidence(id="p", source="x", published_at=START, title="[red]火[/red] \x1b[2J\x07\u202e", excerpt="")
    house.publish(alert(evidence=(post,)))
    house.run()
    (panel,) = said
    assert "[red]火[/red]" in panel
    assert "New alert" in panel
    assert not {"\x1b", "\x07", "\u202e"} & set(panel)


def test_slow_channel_delays_nobody_else(tmp_path: Path, desk: Desk, postbox: tuple[Postbox, int]) -> None:
    box, port = postbox
    arrived, release = threading.Event(), threading.Event()

    def slowly() -> Response:
        arrived.set()
        release.wait(20)
        return Response("thanks", 200)

    desk.answer = slowly
    clock, path = ManualClock(START), tmp_path / "t.db"
    log = SqliteLog(path)
    log.publish([output("alerts", "a1", alert())], START)
    blocks = ({"kind": "webhook", "name": "desk", "url": desk.url, "timeout": "30s"}, mail_block(port))

    def work(plan: notify.Plan) -> None:
        runner = Runner(plan, SqliteLog(path), clock)
        while runner.step():
            pass

    threads = [threading.Thread(target=work, args=(plan,)) for plan in notify.plans(settings(*blocks), print, clock)]
    threads[0].start()
    assert arrived.wait(20)
    threads[1].start()
    threads[1].join(20)
    assert len(box.mails) == 1  # while the webhook still holds its answer back
    assert threads[0].is_alive()
    release.set()
    threads[0].join(20)
    assert desk.events() == ["opened"]
