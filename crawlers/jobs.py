"""Due visits are records: one member of the group `schedule` writes them to [jobs], the members of `visits` share them.

A job is keyed by its site, so that a site belongs to one process at a time and politeness towards it is kept by that
process alone. A job that was taken stays in the keyed state until its visit has ended: when the process dies, whoever
takes over its partition makes the visit.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from tingchao.config.sources import Source
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.flow import READS
from tingchao.pipeline.log import Batch, Log, output
from tingchao.pipeline.records import Fetch, Job, decode, encode

_AT_ONCE = 200  # records read at once; there are some dozens of sources


class Due(NamedTuple):
    """A job that this process has taken."""

    partition: int
    job: Job


class News(NamedTuple):
    """What has changed since the last look."""

    leads: bool  # this process plans the visits
    fetches: tuple[Fetch, ...]  # that the one that plans should hear of
    due: tuple[Due, ...]
    kept: frozenset[int]  # partitions that this process holds; visits of others belong to somebody else now


class Jobs:
    """The jobs as one process sees them. Its methods may be called from any thread, one at a time."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._plans, self._visits = (log.reader(group, READS[group]) for group in ("schedule", "visits"))
        self._held: frozenset[int] = frozenset()
        self._lock = threading.Lock()

    def look(self) -> News:
        """What is new. Raises Retry when the log cannot be read now."""
        with self._lock:
            heard = self._plans.read(_AT_ONCE)
            fetches = tuple(decode(Fetch, one.value) for one in heard.entries) if heard is not None else ()
            if heard is not None:
                self._plans.commit(heard, (), {}, self._clock.now())
            taken = self._take()
            held = frozenset(self._visits.partitions())
            arrived = (held - self._held) | (held & self._visits.moved())
            left = [one for partition in sorted(arrived) for one in self._left(partition)]
            self._held = held
            known = {one.job.source for one in left}
            due = (*left, *(one for one in taken if one.job.source not in known))
            return News(bool(self._plans.partitions()), fetches, due, held)

    def publish(self, source: Source) -> None:
        """A visit is due. Raises Retry."""
        with self._lock:
            now = self._clock.now()
            job = Job(source=source.name, planned_at=now)
            self._log.publish([output("jobs", urlsplit(source.url).netloc, job)], now)

    def done(self, due: Due) -> None:
        """The visit has ended. Raises Retry."""
        with self._lock:
            if due.partition in self._visits.partitions():
                self._visits.commit(Batch(due.partition, ()), (), {due.job.source: None}, self._clock.now())

    def close(self) -> None:
        self._plans.close()
        self._visits.close()

    def _take(self) -> list[Due]:
        batch = self._visits.read(_AT_ONCE)
        if batch is None:
            return []
        jobs = {job.source: job for job in (decode(Job, one.value) for one in batch.entries)}
        state = {name: encode(job) for name, job in jobs.items()}
        self._visits.commit(batch, (), state, self._clock.now())
        return [Due(batch.partition, job) for job in jobs.values()]

    def _left(self, partition: int) -> list[Due]:
        """Jobs that the one before has taken and not done; with those that were taken just now."""
        found = [value for name, value in self._visits.state(partition).items() if not name.startswith("#")]
        return [Due(partition, decode(Job, value)) for value in found]


def until_next(source: Source, planned_at: datetime, now: datetime, speed: float) -> float:
    """Seconds of real time until the next regular visit, from the time of a planned one; both by a clock of `speed`."""
    passed = (now - planned_at).total_seconds() / speed
    every = source.every.total_seconds()
    return every - max(0.0, passed) % every
