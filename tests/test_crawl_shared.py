"""Real feeds, robots files and pages, served on loopback, go through from crawl to posts."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from local_site import NOON, Desk, Page, item, listing, rss
from protego import Protego

from tingchao.crawlers.entries import read_feed
from tingchao.pipeline.errors import Poison

pytestmark = pytest.mark.shared


@pytest.fixture
def desk(tmp_path: Path, site: Any):
    made = Desk(tmp_path, site, requests_per_site=4)
    yield made
    made.log.close()


def test_every_feed_is_read_or_refused_with_a_reason(desk: Any, site: Any, shared: Path):
    outcomes: Counter[str] = Counter()
    listing = 0
    with zipfile.ZipFile(shared / "data/feeds_robots/feeds.zip") as feeds:
        names = sorted(name for name in feeds.namelist() if not name.endswith("/"))
        for number, name in enumerate(names):
            body = feeds.read(name)
            header = re.search(rb"Header:\s*Content-type:\s*([^\r\n]+)", body, re.IGNORECASE)
            kind = header[1].decode("ascii", "ignore").strip() if header else "application/xml"
            try:
                feed = read_feed(body, "http://a/feed", kind, NOON)
                outcomes["ok"] += 1
                listing += number % 6 == 0 and bool(feed.entries)
            except Poison as err:
                outcomes[err.reason] += 1
            if number % 6 == 0:  # and through the whole crawl
                site[f"/{number}"] = Page(body, kind=kind)
                desk.source(f"feed-{number}", "feed", f"/{number}")

    fetches = desk.visit()

    assert sum(outcomes.values()) == len(names) > 200
    assert set(outcomes) <= {"ok", "empty", "not_a_feed"}
    assert outcomes["not_a_feed"] <= 0.05 * len(names)
    assert {fetch.outcome for fetch in fetches.values()} <= {"ok", "empty", "not_a_feed"}
    assert len(fetches) == len(desk.sources) > 30
    assert len(desk.posts()) + len(desk.dead()) >= listing > 0  # some entries have neither title nor text


def test_every_robots_file_is_understood(desk: Any, site: Any, shared: Path):
    rows = [json.loads(line) for line in (shared / "data/feeds_robots/robots.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        rules = Protego.parse(row["robots"])
        assert rules.can_fetch(f"https://{row['host']}/a/1.html", "Tingchao") in {True, False}
    for number, row in enumerate(rows[:12]):  # and through the whole crawl
        site["/robots.txt"] = Page(row["robots"].encode("utf-8", "replace"), kind="text/plain")
        site["/feed"] = rss(item("停水", "明天停水", f"/n/{number}"))
        (fetch,) = desk.visit(url=f"{site.url}/feed").values()
        assert fetch.outcome in {"ok", "robots"}
        assert fetch.robots.startswith(("allowed: robots.txt 200", "disallowed: robots.txt 200"))


def test_all_pages_of_a_list_become_posts(desk: Any, site: Any, shared: Path):
    folder = shared / "data/webpages_zh"
    gold = [json.loads(line) for line in (folder / "gold.jsonl").read_text("utf-8").splitlines()]
    for row in gold:
        site["/p/" + row["file"]] = Page(gzip.decompress((folder / row["file"]).read_bytes()), kind="text/html")
    links = [("/p/" + row["file"], f"第{number}篇文章的标题在这里") for number, row in enumerate(gold)]
    site["/list"] = listing(*links)
    desk.source("news", "site", "/list", articles="/p/")

    fetch = desk.visit()["news"]

    assert (fetch.outcome, fetch.items) == ("ok", len(gold))
    posts = {post.url.rpartition("/p/")[2]: post for post in desk.posts()}
    assert len(posts) == len(gold)
    assert all(len(post.text) >= 20 for post in posts.values())
