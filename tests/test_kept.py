"""Values of keyed state that are decoded while they are worked on, and wait compressed."""

from __future__ import annotations

import msgspec

from tingchao.alerts.kept import Kept
from tingchao.pipeline.stage import Memory


def test_what_leaves_the_set_that_is_worked_on_is_compressed_once_and_read_as_it_was() -> None:
    memory = Memory({})
    values = {f"x/{n}": {n: "said " * 1000} for n in range(3)} | {"x/short": {3: "said"}}

    def kept() -> Kept[dict[int, str]]:
        return Kept(memory, msgspec.msgpack.Decoder(dict[int, str]).decode, 1)

    first = kept()
    for key, value in values.items():
        first.add(key, value)
    memory["x/before"] = msgspec.msgpack.encode({4: "an uncompressed value of before"})
    first.save()
    assert {len(memory[key]) < 200 for key in ("x/0", "x/1", "x/2")} == {True}
    assert memory["x/short"] == msgspec.msgpack.encode({3: "said"})
    memory.changes()
    again = kept()
    for key, value in {**values, "x/before": {4: "an uncompressed value of before"}}.items():
        assert again.look(key) == again.get(key) == value
        again.save()
    assert not memory.changes()
