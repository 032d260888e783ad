"""Entries become a batch: merged by time, cut by bytes; and what no backend of the log takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from tingchao.pipeline.errors import Poison
from tingchao.pipeline.log import STATE_LIMIT, VALUE_LIMIT, Entry, Output
from tingchao.pipeline.records import TOPICS

BATCH_BYTES = 8 * 1024 * 1024  # a batch of 500 long texts would be 128 MB, several times over while it is worked on


def timed(entries: Iterable[Entry]) -> Iterator[tuple[datetime, Entry]]:
    """Entries of one topic with the time that merges them: never earlier than the one before."""
    latest = datetime.min.replace(tzinfo=UTC)
    for entry in entries:
        latest = max(latest, entry.at)
        yield latest, entry


def fitting(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The first entry, and those after it as long as all fit into a batch's bytes."""
    size = 0
    for number, entry in enumerate(entries):
        size += len(entry.value)
        if number and size > BATCH_BYTES:
            return
        yield entry


def known(topic: str) -> str:
    """The topic. Raises ValueError when there is none of that name: a bug."""
    if topic not in TOPICS:
        raise ValueError(f"no topic {topic!r}; expected one of {', '.join(TOPICS)}")
    return topic


def check(outputs: Sequence[Output], state: Mapping[str, bytes | None]) -> None:
    """Raises Poison for a value or state that is too large, ValueError for a topic that is not known."""
    for out in outputs:
        known(out.topic)
        if len(out.value) > VALUE_LIMIT:
            raise Poison("record.too_large", f"{out.topic} {out.key}: {len(out.value)} bytes, at most {VALUE_LIMIT}")
    for key, value in state.items():
        if value is not None and len(value) > STATE_LIMIT:
            raise Poison("state.too_large", f"state {key}: {len(value)} bytes, at most {STATE_LIMIT}")
