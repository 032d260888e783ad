"""`tingchao up` and `tingchao run`: which roles there are, and how they share processes.

On one SQLite file everything is three processes: web and notify; score, watch and decide; crawl and index. Measured on
2 cores: indexing beside scoring in one process makes 2,800 posts a second, in another one 3,450, for want of Python's
lock; crawling leaves its processor idle most of the time.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tingchao.config.language import Said
from tingchao.config.settings import Settings, load
from tingchao.pipeline.backends import locks, open_log, open_store, scorer_in_use
from tingchao.pipeline.clock import Clock, clock_from
from tingchao.pipeline.commands.base import DB, ClockText, ConfigDir, Database, app, help_of, say, t
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.flow import flow
from tingchao.pipeline.health import serve
from tingchao.pipeline.log import Log
from tingchao.pipeline.logs import log_from
from tingchao.pipeline.roles import (
    HELD,
    ROLES,
    Child,
    Family,
    Retention,
    Role,
    collect_rarely,
    keep_running,
    patiently,
    run_stages,
    sleep_until,
    stop_with_parent,
)
from tingchao.pipeline.stage import Plan
from tingchao.pipeline.store import Store

CHAIN = ("score", "watch", "decide")  # one process: they hand on to each other and share what they import
CHILDREN = (CHAIN, ("crawl", "index"))
_LEVEL = "INFO"  # of the log of the running program: also who was told of an alert, and who was not


@dataclass(frozen=True)
class Work:
    """What every role of a process needs."""

    settings: Settings
    db: Path
    clock: Clock
    stop: threading.Event

    def locks(self, names: Sequence[str]) -> list[Role]:
        return locks(self.settings, self.db, names)

    def log(self) -> Log:
        """Waits for a server that is not there yet."""
        return patiently("log", partial(open_log, self.settings, self.db), self.stop)

    def store(self) -> Store:
        return patiently("store", partial(open_store, self.settings, self.db), self.stop)


@app.command(help=help_of("up"))
def up(config: ConfigDir = None, db: Database = DB, clock: ClockText = "") -> None:
    log_from(_LEVEL)
    work = Work(load(config), db, clock_from(clock), _stop_on_signals())
    holders = work.locks(["web"])
    for holder in holders:
        holder.take_or_refuse()
    family = Family([Child(roles, arguments(config, db, clock)) for roles in CHILDREN])

    def once_the_page_answers() -> None:
        page = work.settings.main.page
        say(t("said.up", url=f"http://{page.host}:{page.port}"))
        _aside(work, "notify")
        family.watch(work.stop)

    try:
        _web(work, once_the_page_answers)
    finally:
        work.stop.set()
        family.stop()
        for holder in holders:
            holder.leave()
        say(t("said.stopped"))


@app.command(help=help_of("run"))
def run(
    roles: Annotated[list[str], typer.Argument(metavar="ROLE", help=help_of("roles"))],
    config: ConfigDir = None,
    db: Database = DB,
    clock: ClockText = "",
    health: Annotated[str, typer.Option(envvar="TINGCHAO_HEALTH", metavar="[HOST:]PORT", help=help_of("health"))] = "",
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    if unknown := [role for role in roles if role not in ROLES]:
        raise Refused(Said("error.roles", roles=", ".join(unknown), known=", ".join(ROLES)))
    log_from(_LEVEL)
    stop = _stop_on_signals()
    if child:
        stop_with_parent(stop)
    work = Work(load(config), db, clock_from(clock), stop)
    front, *behind = _grouped(roles)
    holders = work.locks(front)  # as long as this stands, they are held
    # Two seconds: somebody may just be asking who holds it.
    if not all(sleep_until(lambda holder=holder: stop.is_set() or holder.take(), 2) for holder in holders):  # type: ignore[misc]
        raise typer.Exit(HELD)
    if health:
        serve(health)
    collect_rarely()
    for names in behind:
        _aside(work, *names)
    _do(work, front)


def _grouped(roles: Sequence[str]) -> list[tuple[str, ...]]:
    """The roles that share a thread; the first group gets the main thread, which web and crawl must have."""
    chain = tuple(role for role in CHAIN if role in roles)
    alone = [(role,) for role in ("web", "crawl", "index", "notify") if role in roles]
    return sorted([*alone, chain] if chain else alone, key=lambda names: names[0] not in {"web", "crawl"})


def _aside(work: Work, *names: str) -> None:
    """Run the roles in a thread of their own as soon as nobody else holds them."""

    def wait_and_do() -> None:
        holders = work.locks(names)
        while not work.stop.is_set() and not all(holder.take() for holder in holders):
            work.stop.wait(0.5)
        try:
            _do(work, names)
        finally:
            for holder in holders:
                holder.leave()

    thread = threading.Thread(target=keep_running, args=(names[0], wait_and_do, work.stop), daemon=True, name=names[0])
    thread.start()


def _do(work: Work, names: Sequence[str]) -> None:
    """Do the work of roles that share a thread, until told to stop."""
    single: dict[str, Callable[[Work], None]] = {"web": _web, "crawl": _crawl, "index": _index, "notify": _notify}
    if names[0] in single:
        single[names[0]](work)
    else:
        run_stages(_chain(work, names), work.log(), work.clock, work.stop, lambda: None)


def _chain(work: Work, names: Sequence[str]) -> list[Plan]:
    settings, plans = work.settings, list[Plan]()
    if "score" in names:
        from tingchao.pipeline import score

        plans.append(score.plan(settings, scorer_in_use(settings, work.db)))
    if "watch" in names:
        from tingchao.alerts import sources, watch

        plans += [watch.plan(settings), sources.plan(settings)]
    if "decide" in names:
        from tingchao.alerts import decide

        plans.append(decide.plan(settings))
    return plans


def _index(work: Work) -> None:
    from tingchao.pipeline import index

    log, store = work.log(), work.store()
    retention = Retention(tuple(flow()), log, store, work.settings.main.keep, work.clock)
    run_stages([index.plan(store)], log, work.clock, work.stop, retention)


def _crawl(work: Work) -> None:
    from tingchao.crawlers.run import crawl_forever

    crawl_forever(work.settings, work.log, work.clock, work.stop, say)


def _notify(work: Work) -> None:
    """One thread a channel: a slow one delays nobody else, and one that fails begins anew."""
    from tingchao.alerts import notify

    def thread(plan: Plan) -> threading.Thread:
        def send() -> None:
            run_stages([plan], work.log(), work.clock, work.stop, lambda: None)

        return threading.Thread(target=keep_running, args=(plan.name, send, work.stop), daemon=True, name=plan.name)

    channels = [thread(plan) for plan in notify.plans(work.settings, say, work.clock)]
    for channel in channels:
        channel.start()
    work.stop.wait()
    for channel in channels:
        channel.join(3)


def _web(work: Work, once_it_answers: Callable[[], None] = lambda: None) -> None:
    from tingchao.alerts import page

    # It does not wait for servers: it says which is away.
    log, store = partial(open_log, work.settings, work.db), partial(open_store, work.settings, work.db)
    page.serve(work.settings, log, store, work.clock, work.stop, once_it_answers)


def arguments(config: Path | None, db: Path, clock: str) -> tuple[str, ...]:
    """The options with which a child process gets the same configuration, file and clock."""
    given = ["--db", str(db)]
    if config is not None:
        given += ["--config", str(config)]
    if clock:
        given += ["--clock", clock]
    return tuple(given)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
