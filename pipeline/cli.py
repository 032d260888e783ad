"""The command line: the only file that knows every package, and where their parts are put together.

Packages are imported inside the commands that need them: `tingchao search` must not wait for Scrapy, scikit-learn and
the page, nor carry their memory.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog
import typer
import typer.rich_utils

from tingchao.config.language import from_environment, text
from tingchao.config.load import ConfigError
from tingchao.config.settings import Settings, load
from tingchao.config.signals import SIGNALS
from tingchao.models.scores import ModelError
from tingchao.pipeline import dead as dead_letters
from tingchao.pipeline import shows
from tingchao.pipeline.clock import Clock, SystemClock, clock_from
from tingchao.pipeline.errors import Refused, TingchaoError
from tingchao.pipeline.log import Log
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Alert, Fetch, Post
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.stage import Runner
from tingchao.pipeline.times import when

LANGUAGE = from_environment()


def _t(key: str, **values: object) -> str:
    return text(f"cli.{key}", LANGUAGE, **values)


def _help(key: str) -> str:
    return _t(f"help.{key}")


for _name in ("options", "commands", "arguments", "errors"):
    setattr(typer.rich_utils, f"{_name.upper()}_PANEL_TITLE", _t(f"panel.{_name}"))

app = typer.Typer(
    help=text("cli.app", LANGUAGE), no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
alerts_app = typer.Typer(help=_help("alerts"), no_args_is_help=True)
dead_app = typer.Typer(help=_help("dead"), no_args_is_help=True)
app.add_typer(alerts_app, name="alerts")
app.add_typer(dead_app, name="dead")

ConfigDir = Annotated[Path | None, typer.Option("--config", envvar="TINGCHAO_CONFIG", help=_help("config"))]
Database = Annotated[Path, typer.Option("--db", envvar="TINGCHAO_DB", help=_help("db"))]
ClockText = Annotated[str, typer.Option("--clock", envvar="TINGCHAO_CLOCK", hidden=True)]
AsJson = Annotated[bool, typer.Option("--json", help=_help("json"))]
AlertId = Annotated[str, typer.Argument(metavar="ID", help=_help("alert_id"))]
Note = Annotated[str, typer.Option("--note", help=_help("note"))]
DataFolder = Annotated[Path, typer.Argument(metavar="DATA", help=_help("data"), exists=True, file_okay=False)]

DB = Path("tingchao.db")


# ---------------------------------------------------------------- running


@app.command(help=_help("up"))
def up(config: ConfigDir = None, db: Database = DB, clock: ClockText = "") -> None:
    """Page and notify in this process, stages and crawl in one child each."""
    from tingchao.alerts import page
    from tingchao.pipeline.roles import Child, Family, Role

    settings, time = load(config), clock_from(clock)
    holder = Role(db, "page")
    holder.take_or_refuse()
    stop = _stop_on_signals()
    arguments = _arguments(config, db, clock)
    family = Family([Child("stages", arguments), Child("crawl", arguments)])
    notifiers = _notifiers(settings, db, time, stop)

    def once_the_page_answers() -> None:
        say(_t("said.up", url=f"http://{settings.main.page.host}:{settings.main.page.port}"))
        for thread in notifiers:
            thread.start()
        family.watch(stop)

    try:
        page.serve(settings, lambda: SqliteLog(db), lambda: SqliteStore(db), time, stop, once_the_page_answers)
    finally:
        stop.set()
        family.stop()
        for thread in notifiers:
            if thread.is_alive():
                thread.join(3)
        holder.leave()
        say(_t("said.stopped"))


@app.command(help=_help("run"), hidden=True)
def run(role: str, config: ConfigDir = None, db: Database = DB, clock: ClockText = "") -> None:
    """Stop when standard input ends, so that no child outlives its parent."""
    from tingchao.pipeline.roles import HELD, Role, sleep_until, stop_with_parent

    stop = _stop_on_signals()
    stop_with_parent(stop)
    holder = Role(db, role)
    if not sleep_until(lambda: stop.is_set() or holder.take(), 2):  # somebody may just be asking who holds it
        raise typer.Exit(HELD)
    roles: dict[str, Callable[[], None]] = {
        "stages": lambda: _run_stages(load(config), db, clock_from(clock), stop),
        "crawl": lambda: _run_crawl(load(config), db, clock_from(clock), stop),
    }
    if role not in roles:
        raise Refused(f"role {role!r}: expected one of {', '.join(roles)}")
    roles[role]()


def _run_stages(settings: Settings, db: Path, clock: Clock, stop: threading.Event) -> None:
    from tingchao.alerts import decide, watch
    from tingchao.models.scorer import Scorer
    from tingchao.pipeline import index, score
    from tingchao.pipeline.roles import Retention, in_thread, run_stages

    log, store, scorer = SqliteLog(db), SqliteStore(db), Scorer.load()
    indexer = index.plan(store)
    plans = [score.plan(settings, scorer), watch.plan(settings), decide.plan(settings)]

    def run_index() -> None:  # beside the others: most of its time is SQLite's, which holds no lock of Python's
        own = SqliteLog(db)
        retention = Retention([*plans, indexer], own, store, settings.main.keep, clock)
        run_stages([indexer], own, clock, stop, retention)

    indexing = in_thread("index", run_index, stop)
    indexing.start()
    run_stages(plans, log, clock, stop, lambda: None)
    indexing.join()


def _run_crawl(settings: Settings, db: Path, clock: Clock, stop: threading.Event) -> None:
    from tingchao.crawlers.run import crawl_forever

    crawl_forever(settings, SqliteLog(db), clock, stop, say)


def _notifiers(settings: Settings, db: Path, clock: Clock, stop: threading.Event) -> list[threading.Thread]:
    """One thread a channel: a slow one delays nobody else, and one that fails begins anew."""
    from tingchao.alerts import notify
    from tingchao.pipeline.roles import keep_running, run_stages

    def thread(plan: Any) -> threading.Thread:
        def work() -> None:
            run_stages([plan], SqliteLog(db), clock, stop, lambda: None)

        return threading.Thread(target=keep_running, args=(plan.name, work, stop), daemon=True, name=plan.name)

    return [thread(plan) for plan in notify.plans(settings, say, clock)]


# ---------------------------------------------------------------- posts in


@app.command(help=_help("crawl"))
def crawl(
    sources: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help=_help("crawl_sources"))] = None,
    url: Annotated[str, typer.Option("--url", help=_help("crawl_url"))] = "",
    json: AsJson = False,
    config: ConfigDir = None,
    db: Database = DB,
    clock: ClockText = "",
) -> None:
    from tingchao.crawlers.run import crawl_once

    settings = load(config)
    shown = 0

    def on_post(post: Post) -> None:
        nonlocal shown
        shown += 1
        out(shows.json_lines([shows.post_dict(post)]) if json else shows.post_line(post))

    def on_fetch(fetch: Fetch) -> None:
        if fetch.message:
            say(fetch.message, error=True)

    log = SqliteLog(db)
    code = crawl_once(settings, log, clock_from(clock), sources or [], url, on_post, on_fetch)
    if not json:
        say(_t("said.crawled", posts=shown))
        _tell_waiting(log, db)
    raise typer.Exit(code)


@app.command(help=_help("ingest"))
def ingest(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help=_help("ingest_file"))],
    source: Annotated[str, typer.Option("--source", help=_help("ingest_source"))] = "ingest",
    form: Annotated[str, typer.Option("--format", help=_help("ingest_format"))] = "",
    config: ConfigDir = None,
    db: Database = DB,
    clock: ClockText = "",
) -> None:
    from tingchao.pipeline.ingest import publish, wait
    from tingchao.pipeline.roles import Helpers

    load(config)  # a mistake in the configuration is told before anything is read
    log, helpers = SqliteLog(db), Helpers(db, _arguments(config, db, clock))
    try:
        helpers.alive()
        with _rows(file, form) as (lines, size), _progress() as bar:
            reading = bar.add_task(_t("said.reading"), total=size)
            report = publish(lines, log, clock_from(clock), source, file, lambda n: bar.advance(reading, n))
            buried = log.end("dead")
            working = bar.add_task(_t("said.working"), total=1.0)
            wait(log, helpers.alive, lambda share: bar.update(working, completed=share))
    finally:
        helpers.stop()
    later = dead_letters.since(log, buried)
    say(_t("said.published", posts=report.published, dead=report.dead.total()))
    for reason, count in (report.dead + later).most_common():
        say(_t("said.dead_reason", count=count, reason=reason))
    if report.dead or later:
        say(_t("said.see_dead"))
    if later or not report.published:
        raise typer.Exit(1)
    say(_t("said.done"))


@contextmanager
def _rows(file: str, form: str) -> Iterator[tuple[Iterator[Any], int | None]]:
    """The lines of a file or of standard input, and its size in bytes if that is known."""
    from tingchao.pipeline.rows import read_csv, read_jsonl

    path = None if file == "-" else Path(file)
    form = form or ("csv" if path is not None and path.suffix.lower() == ".csv" else "jsonl")
    readers = {"jsonl": read_jsonl, "csv": read_csv}
    if form not in readers:
        raise Refused(f"--format {form!r}: expected jsonl or csv")
    try:
        stream = sys.stdin.buffer if path is None else path.open("rb")
    except OSError as err:
        raise Refused(f"{file}: {err.strerror}; give a JSONL or CSV file, or - for standard input") from err
    with stream:
        yield readers[form](stream), path.stat().st_size if path is not None else None


@app.command(help=_help("score"))
def score(file: Annotated[str, typer.Argument(metavar="FILE|-", help=_help("ingest_file"))]) -> None:
    from tingchao.models.scorer import Scorer
    from tingchao.pipeline.texts import batches

    scorer = Scorer.load()
    path = None if file == "-" else Path(file)
    try:
        stream = sys.stdin.buffer if path is None else path.open("rb")
    except OSError as err:
        raise Refused(f"{file}: {err.strerror}; give a file, or - for standard input") from err
    with stream:
        for batch in batches(stream):
            sys.stdout.write(shows.json_lines(shows.scores_dict(one) for one in scorer.score(batch)))


# ---------------------------------------------------------------- what was found


@app.command(help=_help("search"))
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help=_help("search_query"))] = "",
    since: Annotated[str, typer.Option(help=_help("since"))] = "",
    until: Annotated[str, typer.Option(help=_help("until"))] = "",
    topic: Annotated[str, typer.Option(help=_help("topic"))] = "",
    sentiment: Annotated[str, typer.Option(help=_help("sentiment"))] = "",
    signal_name: Annotated[str, typer.Option("--signal", help=_help("signal"))] = "",
    source: Annotated[str, typer.Option(help=_help("source"))] = "",
    limit: Annotated[int, typer.Option(min=1, help=_help("limit"))] = 20,
    json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help=_help("csv"))] = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    _one_of("--sentiment", sentiment, ("negative", "neutral", "positive"))
    _one_of("--signal", signal_name, SIGNALS)
    if json and csv:
        raise Refused("--json and --csv: choose one of them")
    topics = tuple(known.name for known in load(config).topics)
    _one_of("--topic", topic, topics)
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
    hits = SqliteStore(_there(db)).search(wanted)
    if json:
        sys.stdout.write(shows.json_lines(shows.scored_dict(hit) for hit in hits))
    elif csv:
        sys.stdout.buffer.write(shows.hits_csv(hits).encode())
    elif hits:
        shows.console().print(shows.hits_table(hits, LANGUAGE))
    else:
        say(_t("said.none_found"))


@alerts_app.command("list", help=_help("alerts_list"))
def alerts_list(
    state: Annotated[str, typer.Option(help=_help("state"))] = "",
    topic: Annotated[str, typer.Option(help=_help("topic"))] = "",
    limit: Annotated[int, typer.Option(min=1, help=_help("limit"))] = 50,
    json: AsJson = False,
    config: ConfigDir = None,  # noqa: ARG001 every command takes it
    db: Database = DB,
) -> None:
    from tingchao.alerts import card, ledger

    _one_of("--state", state, ("open", "acknowledged", "in_hand", "resolved", "false_alarm", "past"))
    found = sorted(
        ledger.alerts(SqliteLog(_there(db))).values(), key=lambda alert: (alert.since, alert.id), reverse=True
    )
    chosen = [a for a in found if state in ("", a.state) and topic in ("", a.topic)][:limit]
    if json:
        sys.stdout.write(shows.json_lines(card.as_json(alert) for alert in chosen))
    elif chosen:
        shows.console().print(shows.alerts_table(chosen, lambda alert: card.headline(alert, LANGUAGE), LANGUAGE))
    else:
        say(_t("said.none_found"))


@alerts_app.command("show", help=_help("alerts_show"))
def alerts_show(alert_id: AlertId, json: AsJson = False, config: ConfigDir = None, db: Database = DB) -> None:  # noqa: ARG001
    from tingchao.alerts import card

    alert = _alert(SqliteLog(_there(db)), alert_id)
    out(msgspec.json.encode(card.as_json(alert)).decode() if json else card.as_text(alert, LANGUAGE))


@alerts_app.command("ack", help=_help("alerts_ack"))
def alerts_ack(alert_id: AlertId, note: Note = "", config: ConfigDir = None, db: Database = DB) -> None:
    _command(alert_id, "acknowledge", note, config, db)


@alerts_app.command("resolve", help=_help("alerts_resolve"))
def alerts_resolve(alert_id: AlertId, note: Note = "", config: ConfigDir = None, db: Database = DB) -> None:
    _command(alert_id, "resolve", note, config, db)


def _command(alert_id: str, action: str, note: str, config: Path | None, db: Path) -> None:
    """Send it, and wait until decide has carried it out; without anybody who runs decide, do so here."""
    from tingchao.alerts import decide, ledger
    from tingchao.pipeline.roles import Role, sleep_until

    log, clock, settings = SqliteLog(_there(db)), SystemClock(), load(config)
    before = _alert(log, alert_id)
    ledger.send(log, clock, before.id, action, note)
    end, role = log.end("commands"), Role(db, "stages")
    if role.take():
        runner = Runner(decide.plan(settings), log, clock)
        while log.position("decide", "commands") < end and runner.step():
            pass
    done = sleep_until(lambda: log.position("decide", "commands") >= end, 10)
    role.leave()
    after = _alert(log, before.id)
    say(_t("said.now_is", id=after.id[:8], state=_t(f"state.{after.state}")))
    if not done:
        say(_t("said.not_done", id=after.id[:8]), error=True)
        raise typer.Exit(1)


def _alert(log: Log, beginning: str) -> Alert:
    from tingchao.alerts import ledger

    found: list[Alert] = [alert for name, alert in ledger.alerts(log).items() if name.startswith(beginning)]
    if not found:
        raise Refused(_t("said.no_alert", id=beginning))
    if len(found) > 1:
        raise Refused(_t("said.several_alerts", id=beginning, count=len(found)))
    return found[0]


@dead_app.command("list", help=_help("dead_list"))
def dead_list(json: AsJson = False, config: ConfigDir = None, db: Database = DB) -> None:  # noqa: ARG001
    letters = dead_letters.letters(SqliteLog(_there(db)))
    if json:
        sys.stdout.write(shows.json_lines(letters))
    elif letters:
        shows.console().print(shows.dead_table(letters, LANGUAGE))
    else:
        say(_t("said.none_found"))


@dead_app.command("replay", help=_help("dead_replay"))
def dead_replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=_help("dead_ids"))] = None,
    config: ConfigDir = None,  # noqa: ARG001 every command takes it
    db: Database = DB,
) -> None:
    log = SqliteLog(_there(db))
    count = dead_letters.replay(log, SystemClock(), ids or [])
    say(_t("said.replayed", count=count))
    if left := len(dead_letters.letters(log)):
        say(_t("said.not_replayable", count=left))
    _tell_waiting(log, db)


def _tell_waiting(log: Log, db: Path) -> None:
    """Say that posts wait for their stages, when nobody runs these."""
    from tingchao.pipeline.roles import Role

    waiting = log.end("posts") - log.position("score", "posts")
    if waiting and not Role(db, "stages").held():
        say(_t("said.waiting", count=waiting))


# ---------------------------------------------------------------- models, configuration, machine


@app.command(help=_help("train"))
def train(
    data: DataFolder,
    to: Annotated[Path | None, typer.Option("--out", help=_help("out"))] = None,
    seed: Annotated[int, typer.Option(help=_help("seed"))] = 0,
) -> None:
    from tingchao.models import train as training

    out(str(training.train(data, to or Path(training.__file__).parent, seed, say)))


@app.command(help=_help("evaluate"))
def evaluate(data: DataFolder) -> None:
    from tingchao.models import evaluate as evaluation

    report = evaluation.evaluate(data)
    out(str(report))
    raise typer.Exit(0 if report.floors_hold else 1)


@app.command(help=_help("check"))
def check(config: ConfigDir = None, db: Database = DB) -> None:  # noqa: ARG001 every command takes it
    from tingchao.crawlers.run import kinds

    settings, known = load(config), sorted(kinds())
    strange = [source for source in settings.sources if source.kind not in known]
    if strange:
        expected = ", ".join(known)
        raise ConfigError(
            f"sources.toml: source ({one.name}).kind: expected one of {expected}; got {one.kind!r}" for one in strange
        )
    counts = {"sources": settings.sources, "topics": settings.topics, "rules": settings.rules}
    sizes = {name: len(values) for name, values in counts.items()}
    out(_t("said.config_right", channels=len(settings.main.notify), **sizes))


@app.command(help=_help("doctor"))
def doctor(config: ConfigDir = None, db: Database = DB) -> None:
    from tingchao.pipeline.doctor import examine

    findings = list(examine(config, db))
    for finding in findings:
        out(f"{'✓' if finding.well else '✗'} {_t(f'doctor.{finding.what}')}: {finding.message}")
    raise typer.Exit(0 if all(finding.well for finding in findings) else 1)


# ---------------------------------------------------------------- small parts


def say(message: str, *, error: bool = False) -> None:
    """A line for people; on standard error where it would stand between results."""
    shows.console(error=error).print(message)


def out(message: str) -> None:
    """The result of a command."""
    sys.stdout.write(message.rstrip("\n") + "\n")


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _arguments(config: Path | None, db: Path, clock: str) -> tuple[str, ...]:
    given = ["--db", str(db)]
    if config is not None:
        given += ["--config", str(config)]
    if clock:
        given += ["--clock", clock]
    return tuple(given)


def _there(db: Path) -> Path:
    if not db.exists():
        raise Refused(f"database {db}: not there; run 'tingchao up' or 'tingchao ingest' first, or give --db")
    return db


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value and value not in known:
        raise Refused(f"{option} {value!r}: expected one of {', '.join(known)}")


@contextmanager
def _progress() -> Iterator[Any]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shows.console(error=True), refresh_per_second=4) as bar:
        yield bar


def main() -> None:
    """Exit codes: 0 done, 1 it could not be done and the message says why, 2 wrong usage."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(os.environ.get("TINGCHAO_LOG", "WARNING").upper()),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            # Plain: the other formatter prints local variables, and so the text of posts.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        app()
    except ConfigError as err:
        say(_t("said.config_wrong"), error=True)
        for mistake in err.mistakes:
            say(f"  {mistake}", error=True)
        sys.exit(1)
    except (TingchaoError, ModelError) as err:
        say(_t("said.error", message=err), error=True)
        sys.exit(1)
    except BrokenPipeError:  # `tingchao search … | head`
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
