"""Processes of one installation: who holds which role, how they are started, watched over and stopped.

A role (crawl, score, index, watch, decide, notify, web) of one database file is held by one process at a time, by a
lock that the system frees when its holder dies. A child process stops when its standard input ends, so none outlives
the one that started it.
"""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

import structlog

from tingchao.config.language import Said
from tingchao.config.settings import KeepSettings
from tingchao.pipeline import metrics
from tingchao.pipeline.clock import Clock, stopwatch
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.health import HEALTH
from tingchao.pipeline.log import Log
from tingchao.pipeline.logs import quiet
from tingchao.pipeline.records import ACTIVE, Alert, Dead, decode
from tingchao.pipeline.stage import Plan, Runner
from tingchao.pipeline.store import Store
from tingchao.pipeline.voice import destroy_keys

logger = structlog.get_logger()
_POLL = 0.05  # seconds between looks at an idle log: far below the 2 s that an alert may take in all
_STOP_SECONDS = 3.0  # then a child is killed; its transactions make that harmless
_AGAIN = 5.0  # seconds before a thread that failed begins anew
_NEW_OBJECTS = 100_000  # between two looks at the youngest ones; they take some 10 MB. Python's own: 700
HELD = 3  # exit code of a child that found its role held by another process
_MEASURE_EVERY = 5.0  # seconds; Prometheus usually asks every 15
_RETENTION_EVERY = timedelta(hours=1)
_RETENTION_AGAIN = timedelta(minutes=1)  # after a look that found a stage behind; each look asks the log some 20 times
Made = TypeVar("Made")
ROLES = ("crawl", "score", "index", "watch", "decide", "notify", "web")


class Role:
    """The lock of one role of one database file."""

    def __init__(self, database: Path, name: str) -> None:
        self.name = name
        self._path = database.with_name(f"{database.name}-{name}.lock")
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Hold the role until `leave` or the end of this process; False when another process holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return True

    def held(self) -> bool:
        """Whether some process holds it now."""
        if self._file is not None:
            return True
        if taken := self.take():
            self.leave()
        return not taken

    def leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def take_or_refuse(self) -> None:
        """Raises Refused, naming the process that holds it."""
        if not self.take():
            holder = self._path.read_text().strip() or "?"
            raise Refused(Said("error.taken", file=self._path, process=holder))


@dataclass(frozen=True, slots=True)
class Child:
    """How roles that share a process are started: the arguments behind `tingchao run ROLE...`."""

    roles: tuple[str, ...]
    arguments: tuple[str, ...]
    quiet: bool = False  # it works behind a command, which says what it should

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tingchao.pipeline.cli", "run", *self.roles, "--child", *self.arguments]
        # A session of its own: Ctrl-C reaches the parent alone, which then ends the children's standard input.
        env = quiet() if self.quiet else None
        return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env=env)  # noqa: S603 our own program


class Family:
    """Child processes that are started again when they die, until `stop`."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children: dict[Child, subprocess.Popen[bytes]] = {}
        self._again: dict[Child, float] = {}
        self._waits = dict.fromkeys(children, 1.0)

    def look(self) -> None:
        """Start again what died, after 1 s, then 2, 4 … 30."""
        for child, process in list(self._children.items()):
            if process.poll() is None:
                continue
            if child not in self._again:
                wait = self._waits[child]
                self._waits[child] = min(30.0, 2 * wait)
                self._again[child] = stopwatch() + wait
                logger.error("role.died", roles=child.roles, code=process.returncode, again_in=wait)
            elif stopwatch() >= self._again[child]:
                del self._again[child]
                self._children[child] = child.start()

    def watch(self, stop: threading.Event) -> None:
        """Start them, and see to it that they run until `stop`."""
        self._children = {child: child.start() for child in self._waits}
        while not stop.wait(0.3):
            self.look()

    def stop(self) -> None:
        """Let them end, all at the same time."""
        for process in self._children.values():
            with suppress(OSError):
                assert process.stdin is not None
                process.stdin.close()
        until = stopwatch() + _STOP_SECONDS
        for process in self._children.values():
            try:
                process.wait(max(0.1, until - stopwatch()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def stop_with_parent(stop: threading.Event) -> None:
    """Set `stop` when standard input ends: the parent wants it, or is gone."""

    def wait() -> None:
        with suppress(OSError, ValueError):
            while os.read(0, 1024):
                pass
        stop.set()

    threading.Thread(target=wait, daemon=True, name="parent").start()


def collect_rarely() -> None:
    """Look for cycles of garbage more rarely, once a process: a stage makes many records and hardly a cycle.

    By the usual thresholds `watch` with 2,000 topics spent a tenth of its time on that (bench/load.py).
    """
    gc.freeze()  # what is there now stays: modules and settings
    gc.set_threshold(_NEW_OBJECTS, 50, 50)


def patiently(name: str, make: Callable[[], Made], stop: threading.Event) -> Made:
    """What `make` gives, which is tried again while it raises Retry: a server may come up after us.

    Until then the process is not ready. Raises Retry when it is told to stop before.
    """
    complaint = ""
    while True:
        try:
            made = make()
        except Retry as err:
            if str(err) != complaint:  # the same complaint once
                complaint = str(err)
                logger.warning("role.waits", name=name, error=complaint, after=err.after)
            HEALTH.turned(name, complaint)
            if stop.wait(err.after):
                raise
        else:
            if complaint:
                HEALTH.left(name)
            return made


def run_stages(
    plans: Sequence[Plan], log: Log, clock: Clock, stop: threading.Event, chores: Callable[[], None]
) -> None:
    """Run the stages in turn in this thread until `stop`; `chores` is called whenever nothing waits to be done."""
    runners = [patiently(plan.name, partial(Runner, plan, log, clock), stop) for plan in plans]
    measured = 0.0
    try:
        while not stop.is_set():
            stepped = [_turn(runner) for runner in runners]
            if stopwatch() - measured > _MEASURE_EVERY:
                measured = stopwatch()
                _measure_lag(runners)
            if not any(stepped):
                chores()
                stop.wait(_POLL)
    finally:
        for runner in runners:
            HEALTH.left(runner.name)
            runner.close()


def _turn(runner: Runner) -> bool:
    did = runner.step()
    HEALTH.turned(runner.name, runner.trouble)
    return did


def _measure_lag(runners: Sequence[Runner]) -> None:
    with suppress(Retry):  # the runner's own try tells of it
        for runner in runners:
            for topic, waiting in runner.lag().items():
                metrics.LAG.labels(runner.name, topic).set(waiting)


def keep_running(name: str, work: Callable[[], None], stop: threading.Event) -> None:
    """Do the work until `stop`; when it fails, say so and begin anew after a while."""
    while not stop.is_set():
        try:
            work()
        except Exception:  # whatever it is: alerts must go out again
            logger.exception("thread.failed", name=name, again_in=_AGAIN)
            stop.wait(_AGAIN)


class Retention:
    """Lets data age out, once an hour and only when the stages of `flow` have read all: nothing unread is dropped."""

    def __init__(
        self, flow: Sequence[tuple[str, str]], log: Log, store: Store, keep: KeepSettings, clock: Clock
    ) -> None:
        self._reads = flow
        self._log, self._store, self._keep, self._clock = log, store, keep, clock
        self._again: datetime | None = None

    def __call__(self) -> None:
        now = self._clock.now()
        if self._again is not None and now < self._again:
            return
        self._again = now + _RETENTION_AGAIN
        try:
            keys = destroy_keys(self._log, now - self._keep.lateness)
            if any(self._log.position(group, topic) < self._log.end(topic) for group, topic in self._reads):
                return
            self._again = now + _RETENTION_EVERY
            entries = self._log.trim(now - self._keep.log)
            posts = self._store.delete_before(now - self._keep.posts)
            self._log.forget("alerts", list(_ended(self._log, now - self._keep.posts)))
            self._log.forget("verdicts", list(_judged(self._log, now - self._keep.verdicts)))
            self._log.forget("dead", list(_buried(self._log, now - self._keep.posts)))
        except Retry as err:
            logger.warning("retention.retry", error=str(err))
            return
        if entries or posts or keys:
            logger.info("retention.done", log_entries=entries, posts=posts, voice_keys=keys)


def _ended(log: Log, before: datetime) -> Iterator[str]:
    """Alerts that ended long ago: they hold excerpts of posts, and age out with them."""
    for entry in log.newest("alerts"):
        if entry.at < before and decode(Alert, entry.value).state not in ACTIVE:
            yield entry.key


def _judged(log: Log, before: datetime) -> Iterator[str]:
    """Examples for training: they hold the text of a post, and age out too."""
    return (entry.key for entry in log.newest("verdicts") if entry.at < before)


def _buried(log: Log, before: datetime) -> Iterator[str]:
    """Dead letters that were put back, or that nobody wanted for as long as a post is kept."""
    for entry in log.newest("dead"):
        if entry.at < before or decode(Dead, entry.value).replayed_at is not None:
            yield entry.key


class Helpers:
    """Sees to it that somebody runs what the children would: processes that hold the roles already, or the children."""

    def __init__(self, database: Path, children: Sequence[Child]) -> None:
        self._helpers = [_Helper(child, [Role(database, name) for name in child.roles]) for child in children]
        self._looked = 0.0

    def alive(self) -> None:
        """Raises Refused when a child ended with an error."""
        if stopwatch() - self._looked >= 0.5:
            self._looked = stopwatch()
            for helper in self._helpers:
                helper.alive()

    def stop(self) -> None:
        for helper in self._helpers:
            helper.tell()
        for helper in self._helpers:
            helper.end()


class _Helper:
    """One child that is started when nobody holds any of its roles."""

    def __init__(self, child: Child, roles: Sequence[Role]) -> None:
        self._child, self._roles = child, roles
        self._process: subprocess.Popen[bytes] | None = None

    def alive(self) -> None:
        code = None if self._process is None else self._process.poll()
        if code not in {None, 0, HELD}:
            names = ", ".join(self._child.roles)
            raise Refused(Said("error.helper", roles=names, code=code))
        if (self._process is None or code is not None) and not any(role.held() for role in self._roles):
            self._process = self._child.start()

    def tell(self) -> None:
        """Let it end."""
        if self._process is not None:
            with suppress(OSError):
                assert self._process.stdin is not None
                self._process.stdin.close()

    def end(self) -> None:
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
            if self._process.poll() is None:
                self._process.kill()


def sleep_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look every 50 ms; False when it did not come true in time."""
    until = stopwatch() + seconds
    while not condition():
        if stopwatch() > until:
            return False
        time.sleep(_POLL)
    return True
