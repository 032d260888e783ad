"""`tingchao alerts`: what staff see and do without the page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tingchao.config.language import text
from tingchao.config.settings import Settings, load
from tingchao.pipeline import shows
from tingchao.pipeline.backends import existing_log, locks, open_store
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.commands.base import (
    DB,
    LANGUAGE,
    AsJson,
    ConfigDir,
    Database,
    group,
    help_of,
    one_of,
    out,
    say,
    t,
)
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log
from tingchao.pipeline.records import Alert
from tingchao.pipeline.stage import Runner

alerts_app = group("alerts")
AlertId = Annotated[str, typer.Argument(metavar="ID", help=help_of("alert_id"))]
Note = Annotated[str, typer.Option("--note", help=help_of("note"))]


@alerts_app.command("list", help=help_of("alerts_list"))
def alerts_list(
    state: Annotated[str, typer.Option(help=help_of("state"))] = "",
    topic: Annotated[str, typer.Option(help=help_of("topic"))] = "",
    limit: Annotated[int, typer.Option(min=1, help=help_of("limit"))] = 50,
    json: AsJson = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.alerts import card, ledger

    one_of("--state", state, ("open", "acknowledged", "in_hand", "resolved", "false_alarm", "past"))
    found = sorted(
        ledger.alerts(existing_log(load(config), db)).values(), key=lambda alert: (alert.since, alert.id), reverse=True
    )
    chosen = [a for a in found if state in ("", a.state) and topic in ("", a.topic)][:limit]
    if json:
        sys.stdout.write(shows.json_lines(card.as_json(alert) for alert in chosen))
    elif chosen:
        shows.console().print(shows.alerts_table(chosen, lambda alert: card.headline(alert, LANGUAGE), LANGUAGE))
    else:
        say(t("said.none_found"))


@alerts_app.command("show", help=help_of("alerts_show"))
def alerts_show(alert_id: AlertId, json: AsJson = False, config: ConfigDir = None, db: Database = DB) -> None:
    from tingchao.alerts import card, ledger
    from tingchao.alerts.precedents import precedents

    known = ledger.alerts(existing_log(load(config), db))
    alert = _chosen(known, alert_id)
    before = precedents(alert, known.values())
    out(msgspec.json.encode(card.as_json(alert, before)).decode() if json else card.as_text(alert, LANGUAGE, before))


@alerts_app.command("ack", help=help_of("alerts_ack"))
def alerts_ack(alert_id: AlertId, note: Note = "", config: ConfigDir = None, db: Database = DB) -> None:
    _command(alert_id, "acknowledge", note, config, db)


@alerts_app.command("resolve", help=help_of("alerts_resolve"))
def alerts_resolve(alert_id: AlertId, note: Note = "", config: ConfigDir = None, db: Database = DB) -> None:
    _command(alert_id, "resolve", note, config, db)


@alerts_app.command("verdict", help=help_of("alerts_verdict"))
def alerts_verdict(
    alert_id: AlertId,
    verdict: Annotated[str, typer.Argument(metavar="true_alarm|false_alarm|wrong_signal", help=help_of("verdict"))],
    post: Annotated[str, typer.Option("--post", help=help_of("verdict_post"))] = "",
    signals: Annotated[list[str] | None, typer.Option("--signal", help=help_of("verdict_signal"))] = None,
    note: Note = "",
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.alerts.verdict import JUDGEMENTS, judge

    one_of("verdict", verdict, JUDGEMENTS)
    settings, clock = load(config), SystemClock()
    log = existing_log(settings, db)
    alert = _alert(log, alert_id)
    name = _post_of(alert, post) if post else ""
    store = open_store(settings, db)
    judge(log, store, clock, alert.id, verdict, post=name, signals=signals or (), note=note)
    _now_is(settings, db, log, alert.id)
    say(t(f"said.{'example' if name else 'judged'}", verdict=t(f"verdict.{verdict}"), post=name[:8]))


_LIMITS = (1, 2, 3, 5, 8, 12, 20)


@alerts_app.command("budget", help=help_of("alerts_budget"))
def alerts_budget(json: AsJson = False, config: ConfigDir = None, db: Database = DB) -> None:
    from tingchao.alerts import budget, ledger

    settings, now = load(config), SystemClock().now()
    history = budget.opened(ledger.alerts(existing_log(settings, db)))
    shown = False
    for level in (1, 2, 3):
        found = budget.forecast(history, level, now, settings.main.budget, _LIMITS)
        if json:
            sys.stdout.write(shows.json_lines({"level": level, **one._asdict()} for one in found))
            continue
        if found:
            most = settings.main.budget.most(level)
            count = sum(row.level == level for row in history)
            name = text(f"notify.level.{level}", LANGUAGE)
            out(t("said.budget_level", level=name, number=level, count=count, most="-" if most is None else most))
            shown = True
        for one in found:
            shares = {
                "precision": _share(one.precision, one.precision_interval),
                "recall": _share(one.recall, one.recall_interval),
                "right": _share(one.right, one.right_interval),
            }
            told = {"most": one.most, "threshold": f"{one.threshold:.2f}", "told": f"{one.told:.1f}"}
            out("  " + t("said.budget_line", **told, **shares, judged=one.judged))
    if not (shown or json):
        say(t("said.no_history"))


def _share(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None:
        return "-"
    return f"{share:.0%}" + (f" [{interval[0]:.0%}, {interval[1]:.0%}]" if interval else "")


def _post_of(alert: Alert, said: str) -> str:
    """The id of a post that the alert shows, from its number there (from 1) or the beginning of its id."""
    from tingchao.alerts.representatives import representatives

    shown = {number: one.id for number, one in representatives(alert.evidence)}
    if said.isdecimal() and int(said) in shown:
        return shown[int(said)]
    found = [name for name in shown.values() if name.startswith(said)]
    if len(found) != 1:
        posts = ", ".join(f"{number} {name[:8]}" for number, name in shown.items())
        raise Refused(t("said.no_post", post=said, id=alert.id[:8], posts=posts))
    return found[0]


def _command(alert_id: str, action: str, note: str, config: Path | None, db: Path) -> None:
    from tingchao.alerts import ledger

    settings = load(config)
    log = existing_log(settings, db)
    alert = _alert(log, alert_id)
    ledger.send(log, SystemClock(), alert.id, action, note)
    _now_is(settings, db, log, alert.id)


def _now_is(settings: Settings, db: Path, log: Log, alert: str) -> None:
    """Wait for decide, and say what the alert is now."""
    done = carried_out(settings, db, log)
    after = _alert(log, alert)
    say(t("said.now_is", id=after.id[:8], state=t(f"state.{after.state}")))
    exit_unless(after.id, done=done)


def exit_unless(name: str, *, done: bool) -> None:
    """End with a message unless decide has carried out what was sent."""
    if not done:
        say(t("said.not_done", id=name[:8]), error=True)
        raise typer.Exit(1)


def carried_out(settings: Settings, db: Path, log: Log) -> bool:
    """Wait until decide has carried out what was sent; without anybody who runs decide, do so here."""
    from tingchao.alerts import decide
    from tingchao.pipeline.roles import sleep_until

    end, holders = log.end("commands"), locks(settings, db, ["decide"])
    if holders and all(holder.take() for holder in holders):
        runner = Runner(decide.plan(settings), log, SystemClock())
        while log.position("decide", "commands") < end and runner.step():
            pass
    done = sleep_until(lambda: log.position("decide", "commands") >= end, 10)
    for holder in holders:
        holder.leave()
    return done


def _alert(log: Log, beginning: str) -> Alert:
    from tingchao.alerts import ledger

    return _chosen(ledger.alerts(log), beginning)


def _chosen(known: dict[str, Alert], beginning: str) -> Alert:
    if not beginning:  # it would begin every id
        raise Refused(t("said.empty_id"))
    found = [alert for name, alert in known.items() if name.startswith(beginning)]
    if not found:
        raise Refused(t("said.no_alert", id=beginning))
    if len(found) > 1:
        raise Refused(t("said.several_alerts", id=beginning, count=len(found)))
    return found[0]
