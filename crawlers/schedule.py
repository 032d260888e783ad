"""When each source is due: APScheduler on real time, in the one process that plans."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from tingchao.config.sources import Source
from tingchao.pipeline.clock import BEIJING, Clock, speed

STAGGER = timedelta(milliseconds=200)  # between the first visits, so that a start does not ask for all names at once


class Schedule:
    """One timer a source; what was missed is made up once."""

    def __init__(self, sources: Sequence[Source], due: Callable[[Source], Awaitable[None]], real: Clock) -> None:
        self._real = real
        self._scheduler = AsyncIOScheduler(timezone=BEIJING)
        self._due = due
        self._jobs: dict[str, Job] = {}
        self._sources = sources

    def start(self, wait: Callable[[Source], timedelta]) -> None:
        """Begin; `wait` says how long the first visit of a source has still time. Needs a running event loop."""
        for place, source in enumerate(self._sources):
            first = self._real.now() + max(wait(source), STAGGER * place)
            self._jobs[source.name] = self._scheduler.add_job(
                self._due,
                IntervalTrigger(seconds=source.every.total_seconds(), start_date=first, timezone=BEIJING),
                args=[source],
                id=source.name,
                next_run_time=first,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=max(1, int(source.every.total_seconds())),
            )
        self._scheduler.start()

    def put_off(self, name: str, wait: timedelta) -> None:
        """The next visit of the source is not due before `wait` from now."""
        job = self._jobs.get(name)
        planned: datetime | None = getattr(job, "next_run_time", None)
        if job is not None and planned is not None and planned < self._real.now() + wait:
            job.modify(next_run_time=self._real.now() + wait)

    def stop(self) -> None:
        """No further visits begin."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def first_wait(source: Source, last: datetime | None, clock: Clock) -> timedelta:
    """How long the first visit after a start has time: what is left of the interval since the last one, really."""
    if last is None:
        return timedelta()
    passed = (clock.now() - last) / speed(clock)
    return max(source.every - passed, timedelta()) if timedelta() <= passed else timedelta()
