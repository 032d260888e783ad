"""Visits on schedule: what is said, when it is tried again, and that stopping is quick."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from local_site import NOON, STORY, Desk, Page, article, free_port, item, listing, rss

from tingchao.config.sources import Source
from tingchao.crawlers.outcome import ahead, clock_time
from tingchao.crawlers.run import crawl_forever
from tingchao.crawlers.schedule import first_wait
from tingchao.pipeline.clock import FastClock, ManualClock, SystemClock


@pytest.fixture
def desk(tmp_path: Path, site: Any):
    made = Desk(tmp_path, site)
    made.clock = SystemClock()
    yield made
    made.log.close()


class Crawling:
    """crawl_forever in a thread of its own, until told to stop."""

    def __init__(self, desk: Any) -> None:
        self.said: list[str] = []
        self.desk = desk
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=crawl_forever, args=(desk.settings, desk.open_log, desk.clock, self._stop, self.said.append)
        )

    def __enter__(self) -> Crawling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)  # 2 s by contract; more for a busy machine, and far less than any page here takes
        assert not self._thread.is_alive()

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(600):
            if holds():
                return
            threading.Event().wait(0.02)
        raise AssertionError(f"not within 12 s; said {self.said}, asked {self.desk.site.asked}")


def test_sources_are_visited_again_and_again_and_nothing_twice(desk: Any, site: Any, capfd: Any):
    site["/feed"] = rss(item("停水", "明天停水", "/n/1"))
    desk.source("water", "feed", "/feed", every="1s")

    with Crawling(desk) as crawling:
        crawling.until(lambda: len(desk.fetches()) >= 3)

    assert len(desk.posts()) == 1
    assert all(fetch.next_at is not None and fetch.next_at > fetch.at for fetch in desk.fetches())
    assert crawling.said == []
    assert capfd.readouterr() == ("", "")


def test_without_a_network_every_source_says_so_once_with_the_time_of_its_next_try(desk: Any, capfd: Any):
    dead = f"http://127.0.0.1:{free_port()}"
    for name in ["xinhua", "people", "weather"]:
        desk.source(name, "feed", f"{dead}/{name}", every="1s")
    desk.source("elsewhere", "site", "http://no-such-host.invalid/", every="10m")

    with Crawling(desk) as crawling:
        crawling.until(lambda: len(desk.fetches()) >= 8)

    assert len(crawling.said) == 4  # once, not at each of the tries
    assert {line.split(":")[0] for line in crawling.said} == {"xinhua", "people", "weather", "elsewhere"}
    assert all(re.fullmatch(r"\w+: 无法连接，\d\d:\d\d 再试", line) for line in crawling.said)
    assert capfd.readouterr() == ("", "")


def test_the_end_of_trouble_is_said_too(desk: Any, site: Any):
    site["/feed"] = Page("broken", 500)
    desk.source("water", "feed", "/feed", every="1s")

    with Crawling(desk) as crawling:
        crawling.until(lambda: len(crawling.said) == 1)
        site["/feed"] = rss(item("停水", "明天停水", "/n/1"))
        crawling.until(lambda: len(crawling.said) == 2)

    assert crawling.said[1] == "water: 恢复正常，新内容 1 条"


def test_it_stops_in_the_middle_of_a_slow_page_and_goes_on_there_after_a_start(desk: Any, site: Any, capfd: Any):
    reached, release = threading.Event(), threading.Event()

    def slow(_handler: BaseHTTPRequestHandler) -> None:
        reached.set()
        release.wait(30)

    desk.crawl = desk.crawl.model_copy(update={"timeout": timedelta(seconds=60)})
    site["/list"] = listing(("/a/1", "海城地铁二号线突发故障停运"), ("/a/2", "海城自来水公司发布停水通知"))
    site["/a/1"], site["/a/2"] = article("海城地铁二号线突发故障停运", STORY), Page(act=slow)
    desk.source("news", "site", "/list", every="10m")

    with Crawling(desk) as crawling:
        crawling.until(reached.is_set)
    release.set()
    interrupted = len(desk.fetches())
    site["/a/2"] = article("海城自来水公司发布停水通知", STORY)
    with Crawling(desk) as crawling:
        crawling.until(lambda: len(desk.posts()) == 2)
        crawling.until(lambda: len(desk.fetches()) == 1)

    assert interrupted == 0  # the visit was not finished, so it does not count as one
    assert site.counts()["/a/1"] == 1
    assert capfd.readouterr() == ("", "")


def test_it_stops_while_waiting_for_its_turn_and_for_a_polite_delay(desk: Any, site: Any):
    desk.crawl = desk.crawl.model_copy(update={"delay": timedelta(minutes=1)})
    for name in ["one", "two"]:
        desk.source(name, "feed", f"/{name}")

    with Crawling(desk) as crawling:
        crawling.until(lambda: site.counts()["/robots.txt"] == 1)


def test_a_restart_keeps_to_the_schedule(desk: Any, site: Any):
    site["/feed"] = rss(item("停水", "明天停水", "/n/1"))
    site["/now"] = rss(item("停电", "明天停电", "/n/1"))
    desk.source("water", "feed", "/feed", every="1h")
    desk.visit()
    desk.source("power", "feed", "/now", every="1h")

    with Crawling(desk) as crawling:
        crawling.until(lambda: len(desk.posts()) == 2)

    assert site.counts()["/feed"] == 1  # visited just now, due in an hour


def test_a_site_that_asks_for_patience_is_not_visited_before(desk: Any, site: Any):
    site["/feed"] = Page("slow down", 429, headers={"Retry-After": "1800"})
    desk.source("water", "feed", "/feed", every="1s")

    with Crawling(desk) as crawling:
        crawling.until(lambda: len(desk.fetches()) == 1)
        threading.Event().wait(2.5)  # more than two intervals

    (fetch,) = desk.fetches()
    assert fetch.next_at - fetch.at > timedelta(minutes=29)
    assert site.counts()["/feed"] == 1


def test_the_first_visit_waits_for_what_is_left_of_the_interval():
    source = Source(name="a", kind="feed", url="http://a/", topics=["*"], every=timedelta(minutes=10))
    clock = ManualClock(NOON)
    assert first_wait(source, None, clock) == timedelta()
    assert first_wait(source, NOON - timedelta(minutes=4), clock) == timedelta(minutes=6)
    assert first_wait(source, NOON - timedelta(minutes=40), clock) == timedelta()
    assert first_wait(source, NOON + timedelta(minutes=4), clock) == timedelta()  # the clock went back


def test_times_are_told_by_the_clock_that_people_see():
    fast = FastClock(NOON, datetime.now(UTC), 60.0)
    wait = ahead(fast, timedelta(minutes=1)) - fast.now()
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)
    assert clock_time(NOON, NOON) == "12:00"
    assert clock_time(NOON + timedelta(hours=13), NOON) == "03-02 01:00"
