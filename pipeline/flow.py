"""Who reads what: the only place that says it. Stages, setup, views and retention take it from here."""

from __future__ import annotations

from collections.abc import Iterator

from tingchao.config.settings import Settings
from tingchao.pipeline.log import Log

# What each group of the log reads, all of the same number of partitions; none: it only keeps state.
READS: dict[str, tuple[str, ...]] = {
    "schedule": ("fetches",),
    "visits": ("jobs",),
    "sources": ("clock", "fetches"),  # ticks go to the first: views read [fetches]
    "crawl": (),
    "voice": (),
    "score": ("posts", "posts_backfill"),
    "index": ("scored",),
    "watch": ("mentions",),
    "decide": ("candidates", "commands"),
}
POSTS = READS["score"]  # what is new, and the back-fill
# A post's way. In this order: when `score` has read the posts, all their mentions are in the log.
WAY = ("score", "index", "watch", "decide")


def channel_group(channel: str) -> str:
    """The group of a channel of [[notify]]; each reads the alerts."""
    return f"notify.{channel}"


def groups(settings: Settings) -> dict[str, tuple[str, ...]]:
    """READS, and one for each channel."""
    return READS | {channel_group(channel.name): ("alerts",) for channel in settings.main.notify}


def flow() -> Iterator[tuple[str, str]]:
    """Stage and topic, along a post's way."""
    return ((stage, topic) for stage in WAY for topic in READS[stage])


def waiting(log: Log, stage: str) -> int:
    """How many records wait for a stage."""
    return sum(max(0, log.end(topic) - log.position(stage, topic)) for topic in READS[stage])
