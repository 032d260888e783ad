"""An installation: check its configuration, examine the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from tingchao.config.load import ConfigError
from tingchao.config.settings import Settings, load, unreadable_files
from tingchao.pipeline import backends, shows
from tingchao.pipeline.backends import existing_log
from tingchao.pipeline.commands.base import DB, LANGUAGE, AsJson, ConfigDir, Database, app, help_of, out, t
from tingchao.pipeline.flow import channel_group, flow
from tingchao.pipeline.log import Log
from tingchao.pipeline.times import local

if TYPE_CHECKING:
    from tingchao.pipeline.doctor import Finding  # brings scikit-learn along, which other commands do without


@app.command(help=help_of("check"))
def check(config: ConfigDir = None, db: Database = DB) -> None:  # noqa: ARG001 every command takes it
    from tingchao.crawlers.run import kinds

    settings = load(config, kinds())
    if mistakes := unreadable_files(settings.main):
        raise ConfigError(mistakes)
    counts = {"sources": settings.sources, "topics": settings.topics, "rules": settings.rules}
    sizes = {name: len(values) for name, values in counts.items()}
    out(t("said.config_right", channels=len(settings.main.notify), **sizes))


@app.command(help=help_of("setup"))
def setup(config: ConfigDir = None, db: Database = DB) -> None:  # noqa: ARG001 every command takes it
    names = 0
    for name, did, detail in backends.setup(load(config)):
        names += 1
        if did != "kept":
            out(f"{name}: {t(f'setup.{did}')} {detail}".rstrip())
    out(t("said.set_up", count=names) if names else t("said.no_setup"))


@app.command(help=help_of("lag"))
def lag(json: AsJson = False, config: ConfigDir = None, db: Database = DB) -> None:
    settings = load(config)
    log = existing_log(settings, db)
    channels = [(channel_group(channel.name), "alerts") for channel in settings.main.notify]
    lags = []
    for stage, topic in (*flow(), *channels):
        read, end = log.position(stage, topic), log.end(topic)
        lags.append({"stage": stage, "topic": topic, "read": read, "end": end, "lag": max(0, end - read)})
    if json:
        sys.stdout.write(shows.json_lines(lags))
    else:
        shows.console().print(shows.lag_table(lags, LANGUAGE))


@app.command(help=help_of("doctor"))
def doctor(config: ConfigDir = None, db: Database = DB) -> None:
    from tingchao.pipeline.doctor import examine

    findings = list(examine(config, db, _channels))
    for finding in findings:
        out(f"{'✓' if finding.well else '✗'} {t(f'doctor.{finding.what}')}: {finding.message}")
    raise typer.Exit(0 if all(finding.well for finding in findings) else 1)


def _channels(settings: Settings, log: Log) -> Iterator[Finding]:
    """What waits in each channel, and why."""
    from tingchao.alerts.outbox import channel_state
    from tingchao.pipeline.doctor import Finding

    for channel in settings.main.notify:
        found = channel_state(channel.name, log.state(channel_group(channel.name)))
        parts = [t("said.channel", name=found.name, waiting=found.waiting)]
        parts += [t("said.channel_error", error=found.health.error)] if found.health.error else []
        parts += [t("said.channel_next", at=local(found.next_try))] if found.next_try else []
        yield Finding("channels", t("comma").join(parts), well=not found.health.error)
