"""The log becomes what pages show: one thread reads what is new, and every open page looks at its view."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from tingchao.alerts.ledger import Ledger
from tingchao.alerts.outbox import ChannelState, channel_state
from tingchao.pipeline.clock import Clock, stopwatch
from tingchao.pipeline.errors import Retry
from tingchao.pipeline.flow import POSTS, WAY, channel_group, waiting
from tingchao.pipeline.log import Log
from tingchao.pipeline.records import ACTIVE, Alert, Fetch, decode

logger = structlog.get_logger()

EVERY = 0.3  # seconds between two looks at the alerts; with the page's own look an alert is seen within a second
STATUS_EVERY = 1.0  # seconds
RATE_OVER = timedelta(minutes=1)  # posts a minute are counted over the last minute of the clock
ENDED = 60  # ended and past alerts that a page lists; `tingchao alerts list` has them all


@dataclass(frozen=True, slots=True)
class Status:
    """How much comes in, and whether the stages keep up."""

    now: datetime
    rate: float = 0.0  # posts a minute
    last_post: datetime | None = None  # when it was written to the log
    waiting: int = 0  # posts on which some stage has not worked yet


@dataclass(frozen=True, slots=True)
class View:
    """What pages show; a new value each time that something changed."""

    status: Status
    active: tuple[Alert, ...] = ()  # the gravest first, then the newest
    ended: tuple[Alert, ...] = ()  # the newest first
    fetches: dict[str, Fetch] = field(default_factory=dict)  # the newest of each source
    channels: tuple[ChannelState, ...] = ()


class Follower(threading.Thread):
    """Keeps `view` up to date until `stop` is set. It owns its log."""

    def __init__(
        self, open_log: Callable[[], Log], channels: Sequence[str], clock: Clock, stop: threading.Event
    ) -> None:
        super().__init__(name="follower", daemon=True)
        self._open_log, self._channels, self._clock, self._stop_asked = open_log, channels, clock, stop
        self._samples: deque[tuple[datetime, int]] = deque()
        self._fetched = 0  # offset
        self.view = View(Status(clock.now()))
        self.alerts: dict[str, Alert] = {}
        self.ready = threading.Event()  # the log was read once

    def run(self) -> None:
        """The thread's work."""
        log: Log | None = None
        complaint = ""
        while not self._stop_asked.is_set():
            try:
                if log is None:
                    log = self._open_log()
                    ledger, looked = Ledger(log), 0.0
                looked = self._look(log, ledger, looked)
                complaint = ""
            except Retry as err:
                if complaint != str(err):
                    complaint = str(err)
                    logger.warning("page.retry", error=complaint)
                self._stop_asked.wait(err.after)
            except Exception:  # a page that no longer moves must say so, and go on
                logger.exception("page.follower")
                self._stop_asked.wait(5)
            self._stop_asked.wait(EVERY)
        if log is not None:
            log.close()

    def _look(self, log: Log, ledger: Ledger, looked: float) -> float:
        """One look; the status only when its time has come. The time of the last look at the status."""
        view = self.view
        if ledger.refresh() or not self.ready.is_set():
            self.alerts = dict(ledger.alerts)
            view = replace(view, active=_active(self.alerts), ended=_ended(self.alerts))
        if stopwatch() - looked >= STATUS_EVERY:
            looked = stopwatch()
            view = replace(view, status=self._status(log), fetches=self._fetches(log), channels=self._outboxes(log))
        if view is not self.view:
            self.view = view
        self.ready.set()
        return looked

    def _status(self, log: Log) -> Status:
        now, end = self._clock.now(), sum(map(log.end, POSTS))
        self._samples.append((now, end))
        while len(self._samples) > 2 and now - self._samples[1][0] >= RATE_OVER:
            self._samples.popleft()
        began, before = self._samples[0]
        minutes = max(now - began, RATE_OVER) / timedelta(minutes=1)
        newest = max((entry.at for topic in POSTS if (entry := log.last(topic)) is not None), default=None)
        return Status(now, (end - before) / minutes, newest, max(waiting(log, stage) for stage in WAY))

    def _fetches(self, log: Log) -> dict[str, Fetch]:
        entries = list(log.newest("fetches")) if not self._fetched else log.scan("fetches", self._fetched)
        if not entries:
            return self.view.fetches
        self._fetched = entries[-1].offset
        return self.view.fetches | {(fetch := decode(Fetch, entry.value)).source: fetch for entry in entries}

    def _outboxes(self, log: Log) -> tuple[ChannelState, ...]:
        found = tuple(channel_state(name, log.state(channel_group(name))) for name in self._channels)
        return self.view.channels if found == self.view.channels else found


def _active(alerts: dict[str, Alert]) -> tuple[Alert, ...]:
    found = [alert for alert in alerts.values() if alert.state in ACTIVE]
    return tuple(sorted(found, key=lambda alert: (-alert.level, -alert.since.timestamp(), alert.id)))


def _ended(alerts: dict[str, Alert]) -> tuple[Alert, ...]:
    found = [alert for alert in alerts.values() if alert.state not in ACTIVE]
    return tuple(sorted(found, key=lambda alert: (alert.updated_at, alert.id), reverse=True)[:ENDED])
