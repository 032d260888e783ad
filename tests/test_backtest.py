"""Rules tried on the past: the same alerts as live, what would be new or lost, and how well known events are told."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replaced
from typer.testing import CliRunner

from tingchao.alerts import backtest, decide, ledger, watch
from tingchao.alerts.backtest import Known, held, pairs, quality, replay, woken
from tingchao.alerts.known import read
from tingchao.alerts.series_file import verdicts
from tingchao.config.language import in_language, text
from tingchao.config.load import ConfigError
from tingchao.config.routes import RoutesFile
from tingchao.config.rules import Rule
from tingchao.config.settings import MainFile, Settings, load
from tingchao.models.reasons import Reasons
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline import score
from tingchao.pipeline.cli import app
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.commands.base import LANGUAGE
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import output
from tingchao.pipeline.past import Stored, from_lines, from_store, mentions
from tingchao.pipeline.records import Alert, Change, Delivery, Mention, Post, Scored, Tick
from tingchao.pipeline.rows import Line
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.stage import Runner

T0 = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SAFETY = Rule(name="safety", kind="signal", signal="safety", threshold=2.0, min_posts=3, level=3)
MANY = Rule(name="many", kind="baseline", min_posts=5)


class Words:
    """Stands for the models: a text with 冒烟 tells of an accident."""

    version = "words"

    def score(self, texts: Sequence[str]) -> list[Scores]:
        return [self._one(0.9 if "冒烟" in text else 0.01) for text in texts]

    def phrases(self, _: Sequence[str], heads: Sequence[Sequence[str]], *_limits: float) -> list[dict[str, Reasons]]:
        return [{head: Reasons([("冒烟", 1.0)], []) for head in given} for given in heads]

    def _one(self, p: float) -> Scores:
        signals = tuple(p if name == "safety" else 0.01 for name in SIGNALS)
        given = ("safety",) if p > 0.5 else ()
        return Scores(
            negative=0.2, neutral=0.8, positive=0.0, signals=signals, severity=2 * p, live=p, advert=0.0,
            given=given, lang="zh", abstained=False,
        )  # fmt: skip


def post(name: str, at: datetime, text: str) -> Post:
    return Post(id=name, source="forum", text=text, published_at=at, fetched_at=at, voice=f"{hash(name) % 2**64:016x}")


def story() -> list[Post]:
    """A day of talk about the metro, then smoke, and much talk some hours later."""
    talk = [post(f"t{n}", T0 + n * 30 * MINUTE, f"地铁上看书 {n}") for n in range(66)]
    smoke = [post(f"s{n}", T0 + 26 * HOUR + n * 2 * MINUTE, f"地铁冒烟了 {n}") for n in range(6)]
    crowd = [post(f"c{n}", T0 + 32 * HOUR + n * MINUTE / 2, f"地铁今天怎么了 {n}") for n in range(60)]
    return sorted([*talk, *smoke, *crowd], key=lambda one: one.published_at)


def with_rules(*rules: Rule) -> Settings:
    return replace(load(), rules=rules, sources=())


def live(path: Path, posts: Sequence[Post], settings: Settings) -> list[Alert]:
    """The alerts of the running program, to which each post comes when it is published."""
    log, clock = SqliteLog(path / "live.db"), ManualClock(posts[0].published_at)
    plans = (score.plan(settings, Words()), watch.plan(settings), decide.plan(settings))
    runners = [Runner(one, log, clock) for one in plans]
    ticks = {posts[0].published_at + n * 5 * MINUTE for n in range(12 * 39)}
    for at in sorted(ticks | {one.published_at for one in posts}):
        clock.move(at - clock.now())
        log.publish([output("posts", one.id, one) for one in posts if one.published_at == at], clock.now())
        while any([runner.step() for runner in runners]):  # noqa: C419 each takes its step
            pass
    return sorted(ledger.alerts(log).values(), key=lambda alert: (alert.opened_at, alert.id))


def test_a_backtest_gives_the_alerts_of_the_running_program(tmp_path: Path) -> None:
    settings, posts = with_rules(SAFETY, MANY), story()
    expected = live(tmp_path, posts, settings)
    found = replay(mentions(posts, settings, Words()), settings)
    assert [reason.rule for alert in found for reason in alert.reasons] == ["safety", "many"]

    def facts(alert: Alert) -> tuple[object, ...]:
        return alert.id, alert.opened_at, alert.since, alert.until, alert.level, alert.posts, alert.voices, alert.state

    assert [facts(alert) for alert in found] == [facts(alert) for alert in expected]


def test_the_store_gives_the_same_alerts_and_counts_each_post_as_a_voice(tmp_path: Path) -> None:
    settings, posts = with_rules(SAFETY, MANY), story()
    store = SqliteStore(tmp_path / "store.db")
    scores = Words().score([one.text for one in posts])
    store.put([Scored(post=one, scores=its) for one, its in zip(posts, scores, strict=True)])
    found = from_store(store, (None, None))
    assert {one.post.id for one in found} == {one.id for one in posts}
    again = mentions([one.post for one in found], settings, Stored(one.scores for one in found))
    plain = replay(mentions(posts, settings, Words()), settings)
    assert [(one.id, one.posts, one.voices) for one in replay(again, settings)] == [
        (one.id, one.posts, one.voices) for one in plain
    ]
    assert from_store(store, (T0 + 26 * HOUR, T0 + 27 * HOUR))[0].post.published_at >= T0 + 26 * HOUR


def test_a_file_is_read_as_if_each_post_came_when_it_was_published() -> None:
    rows = [
        {"text": "地铁上看书", "published_at": "2026-03-02T08:00:00+08:00", "author": "a"},
        {"text": "地铁上睡觉", "published_at": "2026-03-03T08:00:00+08:00", "author": "b"},
        {"text": " "},
    ]
    bad = Counter[str]()
    lines = [Line(n, 10, str(n), row) for n, row in enumerate(rows)]
    first, second = from_lines(lines, T0 + 99 * HOUR, (None, None), bad)
    assert (first.fetched_at, second.fetched_at) == (T0, T0 + 24 * HOUR)
    assert first.voice != second.voice
    assert bad == {"post.no_text": 1}
    (later,) = from_lines(lines, T0 + 99 * HOUR, (T0 + HOUR, T0 + 90 * HOUR), Counter())
    assert later.text == second.text


def test_a_post_without_a_time_or_of_the_future_has_no_place_in_the_past() -> None:
    bad = Counter[str]()
    times = (None, "gestern", "2026-03-02T08:00:00+08:00", "2062-03-02T08:00:00+08:00")
    lines = [Line(n, 10, str(n), {"text": f"地铁 {n}", "published_at": at}) for n, at in enumerate(times)]
    (found,) = from_lines(lines, T0 + HOUR, (None, None), bad)
    assert found.text == "地铁 2"
    assert bad == {"post.no_time": 1, "post.bad_time": 1, "post.future": 1}


def test_years_without_a_post_take_no_time_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_rules(SAFETY, MANY, Rule(name="words", kind="new_term", threshold=5))
    posts = story()
    posts += [moved(one, one.published_at + 120 * DAY) for one in posts]
    found = list(mentions(posts, settings, Words()))
    expected, ticked = replay(found, settings), ticks(found, settings)
    monkeypatch.setattr(backtest, "_memory_of", lambda _: None)
    assert replay(found, settings) == expected
    assert len(expected) >= 3
    assert ticked < ticks(found, settings) * 0.7
    monkeypatch.undo()
    old = moved(posts[0], datetime(1970, 1, 2, tzinfo=UTC))
    assert ticks(list(mentions([old, *posts], settings, Words())), settings) < 2.5 * ticked
    silent = replace(settings, rules=(Rule(name="silent", kind="absence", window=DAY),))
    assert backtest._memory_of(silent) is None, "silence is told each hour"


def test_the_end_of_what_was_read_is_no_silence() -> None:
    settings = with_rules(SAFETY, Rule(name="silent", kind="absence", window=2 * HOUR))
    found = list(mentions(story(), settings, Words()))
    end = max(one.fetched_at for one in found)
    alerts = replay(found, settings)
    late = [alert for alert in alerts if alert.opened_at > end]
    assert late
    assert [alert for alert in alerts if backtest.invented(alert, end)] == late


def moved(one: Post, at: datetime) -> Post:
    return replaced(one, id=f"{one.id} moved", published_at=at, fetched_at=at)


def ticks(found: Sequence[Mention], settings: Settings) -> int:
    return sum(isinstance(records[0], Tick) for records, _ in backtest._beats(found, backtest._memory_of(settings)))


def test_known_events_give_precision_recall_and_delay() -> None:
    settings, posts = with_rules(SAFETY, MANY), story()
    smoke, crowd = replay(mentions(posts, settings, Words()), settings)
    known = [Known(T0 + 26 * HOUR, topic="metro", until=T0 + 27 * HOUR), Known(T0 + 90 * HOUR, topic="metro")]
    found = quality([smoke, crowd], known)
    assert (found.precision, found.recall) == (0.5, 0.5)
    assert found.delay is not None
    assert timedelta(0) < found.delay <= 10 * MINUTE
    assert quality([], []).precision is None
    assert pairs([smoke], [crowd]) == []
    assert woken(smoke, settings.main.notify) == ["terminal"]
    assert held(smoke, settings.main.notify) == {}


def an_alert(name: str, since: datetime, until: datetime, topic: str = "metro", **given: Any) -> Alert:
    facts: dict[str, Any] = {"state": "open", "level": 2, "sure": 0.9, "reasons": (), "posts": 5, "voices": 5}
    facts |= {"opened_at": since + HOUR, "updated_at": until, "number": 1} | given
    return Alert(id=name, topic=topic, title=topic, since=since, until=until, **facts)


def test_an_alert_of_one_run_is_the_same_as_one_of_the_other_at_most() -> None:
    tried = [an_alert("long", T0, T0 + 9 * HOUR)]
    in_force = [an_alert(f"n{n}", T0 + n * HOUR, T0 + (n + 1) * HOUR) for n in range(3)]
    assert [(one.id, other.id) for one, other in pairs(tried, in_force)] == [("long", "n0")]
    assert [(one.id, other.id) for one, other in pairs(in_force, tried)] == [("n0", "long")]
    # The first is nearer to the long one, but nothing else is left for the second.
    tried += [an_alert("late", T0 + 2 * HOUR, T0 + 3 * HOUR)]
    in_force = [an_alert("a", T0, T0 + HOUR, opened_at=T0 + 3 * HOUR), an_alert("b", T0 + 3 * HOUR, T0 + 4 * HOUR)]
    assert {(one.id, other.id) for one, other in pairs(tried, in_force)} == {("long", "a"), ("late", "b")}
    assert pairs(tried, [an_alert("x", T0, T0 + HOUR, "water"), an_alert("y", T0 + DAY, T0 + DAY)]) == []


def test_an_alert_that_was_open_long_before_an_event_has_not_found_it() -> None:
    event = Known(T0 + 10 * HOUR, until=T0 + 12 * HOUR, topic="metro")
    old = an_alert("old", T0 - HOUR, T0 + 11 * HOUR)
    found = quality([old], [event])
    assert (found.found, found.within, found.right, found.delay) == (0, 1, 0, None)
    own = an_alert("own", T0 + 10 * HOUR, T0 + 11 * HOUR)
    found = quality([old, own], [event])
    assert (found.found, found.within, found.right, found.delay) == (1, 0, 1, HOUR)
    raised = replaced(old, history=(Change(at=T0 + 10 * HOUR + MINUTE, what="raised"),))
    assert quality([raised], [event]).delay == MINUTE
    told = Delivery(receiver="desk", at=T0 + 11 * HOUR, news="active 2")
    assert quality([replaced(old, deliveries=(told,))], [event]).delay == HOUR
    for silent in (replaced(told, round=1), replaced(told, news="resolved"), replaced(told, at=T0 + 20 * HOUR)):
        assert quality([replaced(old, deliveries=(silent,))], [event]).within == 1
    short = Known(T0, until=T0 + MINUTE, topic="metro")
    assert quality([an_alert("soon", T0 - HOUR, T0 + HOUR, opened_at=T0 + 5 * MINUTE)], [short]).delay == 5 * MINUTE


def test_who_is_woken_follows_routes_and_what_holds_alerts_back() -> None:
    channels = {"notify": [{"kind": "terminal", "name": name} for name in ("desk", "chief", "water")]}
    channels["notify"][1]["min_level"] = 3
    routes = {
        "route": {
            "receiver": ["desk", "chief"],
            "routes": [{"matchers": ["rule=many"], "receiver": ["desk"], "group_wait": "48h"}],
        }
    }
    settings = replace(
        with_rules(SAFETY, MANY),
        main=MainFile.model_validate(channels),
        routes=RoutesFile.model_validate(routes),
    )
    smoke, crowd = replay(mentions(story(), settings, Words()), settings)
    assert woken(smoke, settings.main.notify) == ["desk", "chief"]
    assert held(smoke, settings.main.notify)["water"] == "not_routed"
    assert woken(crowd, settings.main.notify) == []
    assert held(crowd, settings.main.notify) == {"desk": "group_wait", "chief": "not_routed", "water": "not_routed"}


def test_events_are_read_from_a_table_and_mistakes_are_told_with_their_line() -> None:
    (one,) = read(["at,until,topic,name\n", "2026-03-02 08:00,,metro,smoke\n"], "e.csv", T0, {"metro"})
    assert one == Known(T0, None, "metro", "smoke")
    with pytest.raises(Refused, match="no column at") as caught:
        read(["when\n"], "e.csv", T0, {"metro"})
    assert in_language(caught.value, "zh") == "e.csv：没有 at 列；第一行应为 at,until,topic,name"
    with pytest.raises(Refused, match="line 2: not CSV") as caught:
        read(["at\n", "soon\rlater\n"], "e.csv", T0, {"metro"})
    assert "第 2 行：不是 CSV" in str(in_language(caught.value, "zh"))
    with pytest.raises(Refused, match="line 2"):
        read(["at\n", "soon\n"], "e.csv", T0, {"metro"})
    with pytest.raises(Refused, match=r"e\.csv, line 2: no topic 'metr' in topics\.toml; expected .* metro") as caught:
        read(["at,topic\n", "2026-03-02,metr\n"], "e.csv", T0, {"metro"})
    assert "第 2 行：topics.toml 里没有主题 'metr'" in str(in_language(caught.value, "zh"))
    with pytest.raises(Refused, match=r"line 2: until .* is before at"):
        read(["at,until\n", "2026-03-02,2026-03-01\n"], "e.csv", T0, {"metro"})


RULES = """
[[rule]]
name = "talk"
kind = "count"
threshold = 8
"""


def test_the_command_shows_what_is_new_and_lost_and_sums_up(tmp_path: Path) -> None:
    posts, rules, events = tmp_path / "p.jsonl", tmp_path / "r.toml", tmp_path / "e.csv"
    (tmp_path / "in_force").mkdir()
    (tmp_path / "in_force" / "rules.toml").write_text("", encoding="utf-8")
    rows = [{"text": f"地铁今天 {n}", "published_at": (T0 + n * MINUTE).isoformat(), "id": str(n)} for n in range(20)]
    posts.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    rules.write_text(RULES, encoding="utf-8")
    events.write_text(f"at,topic\n{T0.isoformat()},metro\n", encoding="utf-8")
    arguments = ["backtest", "--config", str(tmp_path / "in_force"), "--posts", str(posts), "--rules", str(rules)]
    done = CliRunner().invoke(app, [*arguments, "--events", str(events), "--json"])
    assert done.exit_code == 0, done.output
    *alerts, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["topic"], one["rules"], one["change"], one["woken"]) for one in alerts] == [
        ("metro", ["talk"], "new", ["terminal"])
    ]
    assert last["summary"] == {
        "mentions": 20, "alerts": 1, "in_force": 0, "new": 1, "lost": 0, "events": 1, "found": 1,
        "within": 0, "right": 1, "minutes_to_detect": 7.0, "precision": 1.0, "recall": 1.0,
    }  # fmt: skip
    events.write_text(f"at,topic\n{(T0 - 9 * DAY).isoformat()},water\n", encoding="utf-8")
    none = CliRunner().invoke(app, [*arguments, "--events", str(events)])
    assert none.exit_code == 0, none.output
    assert "None" not in none.output
    plain = CliRunner().invoke(app, arguments)
    assert plain.exit_code == 0
    assert len(plain.stdout.splitlines()) >= 2


def test_the_command_runs_a_series(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("timestamp,value\n2026-01-01 00:00:00,5\n2026-01-01 01:00:00,\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["backtest", "--series", str(file)])
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"timestamp": "2026-01-01 00:00:00", "value": 5.0, "expected": None, "score": 0.0, "alert": False},
        {"timestamp": "2026-01-01 01:00:00", "value": None, "expected": None, "score": 0.0, "alert": False},
    ]


def test_a_series_out_of_order_says_so(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    rows = [f"2026-01-{day:02} 00:00:00,5" for day in range(1, 29)]
    file.write_text("\n".join(["timestamp,value", *rows]), encoding="utf-8")
    assert CliRunner().invoke(app, ["backtest", "--series", str(file)]).stderr == ""
    rows[25] = rows[25].replace("2026", "2062")
    file.write_text("\n".join(["timestamp,value", *rows]), encoding="utf-8")
    done = CliRunner().invoke(app, ["backtest", "--series", str(file)])
    assert len(done.stdout.splitlines()) == 28
    fields = {"count": 2, "first": "2026-01-27 00:00:00", "before": "2062-01-26 00:00:00"}
    assert "".join(done.stderr.split()) == "".join(text("cli.said.series_late", LANGUAGE, **fields).split())


@pytest.mark.parametrize(
    ("content", "chinese"),
    [
        ("time,value\n", "没有 timestamp 列；第一行应为 timestamp,value"),
        ("timestamp,value\n2026-01-01 00:00:00,5\ngestern,5\n", "第 3 行：'gestern'、'5' 读不懂"),
        ("timestamp,value\n2026-01-01 00:00:00,-5\n", "第 2 行：'-5' 不对；应为不小于 0、不大于 1e100 的数"),
        ("timestamp,value\n2026-01-01 00:00:00,1e300\n", "第 2 行：'1e300' 不对"),
        ("timestamp,value\n0001-01-01,5\n", "第 2 行：'0001-01-01'、'5' 读不懂"),
        ("timestamp,value\n2026-01-01," + "1" * 200_000, "第 2 行：不是 CSV"),
        ("1" * 200_000 + ",value\n", "第 1 行：不是 CSV"),
    ],
)
def test_a_series_that_cannot_be_read_is_told_in_chinese_too(content: str, chinese: str) -> None:
    with pytest.raises(Refused, match=r"s\.csv") as caught:
        list(verdicts(content.splitlines(), "s.csv", load().rules))
    assert chinese in str(in_language(caught.value, "zh"))


def test_a_backtest_from_a_time_on_knows_what_was_usual_before(tmp_path: Path) -> None:
    posts, rules, events = tmp_path / "p.jsonl", tmp_path / "r.toml", tmp_path / "e.csv"
    rows = [{"text": one.text, "published_at": one.published_at.isoformat(), "author": one.id} for one in story()]
    posts.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    rules.write_text('[[rule]]\nname = "many"\nkind = "baseline"\nmin_posts = 5', encoding="utf-8")
    events.write_text(f"at\n{T0.isoformat()}\n{(T0 + 32 * HOUR).isoformat()}\n", encoding="utf-8")
    arguments = ["backtest", "--posts", str(posts), "--rules", str(rules), "--events", str(events), "--json", "--from"]

    def told(since: datetime) -> tuple[list[list[str]], dict[str, Any]]:
        done = CliRunner().invoke(app, [*arguments, since.isoformat()])
        *alerts, last = [json.loads(line) for line in done.stdout.splitlines()]
        return [one["rules"] for one in alerts if one["change"] != "lost"], last["summary"]

    whole, late, later = told(T0), told(T0 + 31 * HOUR), told(T0 + 40 * HOUR)
    assert whole[0] == late[0] == [["many"]]
    assert (whole[1]["mentions"], late[1]["mentions"]) == (132, 64)
    assert (whole[1]["events"], late[1]["events"], late[1]["recall"]) == (2, 1, 1.0)
    assert (later[0], later[1]["mentions"]) == ([], 0)


def test_rules_that_name_what_does_not_exist_are_refused(tmp_path: Path) -> None:
    posts, rules = tmp_path / "p.jsonl", tmp_path / "mine.toml"
    posts.write_text('{"text": "地铁"}', encoding="utf-8")
    rules.write_text(
        RULES + 'topics = ["metr"]\n[[rule]]\nname = "mute"\nkind = "absence"\nsources = ["nowhere"]', encoding="utf-8"
    )
    done = CliRunner().invoke(app, ["backtest", "--posts", str(posts), "--rules", str(rules)])
    assert isinstance(done.exception, ConfigError)
    topic, source = done.exception.mistakes
    assert topic.startswith(f"{rules}: rule (talk).topics: no topic 'metr'")
    assert source.startswith(f"{rules}: rule (mute).sources: no source 'nowhere'")


def test_a_series_of_excel_is_read(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_bytes("备注, Timestamp ,Value\r\n事故,2026-01-01 00:00:00,5\r\n".encode("gbk"))
    done = CliRunner().invoke(app, ["backtest", "--series", str(file)])
    assert json.loads(done.stdout)["value"] == 5.0


def test_a_packed_series_is_read_and_one_that_breaks_off_is_told(tmp_path: Path) -> None:
    file = tmp_path / "s.csv.gz"
    rows = "\n".join(["timestamp,value", *[f"2026-01-{n // 24 + 1:02} {n % 24:02}:00:00,{n % 7}" for n in range(600)]])
    packed = gzip.compress(rows.encode())
    file.write_bytes(packed)
    done = CliRunner().invoke(app, ["backtest", "--series", str(file)])
    assert len(done.stdout.splitlines()) == 600
    file.write_bytes(packed[:-200])
    done = CliRunner().invoke(app, ["backtest", "--series", str(file)])
    assert isinstance(done.exception, Refused)
    assert in_language(done.exception, "zh") != in_language(done.exception, "en")


def test_verdicts_come_while_a_series_is_still_read() -> None:
    rows = iter(["timestamp,value", *[f"2026-01-01 {hour:02}:00:00,5" for hour in range(24)], "then nothing,"])
    found = verdicts(rows, "s.csv", load().rules)
    assert [next(found)[1].score for _ in range(24)] == [0.0] * 24
    assert next(rows) == "then nothing,"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--series", "a.csv", "--posts", "b.jsonl"],
        ["--rules", "nowhere.toml", "--posts", "-"],
        ["--series", "-", "--from", "7d"],
        ["--posts", "-", "--from", "2026-02-01", "--to", "2026-01-01"],
    ],
)
def test_what_cannot_be_tried_is_refused(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["backtest", *arguments])
    assert isinstance(done.exception, Refused)
    assert in_language(done.exception, "zh") != in_language(done.exception, "en")


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_time_beyond_every_calendar_is_refused(option: str, tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"text": "a"}\n')
    done = CliRunner().invoke(app, ["backtest", "--posts", str(tmp_path / "posts.jsonl"), option, "99999999d"])
    assert isinstance(done.exception, Refused)
