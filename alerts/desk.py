"""What the pages and the JSON interface ask for and do: the view, a search, an action on an alert."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request

from tingchao.alerts import ledger
from tingchao.alerts.decide import NEXT
from tingchao.alerts.follower import Follower, View
from tingchao.alerts.picture import Pictures
from tingchao.alerts.precedents import precedents
from tingchao.alerts.verdict import judge
from tingchao.config.language import LANGUAGES
from tingchao.config.settings import Settings
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import Alert, Scored, State
from tingchao.pipeline.store import Store

LANGUAGE_COOKIE = "tingchao_language"
ACTIONS = ("acknowledge", "in_hand", "resolve", "false_alarm", "reopen")

T = TypeVar("T")


def fitting(state: State) -> tuple[str, ...]:
    """The actions that an alert in this state takes, in the order of their buttons."""
    return tuple(action for action in ACTIONS if (state, action) in NEXT)


class Desk:
    """Log and store are each used by one thread of their own, so that a long search holds up nothing else."""

    def __init__(
        self,
        settings: Settings,
        open_log: Callable[[], Log],
        open_store: Callable[[], Store],
        clock: Clock,
        follower: Follower,
    ) -> None:
        self.settings, self.clock = settings, clock
        self.pictures = Pictures(lambda alert: precedents(alert, follower.alerts.values()))
        self._follower = follower
        self._open_log, self._open_store = open_log, open_store
        self._log: Log | None = None
        self._store: Store | None = None
        self._texts: Store | None = None  # the writer's own: a store is used by one thread
        self._writer = ThreadPoolExecutor(1, "page-log")
        self._finder = ThreadPoolExecutor(1, "page-store")

    @property
    def view(self) -> View:
        """What is known now; the same object as long as nothing changed."""
        return self._follower.view

    @property
    def alerts(self) -> dict[str, Alert]:
        """All alerts by id."""
        return self._follower.alerts

    def language(self, request: Request) -> str:
        """The reader's choice, else the installation's language."""
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        return chosen if chosen in LANGUAGES else self.settings.main.language

    async def send(self, alert: str, action: str, note: str = "") -> str:
        """Publish what staff did; the command's id. Raises Refused, see `ledger.send`, and Retry."""
        if action not in ACTIONS:
            raise Refused(f"action {action!r}: expected one of {', '.join(ACTIONS)}")
        return await self._in(self._writer, lambda: self._send(alert, action, note))

    async def judge(self, alert: str, verdict: str, post: str = "", signals: Sequence[str] = (), note: str = "") -> str:
        """Publish a verdict; the command's id. Raises Refused, see `verdict.judge`, and Retry."""
        return await self._in(self._writer, lambda: self._judge(alert, verdict, post, signals, note))

    async def search(self, query: Query) -> tuple[list[Scored], int]:
        """Hits of one page and how many there are in all. Raises Retry."""
        return await self._in(self._finder, lambda: self._search(query))

    def close(self) -> None:
        """Give the threads up; what they hold is closed by them."""
        self._writer.submit(self._close)
        self._writer.shutdown(wait=False)
        self._finder.shutdown(wait=False, cancel_futures=True)

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _send(self, alert: str, action: str, note: str) -> str:
        self._log = self._log or self._open_log()
        return ledger.send(self._log, self.clock, alert, action, note)

    def _judge(self, alert: str, verdict: str, post: str, signals: Sequence[str], note: str) -> str:
        self._log = self._log or self._open_log()
        self._texts = self._texts or self._open_store()
        return judge(self._log, self._texts, self.clock, alert, verdict, post=post, signals=signals, note=note)

    def _search(self, query: Query) -> tuple[list[Scored], int]:
        self._store = self._store or self._open_store()
        return self._store.search(query), self._store.count(query)

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
        if self._texts is not None:
            self._texts.close()
