"""Robots are obeyed, and a site that asks for patience gets it."""

from __future__ import annotations

import importlib.util
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from scrapy.http import Response

from tingchao.crawlers.polite import Sites, retry_after
from tingchao.pipeline.clock import ManualClock

_spec = importlib.util.spec_from_file_location("local_site", Path(__file__).with_name("local_site.py"))
local_site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(local_site)
Page, STORY, NOON = local_site.Page, local_site.STORY, local_site.NOON
article, item, listing, rss = local_site.article, local_site.item, local_site.listing, local_site.rss
LIST = listing(("/bad", "海城地铁二号线突发故障停运"), ("/good", "海城自来水公司发布停水通知"))


@pytest.fixture
def site():
    with local_site.serving() as served:
        yield served


@pytest.fixture
def desk(tmp_path: Path, site: Any):
    made = local_site.Desk(tmp_path, site, timeout="0.5s")
    yield made
    made.log.close()


def silent(_handler: BaseHTTPRequestHandler):
    threading.Event().wait(1)


def moved(to: str):
    return Page(status=302, headers={"Location": to})


@pytest.mark.parametrize(
    ("robots", "expected", "decision"),
    [
        (Page("User-agent: *\nDisallow: /feed"), "robots", "disallowed: robots.txt 200"),
        (Page("User-agent: tingchao\nDisallow: /\n\nUser-agent: *\nAllow: /"), "robots", "disallowed: robots.txt 200"),
        (Page("User-agent: *\nDisallow: /other"), "ok", "allowed: robots.txt 200"),
        (Page("User-agent: *\nCrawl-delay: 0.01\nAllow: /"), "ok", "allowed: robots.txt 200, crawl-delay 0.01"),
        (Page("<html>not found</html>"), "ok", "allowed: robots.txt 200"),
        (Page(b"\xff\xfe\x00\x80\x81"), "ok", "allowed: robots.txt 200"),
        (Page(status=404), "ok", "allowed: robots.txt 404"),
        (Page(status=403), "ok", "allowed: robots.txt 403"),
        (Page(status=500), "robots_unavailable", "unavailable: robots.txt 500"),
        (Page(status=502), "robots_unavailable", "unavailable: robots.txt 502"),
        (Page(act=silent), "robots_unavailable", "unavailable: robots.txt timeout"),
        (moved("/robots.txt"), "robots_unavailable", "unavailable: robots.txt redirects"),
    ],
)
def test_robots_are_obeyed_and_the_decision_recorded(desk: Any, site: Any, robots: Any, expected: str, decision: str):
    site["/robots.txt"], site["/feed"] = robots, rss(item("停水", "明天停水", "/n/1"))
    desk.source("water", "feed", "/feed")

    for url in ["", f"{site.url}/feed"]:
        (fetch,) = desk.visit(url=url).values()
        assert (fetch.outcome, fetch.robots) == (expected, decision)
    assert site.counts()["/feed"] == (2 if expected == "ok" else 0)


def test_robots_forbid_an_article_behind_an_allowed_list(desk: Any, site: Any):
    site["/robots.txt"] = "User-agent: *\nDisallow: /bad"
    site["/list"], site["/good"] = LIST, article("海城自来水公司发布停水通知", STORY)
    desk.source("news", "site", "/list")

    assert desk.visit()["news"].outcome == "ok"
    (bad,) = [fetch for fetch in desk.fetches() if fetch.url.endswith("/bad")]
    assert (bad.outcome, bad.robots) == ("robots", "disallowed: robots.txt 200")
    assert site.counts()["/bad"] == 0


def test_a_redirect_to_where_robots_forbid_is_not_followed(desk: Any, site: Any):
    site["/robots.txt"] = "User-agent: *\nDisallow: /secret"
    site["/feed"], site["/secret"] = moved("/secret"), rss(item("停水", "明天停水", "/n/1"))
    desk.source("water", "feed", "/feed")

    assert desk.visit()["water"].outcome == "robots"
    assert site.counts()["/secret"] == 0


def test_a_site_that_asks_for_patience_gets_it_also_after_a_restart(desk: Any, site: Any):
    site["/feed"] = Page("slow down", 429, headers={"Retry-After": "3600"})
    desk.source("water", "feed", "/feed")

    first, second = desk.visit()["water"], desk.visit()["water"]

    assert (first.outcome, first.status) == ("status", 429)
    assert timedelta(minutes=59) < first.next_at - NOON <= timedelta(hours=1)
    assert first.message in {"water: 服务器答复 429，12:59 再试", "water: 服务器答复 429，13:00 再试"}
    assert second.outcome == "waiting"
    assert site.counts()["/feed"] == 1


def test_patience_asked_for_in_the_middle_ends_the_visit_and_loses_no_article(desk: Any, site: Any):
    links = [(f"/a/{n}", f"海城市民热线第{n}号来信办理情况公布") for n in range(6)]
    site["/list"] = Page(listing(*links), etag='"same"')
    for path, title in links:
        site[path] = article(title, STORY + title)
    good = site.pages["/a/2"]
    site["/a/2"] = Page("slow down", 429, headers={"Retry-After": "1"})
    desk.source("news", "site", "/list", every="1m")
    desk.visit()
    read = len(desk.posts())
    site["/a/2"] = good
    threading.Event().wait(1.1)  # patience is real time
    desk.clock.move(timedelta(minutes=2))
    desk.visit()

    assert read < 5
    assert len(desk.posts()) == len({post.id for post in desk.posts()}) == 6


def test_the_longer_of_two_delays_is_kept(desk: Any):
    sites = Sites(desk.crawl, ManualClock(NOON), {})
    assert sites.delay("http://a/x") == 0
    sites.hold("a", timedelta(minutes=2))
    sites.hold("a", timedelta(minutes=1))
    assert sites.held_for("a") == timedelta(minutes=2)
    assert sites.held_for("b") == timedelta()


@pytest.mark.parametrize(
    ("status", "given", "seconds"),
    [
        (429, "120", 120),
        (503, "120", 120),
        (429, "Sun, 01 Mar 2026 04:01:00 GMT", 60),
        (429, "Sun, 01 Mar 2026 03:00:00 GMT", 0),
        (429, "soon", 300),
        (429, "", 300),
        (503, "", None),
        (200, "120", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(status: int, given: str, seconds: int | None):
    headers = {"Date": "Sun, 01 Mar 2026 04:00:00 GMT"} | ({"Retry-After": given} if given else {})
    wait = retry_after(Response("http://a", status=status, headers=headers))
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


def test_a_robots_file_that_asks_for_patience_gets_it(desk: Any, site: Any):
    site["/robots.txt"] = Page(status=429, headers={"Retry-After": "60"})
    desk.source("water", "feed", "/feed")

    first, second = desk.visit()["water"], desk.visit()["water"]

    assert (first.outcome, first.robots) == ("robots_unavailable", "unavailable: robots.txt 429")
    assert second.outcome == "waiting"
    assert site.counts() == {"/robots.txt": 1}
