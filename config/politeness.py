"""How sources are visited, in Scrapy's own words: CrawlSettings become the values of Scrapy's settings.

Robots are always obeyed: `crawlers.polite.Robots` takes the place of Scrapy's middleware and reads no setting.
"""

from __future__ import annotations

from typing import Any

from tingchao.config.settings import CrawlSettings

MOST_REDIRECTS = 5  # hops; RFC 9309 section 2.3.1.2 follows as many for robots.txt, no honest page needs more
MOST_DELAY = 60.0  # seconds; Scrapy's own bound for adaptive throttling


def user_agent(crawl: CrawlSettings) -> str:
    """The user agent, with the contact when one is set; a line break cannot get into the header."""
    parts = [crawl.user_agent, f"(contact: {crawl.contact})" if crawl.contact else ""]
    return " ".join(" ".join(parts).split())


def product(crawl: CrawlSettings) -> str:
    """The name that robots.txt may call us by: the user agent up to its version (RFC 9309 section 2.2.1)."""
    return crawl.user_agent.split("/")[0].split()[0] if crawl.user_agent.strip() else "Tingchao"


def scrapy_values(crawl: CrawlSettings) -> dict[str, Any]:
    """Values for scrapy.settings.Settings."""
    return {
        "BOT_NAME": "tingchao",
        "SPIDER_MODULES": ["tingchao.crawlers"],
        # On asyncio alone a process may crawl any number of times and from any thread; Twisted's reactor starts once.
        "TWISTED_REACTOR_ENABLED": False,
        "USER_AGENT": user_agent(crawl),
        "DEFAULT_REQUEST_HEADERS": {
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5",
        },
        "CONCURRENT_REQUESTS": crawl.requests_per_site,
        "CONCURRENT_REQUESTS_PER_DOMAIN": crawl.requests_per_site,
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",  # articles in the order of their list
        "CONCURRENT_ITEMS": 1,  # the posts of a page in their order
        "DOWNLOAD_DELAY": crawl.delay.total_seconds(),
        "DOWNLOAD_DELAY_JITTER": 0.0,  # a delay is never made shorter than the setting says
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": crawl.delay.total_seconds(),
        "AUTOTHROTTLE_MAX_DELAY": max(MOST_DELAY, crawl.delay.total_seconds()),
        "AUTOTHROTTLE_TARGET_CONCURRENCY": float(crawl.requests_per_site),
        "DOWNLOAD_TIMEOUT": crawl.timeout.total_seconds(),
        "DOWNLOAD_MAXSIZE": crawl.page_limit,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,  # whoever forges a page could raise or silence an alert
        "RETRY_TIMES": crawl.retries,
        # Not 429 and 503: a site that asks for patience gets it. Not refused connections and unknown hosts: the
        # next visit tries again, and whoever reads the line about the missing network should not wait for it.
        "RETRY_HTTP_CODES": [408, 500, 502, 504, 522, 524],
        "RETRY_EXCEPTIONS": [
            "scrapy.exceptions.DownloadTimeoutError",
            "scrapy.exceptions.DownloadFailedError",
            "scrapy.exceptions.ResponseDataLossError",
        ],
        "REDIRECT_MAX_TIMES": MOST_REDIRECTS,
        "METAREFRESH_MAXDELAY": 5,  # seconds; front pages that reload themselves every minute are no redirects
        "HTTPERROR_ALLOW_ALL": True,  # every answer becomes a record of its visit
        "COOKIES_ENABLED": False,
        "HTTPCACHE_ENABLED": False,
        "ROBOTSTXT_OBEY": True,
        "DOWNLOAD_HANDLERS": {
            "http": "tingchao.crawlers.polite.Download",
            "https": "tingchao.crawlers.polite.Download",
            **dict.fromkeys(("data", "file", "ftp", "s3")),  # only the web is crawled
        },
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,  # ours also keeps a record
            "tingchao.crawlers.polite.Patience": 90,
            "tingchao.crawlers.polite.Robots": 100,
            "tingchao.crawlers.polite.OneAtATime": 950,
        },
        "SPIDER_MIDDLEWARES": {  # what they do is done in crawlers/base.py; measured: each costs a few percent
            "scrapy.spidermiddlewares.depth.DepthMiddleware": None,
            "scrapy.spidermiddlewares.metacopy.MetaCopyDetectionMiddleware": None,
        },
        "WARN_ON_GENERATOR_RETURN_VALUE": False,  # it parses our source at every page: measured 4 ms of 20
        "ITEM_PIPELINES": {"tingchao.crawlers.publish.Publish": 100},
        "EXTENSIONS": {
            "scrapy.extensions.logcount.LogCount": None,
            "scrapy.extensions.logstats.LogStats": None,
            "scrapy.extensions.memusage.MemoryUsage": None,
            "scrapy.extensions.feedexport.FeedExporter": None,
            "scrapy.extensions.spiderstate.SpiderState": None,
        },
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "STATS_DUMP": False,
        "LOG_LEVEL": "WARNING",
    }
