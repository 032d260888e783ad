"""Stored posts: search them, score them anew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, NamedTuple, TypeVar

import typer
from rich.table import Table

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
from tingchao.pipeline.records import Scored
from tingchao.pipeline.store import Bucket
from tingchao.pipeline.times import every, when

_MOST = 2**31  # posts; no store holds as many, and SQLite takes no number of more than 63 bits


_T = TypeVar("_T")


class _Form(NamedTuple, Generic[_T]):
    """How results of a kind are shown."""

    as_json: Callable[[_T], object]
    as_csv: Callable[[Sequence[_T]], str]
    as_table: Callable[[Sequence[_T], str], Table]


_HITS = _Form[Scored](shows.scored_dict, shows.hits_csv, shows.hits_table)
_BUCKETS = _Form[Bucket](Bucket._asdict, shows.buckets_csv, shows.buckets_table)


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
        _show(store.over_time(wanted, step), _BUCKETS, json=json, csv=csv)
    else:
        _show(store.search(wanted), _HITS, json=json, csv=csv)


def _show(found: Sequence[_T], form: _Form[_T], *, json: bool, csv: bool) -> None:
    if json:
        sys.stdout.write(shows.json_lines(map(form.as_json, found)))
    elif csv:
        sys.stdout.buffer.write(form.as_csv(found).encode())
    elif found:
        shows.console().print(form.as_table(found, LANGUAGE))
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
