"""A month's index is made anew and takes the old one's place at one stroke, while posts are put and searched.

First everything is copied, with what `change` makes of it. Then the old index takes no more writes for as long as it
takes to copy what came meanwhile (known by its sequence numbers), and the aliases move. Writers wait, as for any index
that is blocked (Retry), and find the month's alias where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

from tingchao.pipeline.elastic_client import cause, named
from tingchao.pipeline.elastic_layout import Names
from tingchao.pipeline.elastic_pages import pages
from tingchao.pipeline.records import Scored

Change = Callable[[Sequence[Scored]], Sequence[Scored]]


class Copying(NamedTuple):
    """What is copied where, and how."""

    client: Elasticsearch
    names: Names
    send: Callable[[str, Sequence[Scored]], None]  # into the index of that name, by revision
    since: datetime
    change: Change


def rewrite(copying: Copying) -> Iterator[int]:
    """Renew each month that has not ended at `since`; the number of changed posts, page by page."""
    for index in _readable(copying):
        if copying.names.end(index) > copying.since:
            yield from _renew(copying, index)


def _readable(copying: Copying) -> list[str]:
    try:
        with named():
            return sorted(copying.client.indices.get_alias(name=copying.names.all).body)
    except NotFoundError:
        return []


def _renew(copying: Copying, old: str) -> Iterator[int]:
    client, new = copying.client, copying.names.next(old)
    _make(client, old, new)
    marks = _checkpoints(client, old)
    yield from _copy(copying, old, new, dict.fromkeys(marks, -1))
    with named():
        client.indices.add_block(index=old, block="write")  # returns when every write under way has ended
    moved = False
    try:
        yield from _copy(copying, old, new, marks)
        _move(copying, old, new)
        moved = True
    finally:
        if not moved:
            unblock(client, old)


def _make(client: Elasticsearch, old: str, new: str) -> None:
    """Make it, unless a rewrite that was broken off has: what stands in it is written over."""
    with named():
        shape = client.indices.get_settings(index=old)[old]["settings"]["index"]
        # Where the cluster itself drops indices, the new one is as old as the one it replaces.
        born = shape.get("lifecycle", {}).get("origination_date", shape["creation_date"])
        settings = {"index.lifecycle.origination_date": born} if "lifecycle" in shape else None
        try:
            client.indices.create(index=new, settings=settings)
        except BadRequestError as err:
            if cause(err.body)[0] != "resource_already_exists_exception":
                raise


def _checkpoints(client: Elasticsearch, index: str) -> dict[int, int]:
    """For each shard the sequence number up to which every copy has every write."""
    with named():
        found: dict[str, Any] = client.indices.stats(index=index, level="shards").body
    return {
        int(shard): min(copy["seq_no"]["global_checkpoint"] for copy in copies)
        for shard, copies in found["indices"][index]["shards"].items()
    }


def _copy(copying: Copying, old: str, new: str, marks: dict[int, int]) -> Iterator[int]:
    """Copy what was written after the marks."""
    with named():
        copying.client.indices.refresh(index=old)
    for shard, mark in marks.items():
        written = {"range": {"_seq_no": {"gt": mark}}} if mark >= 0 else {"match_all": {}}
        for page in pages(copying.client, old, written, preference=f"_shards:{shard}"):
            kept = [one for one in page if one.post.published_at < copying.since]
            changed = [one for one in page if one.post.published_at >= copying.since]
            copying.send(new, [*kept, *(copying.change(changed) if changed else ())])
            if changed:
                yield len(changed)


def _move(copying: Copying, old: str, new: str) -> None:
    """All in one step: no search sees both indices, or neither."""
    month = old.rpartition("-")[0]
    with named():
        copying.client.indices.refresh(index=new)
        copying.client.indices.update_aliases(
            actions=[
                {"add": {"index": new, "alias": month}},
                {"add": {"index": new, "alias": copying.names.all}},
                {"remove_index": {"index": old}},
            ]
        )


def unblock(client: Elasticsearch, index: str) -> None:
    """Take writes again."""
    with named():
        client.indices.put_settings(index=index, settings={"index.blocks.write": None})
