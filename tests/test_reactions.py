"""Reactions that posts gained are remembered by the hour."""

from __future__ import annotations

from tingchao.alerts.reactions import Reactions
from tingchao.pipeline.records import Counts
from tingchao.pipeline.stage import Memory


def test_the_reactions_of_so_many_posts_an_hour_are_remembered() -> None:
    memory = Memory({})
    seen = Reactions(memory)
    for post in range(2000):
        seen.gained("metro", 7, post, Counts(likes=post + 1), fresh=True)
    seen.save()
    again = Reactions(memory)
    assert again.gained("metro", 7, 1999, Counts(likes=2010), fresh=False) == 10
    assert again.gained("metro", 7, 3, Counts(likes=2010), fresh=False) == 0, "how many of them are new is not known"
    assert again.gained("metro", 7, 3, Counts(likes=2011), fresh=False) == 1
    assert sum(map(len, memory.values())) < 20_000
    again.drop("metro", 7)
    assert not memory
