"""What would have fired when: backtest."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer

from tingchao.config.language import Said
from tingchao.config.load import ConfigError, read
from tingchao.config.rules import Rule, RulesFile
from tingchao.config.settings import Settings, label_values, load, loose_rules
from tingchao.pipeline.backends import open_store, require_posts, scorer_in_use
from tingchao.pipeline.clock import clock_from
from tingchao.pipeline.commands.base import (
    DB,
    AsJson,
    ClockText,
    ConfigDir,
    Database,
    app,
    help_of,
    opened,
    out,
    say,
    t,
)
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.past import Span, Stored, from_lines, from_store, mentions
from tingchao.pipeline.plain import plain, unbroken
from tingchao.pipeline.records import Alert, Mention
from tingchao.pipeline.times import local, when


@app.command(help=help_of("backtest"))
def backtest(
    series: Annotated[str, typer.Option("--series", metavar="FILE", help=help_of("backtest_series"))] = "",
    rules: Annotated[Path | None, typer.Option("--rules", metavar="FILE", help=help_of("backtest_rules"))] = None,
    posts: Annotated[str, typer.Option("--posts", metavar="FILE", help=help_of("backtest_posts"))] = "",
    since: Annotated[str, typer.Option("--from", metavar="TIME", help=help_of("backtest_from"))] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help=help_of("backtest_to"))] = "",
    events: Annotated[str, typer.Option("--events", metavar="FILE", help=help_of("backtest_events"))] = "",
    json: AsJson = False,
    config: ConfigDir = None,
    db: Database = DB,
    clock: ClockText = "",
) -> None:
    settings = load(config)
    if series and (rules is not None or posts or events or since or until):
        raise Refused(Said("error.backtest.alone"))
    if series:
        _series(series, settings)
    elif rules is None and not posts:
        raise Refused(Said("error.backtest.nothing"))
    else:
        from tingchao.alerts.backtest import earlier

        now = clock_from(clock).now()
        span = (when(since, now) if since else None, when(until, now) if until else None)
        if span[0] is not None and span[1] is not None and span[0] >= span[1]:
            raise Refused(Said("error.backtest.span", since=since, until=until))
        # First what is quick to read: its mistakes should not be told after minutes of scoring.
        known, mine = _known(events, settings, now), None if rules is None else _rules(rules, settings)
        if known is not None:
            known = [event for event in known if event.may_lie_in(*span)]
        # What is usual at the beginning of the span is known from before it, as it was live.
        wider = (None if span[0] is None else earlier(span[0]), span[1])
        found = _from_posts(posts, settings, db, wider, now) if posts else _from_store(settings, db, wider)
        end = span[1] or now
        if posts and found:  # what a file leaves out behind its last post need not have been silence
            end = min(end, max(one.fetched_at for one in found))
        _replay(found, settings, mine, known, (span[0], end), json=json)
        if not posts:
            say(t("said.backtest_store"), error=True)


def _replay(
    found: Sequence[Mention],
    settings: Settings,
    rules: tuple[Rule, ...] | None,
    known: Sequence[Any] | None,
    span: tuple[datetime | None, datetime],
    *,
    json: bool,
) -> None:
    from tingchao.alerts import backtest as past

    def replayed(tried: Settings) -> list[Alert]:
        return [alert for alert in past.replay(found, tried) if not past.invented(alert, end)]

    since, end = span
    in_force = replayed(settings)
    tried = in_force if rules is None else replayed(replace(settings, rules=rules))
    pairs = past.pairs(tried, in_force)
    ours, theirs = {one.id for one, _ in pairs}, {other.id for _, other in pairs}
    shown = [(alert, "same" if alert.id in ours else "new") for alert in tried]
    shown += [(alert, "lost") for alert in in_force if alert.id not in theirs]
    if since is not None:  # what came before it was read for what is usual
        found = [mention for mention in found if mention.published_at >= since]
        tried, in_force = ([alert for alert in alerts if alert.opened_at >= since] for alerts in (tried, in_force))
        shown = [(alert, change) for alert, change in shown if alert.opened_at >= since]
    for alert, change in sorted(shown, key=lambda one: (one[0].opened_at, one[0].id)):
        channels = settings.main.notify
        line = _line(alert, change, past.woken(alert, channels), past.held(alert, channels))
        out(msgspec.json.encode(line).decode() if json else _sentence(line, alert))
    changes = Counter(change for _, change in shown)
    counts = {"mentions": len(found), "alerts": len(tried), "in_force": len(in_force)}
    counts |= {"new": changes["new"], "lost": changes["lost"]}
    _sum_up(counts, None if known is None else past.quality(tried, known), json=json)


def _known(file: str, settings: Settings, now: datetime) -> Sequence[Any] | None:
    from tingchao.alerts.known import read as read_known

    if not file:
        return None
    with _table(file) as lines:
        return read_known(lines, file, now, label_values(settings)["topic"])


def _series(file: str, settings: Settings) -> None:
    from tingchao.alerts.series_file import verdicts

    late, first, before, newest = 0, "", "", (float("-inf"), "")
    with _table(file) as lines:
        for row, found in verdicts(lines, file, settings.rules):
            if found.late:
                first, before = (first, before) if late else (row.timestamp, newest[1])
                late += 1
            newest = max(newest, (row.at, row.timestamp))
            line = {"timestamp": row.timestamp, "value": row.value, "expected": found.expected}
            out(msgspec.json.encode(line | {"score": found.score, "alert": found.alert}).decode())
    if late:
        say(t("said.series_late", count=late, first=first, before=before), error=True)


@contextmanager
def _table(file: str) -> Iterator[TextIO]:
    """The lines of a CSV, packed or not; what cannot be read as text stands most often in columns that nobody reads.

    Raises Refused for what is no text, and where a packed file breaks off.
    """
    with (
        opened(file) as stream,
        io.TextIOWrapper(plain(stream), "utf-8-sig", errors="replace", newline="") as lines,
        unbroken(),
    ):
        yield lines


def _rules(file: Path, settings: Settings) -> tuple[Rule, ...]:
    if not file.is_file():
        raise Refused(Said("error.backtest.rules", file=file))
    found = tuple(read(file.resolve().parent, file.name, RulesFile).rule)
    if mistakes := list(loose_rules(file, found, settings)):
        raise ConfigError(mistakes)
    return found


def _from_posts(file: str, settings: Settings, db: Path, span: Span, now: datetime) -> list[Mention]:
    from tingchao.pipeline.rows import read_posts

    bad: Counter[str] = Counter()
    with opened(file) as stream:
        posts = from_lines(read_posts(stream, file), now, span, bad)
    for reason, count in bad.most_common():
        say(t("said.dead_reason", count=count, reason=reason), error=True)
    return list(mentions(posts, settings, scorer_in_use(settings, db)))


def _from_store(settings: Settings, db: Path, span: Span) -> list[Mention]:
    require_posts(settings, db)
    found = from_store(open_store(settings, db), span)
    return list(mentions([one.post for one in found], settings, Stored(one.scores for one in found)))


def _line(alert: Alert, change: str, woken: Sequence[str], held: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "topic": alert.topic,
        "opened_at": alert.opened_at,
        "since": alert.since,
        "until": alert.until,
        "level": alert.level,
        "sure": alert.sure,
        "posts": alert.posts,
        "rules": list(dict.fromkeys(reason.rule for reason in alert.reasons)),
        "woken": list(woken),
        "held": held,  # the other channels, each with the reason
        "change": change,  # against the rules in force: same, new, or lost (only those would have fired)
    }


def _sentence(line: dict[str, Any], alert: Alert) -> str:
    names: Iterable[str] = line["rules"]
    woken = ", ".join(line["woken"]) or "-"
    if line["held"]:
        woken += t("said.backtest_held", held=", ".join(f"{name} {why}" for name, why in line["held"].items()))
    return t(
        f"said.backtest_{line['change']}",
        at=local(alert.opened_at),
        topic=alert.title,
        level=alert.level,
        rules=", ".join(names),
        posts=alert.posts,
        woken=woken,
    )


def _sum_up(counts: dict[str, Any], quality: Any, *, json: bool) -> None:
    if quality is not None:
        minutes = None if quality.delay is None else round(quality.delay.total_seconds() / 60, 1)
        told = {"events": quality.events, "found": quality.found, "within": quality.within, "right": quality.right}
        measures = {"minutes_to_detect": minutes, "precision": quality.precision, "recall": quality.recall}
        counts = counts | told | measures
    if json:
        out(msgspec.json.encode({"summary": counts}).decode())
        return
    say(t("said.backtest_sum", **counts))
    if quality is not None:
        say(t("said.backtest_quality", **{name: "-" if value is None else value for name, value in counts.items()}))
