"""When each source is visited: APScheduler in the crawl process, on real time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from tingchao.config.sources import Source
from tingchao.pipeline.clock import BEIJING, Clock

STAGGER = timedelta(milliseconds=200)  # between the first visits, so that a start does not ask for all names at once


class Schedule:
    """One job a source; a visit that outlasts the interval is not doubled, and missed ones are made up once."""

    def __init__(self, sources: Sequence[Source], visit: Callable[[Source], Awaitable[None]], real: Clock) -> None:
        self._real = real
        self._scheduler = AsyncIOScheduler(timezone=BEIJING)
        self._visit = visit
        self._jobs: dict[str, Job] = {}
        self._sources = sources

    def start(self, wait: Callable[[Source], timedelta]) -> None:
        """Begin; `wait` says how long the first visit of a source has still time. Needs a running event loop."""
        for place, source in enumerate(self._sources):
            first = self._real.now() + max(wait(source), STAGGER * place)
            self._jobs[source.name] = self._scheduler.add_job(
                self._visit,
                IntervalTrigger(seconds=source.every.total_seconds(), start_date=first, timezone=BEIJING),
                args=[source],
                id=source.name,
                next_run_time=first,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=max(1, int(source.every.total_seconds())),
            )
        self._scheduler.start()

    def plan(self, source: Source, wait: timedelta) -> timedelta | None:
        """How long until the next visit, which is put off to `wait` from now if it would come earlier."""
        job = self._jobs.get(source.name)
        planned: datetime | None = getattr(job, "next_run_time", None)
        if job is None or planned is None:
            return None
        now = self._real.now()
        if planned < now + wait:
            planned = now + wait
            job.modify(next_run_time=planned)
        return max(planned - now, timedelta())

    def stop(self) -> None:
        """No further visits begin."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def first_wait(source: Source, last: datetime | None, clock: Clock) -> timedelta:
    """How long the first visit after a start has time: what is left of the interval since the last one, really."""
    if last is None:
        return timedelta()
    passed = (clock.now() - last) / float(getattr(clock, "speed", 1.0))
    return max(source.every - passed, timedelta()) if timedelta() <= passed else timedelta()
