"""What a process measures of itself, in Prometheus' terms. Labels are stages, topics, outcomes: no words of a post."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

# From a fraction of a second (an idle log) to a day (a back-fill).
_DELAYS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 86400)

RECORDS = Counter(
    "tingchao_records", "Records that a stage has worked off, by what became of them", ["stage", "outcome"]
)
OUTPUTS = Counter("tingchao_outputs", "Records that a stage has written, by topic", ["stage", "topic"])
DEAD = Counter("tingchao_dead", "Records set aside, by stage and reason", ["stage", "reason"])
RETRIES = Counter("tingchao_retries", "Batches that had to wait for something outside", ["stage", "reason"])
BATCH = Histogram("tingchao_batch_seconds", "Time from reading a batch to its commit", ["stage"])
LAG = Gauge("tingchao_lag_records", "Records that wait for a stage", ["stage", "topic"])
ABORTS = Counter("tingchao_transaction_aborts", "Transactions of the log that were aborted or are in doubt", ["writer"])
REJECTIONS = Counter("tingchao_bulk_rejections", "Documents that the store did not take, by reason", ["reason"])
WAITING = Gauge("tingchao_channel_waiting", "Messages that wait until a channel takes them", ["channel"])
FAILED = Counter("tingchao_channel_failures", "Tries to send that failed, by channel", ["channel"])
DELAY = Histogram(
    "tingchao_delay_seconds", "Delay of a post: since when, until when", ["since", "until"], buckets=_DELAYS
)


def delayed(until: str, now: datetime, times: Iterable[tuple[datetime, datetime]]) -> None:
    """Count delays until `now` of posts, each given by its time of publication and of fetching."""
    published, fetched = DELAY.labels("publication", until), DELAY.labels("crawl", until)
    for publication, fetch in times:
        published.observe(max(0.0, (now - publication).total_seconds()))
        fetched.observe(max(0.0, (now - fetch).total_seconds()))
