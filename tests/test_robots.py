"""Group chats' robots and Alertmanager's webhook, against servers that answer as the real ones are known to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tingchao.alerts import notify
from tingchao.alerts.outbox import channel_state
from tingchao.alerts.robots import dingtalk_sign, feishu_sign, fit, unmentioned
from tingchao.config.routes import RoutesFile
from tingchao.config.settings import MainFile, Settings
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import output
from tingchao.pipeline.records import Alert, Dead, Delivery, Evidence, Reason, decode
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Runner

START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
LIMITS = {"dingtalk": 20_000, "wecom": 2_048, "feishu": 20 * 1024}  # bytes: of the body; of the text with wecom
KINDS = sorted(LIMITS)


def alert(name: str = "a1", **changes: Any) -> Alert:
    reason = Reason(rule="safety", kind="signal", signal="safety", start=START, end=START, observed=4.2, threshold=2.0)
    post = Evidence(id="p1", source="forum", published_at=START, title="三号线站厅冒烟", excerpt="有人看到烟")
    fields: dict[str, Any] = {
        "id": name,
        "number": 1,
        "topic": "metro",
        "title": f"地铁运营 {name}",
        "state": "open",
        "level": 2,
        "sure": 0.9,
        "since": START,
        "until": START,
        "opened_at": START,
        "updated_at": START,
        "reasons": (reason,),
        "posts": 12,
        "voices": 9,
        "sources": {"forum": 12},
        "evidence": (post,),
    }
    return Alert(**(fields | changes))


class Chat:
    """A robot's server: takes what the real one takes, answers 200 whatever it thinks, and blocks who is too fast."""

    def __init__(self, server: HTTPServer, kind: str, clock: ManualClock, secret: str = "") -> None:
        self.kind, self.clock, self.secret = kind, clock, secret
        self.taken: list[str] = []
        self.asked: list[datetime] = []
        self.code: Callable[[], int] = lambda: 0
        self.status = 200  # of what is not taken
        self.said = "Bad Request"  # Feishu's words for 9499
        self.url = server.url_for("/robot/send") + "?access_token=hush-hush"
        server.expect_request("/robot/send", method="POST").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        now = self.clock.now()
        self.asked.append(now)
        code = self.code() or self._judge(request, now)
        if code == 0:
            given = request.get_json()
            self.taken.append(given["content"]["text"] if self.kind == "feishu" else given["text"]["content"])
        name = "code" if self.kind == "feishu" else "errcode"
        answer = {name: code, "msg": f"{self.said} {request.url} {self.secret}"}
        return Response(json.dumps(answer), self.status if code else 200)

    def _judge(self, request: Request, now: datetime) -> int:
        body = request.get_data()
        size = len(request.get_json()["text"]["content"].encode()) if self.kind == "wecom" else len(body)
        if sum(now - at < timedelta(minutes=1) for at in self.asked) > 20:
            return {"dingtalk": 130101, "wecom": 45009, "feishu": 11232}[self.kind]
        if size > LIMITS[self.kind]:
            return {"dingtalk": 460101, "wecom": 40058, "feishu": 9499}[self.kind]
        if self.secret and not self._signed(request, now):
            return {"dingtalk": 310000, "feishu": 19021}[self.kind]
        return 0

    def _signed(self, request: Request, now: datetime) -> bool:
        seconds = int(now.timestamp())
        if self.kind == "feishu":
            given = request.get_json()
            return (given.get("timestamp"), given.get("sign")) == (str(seconds), feishu_sign(seconds, self.secret))
        sign = dingtalk_sign(seconds * 1000, self.secret)
        return (request.args.get("timestamp"), request.args.get("sign")) == (str(seconds * 1000), sign)


class House:
    """One channel on a log."""

    def __init__(self, path: Path, clock: ManualClock, block: dict[str, Any], group_by: Sequence[str] = ()) -> None:
        self.clock, self.log = clock, SqliteLog(path / "log.db")
        main = MainFile.model_validate({"language": "zh", "notify": [{"name": "group", **block}]})
        routes = RoutesFile.model_validate({"route": {"group_by": list(group_by)}} if group_by else {})
        (plan,) = notify.plans(Settings(main, (), (), (), routes), print, clock)
        self.runner = Runner(plan, self.log, clock)

    def publish(self, *alerts: Alert) -> House:
        self.log.publish([output("alerts", one.id, one) for one in alerts], self.clock.now())
        return self

    def run(self, seconds: float = 0, step: float = 1) -> House:
        until = self.clock.now() + timedelta(seconds=seconds)
        while True:
            while self.runner.step():
                pass
            if self.clock.now() >= until:
                return self
            self.clock.move(timedelta(seconds=step))

    def dead(self) -> list[Dead]:
        return [decode(Dead, entry.value) for entry in self.log.newest("dead")]

    def error(self) -> str:
        return channel_state("group", self.log.state("notify.group")).health.error


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


def test_signatures_agree_with_published_vectors() -> None:
    assert dingtalk_sign(1700000000000, "SECexample") == "uroalHrWHORz59talE1o26b8HuX2kOp8WlAN91F9Pj0="
    assert feishu_sign(1700000000, "SECexample") == "giaCP81WKcKmxS0uSLlrqVVwRIDJGES6GpFgEr4g4C4="


@pytest.mark.parametrize("kind", KINDS)
def test_an_alert_arrives_as_a_text_signed_where_robots_sign(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, kind: str
) -> None:
    signs = kind != "wecom"
    chat = Chat(httpserver, kind, clock, "SECexample" if signs else "")
    (tmp_path / "url").write_text(chat.url + "\n")
    (tmp_path / "secret").write_text("SECexample\n")
    block = {"kind": kind, "url_file": str(tmp_path / "url"), "keyword": "听潮"}
    house = House(tmp_path, clock, block | ({"secret_file": str(tmp_path / "secret")} if signs else {}))
    house.publish(alert()).run()
    (words,) = chat.taken
    assert words.startswith("地铁运营 a1：")
    assert "听潮" in words
    assert "三号线站厅冒烟" in words


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_long_is_cut_by_bytes_and_says_where_the_rest_is(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, kind: str
) -> None:
    chat = Chat(httpserver, kind, clock)
    House(tmp_path, clock, {"kind": kind, "url": chat.url}).publish(alert(title="长" * 7000)).run()
    (words,) = chat.taken
    assert "全文：tingchao alerts show a1" in words


@pytest.mark.parametrize("kind", KINDS)
def test_a_mention_in_a_post_calls_nobody(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, kind: str
) -> None:
    chat = Chat(httpserver, kind, clock)
    block = {"kind": kind, "url": chat.url, "keyword": "<听潮>"}
    post = Evidence(
        id="p1", source="forum", published_at=START, title='<at user_id="all">所有人</at> 冒烟', excerpt="<@all> 快看"
    )
    House(tmp_path, clock, block).publish(alert(evidence=(post,))).run()
    (words,) = chat.taken
    assert '＜at user_id="all">所有人＜/at> 冒烟' in words
    assert "＜@all> 快看" in words
    assert "<听潮>" in words


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("<AT id=all></AT>", "＜AT id=all>＜/AT>"),
        ("< at email=a>< / at >", "＜ at email=a>＜ / at >"),
        ("<@u1>", "＜@u1>"),
        ("<at\nid=all>", "＜at\nid=all>"),
        ("p<0.01, a < b, <attic> @all", "p<0.01, a < b, <attic> @all"),
    ],
)
def test_only_what_begins_a_mention_is_changed(words: str, left: str) -> None:
    assert unmentioned(words) == left


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_keeps_to_the_rate_and_loses_nothing(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, kind: str
) -> None:
    chat = Chat(httpserver, kind, clock)
    house = House(tmp_path, clock, {"kind": kind, "url": chat.url})
    names = [f"n{n:03}" for n in range(120)]
    house.publish(*(alert(name) for name in names)).run(100)
    said = "\n".join(chat.taken)
    assert [name for name in names if f"地铁运营 {name}" not in said] == []
    assert len(chat.taken) == len(chat.asked), "never too fast"
    assert len(chat.taken) <= 36
    assert house.dead() == []


FAST = {"dingtalk": 130101, "wecom": 45009, "feishu": 11232}
LONG = {"dingtalk": 101002, "wecom": 40058, "feishu": 9499}
MEND = {"dingtalk": 310000, "feishu": 19024}


def test_a_robot_s_own_pace_is_no_failure(tmp_path: Path, clock: ManualClock, httpserver: HTTPServer) -> None:
    chat = Chat(httpserver, "feishu", clock)
    (tmp_path / "url").write_text(chat.url)
    house = House(tmp_path, clock, {"kind": "feishu", "url_file": str(tmp_path / "url")})
    house.publish(*(alert(f"a{n}") for n in range(3))).run(2, step=0.05)
    assert len(chat.taken) == 3
    health = channel_state("group", house.log.state("notify.group")).health
    assert (health.sent, health.failed, health.error) == (3, 0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_200_with_too_fast_waits_as_long_as_the_robot_is_blocked(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, kind: str
) -> None:
    chat = Chat(httpserver, kind, clock)
    chat.code = lambda: FAST[kind]
    house = House(tmp_path, clock, {"kind": kind, "url": chat.url}).publish(alert())
    house.run(50)
    assert len(chat.asked) == 1
    chat.code = lambda: 0
    house.run(600)
    assert len(chat.taken) == 1


@pytest.mark.parametrize("code", [11232, 9499])
def test_a_rate_limit_waits_whatever_status_it_comes_with(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, code: int
) -> None:
    chat = Chat(httpserver, "feishu", clock)
    chat.code, chat.status, chat.said = lambda: code, 400, "too many request"
    house = House(tmp_path, clock, {"kind": "feishu", "url": chat.url}).publish(alert()).run(59)
    assert (len(chat.asked), house.dead()) == (1, [])
    assert f"code {code}: too many messages" in house.error()
    chat.code = lambda: 0
    house.run(1)
    assert len(chat.taken) == 1


@pytest.mark.parametrize(
    ("status", "answer", "dead"),
    [
        (400, '{"code": 7}', 0),
        (400, '{"code": 19024}', 0),
        (400, '{"code": 9499, "msg": "Bad Request"}', 1),
        (400, '{"code": 0}', 1),
        (400, "<html>", 1),
        (413, '{"code": 7}', 1),
        (502, '{"code": 7}', 0),
    ],
)
def test_only_what_is_surely_about_the_message_is_refused(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, status: int, answer: str, dead: int
) -> None:
    httpserver.expect_request("/r").respond_with_data(answer, status)
    house = House(tmp_path, clock, {"kind": "feishu", "url": httpserver.url_for("/r")}).publish(alert()).run()
    assert len(house.dead()) == dead


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["120", "Sun, 01 Mar 2026 04:02:00 GMT"])
def test_retry_after_is_obeyed_for_the_whole_robot(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, status: int, value: str
) -> None:
    asked: list[datetime] = []

    def busy(_: Request) -> Response:
        asked.append(clock.now())
        return Response("", status, headers={"Retry-After": value})

    httpserver.expect_request("/r").respond_with_handler(busy)
    house = House(tmp_path, clock, {"kind": "feishu", "url": httpserver.url_for("/r")}).publish(alert("a")).run()
    house.publish(alert("b")).run(119)
    assert asked == [START]
    house.run(1)
    assert asked == [START, START + timedelta(minutes=2)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_robot_will_never_take_is_set_aside(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, kind: str
) -> None:
    chat = Chat(httpserver, kind, clock)
    chat.code = lambda: LONG[kind]
    house = House(tmp_path, clock, {"kind": kind, "url": chat.url}).publish(alert()).run()
    assert [dead.reason for dead in house.dead()] == ["notify.refused"]


@pytest.mark.parametrize("kind", sorted(MEND))
def test_a_wrong_setting_is_named_and_the_message_waits(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, kind: str
) -> None:
    chat = Chat(httpserver, kind, clock)
    chat.code = lambda: MEND[kind]
    house = House(tmp_path, clock, {"kind": kind, "url": chat.url}).publish(alert()).run()
    assert f"code {MEND[kind]}: look at secret_file, keyword" in house.error()
    assert "hush" not in house.error(), "no secret of the URL, nor what the server says"
    chat.code = lambda: 0
    house.run(60)
    assert len(chat.taken) == 1


@pytest.mark.parametrize("answer", ["", "<html>", "[]", '{"ok": true}', '{"errcode": 7}'])
def test_an_answer_that_is_not_a_clear_yes_is_tried_again(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer, answer: str
) -> None:
    httpserver.expect_request("/r").respond_with_data(answer, 200)
    house = House(tmp_path, clock, {"kind": "dingtalk", "url": httpserver.url_for("/r")}).publish(alert()).run()
    assert "the message waits" in house.error()
    assert house.dead() == []


@given(st.text(max_size=60), st.integers(3, 80))
def test_fit_keeps_to_the_bytes_and_to_whole_characters(words: str, limit: int) -> None:
    words = words.encode("utf-8", "ignore").decode()
    cut = fit(words, limit, "…")
    assert len(cut.encode()) <= limit
    assert cut == words or (cut.endswith("…") and words.startswith(cut[:-1]))


def taken(httpserver: HTTPServer) -> list[dict[str, Any]]:
    """What the other side of /am is given, and takes."""
    seen: list[dict[str, Any]] = []

    def take(request: Request) -> Response:
        seen.append(request.get_json())
        return Response("", 200)

    httpserver.expect_request("/am", method="POST").respond_with_handler(take)
    return seen


def test_alertmanager_s_webhook_has_its_form(tmp_path: Path, clock: ManualClock, httpserver: HTTPServer) -> None:
    seen = taken(httpserver)
    house = House(
        tmp_path, clock, {"kind": "alertmanager", "url": httpserver.url_for("/am"), "external_url": "http://p"}
    )
    house.publish(alert()).run()
    house.publish(alert(number=2, state="resolved", updated_at=START + timedelta(hours=1))).run()
    first, last = seen
    assert first.keys() == {
        "version",
        "groupKey",
        "truncatedAlerts",
        "status",
        "receiver",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "externalURL",
        "alerts",
    }
    (one,) = first["alerts"]
    labels = {"alertname": "safety", "topic": "metro", "level": "2", "rule": "safety", "kind": "signal"}
    assert one["labels"] == labels | {"signal": "safety", "source": "forum"}
    assert (first["version"], first["status"], first["receiver"], one["status"]) == ("4", "firing", "group", "firing")
    assert (one["startsAt"], one["endsAt"]) == ("2026-03-01T04:00:00Z", "0001-01-01T00:00:00Z")
    assert "地铁运营" in one["annotations"]["summary"]
    assert first["groupLabels"] == one["labels"], "as with group_by = ['...']"
    assert last["status"] == "resolved"
    assert last["alerts"][0]["endsAt"] == "2026-03-01T05:00:00Z"
    assert last["alerts"][0]["fingerprint"] == one["fingerprint"]
    assert last["groupKey"] == first["groupKey"]


def test_a_group_goes_to_alertmanager_s_webhook_as_one(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer
) -> None:
    seen = taken(httpserver)
    house = House(tmp_path, clock, {"kind": "alertmanager", "url": httpserver.url_for("/am")}, ["level", "signal"])
    deliveries = (Delivery(receiver="group", route="route", group="g"),)
    house.publish(alert("a", deliveries=deliveries), alert("b", deliveries=deliveries, topic="water")).run()
    (body,) = seen
    assert [one["fingerprint"] for one in body["alerts"]] == ["a", "b"]
    assert "topic" not in body["commonLabels"]
    assert body["commonLabels"]["level"] == "2"
    assert body["groupLabels"] == {"level": "2", "signal": "safety"}


def test_a_group_is_firing_to_alertmanager_s_webhook_while_one_of_its_alerts_is(
    tmp_path: Path, clock: ManualClock, httpserver: HTTPServer
) -> None:
    seen = taken(httpserver)

    def said() -> tuple[str, list[tuple[str, str]]]:
        return seen[-1]["status"], [(one["fingerprint"], one["status"]) for one in seen[-1]["alerts"]]

    block = {"kind": "alertmanager", "url": httpserver.url_for("/am")}
    house = House(tmp_path, clock, block, ["level"])
    free = Delivery(receiver="group", route="route", group="g")
    elsewhere = alert("e", deliveries=(replace(free, group="h"),))
    house.publish(alert("a", deliveries=(free,)), alert("b", deliveries=(free,)), elsewhere).run()
    house.publish(alert("a", number=2, posts=99, deliveries=(replace(free, why="silenced"),))).run()
    house = House(tmp_path, clock, block, ["level"])  # what is known of the group outlives a restart
    house.publish(alert("b", number=2, state="resolved", deliveries=(free,))).run()
    assert said() == ("firing", [("b", "resolved"), ("a", "firing")])
    assert "99" in seen[-1]["alerts"][1]["annotations"]["description"]
    house.publish(alert("c", deliveries=(free,))).run()
    assert said() == ("firing", [("c", "firing"), ("a", "firing")])
    ended = [alert(name, number=3, state="resolved", deliveries=(free,)) for name in ("a", "c")]
    house.publish(*ended).run()
    assert said() == ("resolved", [("a", "resolved"), ("c", "resolved")])


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"kind": "dingtalk"}, "expected one of 'url' and 'url_file'"),
        ({"kind": "feishu", "url": "https://u", "url_file": "f"}, "expected one of 'url' and 'url_file'"),
        ({"kind": "wecom", "url": "https://u", "secret_file": "f"}, "wecom does not sign"),
    ],
)
def test_a_robot_without_an_address_is_a_mistake(block: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MainFile.model_validate({"notify": [{"name": "group", **block}]})
