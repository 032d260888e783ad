"""Due visits as records: taken once, kept until they are made, whoever makes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tingchao.config.sources import Source
from tingchao.crawlers.jobs import Due, Jobs, until_next
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.records import Fetch

NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


def source(name: str = "water", url: str = "http://a.example/feed", every: float = 600) -> Source:
    return Source(name=name, kind="feed", url=url, topics=["*"], every=timedelta(seconds=every))


def names(due: tuple[Due, ...]) -> list[str]:
    return [one.job.source for one in due]


def test_a_published_job_is_taken_once(log: Log, clock: ManualClock) -> None:
    jobs = Jobs(log, clock)
    jobs.look()
    jobs.publish(source())
    jobs.publish(source("power", "http://b.example/"))
    taken = jobs.look().due
    assert sorted(names(taken)) == ["power", "water"]
    assert {one.job.planned_at for one in taken} == {clock.now()}
    assert jobs.look().due == ()
    jobs.close()


def test_what_was_taken_and_not_made_is_made_after_a_restart_and_then_no_more(log: Log, clock: ManualClock) -> None:
    first = Jobs(log, clock)
    first.publish(source())
    first.publish(source("power", "http://b.example/"))
    taken = {one.job.source: one for one in first.look().due}
    first.done(taken["power"])
    first.close()

    second = Jobs(log, clock)
    (left,) = second.look().due
    assert left.job == taken["water"].job
    second.done(left)
    second.close()

    third = Jobs(log, clock)
    assert third.look().due == ()
    third.close()


def test_a_job_that_waits_and_one_that_is_left_are_one_visit(log: Log, clock: ManualClock) -> None:
    first = Jobs(log, clock)
    first.publish(source())
    first.look()
    first.close()
    second = Jobs(log, clock)
    second.publish(source())
    assert names(second.look().due) == ["water"]
    second.close()


def test_the_one_that_plans_hears_of_each_fetch_once(log: Log, clock: ManualClock) -> None:
    fetch = Fetch(source="water", url="http://a.example/feed", at=clock.now(), outcome="ok")
    log.publish([output("fetches", "water", fetch)], clock.now())
    jobs = Jobs(log, clock)
    news = jobs.look()
    assert news.leads
    assert news.fetches == (fetch,)
    assert jobs.look().fetches == ()
    jobs.close()


@given(st.floats(-1000, 100_000), st.integers(1, 3600), st.sampled_from([1.0, 60.0]))
def test_the_next_visit_is_never_further_than_one_interval(passed: float, every: int, speed: float) -> None:
    now = NOON + timedelta(seconds=passed)
    assert 0 < until_next(source(every=every), NOON, now, speed) <= every


def test_the_next_visit_counts_from_the_planned_time() -> None:
    assert until_next(source(every=600), NOON, NOON + timedelta(seconds=60), 1.0) == 540
    assert until_next(source(every=600), NOON, NOON + timedelta(seconds=660), 1.0) == 540  # it took longer than that
    assert until_next(source(every=600), NOON, NOON + timedelta(minutes=60), 60.0) == 540
