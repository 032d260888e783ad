"""Stored posts: search them, score them anew."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from tingchao.config.language import Said
from tingchao.config.settings import load
from tingchao.config.signals import SIGNALS
from tingchao.pipeline import shows
from tingchao.pipeline.backends import open_store, require_posts, scorer_in_use
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.commands.base import (
    DB,
    LANGUAGE,
    AsJson,
    ConfigDir,
    Database,
    app,
    help_of,
    one_of,
    progress,
    say,
    t,
)
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.store import Bucket
from tingchao.pipeline.times import every, when

_MOST = 2**31  # posts; no store holds as many, and SQLite takes no number of more than 63 bits


# Options that are not known reach the query: "-word" leaves a word out, without quotation marks around the whole.
@app.command(help=help_of("search"), context_settings={"ignore_unknown_options": True})
def search(
    words: Annotated[list[str] | None, typer.Argument(metavar="QUERY", help=help_of("search_query"))] = None,
    since: Annotated[str, typer.Option(help=help_of("since"))] = "",
    until: Annotated[str, typer.Option(help=help_of("until"))] = "",
    topic: Annotated[str, typer.Option(help=help_of("topic"))] = "",
    sentiment: Annotated[str, typer.Option(help=help_of("sentiment"))] = "",
    signal_name: Annotated[str, typer.Option("--signal", help=help_of("signal"))] = "",
    source: Annotated[str, typer.Option(help=help_of("source"))] = "",
    per: Annotated[str, typer.Option(help=help_of("per"))] = "",
    limit: Annotated[int, typer.Option(min=1, help=help_of("limit"))] = 20,
    json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help=help_of("csv"))] = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    one_of("--sentiment", sentiment, ("negative", "neutral", "positive"))
    one_of("--signal", signal_name, SIGNALS)
    if json and csv:
        raise Refused(Said("error.json_or_csv"))
    query = " ".join(words or ())
    if mistyped := next((word for word in words or () if word.startswith("--")), ""):
        raise Refused(Said("error.option", option=mistyped))
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
        limit=min(limit, _MOST),
    )
    step = every(per) if per else None
    require_posts(settings, db)
    store = open_store(settings, db)
    if step is not None:
        _counted(store.over_time(wanted, step), json=json, csv=csv)
        return
    hits = store.search(wanted)
    if json:
        sys.stdout.write(shows.json_lines(shows.scored_dict(hit) for hit in hits))
    elif csv:
        sys.stdout.buffer.write(shows.hits_csv(hits).encode())
    elif hits:
        shows.console().print(shows.hits_table(hits, LANGUAGE))
    else:
        say(t("said.none_found"))


def _counted(buckets: Sequence[Bucket], *, json: bool, csv: bool) -> None:
    if json:
        sys.stdout.write(shows.json_lines(bucket._asdict() for bucket in buckets))
    elif csv:
        sys.stdout.buffer.write(shows.buckets_csv(buckets).encode())
    elif buckets:
        shows.console().print(shows.buckets_table(buckets, LANGUAGE))
    else:
        say(t("said.none_found"))


@app.command(help=help_of("replay"))
def replay(
    start: Annotated[str, typer.Option("--from", help=help_of("replay_from"))],
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.pipeline.replay import replay as scored_again

    settings, since = load(config), when(start, SystemClock().now())
    require_posts(settings, db)
    store, models = open_store(settings, db), scorer_in_use(settings, db)
    done, total = 0, store.count(Query(since=since))
    with progress() as bar:
        task = bar.add_task(t("said.working"), total=total)
        for posts in scored_again(settings, models, store, since):
            done += posts
            bar.advance(task, posts)
    say(t("said.rescored", posts=done, model=models.version))
