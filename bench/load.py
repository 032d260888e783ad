"""How fast mentions become events and alerts, in what memory, and what a burst of one event does.

    python bench/load.py ../shared [place] [watch] [burst] [--count 10000000]

Rates are mentions a second of processor time, with the state written but without the log. The yardstick of the
machine is 128-value MinHash alone in Python, in turn with ours; the count of the first two parts is 200,000 otherwise.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
from parts import ratio, real_texts, spread

from tingchao.alerts import decide, watch
from tingchao.alerts.events import TOPICS, Events, Told
from tingchao.config.settings import Settings, load
from tingchao.config.topics import Topic
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.grams import fold
from tingchao.pipeline.records import Alert, Candidate, Mention, Tick, decode
from tingchao.pipeline.roles import collect_rarely
from tingchao.pipeline.shingles import sketches
from tingchao.pipeline.stage import Input, Memory

BATCH = watch.BATCH
WRITTEN = 500  # mentions with one time of writing: those of a batch of `score`
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
RATE = 100  # mentions a second of event time over all topics, about a large customer's busy day
ROUNDS = 20  # of ours and of the yardstick
NAMED = 2_000  # topics
TELLING = 0.02  # share of mentions that tell of a disaster; the others are calm


def place(shared: Path, count: int) -> None:
    """Mentions become events of their topics."""
    memory: dict[str, bytes] = {}
    events = Events(memory, TOPICS)

    def work(batch: list[Mention]) -> None:
        events.add([_told(one) for one in batch])
        events.save()

    _measure("place", shared, count, work)


def whole_watch(shared: Path, count: int) -> None:
    """Mentions through all of watch: counted, placed, and every rule asked.

    The log is behind: `score` wrote `WRITTEN` mentions at a time, with a tick every five seconds between them, and
    watch reads as many as it may at once.
    """
    memory = Memory({})
    watcher = watch.Watch(memory, _settings([f"t{number}" for number in range(NAMED)]))

    def work(batch: list[Mention]) -> None:
        inputs: list[Input] = []
        for start in range(0, len(batch), WRITTEN):
            written = batch[start : start + WRITTEN]
            at = written[-1].fetched_at
            inputs += [*(Input(one, at) for one in written), Input(Tick(at=at), at)]
        watcher.process(inputs)
        memory.changes()

    _measure("watch", shared, count, work)


def burst(shared: Path, count: int = 100_000) -> None:
    """A minute of mentions of one event, half of them reposts, from watch to decide.

    A batch waits for those before it, as it would in one process; the delay is from its writing to its end.
    """
    settings = _settings(["t"])
    watched, decided = Memory({}), Memory({})
    watcher, decider = watch.Watch(watched, settings), decide.Decide(decided, settings)
    texts = [text for text in real_texts(shared) if "武汉" in text]
    draw, alerts, seconds, free, delays, first = random.Random(6), {}, 0.0, 0.0, [], 0.0
    for number in range(0, count, WRITTEN):
        written = 60 * number / count
        at = BEGIN + timedelta(seconds=written)
        said = [f"武汉{texts[0]}{draw.choice(texts)[:20] if draw.random() < 0.5 else ''}" for _ in range(WRITTEN)]
        drawn = sketches([fold(text) for text in said])
        mentions = [_mention("t", number + n, at, *one, _TELLS) for n, one in enumerate(zip(said, drawn, strict=True))]
        start = time.process_time()
        found = watcher.process([Input(one, at) for one in mentions]).outputs
        changed = decider.process([Input(decode(Candidate, one.value), at) for one in found]).outputs
        watched.changes()
        decided.changes()
        spent = time.process_time() - start
        free, seconds = max(free, written) + spent, seconds + spent
        delays.append(free - written)
        alerts.update((one.id, one) for one in (decode(Alert, one.value) for one in changed))
        first = first or (free if alerts else 0.0)
    updates = [sum(change.what == "updated" for change in alert.history) for alert in alerts.values()]
    print(
        f"burst: {count:,} mentions of a minute, {len(alerts)} alert(s), updates {updates}, the first {first:.1f} s "
        f"after the first mention; delay at most {max(delays):.1f} s; {count / seconds:,.0f}/s"
    )


def _measure(name: str, shared: Path, count: int, work: Callable[[list[Mention]], None]) -> None:
    texts = real_texts(shared)
    mentions = _stream(texts, count)
    began, most, ours, theirs = _resident(), 0.0, [], []
    batches = max(1, count // ROUNDS // BATCH)
    for number in range(ROUNDS):
        seconds = 0.0
        for _ in range(batches):
            batch = [next(mentions) for _ in range(BATCH)]
            start = time.process_time()
            work(batch)
            seconds += time.process_time() - start
        most = max(most, _resident())
        ours.append(batches * BATCH / seconds)
        theirs.append(_minhash_rate(texts))
        print(
            f"    {name} {(number + 1) * count // ROUNDS:>10,}: {ours[-1]:,.0f}/s, MinHash {theirs[-1]:,.0f}/s, "
            f"{_resident():,.0f} MB resident (+{_resident() - began:,.0f})",
            flush=True,
        )
    print(
        f"{name}: {count:,} mentions over {NAMED:,} topics, {spread(ours)}/s; MinHash alone {spread(theirs)}/s; "
        f"ratio {ratio(ours, theirs)}; at most {most:,.0f} MB resident, {began:,.0f} of them before"
    )


def _stream(texts: list[str], count: int) -> Iterator[Mention]:
    drawn = sketches([fold(text) for text in texts])
    draw = random.Random(4)
    for number in range(count + ROUNDS * BATCH):
        pick = draw.randrange(len(texts))
        at = BEGIN + timedelta(seconds=number // WRITTEN * WRITTEN / RATE)
        scores = _TELLS if draw.random() < TELLING else _CALM
        yield _mention(f"t{draw.randrange(NAMED)}", number, at, texts[pick], drawn[pick], scores)


def _settings(names: list[str]) -> Settings:
    topics = tuple(Topic(name=name, title=name, any=[name]) for name in names)
    return dataclasses.replace(load(), topics=topics)


def _told(one: Mention) -> Told:
    at = int(one.published_at.timestamp())
    return Told(one.topic, one.id, at, at, one.source, one.voice, one.excerpt, one.sketch)


def _mention(topic: str, number: int, at: datetime, text: str, sketch: str, scores: Scores) -> Mention:
    return Mention(
        topic=topic,
        id=f"p{number}",
        published_at=at,
        fetched_at=at,
        source=f"s{number % 40}",
        voice=f"v{number % 50_000}",
        excerpt=text,
        scores=scores,
        signature=sketch[:16],
        sketch=sketch,
    )


_TELLS = Scores(
    negative=0.6,
    neutral=0.4,
    positive=0.0,
    signals=tuple(0.9 if name == "disaster" else 0.01 for name in SIGNALS),
    severity=2.0,
    live=0.9,
    advert=0.01,
)
_CALM = msgspec.structs.replace(
    _TELLS, negative=0.2, neutral=0.6, positive=0.2, signals=tuple(0.01 for _ in SIGNALS), severity=0.0, live=0.1
)


def _minhash_rate(texts: list[str], count: int = 1_000) -> float:
    start = time.process_time()
    for text in texts[:count]:
        _minhash(text)
    return count / (time.process_time() - start)


def _minhash(text: str) -> list[int]:
    """128 values over threes of characters, as one would write it with numpy a text."""
    grams = np.array([hash(text[n : n + 3]) & 0xFFFFFFFF for n in range(len(text) - 2)], dtype=np.uint64)
    factors = np.arange(1, 257, 2, dtype=np.uint64)[:, None] * np.uint64(0x9E3779B1)
    return (((grams * factors) & np.uint64(0xFFFFFFFF)).min(axis=1)).tolist()  # type: ignore[no-any-return]


def _resident() -> float:
    """MB."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("parts", nargs="*", default=["place", "watch", "burst"])
    parser.add_argument("--count", type=int, default=200_000)
    given = parser.parse_args()
    collect_rarely()  # as in a process of its own
    for part in given.parts:
        if part == "burst":
            burst(given.shared)
        else:
            {"place": place, "watch": whole_watch}[part](given.shared, given.count)
