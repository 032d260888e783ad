"""What a bucket and a window count: voices, sources, texts and signals, within bounds and in any order."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mentions import mention, scores

from tingchao.alerts.smallest import MOST, distinct, hashed
from tingchao.alerts.windows import OTHERS, TEXTS, Bucket, Window, weights
from tingchao.config.rules import SOURCES

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POST = mention("one", T0)


def test_sources_beyond_those_kept_apart_never_lower_the_count() -> None:
    one, other = Bucket(), Bucket()
    told = []
    for n in range(90):
        (one if n % 3 else other).add(mention(f"s{n}", T0, source=f"source {n}"), n, n, [])
        told.append(Window(0, 300, [one, other]).outlets)
    assert told == [min(n + 1, SOURCES) for n in range(90)]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_further_post_never_lowers_a_count(data: st.DataObject) -> None:
    bucket = Bucket()
    before = (0, 0, 0, 0)
    for n in range(data.draw(st.integers(1, 3 * MOST))):
        voice, text = data.draw(st.integers(0, 2**64 - 1)), data.draw(st.integers(0, 60))
        told = scores("safety", data.draw(st.floats(0.1, 1)), negative=data.draw(st.floats(0, 1)))
        post = mention(f"m{n}", T0, source=f"s{n % 40}", scores=told)
        bucket.add(post, voice, text, weights(post))
        window = Window(0, 300, [bucket])
        after = (window.posts, window.voices, window.negative, window.mass(0))
        assert all(a >= b for a, b in zip(after, before, strict=True))
        before = after


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 2**64 - 1), max_size=3 * MOST), st.randoms(use_true_random=False))
def test_different_voices_are_counted_exactly_up_to_a_limit_and_in_any_order(
    voices: set[int], rng: random.Random
) -> None:
    buckets = [Bucket(), Bucket()]
    for voice in rng.sample(sorted(voices), len(voices)):
        rng.choice(buckets).add(POST, voice, 1, [])
    together = Window(0, 600, buckets).voices
    whole = Bucket()
    for voice in voices:
        whole.add(POST, voice, 1, [])
    assert together == distinct([whole.voice_hashes])
    if len(voices) < MOST:
        assert together == len(voices)


def test_the_estimate_of_many_voices_is_within_a_third() -> None:
    bucket = Bucket()
    for n in range(30_000):
        bucket.add(POST, hashed(f"v{n}"), 1, [])
    assert distinct([bucket.voice_hashes]) == pytest.approx(30_000, rel=0.3)


def test_a_bucket_is_bounded_whatever_comes() -> None:
    bucket = Bucket()
    for n in range(2_000):
        post = mention(f"m{n}", T0, source=f"source {n}", scores=scores("safety"))
        bucket.add(post, hashed(f"v{n}"), hashed(f"t{n}"), weights(post))
    assert len(bucket.voice_hashes) == 8 * MOST
    assert len(bucket.texts[0]) == TEXTS
    assert len(bucket.sources) == SOURCES + 1
    assert sum(bucket.sources.values()) == 2_000
    assert bucket.sources[OTHERS] == 2_000 - SOURCES


def test_what_is_unlikely_or_not_live_weighs_nothing() -> None:
    assert weights(mention("m", T0, scores=scores("safety", 0.04))) == []
    assert weights(mention("m", T0, scores=scores("safety", 0.9, live=0.01))) == []
    assert weights(mention("m", T0, scores=scores("safety", 0.9, live=0.5))) == [(0, 500)]
