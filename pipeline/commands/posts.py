"""Posts in: crawl, ingest, and score without keeping."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from tingchao.config.language import Said
from tingchao.config.settings import load
from tingchao.pipeline import dead as dead_letters
from tingchao.pipeline import shows
from tingchao.pipeline.backends import clustered, open_log, scorer_in_use
from tingchao.pipeline.clock import clock_from
from tingchao.pipeline.commands.base import (
    DB,
    LANGUAGE,
    AsJson,
    ClockText,
    ConfigDir,
    Database,
    app,
    help_of,
    one_of,
    opened,
    out,
    progress,
    say,
    spoken,
    t,
)
from tingchao.pipeline.commands.dead import tell_waiting
from tingchao.pipeline.commands.run import CHAIN, arguments
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.flow import WAY
from tingchao.pipeline.records import Fetch, Post

if TYPE_CHECKING:
    from tingchao.pipeline.ingest import Report


@app.command(help=help_of("crawl"))
def crawl(
    sources: Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help=help_of("crawl_sources"))] = None,
    url: Annotated[str | None, typer.Option("--url", help=help_of("crawl_url"))] = None,
    json: AsJson = False,
    config: ConfigDir = None,
    db: Database = DB,
    clock: ClockText = "",
) -> None:
    from tingchao.crawlers.run import crawl_once

    settings = spoken(load(config))
    shown = 0

    def on_post(post: Post) -> None:
        nonlocal shown
        shown += 1
        out(shows.json_lines([shows.post_dict(post)]) if json else shows.post_line(post))

    def on_fetch(fetch: Fetch) -> None:
        if fetch.message:
            say(fetch.message, error=True)

    log = open_log(settings, db)
    code = crawl_once(settings, log, clock_from(clock), sources or [], url, on_post, on_fetch)
    if not json:
        say(t("said.crawled", posts=shown))
        tell_waiting(log, db)
    raise typer.Exit(code)


@app.command(help=help_of("ingest"))
def ingest(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help=help_of("ingest_file"))],
    source: Annotated[str, typer.Option("--source", help=help_of("ingest_source"))] = "ingest",
    form: Annotated[str, typer.Option("--format", help=help_of("ingest_format"))] = "",
    config: ConfigDir = None,
    db: Database = DB,
    clock: ClockText = "",
) -> None:
    from tingchao.pipeline.ingest import publish, wait
    from tingchao.pipeline.roles import Child, Helpers

    given = arguments(config, db, clock)
    settings = load(config)
    log = open_log(settings, db)
    children = () if clustered(settings) else (Child(CHAIN, given, quiet=True), Child(("index",), given, quiet=True))
    helpers = Helpers(db, children)
    buried = log.end("dead")  # before the first post: stages set aside while the file is still being read
    try:
        helpers.alive()
        with opened(file) as stream, progress() as bar:
            lines, size = _rows(file, form, stream)
            reading = bar.add_task(t("said.reading"), total=size)
            past = settings.main.decide.past
            report = publish(lines, log, clock_from(clock), source, file, past, lambda n: bar.advance(reading, n))
            bar.update(reading, total=1, completed=1)  # rows are counted without what stood between them
            working = bar.add_task(t("said.working"), total=1.0)
            wait(log, helpers.alive, lambda share: bar.update(working, completed=share))
    finally:
        helpers.stop()
    _sum_up(report, dead_letters.since(log, buried, WAY), file)


def _sum_up(report: Report, later: Counter[str], file: str) -> None:
    """What became of the file; `later`: posts of it that were set aside behind the intake, by reason."""
    if not report.published and not report.dead:
        raise Refused(Said("error.no_posts", file=file))
    say(t("said.published", posts=report.published, dead=report.dead.total()))
    for reason, count in (report.dead + later).most_common():
        say(t("said.dead_reason", count=count, reason=reason))
    if report.dead or later:
        say(t("said.see_dead"))
    if later or not report.published:
        raise typer.Exit(1)
    say(t("said.done"))


def _rows(file: str, form: str, stream: BinaryIO) -> tuple[Iterator[Any], int | None]:
    """The lines of a file or of standard input, and its size in bytes if that is known."""
    from tingchao.pipeline.rows import read_posts

    known = file != "-" and not file.lower().endswith(".gz")
    return read_posts(stream, file, form), Path(file).stat().st_size if known else None


@app.command(help=help_of("score"))
def score(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help=help_of("ingest_file"))],
    why: Annotated[bool, typer.Option("--why", help=help_of("why"))] = False,
    heads: Annotated[list[str] | None, typer.Option("--head", help=help_of("head"))] = None,
    readable: Annotated[bool, typer.Option("--readable", help=help_of("readable"))] = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.models.reasons import reasons
    from tingchao.models.scores import HEADS
    from tingchao.pipeline.plain import plain
    from tingchao.pipeline.texts import batches

    for head in heads or ():
        one_of("--head", head, HEADS)
    scorer = scorer_in_use(load(config), db)
    with opened(file) as stream:
        for batch in batches(plain(stream)):
            scores = scorer.score(batch)
            whys = reasons(scorer, batch, heads or HEADS) if why or heads else [{}] * len(batch)
            if readable:
                sys.stdout.write("".join(map(shows.score_text, batch, scores, whys, [LANGUAGE] * len(batch))))
            else:
                sys.stdout.write(shows.json_lines(map(shows.scores_dict, scores, whys)))
