"""A stage is a function from a batch to outputs; the runner owns delivery.

The runner reads, decodes, calls, commits, counts, waits on Retry and sets Poison aside. A stage keeps what it must
remember in its `Memory`, which is committed together with the outputs and the read position; after any failure
the stage is made anew from what was committed.
"""

from __future__ import annotations

import hashlib
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol

import msgspec
import structlog

from tingchao.pipeline import metrics
from tingchao.pipeline.clock import Clock, stopwatch
from tingchao.pipeline.errors import Poison, Retry
from tingchao.pipeline.log import VALUE_LIMIT, Batch, Entry, Log, Output, Reader, output
from tingchao.pipeline.records import TICK_KEY, TOPICS, Dead, Record, Tick, decode, encode

logger = structlog.get_logger()
_COUNTS = "#counts"  # the key of the group's state that holds how many records met which outcome; no stage sees it


class Input(NamedTuple):
    """A decoded record and the time at which it was written: the only clock that a stage reads."""

    record: Record
    at: datetime


class Result(NamedTuple):
    """What a stage made of a batch: the outputs, and one outcome for each input."""

    outputs: Sequence[Output]
    outcomes: Sequence[str]


class Stage(Protocol):
    """One object a partition."""

    def process(self, inputs: Sequence[Input]) -> Result:
        """Raises Retry (nothing happened, try again) or Poison (one of these inputs can never work)."""


class Memory(dict[str, bytes]):
    """A stage's keyed state; remembers which keys changed since the last commit.

    A dict, since stages read it several times a record and what a class of Python answers takes five times as long.
    """

    def __init__(self, values: Mapping[str, bytes], owns: Callable[[str], bool] = lambda _: True) -> None:
        """`owns` tells whether records with a key come to the partition of this memory."""
        super().__init__(values)
        self.owns = owns
        self._changed: set[str] = set()
        self._unread: tuple[str, ...] = ()
        self._to_empty: list[str] = []

    def let_go(self, prefixes: tuple[str, ...]) -> None:
        """Values of keys that begin so are read only when a stage is made; from the next `changes` on they are empty.

        The log has them, for a restart; in memory they would stand twice. None may be empty itself, since who compares
        before writing (shards.put) then finds a difference always.
        """
        self._unread, self._to_empty = prefixes, list(self)

    def __setitem__(self, key: str, value: bytes) -> None:
        super().__setitem__(key, value)
        self._changed.add(key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._changed.add(key)

    # A dict's other ways of changing would not be noticed, and no stage needs them.
    pop = popitem = setdefault = update = clear = __ior__ = None  # type: ignore[assignment]

    def changes(self) -> dict[str, bytes | None]:
        """Changed keys with their value, None for deleted ones; asking forgets them."""
        changed, self._changed = self._changed, set()
        changes = {key: self.get(key) for key in changed}
        if self._unread:
            empty = super().__setitem__
            for key in (*changes, *self._to_empty):
                if key in self and key.startswith(self._unread):
                    empty(key, b"")
            self._to_empty = []
        return changes


class Plan(NamedTuple):
    """How a stage is run: its name (also its group in the log), what it reads, and how it is made."""

    name: str
    reads: tuple[str, ...]
    make: Callable[[Memory], Stage]
    batch: int = 500  # records; measured: larger ones gain little and cost latency
    tick: timedelta | None = None  # how often the clock is written into the input; None: the stage has no timers
    idle: bool = False  # also called with no inputs, to try again what waits (notify)
    done: Callable[[Sequence[Input], datetime], None] | None = None  # told of each batch after its commit, to measure


class Runner:
    """Runs one stage on one log; `step` does one batch."""

    def __init__(self, plan: Plan, log: Log, clock: Clock) -> None:
        self._plan, self._log, self._clock = plan, log, clock
        self._reader: Reader = log.reader(plan.name, plan.reads)
        self._held: dict[int, _Held] = {}
        self._ticked: datetime | None = None
        self._wait_until: datetime | None = None
        self._complaint = ""

    @property
    def name(self) -> str:
        return self._plan.name

    def step(self) -> bool:
        """Process at most one batch; False when there was nothing to do or the stage waits after a Retry."""
        now = self._clock.now()
        if self._wait_until is not None and now < self._wait_until:
            return False
        try:
            self._tick(now)
            batch = self._reader.read(self._plan.batch)
            for partition in self._reader.moved():
                self._held.pop(partition, None)
            did = self._idle() if batch is None else self._run(batch)
        except Retry as err:
            self._postpone(err, now)
            return False
        self._wait_until, self._complaint = None, ""
        return did

    @property
    def trouble(self) -> str:
        """What the stage waits for; empty when it can work."""
        return self._complaint

    def lag(self) -> dict[str, int]:
        """How many records of each topic wait for the stage."""
        name = self._plan.name
        return {topic: max(0, self._log.end(topic) - self._log.position(name, topic)) for topic in self._plan.reads}

    def counts(self) -> dict[str, int]:
        """How many records met which outcome, over all partitions held, since the log began."""
        total: Counter[str] = Counter()
        for partition in self._reader.partitions():
            total.update(self._hold(partition).counts)
        return dict(total)

    def close(self) -> None:
        self._reader.close()

    def _tick(self, now: datetime) -> None:
        if self._plan.tick is None or (self._ticked is not None and now - self._ticked < self._plan.tick):
            return
        value = encode(Tick(at=now))
        topic = self._plan.reads[0]
        if ticks := [Output(topic, TICK_KEY, value, p) for p in self._reader.partitions()]:
            self._log.publish(ticks, now)
            self._ticked = now

    def _idle(self) -> bool:
        if not self._plan.idle:
            return False
        did = False
        for partition in self._reader.partitions():
            try:
                held = self._hold(partition)
                result = held.stage.process(())
                did |= self._commit(held, Batch(partition, ()), result.outputs, Counter())
            except BaseException:
                self._held.pop(partition, None)  # what it remembers was not committed
                raise
        return did

    def _run(self, batch: Batch) -> bool:
        """Always True: all entries are committed, here or in [dead]."""
        try:
            self._attempt(batch)
        except Retry:
            self._held.pop(batch.partition, None)
            raise
        except Exception as err:  # noqa: BLE001 whatever it is, one record must not stop the others
            self._held.pop(batch.partition, None)
            if len(batch.entries) == 1:
                self._bury(batch, err)
            else:
                for entry in batch.entries:
                    self._run(Batch(batch.partition, (entry,)))
        return True

    def _attempt(self, batch: Batch) -> None:
        began, held = stopwatch(), self._hold(batch.partition)
        inputs = [Input(_decode(entry), entry.at) for entry in batch.entries]
        result = held.stage.process(inputs)
        if len(result.outcomes) != len(inputs):
            raise AssertionError(f"{self.name}: {len(inputs)} inputs but {len(result.outcomes)} outcomes")
        self._commit(held, batch, result.outputs, Counter(result.outcomes))
        metrics.BATCH.labels(self.name).observe(stopwatch() - began)
        if self._plan.done is not None:
            self._plan.done(inputs, self._clock.now())

    def _commit(self, held: _Held, batch: Batch, outputs: Sequence[Output], outcomes: Counter[str]) -> bool:
        changes = held.memory.changes() | held.count(outcomes)
        if not (batch.entries or outputs or changes):
            return False
        self._reader.commit(batch, outputs, changes, self._clock.now())
        for outcome, number in outcomes.items():
            metrics.RECORDS.labels(self.name, outcome).inc(number)
        for topic, number in Counter(out.topic for out in outputs).items():
            metrics.OUTPUTS.labels(self.name, topic).inc(number)
        return True

    def _bury(self, batch: Batch, err: Exception) -> None:
        (entry,) = batch.entries
        reason = err.reason if isinstance(err, Poison) else f"bug.{type(err).__name__}"
        logger.error(
            "stage.dead",
            stage=self.name,
            topic=entry.topic,
            offset=entry.offset,
            reason=reason,
            error=str(err),
            # As text: structlog's own rendering shows local variables, which are bodies of posts, and takes seconds.
            trace="" if isinstance(err, Poison) else "".join(traceback.format_tb(err.__traceback__)),
        )
        dead = dead_letter(self.name, entry, reason, str(err), self._clock.now())
        self._commit(self._hold(batch.partition), batch, [output("dead", dead.id, dead)], Counter({"dead": 1}))
        metrics.DEAD.labels(self.name, reason).inc()

    def _hold(self, partition: int) -> _Held:
        if partition not in self._held:
            owns = partial(self._reader.owns, partition)
            self._held[partition] = _Held(self._reader.state(partition), owns, self._plan.make)
        return self._held[partition]

    def _postpone(self, err: Retry, now: datetime) -> None:
        self._held.clear()
        self._wait_until = now + timedelta(seconds=err.after)
        metrics.RETRIES.labels(self.name, err.reason or "other").inc()
        if str(err) != self._complaint:  # the same complaint once, not at every try
            self._complaint = str(err)
            logger.warning("stage.retry", stage=self.name, error=str(err), after=err.after)


class _Held:
    """A stage with its memory and counts, for one partition."""

    def __init__(self, state: dict[str, bytes], owns: Callable[[str], bool], make: Callable[[Memory], Stage]) -> None:
        self.counts: dict[str, int] = msgspec.json.decode(state.pop(_COUNTS, b"{}"))
        self.memory = Memory(state, owns)
        self.stage = make(self.memory)

    def count(self, outcomes: Counter[str]) -> dict[str, bytes | None]:
        """The change of state that counts them."""
        if not outcomes:
            return {}
        for outcome, number in outcomes.items():
            self.counts[outcome] = self.counts.get(outcome, 0) + number
        return {_COUNTS: msgspec.json.encode(self.counts)}


def outcomes(log: Log, stage: str) -> Counter[str]:
    """How many records met which outcome in a stage, over all partitions, since the log began."""
    total: Counter[str] = Counter()
    for state in log.states(stage):
        total.update(msgspec.json.decode(state.get(_COUNTS, b"{}")))
    return total


def _decode(entry: Entry) -> Record:
    return decode(Tick if entry.key == TICK_KEY else TOPICS[entry.topic], entry.value)


def dead_letter(stage: str, entry: Entry, reason: str, error: str, at: datetime) -> Dead:
    """The dead letter of a log entry; its id is the same whenever the same entry dies in the same stage.

    A value that would make the letter itself too large for the log is kept as its hash.
    """
    origin = f"{entry.topic}/{entry.partition}/{entry.offset}"
    letter = Dead(
        id=hashlib.blake2b(f"{stage} {origin}".encode(), digest_size=8).hexdigest(),
        stage=stage,
        reason=reason,
        error=error[:500],
        at=at,
        origin=origin,
        topic=entry.topic,
        key=entry.key,
        value=entry.value.decode("utf-8", "replace"),
    )
    if len(encode(letter)) <= VALUE_LIMIT:
        return letter
    digest = hashlib.blake2b(entry.value, digest_size=8).hexdigest()
    return msgspec.structs.replace(letter, topic="", key="", value="", hash=digest)
