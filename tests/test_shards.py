"""Values that are too large for one piece of state."""

from __future__ import annotations

import random

from tingchao.alerts import shards
from tingchao.pipeline.log import STATE_LIMIT
from tingchao.pipeline.stage import Memory


def test_large_values_are_kept_in_pieces_and_come_back_whole() -> None:
    memory = Memory({})
    for size in (10, shards.PIECE, 3 * shards.PIECE + 5, shards.PIECE - 1):
        value = random.Random(size).randbytes(size)
        shards.put(memory, "k", value)
        assert shards.get(memory, "k") == value
        assert max(map(len, memory.values())) <= STATE_LIMIT
        assert len(memory) == max(1, -(-size // shards.PIECE))
    shards.delete(memory, "k")
    assert not memory
