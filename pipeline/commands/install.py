"""An installation: check its configuration, examine the machine."""

from __future__ import annotations

import sys

import typer

from tingchao.config.load import ConfigError
from tingchao.config.settings import load, unreadable_files
from tingchao.pipeline import backends, shows
from tingchao.pipeline.backends import existing_log
from tingchao.pipeline.commands.base import DB, LANGUAGE, AsJson, ConfigDir, Database, app, help_of, out, t
from tingchao.pipeline.flow import channel_group, flow


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

    findings = list(examine(config, db))
    for finding in findings:
        out(f"{'✓' if finding.well else '✗'} {t(f'doctor.{finding.what}')}: {finding.message}")
    raise typer.Exit(0 if all(finding.well for finding in findings) else 1)
