"""Measures of a window: what has no baseline yet, and what the hours rule out before a window is summed."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tingchao.alerts.coverage import Coverage
from tingchao.alerts.dark import Dark
from tingchao.alerts.hours import Hours
from tingchao.alerts.measure import Measure, gate_of
from tingchao.alerts.windows import Bucket, Window
from tingchao.config.rules import Rule
from tingchao.models.scores import SIGNALS
from tingchao.pipeline.stage import Memory

HOUR = timedelta(hours=1)
MANY = Rule(name="many", kind="count", ratio=4.0, p=0.001, min_posts=10, min_voices=3)
ANGER = Rule(name="anger", kind="negative_share", threshold=0.6, min_posts=5)
SPREAD = Rule(name="spread", kind="sources", ratio=2.0, p=0.001)
GRAVE = Rule(name="grave", kind="severity", p=0.001)


def test_a_measure_without_known_hours_has_no_baseline() -> None:
    memory, first = Memory({}), 500_000 // 24 * 24
    older = [4, 4, 0] + [0] * len(SIGNALS)
    for day in range(4):
        hours = {first + 24 * day + n: older for n in range(0, 24, 2)}
        memory[f"t/metro/{first // 24 + day}"] = msgspec.msgpack.encode({"touched": 0, "hours": hours})
    measure = Measure(Hours(memory), Coverage(Memory({}), Dark(Memory({}))), {"metro": 0}, HOUR)
    window = Window((first + 96) * 3600, (first + 97) * 3600, [])
    assert measure.baseline(MANY, "metro", window) is not None
    assert measure.baseline(SPREAD, "metro", window) is None
    assert measure.baseline(GRAVE, "metro", window) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 1), st.booleans()), max_size=6))
def test_what_the_hours_hold_rules_out_no_window_whose_share_reaches_the_threshold(
    parts: list[tuple[int, int, float, bool]],
) -> None:
    buckets = [
        (Bucket(posts=judged + other, judged=judged, negative=round(share * judged * 1000)), inside)
        for judged, other, share, inside in parts
    ]
    whole, window = Window(0, 7200, [b for b, _ in buckets]), Window(0, 3600, [b for b, inside in buckets if inside])
    gate = gate_of(ANGER)
    most = [whole.posts, whole.judged, whole.negative]
    assert gate.reaches(most, window.posts, 0.6) or window.negative_share < 0.6
    assert gate.reaches(most, window.posts, window.negative_share)
