"""Ids of posts that were counted."""

from __future__ import annotations

import random

from tingchao.alerts.seen import Seen
from tingchao.pipeline.log import STATE_LIMIT
from tingchao.pipeline.stage import Memory


def test_seen_ids_survive_a_restart_and_go_with_their_hour() -> None:
    memory = Memory({})
    seen = Seen(memory)
    assert [seen.add("metro", n % 3000, n // 1500) for n in range(4000)] == [True] * 3000 + [False] * 1000
    seen.save()
    seen = Seen(memory)
    assert not seen.add("metro", 5, 7)
    seen.drop("metro", 0)
    assert seen.add("metro", 5, 7)
    assert not seen.add("metro", 1500, 7)
    assert max(map(len, memory.values())) <= STATE_LIMIT


def test_seen_ids_are_those_of_a_plain_set_however_they_are_kept() -> None:
    memory, draw = Memory({}), random.Random(1)
    seen, plain = Seen(memory), dict[int, int]()  # id -> hour
    for n in range(12_000):
        # Some differ in their lower halves only.
        one = draw.choice((0, 2**64 - 1, draw.randrange(2**14) << 50, draw.randrange(2**6) << 58 | draw.randrange(9)))
        assert seen.add("metro", one, n // 2_000) is (one not in plain)
        plain.setdefault(one, n // 2_000)
        if n % 3_000 == 2_999:
            seen.save()
            seen = draw.choice((seen, Seen(memory)))
            seen.drop("metro", n // 4_000)
            plain = {one: hour for one, hour in plain.items() if hour != n // 4_000}
