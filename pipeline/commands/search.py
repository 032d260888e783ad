"""`tingchao search`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tingchao.config.settings import load
from tingchao.config.signals import SIGNALS
from tingchao.pipeline import shows
from tingchao.pipeline.backends import open_store, require_posts
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.commands.base import DB, LANGUAGE, AsJson, ConfigDir, Database, app, help_of, one_of, say, t
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.times import when


@app.command(help=help_of("search"))
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help=help_of("search_query"))] = "",
    since: Annotated[str, typer.Option(help=help_of("since"))] = "",
    until: Annotated[str, typer.Option(help=help_of("until"))] = "",
    topic: Annotated[str, typer.Option(help=help_of("topic"))] = "",
    sentiment: Annotated[str, typer.Option(help=help_of("sentiment"))] = "",
    signal_name: Annotated[str, typer.Option("--signal", help=help_of("signal"))] = "",
    source: Annotated[str, typer.Option(help=help_of("source"))] = "",
    limit: Annotated[int, typer.Option(min=1, help=help_of("limit"))] = 20,
    json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help=help_of("csv"))] = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    one_of("--sentiment", sentiment, ("negative", "neutral", "positive"))
    one_of("--signal", signal_name, SIGNALS)
    if json and csv:
        raise Refused("--json and --csv: choose one of them")
    settings = load(config)
    one_of("--topic", topic, tuple(known.name for known in settings.topics))
    now = SystemClock().now()
    wanted = Query(
        expression=parse(query),
        since=when(since, now) if since else None,
        until=when(until, now) if until else None,
        topic=topic,
        sentiment=sentiment,
        signal=signal_name,
        source=source,
        limit=limit,
    )
    require_posts(settings, db)
    hits = open_store(settings, db).search(wanted)
    if json:
        sys.stdout.write(shows.json_lines(shows.scored_dict(hit) for hit in hits))
    elif csv:
        sys.stdout.buffer.write(shows.hits_csv(hits).encode())
    elif hits:
        shows.console().print(shows.hits_table(hits, LANGUAGE))
    else:
        say(t("said.none_found"))
