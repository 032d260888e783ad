"""What watch keeps of each topic by the hour: totals of before, days that wait encoded, buckets of an earlier form."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import msgspec
from mentions import mention

from tingchao.alerts.hours import UNKNOWN, Hours
from tingchao.models.scores import SIGNALS
from tingchao.pipeline.stage import Memory

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POST = mention("one", T0)


def test_hours_of_before_a_measure_was_counted_are_unknown_not_zero() -> None:
    memory = Memory({})
    at = 500_000 * 3600
    older = [4, 4, 0] + [0] * len(SIGNALS)
    memory[f"t/metro/{500_000 // 24}"] = msgspec.msgpack.encode({"touched": at, "hours": {500_000: older}})

    def past(hours: Hours) -> list[float]:
        return [hours.past("metro", 500_000, 500_001, place).item() for place in range(len(older) + 3)]

    assert past(Hours(memory)) == [*older, *[UNKNOWN] * 3]
    later = Hours(memory)
    bucket = later.bucket("metro", at // 300, at)
    bucket.add(POST, 1, 1, [])
    later.counted("metro", at // 300, bucket)
    later.sum_up("metro")
    assert past(later) == [5, 5, 200, *older[3:], *[UNKNOWN] * 3]


def test_days_of_totals_wait_encoded_and_are_known_until_they_are_dropped() -> None:
    memory, topics, days = Memory({}), 3, 30
    first = 500_000 // 24 * 24
    for topic, day in itertools.product(range(topics), range(days)):
        total = [1 + day, 1, 0] + [0] * (len(SIGNALS) + 3)
        hours = {first + 24 * day + n: total for n in range(24)}
        memory[f"t/t{topic}/{first // 24 + day}"] = msgspec.msgpack.encode({"touched": 0, "hours": hours})
    hours = Hours(memory)
    assert hours.past("t1", first, first + 24 * days, 0).tolist() == [1 + n // 24 for n in range(24 * days)]
    assert hours.first("t1", 0) == first
    assert hours.all_posts()[first + 24] == 2 * topics
    hours.drop((first + 24 * (days + 1)) * 3600)  # totals four weeks later
    assert hours.first("t1", 0) == first + 24 * 3
    assert min(hours.all_posts()) == first + 24 * 3
    assert not hours.past("t1", first, first + 72, 0).any()
    assert sum(key.startswith("t/") for key in memory) == topics * (days - 3)


def test_buckets_that_were_kept_in_an_earlier_form_are_read() -> None:
    memory, number = Memory({}), 500_000
    bucket = {"posts": 2, "judged": 2, "negative": 300, "voices": [1, 2], "sources": {"forum": 2}}
    later = bucket | {"voice_hashes": bytes(8), "texts": {0: {7: 900}}, "fresh": 1}
    told = {"safety": {12 * number: 2.5}}
    kept = {"touched": 3600 * number, "buckets": {12 * number: bucket, 12 * number + 1: later}, "told": told}
    memory[f"h/metro/{number}"] = msgspec.msgpack.encode(kept)
    for _ in range(2):
        hours = Hours(memory)
        window = hours.window("metro", 12 * number, 1)
        assert (window.posts, window.voices, window.sources) == (2, 0, {"forum": 2})
        window = hours.window("metro", 12 * number + 1, 1)
        assert (window.posts, window.voices, window.mass(0)) == (2, 1, 900)
        assert hours.told("metro", "safety") == {12 * number: 2.5}
        hours.touch("metro", number, 3600 * number)
        hours.save()  # as it is kept now
    assert len(memory[f"h/metro/{number}"]) < len(msgspec.msgpack.encode(kept)) / 2
