"""`tingchao silence` and `tingchao routes`: who is told of what, and who is not for a while."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from tingchao.config.language import Said
from tingchao.config.load import duration
from tingchao.config.matchers import FIXED, LABELS, Labels
from tingchao.config.settings import label_values, load
from tingchao.pipeline import shows
from tingchao.pipeline.backends import existing_log
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.commands.alerts import carried_out, exit_unless
from tingchao.pipeline.commands.base import DB, LANGUAGE, AsJson, ConfigDir, Database, group, help_of, out, say, t
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.times import local, when

silence_app = group("silence")
routes_app = group("routes")
Matchers = Annotated[list[str], typer.Argument(metavar="MATCHER", help=help_of("matchers"))]


@silence_app.command("add", help=help_of("silence_add"))
def silence_add(
    matchers: Matchers,
    length: Annotated[str, typer.Option("--for", help=help_of("silence_for"))] = "",
    until: Annotated[str, typer.Option("--until", help=help_of("silence_until"))] = "",
    start: Annotated[str, typer.Option("--start", help=help_of("silence_start"))] = "",
    comment: Annotated[str, typer.Option("--comment", help=help_of("note"))] = "",
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.alerts import silences

    settings, clock = load(config), SystemClock()
    now = clock.now()
    starts = when(start, now) if start else None
    ends = _end(length, until, starts or now)
    strange = list(silences.strange(matchers, label_values(settings)))
    if never := [mistake for label, mistake in strange if label in FIXED]:
        raise Refused(Said("error.silences.refused", why=never[0]))
    log = existing_log(settings, db)
    name = silences.add(log, clock, matchers, starts, ends, comment)
    done = carried_out(settings, db, log)
    say(t("said.silenced", id=name[:8], until=local(ends)))
    # A topic or rule may come later, and an alert may be of one that was: the silence stands.
    for _, mistake in strange:
        say(t("said.silence_strange", mistake=mistake.to(LANGUAGE)), error=True)
    exit_unless(name, done=done)


@silence_app.command("list", help=help_of("silence_list"))
def silence_list(
    expired: Annotated[bool, typer.Option("--expired", help=help_of("silence_expired"))] = False,
    json: AsJson = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.alerts import silences

    now = SystemClock().now()
    found = [
        (one, silences.phase(one, now))
        for one in silences.silences(existing_log(load(config), db), now)
        if expired or silences.phase(one, now) != "expired"
    ]
    if json:
        sys.stdout.write(shows.json_lines({**msgspec.structs.asdict(one), "phase": phase} for one, phase in found))
    elif found:
        for one, phase in found:
            span = f"{local(one.starts_at)} – {local(one.ends_at)}"
            out(f"{one.id[:8]}  {t(f'phase.{phase}')}  {span}  {' '.join(one.matchers)}  {one.comment}".rstrip())
    else:
        say(t("said.none_found"))


@silence_app.command("expire", help=help_of("silence_expire"))
def silence_expire(
    silence_id: Annotated[str, typer.Argument(metavar="ID", help=help_of("silence_id"))],
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.alerts import silences

    settings = load(config)
    log = existing_log(settings, db)
    name = silences.expire(log, SystemClock(), silence_id)
    done = carried_out(settings, db, log)
    say(t("said.silence_over", id=name[:8]))
    exit_unless(name, done=done)


@routes_app.command("test", help=help_of("routes_test"))
def routes_test(
    labels: Annotated[list[str], typer.Argument(metavar="LABEL=VALUE", help=help_of("labels"))],
    at: Annotated[str, typer.Option("--at", help=help_of("routes_at"))] = "",
    json: AsJson = False,
    config: ConfigDir = None,
    db: Database = DB,  # noqa: ARG001 every command takes it
) -> None:
    from tingchao.alerts.dispatch import muted
    from tingchao.alerts.routing import by_receiver, tree

    settings, now = load(config), SystemClock().now()
    moment = when(at, now) if at else now
    given = _labels(labels)
    level = int((given.get("level") or ("3",))[0])
    least = {channel.name: channel.min_level for channel in settings.main.notify}
    found: list[dict[str, Any]] = []
    leading = by_receiver(tree(settings.routes, list(least)), given).items()
    for receiver, way in ((receiver, way) for receiver, several in leading for way in several):
        hold = muted(way, moment)
        why = "below_level" if level < least[receiver] else hold.why if hold else ""
        until = hold.until if hold else None
        found.append({"receiver": receiver, "route": way.place, "group_by": way.group_by, "why": why, "until": until})
    if json:
        sys.stdout.write(shows.json_lines(found))
        return
    for line in found:
        why = t(f"why.{line['why']}") if line["why"] else t("why.told")
        out(f"{line['receiver']}  {line['route']}  {why}")


def _labels(texts: list[str]) -> Labels:
    """`topic=metro` … as labels; a label that is given twice has both values. Raises Refused."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in LABELS:
            raise Refused(Said("error.label", text=text, known=", ".join(LABELS)))
        if name == "level" and value not in {"1", "2", "3"}:
            raise Refused(Said("error.label_level", text=text))
        found[name] = (*found.get(name, ()), value)
    return found


def _end(length: str, until: str, starts: datetime) -> datetime:
    if bool(length) == bool(until):
        raise Refused(Said("error.silences.length"))
    if until:
        return when(until, starts)
    try:
        step = duration(length)
    except ValueError as err:
        raise Refused(Said("error.silences.for", length=length, error=err.args[0] if err.args else err)) from err
    assert isinstance(step, timedelta)
    return starts + step
