"""How many reactions each post had when it was last seen, so that a later revision tells how many it has gained.

State keys: `r/topic/hour`, by the hour under which the post was counted: hash of the id -> reactions.
"""

from __future__ import annotations

from collections.abc import MutableMapping

import msgspec

from tingchao.alerts.kept import Kept
from tingchao.pipeline.records import Counts

_POSTS = 500  # of a topic and hour whose reactions are remembered, those that have most: few posts get nearly all
_OPEN = 500  # hours kept decoded between two batches, or one a topic


def reactions(counts: Counts) -> int:
    """Likes, comments and reposts; readers only looked."""
    return (counts.likes or 0) + (counts.comments or 0) + (counts.reposts or 0)


class Reactions:
    """The posts of all topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], topics: int = 1) -> None:
        self._hours = Kept(memory, msgspec.msgpack.Decoder(dict[int, int]).decode, max(_OPEN, topics))

    def gained(self, topic: str, hour: int, post: int, counts: Counts, *, fresh: bool) -> int:
        """Reactions since the post was last seen; all of them for one that is new and `fresh`.

        0 for an older revision, and for a post that was not remembered: how many are new is not known then.
        """
        now = reactions(counts)
        if not now:
            return 0
        key = f"r/{topic}/{hour}"
        known = self._hours.get(key)
        if known is None:
            known = self._hours.add(key, {})
        before = known.get(post, 0 if fresh else now)
        if now <= before and post in known:
            return 0
        known[post] = now
        self._hours.changed(key)
        if len(known) > _POSTS:
            del known[min(known, key=lambda one: (known[one], one))]
        return now - before

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._hours.save()

    def drop(self, topic: str, hour: int) -> None:
        """Forget the posts of one hour."""
        self._hours.drop(f"r/{topic}/{hour}")
