"""Pages a minute of the site spider on a local server, beside a bare Scrapy spider that only downloads the same pages.

    python bench/crawl.py [--pages 300] [--rounds 3]

The site is served by a process of its own. Both spiders ask for one page at a time without a delay (the politeness of
a test); ours also reads robots.txt, extracts, masks and commits every page with a full sync to disk. Runs alternate.
Leaves with 1 when ours is below 1,000 pages a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.settings import Settings as ScrapySettings

from tingchao.config.settings import CrawlSettings, MainFile, Settings
from tingchao.config.sources import Source
from tingchao.crawlers.run import crawl_once
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.sqlite_log import SqliteLog

TARGET = 1000  # pages a minute
_SENTENCES = (
    "今天上午，海城地铁{n}号线因信号设备故障临时停运约四十分钟，沿线多个车站出现大量乘客滞留。",
    "运营方表示，故障已于十时{n}分排除，列车运行逐步恢复正常，并向受影响的乘客致歉。",
    "多名乘客反映，车站内广播不及时，第{n}出口处没有工作人员引导，希望改进应急预案。",
    "市交通运输局要求有关单位在{n}日内查明原因，公布整改措施，并对全线设备开展排查。",
)


def article(number: int) -> bytes:
    """A news page of 40 KB, as portals serve them: menus, scripts, an article of 24 paragraphs, recommended links."""
    menu = "".join(f"<li><a href='/c/{n}'>频道{n}</a></li>" for n in range(60))
    text = "".join(f"<p>{_SENTENCES[n % 4].format(n=number * 31 + n)}</p>" for n in range(24))
    more = "".join(f"<li><a href='/r/{n}'>推荐阅读：海城新闻第{n}期摘要与评论</a></li>" for n in range(80))
    script = "<script>var data = {" + ",".join(f'"k{n}":"{n * 7919}"' for n in range(900)) + "};</script>"
    return (
        f"<html><head><meta charset='utf-8'><title>海城地铁第{number}次运营通报_海城新闻网</title>{script}</head><body>"
        f"<ul class='nav'>{menu}</ul><h1>海城地铁第{number}次运营通报</h1>"
        f"<div class='info'>2026-03-01 11:30 来源：海城新闻网</div>"
        f"<div class='article'>{text}</div><div class='related'><ul>{more}</ul></div>"
        f"<div class='footer'>海城新闻网版权所有 未经授权不得转载</div></body></html>"
    ).encode()


def serve(pages: int) -> None:
    """The site, until standard input is closed."""
    rows = "".join(f"<li><a href='/a/{n}.html'>海城地铁第{n}次运营通报全文</a></li>" for n in range(pages))
    answers = {"/list": f"<html><body><ul class='list'>{rows}</ul></body></html>".encode()}
    answers |= {f"/a/{n}.html": article(n) for n in range(pages)}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or every answer waits 40 ms for the other side's acknowledgement

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            body = answers.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


def ours(url: str, pages: int) -> float:
    """Pages a minute of a first visit into an empty database."""
    source = Source(name="bench", kind="site", url=f"{url}/list", topics=["*"], articles="/a/", limit=pages)
    settings = Settings(MainFile(crawl=CrawlSettings.model_validate({"delay": "0s"})), (source,), (), ())
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder) / "bench.db")
        begin = time.perf_counter()
        crawl_once(settings, log, SystemClock())
        took = time.perf_counter() - begin
        got = log.end("posts")
        log.close()
    assert got == pages, f"{got} posts of {pages} pages"
    return 60 * pages / took


class Bare(Spider):
    name = "bare"
    got = 0

    def __init__(self, urls: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.urls = urls

    async def start(self) -> AsyncIterator[Request]:
        for url in self.urls:
            yield Request(url)

    def parse(self, response: Any) -> None:
        self.got += bool(response.body)


def bare(url: str, pages: int) -> float:
    """Pages a minute of a spider that downloads, one at a time."""
    values = {"TWISTED_REACTOR_ENABLED": False, "CONCURRENT_REQUESTS": 1, "TELNETCONSOLE_ENABLED": False}

    async def crawl() -> int:
        crawler = Crawler(Bare, ScrapySettings(values | {"REMOTE_CONTROL_ENABLED": False}))
        await crawler.crawl_async(urls=[f"{url}/a/{n}.html" for n in range(pages)])
        return int(crawler.spider.got)  # type: ignore[union-attr]

    begin = time.perf_counter()
    got = asyncio.run(crawl())
    took = time.perf_counter() - begin
    assert got == pages, f"{got} answers of {pages} pages"
    return 60 * pages / took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.pages)
        return 0
    logging.getLogger("scrapy").setLevel(logging.CRITICAL + 1)
    command = [sys.executable, __file__, "--serve", "--pages", str(chosen.pages)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            bare(url, 20), ours(url, chosen.pages)  # warm
            runs = [(ours(url, chosen.pages), bare(url, chosen.pages)) for _ in range(chosen.rounds)]
        finally:
            server.kill()
    for number, (mine, other) in enumerate(runs, 1):
        print(f"run {number}: site spider {mine:6.0f} pages/min   bare Scrapy {other:6.0f}   ratio {mine / other:.2f}")
    mine = sorted(run[0] for run in runs)
    ratios = [run[0] / run[1] for run in runs]
    print(
        f"site spider: median {statistics.median(mine):.0f} pages/min ({mine[0]:.0f}-{mine[-1]:.0f}), target {TARGET}; "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    )
    return 0 if statistics.median(mine) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
