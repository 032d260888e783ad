"""The runner: every record is counted once with its outcome, whatever fails and whenever a process dies."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.errors import Poison, Retry
from tingchao.pipeline.log import STATE_LIMIT, VALUE_LIMIT, Batch, Entry, Log, Output, Reader, output
from tingchao.pipeline.records import TICK_KEY, Command, Dead, Post, Tick, decode
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Runner, dead_letter

NOW = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
Spoil = Callable[[Sequence[Input]], None]


class Copy:
    """Copies posts to [scored]; `spoil` may raise. Keeps how many it saw."""

    def __init__(self, memory: Memory, spoil: Spoil = lambda _: None) -> None:
        self.memory, self._spoil = memory, spoil

    def process(self, inputs: Sequence[Input]) -> Result:
        seen = int(self.memory.get("seen", b"0")) + len(inputs)
        self.memory["seen"] = str(seen).encode()
        self._spoil(inputs)
        outputs, outcomes = [], []
        for one in inputs:
            if isinstance(one.record, Tick):
                outcomes.append("tick")
            else:
                outputs.append(output("commands", "k", Command(id=name(one), alert="a", action="resolve")))
                outcomes.append("copied")
        return Result(outputs, outcomes)


def name(one: Input) -> str:
    assert isinstance(one.record, Post | Command)
    return one.record.id


def plan(spoil: Spoil = lambda _: None, **fields: Any) -> Plan:
    return Plan("copy", ("posts",), lambda memory: Copy(memory, spoil), **fields)


def publish(log: Log, *names: str, minute: float = 0) -> None:
    at = NOW + timedelta(minutes=minute)
    log.publish([output("posts", one, Post(id=one, source="s", published_at=at, fetched_at=at)) for one in names], at)


def copied(log: Log) -> list[str]:
    return [decode(Command, entry.value).id for entry in log.scan("commands", limit=100_000)]


def letters(log: Log) -> list[Dead]:
    return [decode(Dead, entry.value) for entry in log.scan("dead")]


def run(runner: Runner, steps: int = 50) -> None:
    """Until there is nothing to do."""
    while runner.step():
        steps -= 1
        assert steps, "the runner does not come to an end"


def names(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def test_each_record_is_processed_and_counted_once(log: Log, clock: ManualClock) -> None:
    publish(log, *names(12))
    runner = Runner(plan(batch=5), log, clock)
    assert [runner.step() for _ in range(4)] == [True, True, True, False]
    assert (copied(log), runner.counts()) == (names(12), {"copied": 12})
    assert log.state("copy")["seen"] == b"12"


def test_a_stage_reads_the_time_of_writing(log: Log, clock: ManualClock) -> None:
    times: list[datetime] = []
    publish(log, "p1", minute=3)
    run(Runner(plan(lambda inputs: times.extend(one.at for one in inputs)), log, clock))
    assert times == [NOW + timedelta(minutes=3)]


def test_counts_and_memory_survive_a_restart(backend: Any, log: Log, clock: ManualClock) -> None:
    publish(log, *names(7))
    first = Runner(plan(batch=4), log, clock)
    first.step()
    first.close()
    log.close()
    again = backend.log()
    second = Runner(plan(batch=4), again, clock)
    assert second.counts() == {"copied": 4}
    run(second)
    assert (copied(again), second.counts(), again.state("copy")["seen"]) == (names(7), {"copied": 7}, b"7")


def test_a_stage_sees_its_own_keys_only(log: Log, clock: ManualClock) -> None:
    keys: list[list[str]] = []

    class Looks(Copy):
        def process(self, inputs: Sequence[Input]) -> Result:
            keys.append(sorted(self.memory))
            return super().process(inputs)

    publish(log, *names(3))
    run(Runner(Plan("copy", ("posts",), Looks, batch=1), log, clock))
    assert keys == [[], ["seen"], ["seen"]]
    assert "#counts" in log.state("copy")


# Poison and bugs: one record must not stop the others


@pytest.mark.parametrize("error", [Poison("post.bad", "no good"), KeyError("bug"), RecursionError()])
@pytest.mark.parametrize("bad", [0, 3, 9])
def test_a_bad_record_is_buried_and_the_others_go_through_once(
    log: Log, clock: ManualClock, error: Exception, bad: int
) -> None:
    def spoil(inputs: Sequence[Input]) -> None:
        if any(name(one) == f"p{bad}" for one in inputs):
            raise error

    publish(log, *names(10))
    runner = Runner(plan(spoil), log, clock)
    run(runner)
    rest = [one for one in names(10) if one != f"p{bad}"]
    assert (copied(log), runner.counts()) == (rest, {"copied": 9, "dead": 1})
    assert log.state("copy")["seen"] == b"9"  # what the failed attempts remembered is gone
    (letter,) = letters(log)
    reason = "post.bad" if isinstance(error, Poison) else f"bug.{type(error).__name__}"
    assert (letter.stage, letter.reason, letter.topic, letter.key) == ("copy", reason, "posts", f"p{bad}")
    assert decode(Post, letter.value.encode()).id == f"p{bad}"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bad=st.sets(st.integers(0, 14)), size=st.integers(1, 20))
def test_any_mixture_of_good_and_bad_is_told_apart(log: Log, bad: set[int], size: int) -> None:
    def spoil(inputs: Sequence[Input]) -> None:
        if any(int(name(one)[1:]) in bad for one in inputs):
            raise Poison("post.bad", "no good")

    before, group = len(copied(log)), f"copy{log.end('posts')}"
    reader = log.reader(group, ["posts"])
    while (earlier := reader.read(500)) is not None:  # what the examples before this one wrote
        reader.commit(earlier, (), {}, NOW)
    publish(log, *names(15))
    runner = Runner(plan(spoil, batch=size)._replace(name=group), log, ManualClock(NOW))
    run(runner)
    assert copied(log)[before:] == [one for number, one in enumerate(names(15)) if number not in bad]
    assert runner.counts().get("dead", 0) == len(bad)
    assert sum(runner.counts().values()) == 15


def test_a_dead_letter_has_the_same_id_whenever_the_same_record_dies(log: Log, clock: ManualClock) -> None:
    publish(log, "p1", "p2")
    first, second = log.scan("posts")
    ids = [
        dead_letter(*given, "why", "error", clock.now()).id
        for given in (("a", first), ("a", first), ("a", second), ("b", first))
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{not json", "record.malformed"),
        (b"\xff\xfe", "record.malformed"),
        (b"[" * 100_000, "record.malformed"),
        (b'{"v":1,"id":"p"}', "record.malformed"),
        (
            b'{"v":2,"id":"p","source":"s","published_at":"2026-01-05T00:00:00Z","fetched_at":"2026-01-05T00:00:00Z"}',
            "record.version",
        ),
        (
            b'{"v":1,"id":"p","source":"s","published_at":"2026-01-05T00:00:00","fetched_at":"2026-01-05T00:00:00Z"}',
            "record.malformed",
        ),
    ],
    ids=["not json", "not text", "deep", "without source", "next version", "without zone"],
)
def test_what_cannot_be_read_is_buried(log: Log, clock: ManualClock, value: bytes, reason: str) -> None:
    publish(log, "p1")
    log.publish([Output("posts", "k", value)], NOW)
    publish(log, "p2")
    runner = Runner(plan(), log, clock)
    run(runner)
    assert (copied(log), runner.counts()) == (["p1", "p2"], {"copied": 2, "dead": 1})
    assert [letter.reason for letter in letters(log)] == [reason]


def test_the_previous_version_and_unknown_fields_are_read(log: Log, clock: ManualClock) -> None:
    fields = b'"id":"p1","source":"s","published_at":"2026-01-05T00:00:00Z","fetched_at":"2026-01-05T08:00:00+08:00"'
    log.publish([Output("posts", "k", b'{"v":0,%s,"mood":{"new":[1]}}' % fields)], NOW)
    run(Runner(plan(), log, clock))
    assert (copied(log), letters(log)) == (["p1"], [])


def test_a_record_too_large_for_its_letter_is_buried_as_a_hash(log: Log, clock: ManualClock) -> None:
    # Each byte becomes six in JSON: the letter with its content would never go into the log, and the stage stand still.
    log.publish([Output("posts", "k", b"\1" * VALUE_LIMIT)], NOW)
    publish(log, "p1")
    runner = Runner(plan(), log, clock)
    run(runner)
    (letter,) = letters(log)
    assert (letter.value, letter.topic, bool(letter.hash), letter.origin) == ("", "", True, "posts/0/1")
    assert (copied(log), runner.counts()) == (["p1"], {"copied": 1, "dead": 1})


def test_a_stage_whose_outcomes_do_not_match_its_inputs_fails(log: Log, clock: ManualClock) -> None:
    class Short(Copy):
        def process(self, inputs: Sequence[Input]) -> Result:
            return Result(super().process(inputs).outputs, ())

    publish(log, *names(3))
    runner = Runner(Plan("copy", ("posts",), Short), log, clock)
    run(runner)
    assert (copied(log), runner.counts()) == ([], {"dead": 3})
    assert {letter.reason for letter in letters(log)} == {"bug.AssertionError"}
    assert "1 inputs but 0 outcomes" in letters(log)[0].error


def test_state_over_the_limit_buries_the_record_that_made_it(log: Log, clock: ManualClock) -> None:
    class Grows(Copy):
        def process(self, inputs: Sequence[Input]) -> Result:
            if any(name(one) == "p2" for one in inputs):
                self.memory["big"] = bytes(STATE_LIMIT + 1)
            return super().process(inputs)

    publish(log, *names(4))
    runner = Runner(Plan("copy", ("posts",), Grows), log, clock)
    run(runner)
    assert (copied(log), runner.counts()) == (["p0", "p1", "p3"], {"copied": 3, "dead": 1})
    assert [letter.reason for letter in letters(log)] == ["state.too_large"]
    assert sorted(log.state("copy")) == ["#counts", "seen"]


def test_log_events_have_constant_names_and_no_content(log: Log, clock: ManualClock) -> None:
    log.publish([Output("posts", "k", b'"secret words"')], NOW)
    with structlog.testing.capture_logs() as events:
        run(Runner(plan(), log, clock))
    (event,) = events
    assert (event["event"], event["stage"], event["reason"]) == ("stage.dead", "copy", "record.malformed")
    assert (event["topic"], event["offset"]) == ("posts", 1)
    assert "secret" not in str(event)


def test_a_bug_is_logged_with_its_place_and_without_the_record(
    log: Log, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(_: Sequence[Input]) -> None:
        raise ZeroDivisionError

    log.publish(
        [output("posts", "k", Post(id="p", source="s", text="不可外传", published_at=NOW, fetched_at=NOW))], NOW
    )
    run(Runner(plan(spoil), log, clock))
    said = capsys.readouterr()
    assert "bug.ZeroDivisionError" in said.out + said.err
    assert "in spoil" in said.out + said.err
    assert "不可外传" not in said.out + said.err


# Retry: nothing happened, wait, the same batch again


def test_retry_waits_and_then_goes_on(log: Log, clock: ManualClock) -> None:
    tries: list[int] = []

    def spoil(inputs: Sequence[Input]) -> None:
        tries.append(len(inputs))
        if len(tries) <= 2:
            raise Retry("the store is away", after=5)

    publish(log, *names(3))
    runner = Runner(plan(spoil), log, clock)
    with structlog.testing.capture_logs() as events:
        assert not runner.step()
        clock.move(timedelta(seconds=4.9))
        assert not runner.step()
        assert tries == [3]
        clock.move(timedelta(seconds=0.1))
        assert not runner.step()
        assert tries == [3, 3]
        assert (copied(log), log.position("copy", "posts"), runner.counts()) == ([], 0, {})
        clock.move(timedelta(seconds=5))
        assert runner.step()
    assert (copied(log), runner.counts(), log.state("copy")["seen"]) == (names(3), {"copied": 3}, b"3")
    assert [(one["event"], one["stage"]) for one in events] == [("stage.retry", "copy")]  # one complaint, not each time


def test_retry_between_a_bad_record_and_a_good_one_doubles_nothing(log: Log, clock: ManualClock) -> None:
    away = [True]

    def spoil(inputs: Sequence[Input]) -> None:
        if any(name(one) == "p1" for one in inputs):
            raise Poison("post.bad", "no good")
        if len(inputs) == 1 and name(inputs[0]) == "p3" and away.pop():
            raise Retry("the store is away")

    publish(log, *names(5))
    runner = Runner(plan(spoil), log, clock)
    assert not runner.step()
    assert copied(log) == ["p0", "p2"]
    away.append(False)
    clock.move(timedelta(seconds=2))
    run(runner)
    assert (copied(log), runner.counts()) == (["p0", "p2", "p3", "p4"], {"copied": 4, "dead": 1})


class Faulty:
    """A log whose first commit raises."""

    def __init__(self, log: Log, error: BaseException) -> None:
        self._log, self._errors = log, [error]

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._log, attribute)

    def reader(self, group: str, topics: Sequence[str]) -> Reader:
        reader = self._log.reader(group, topics)
        good = reader.commit

        def once(batch: Batch, outputs: Sequence[Output], state: dict[str, bytes | None], at: datetime) -> None:
            if self._errors:
                raise self._errors.pop()
            good(batch, outputs, state, at)

        reader.commit = once  # type: ignore[method-assign]
        return reader


def test_a_commit_that_fails_once_is_done_again_whole(log: Log, clock: ManualClock) -> None:
    publish(log, *names(4))
    runner = Runner(plan(), Faulty(log, Retry("full", after=1)), clock)
    assert not runner.step()
    assert (copied(log), runner.counts()) == ([], {})
    clock.move(timedelta(seconds=1))
    run(runner)
    assert (copied(log), runner.counts(), log.state("copy")["seen"]) == (names(4), {"copied": 4}, b"4")


def test_an_error_that_ends_the_process_leaves_everything_to_the_next(log: Log, clock: ManualClock) -> None:
    def spoil(inputs: Sequence[Input]) -> None:
        if "p7" in [name(one) for one in inputs]:
            raise KeyboardInterrupt

    publish(log, *names(12))
    with pytest.raises(KeyboardInterrupt):
        run(Runner(plan(spoil, batch=5), log, clock))
    assert copied(log) == names(5)
    second = Runner(plan(batch=5), log, clock)
    run(second)
    assert (copied(log), second.counts()) == (names(12), {"copied": 12})


def test_a_locked_log_is_waited_for(backend: Any, log: Log, clock: ManualClock) -> None:
    publish(log, *names(2))
    runner = Runner(plan(tick=timedelta(minutes=1)), log, clock)
    with backend.locked():
        assert not runner.step()
    clock.move(timedelta(seconds=1))
    run(runner)
    assert (copied(log), runner.counts()) == (names(2), {"copied": 2, "tick": 1})


KILLED = """
import sys
from datetime import timedelta
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.log import Output
from tingchao.pipeline.stage import Plan, Result, Runner

class Copy:
    def __init__(self, memory):
        self.memory = memory
    def process(self, inputs):
        self.memory["seen"] = str(int(self.memory.get("seen", b"0")) + len(inputs)).encode()
        if len(inputs) > 1 and any(int(one.record.id[1:]) % 10 == 3 for one in inputs):
            raise Poison("batch.bad", "one of these is bad")
        if any(int(one.record.id[1:]) % 10 == 3 for one in inputs):
            raise Poison("post.bad", "it is this one")
        outputs = [Output("commands", "k", one.record.id.encode()) for one in inputs]
        return Result(outputs, ["copied"] * len(inputs))

runner = Runner(Plan("copy", ("posts",), Copy, batch=4), log, SystemClock())
while runner.step():
    print(sum(runner.counts().values()), flush=True)
"""


def test_a_killed_runner_goes_on_where_it_was(log: Log, child: Callable[[str], subprocess.Popen[str]]) -> None:
    total = 1000
    publish(log, *names(total))
    for acknowledged in (1, 9, 30):
        worker = child(KILLED)
        for _ in range(acknowledged):
            worker.stdout.readline()
        worker.kill()
        worker.communicate()
        position, counts = log.position("copy", "posts"), msgspec.json.decode(log.state("copy")["#counts"])
        assert sum(counts.values()) == position == log.end("commands") + log.end("dead")
        assert position < total, "it was faster than the kill; publish more"
    last = child(KILLED)
    last.communicate()
    assert last.returncode == 0
    assert [entry.value.decode() for entry in log.scan("commands", limit=total)] == [
        n for n in names(total) if n[-1] != "3"
    ]
    assert [entry.key for entry in log.scan("dead", limit=total)] == [letter.id for letter in letters(log)]
    assert msgspec.json.decode(log.state("copy")["#counts"]) == {"copied": total * 9 // 10, "dead": total // 10}
    assert log.state("copy")["seen"] == str(total * 9 // 10).encode()


# Ticks and idle stages


def ticks(log: Log) -> list[datetime]:
    return [decode(Tick, entry.value).at for entry in log.scan("posts") if entry.key == TICK_KEY]


def test_ticks_come_by_the_clock_and_are_read_like_posts(log: Log, clock: ManualClock) -> None:
    got: list[Tick] = []

    def spoil(inputs: Sequence[Input]) -> None:
        got.extend(one.record for one in inputs if isinstance(one.record, Tick))

    runner = Runner(plan(spoil, tick=timedelta(minutes=1)), log, clock)
    run(runner)
    for seconds in (30, 29, 1, 59, 600):
        clock.move(timedelta(seconds=seconds))
        run(runner)
    expected = [NOW + timedelta(seconds=seconds) for seconds in (0, 60, 719)]
    assert [tick.at for tick in got] == ticks(log) == expected
    assert runner.counts() == {"tick": 3}


def test_a_stage_without_timers_has_no_ticks(log: Log, clock: ManualClock) -> None:
    runner = Runner(plan(), log, clock)
    clock.move(timedelta(hours=1))
    assert not runner.step()
    assert log.end("posts") == 0


def test_a_tick_that_could_not_be_written_is_written_later(backend: Any, log: Log, clock: ManualClock) -> None:
    runner = Runner(plan(tick=timedelta(hours=1)), log, clock)
    with backend.locked():
        assert not runner.step()
    clock.move(timedelta(seconds=2))
    run(runner)
    assert ticks(log) == [NOW + timedelta(seconds=2)]


class Outbox:
    """Sends what waits whenever it is called."""

    def __init__(self, memory: Memory, broken: list[Exception]) -> None:
        self.memory, self._broken = memory, broken

    def process(self, inputs: Sequence[Input]) -> Result:
        for one in inputs:
            self.memory[f"wait/{name(one)}"] = b""
        if inputs:
            return Result((), ["kept"] * len(inputs))
        sent = sorted(self.memory)
        for key in sent:
            del self.memory[key]
        if sent and self._broken:
            raise self._broken.pop()
        return Result([output("commands", key, Command(id=key, alert="a", action="resolve")) for key in sent], ())


def test_an_idle_stage_is_called_without_inputs_and_says_when_it_did_something(log: Log, clock: ManualClock) -> None:
    publish(log, "p1")
    runner = Runner(Plan("copy", ("posts",), lambda memory: Outbox(memory, []), idle=True), log, clock)
    assert [runner.step() for _ in range(4)] == [True, True, False, False]
    assert (copied(log), runner.counts(), sorted(log.state("copy"))) == (["wait/p1"], {"kept": 1}, ["#counts"])


@pytest.mark.parametrize("error", [Retry("the desk is away"), KeyError("bug")])
def test_what_an_idle_stage_could_not_do_still_waits(log: Log, clock: ManualClock, error: Exception) -> None:
    publish(log, "p1")
    broken = [error]
    runner = Runner(Plan("copy", ("posts",), lambda memory: Outbox(memory, broken), idle=True), log, clock)
    assert runner.step()
    if isinstance(error, Retry):
        assert not runner.step()
    else:  # no record is to blame, so nobody is buried: a bug that must be seen
        with pytest.raises(KeyError):
            runner.step()
    clock.move(timedelta(seconds=2))
    run(runner)
    assert (copied(log), letters(log)) == (["wait/p1"], [])


# Memory


def test_memory_tells_changes_once() -> None:
    memory = Memory({"a": b"1", "b": b"2"})
    memory["a"] = b"3"
    memory["c"] = b"4"
    del memory["b"]
    del memory["c"]
    assert memory.changes() == {"a": b"3", "b": None, "c": None}
    assert memory.changes() == {}
    assert dict(memory) == {"a": b"3"}
    assert len(memory) == 1
    with pytest.raises(KeyError):
        del memory["b"]
    assert memory.changes() == {}


def test_values_that_only_a_restart_reads_leave_memory_with_the_commit() -> None:
    memory = Memory({"a/1": b"1", "a/2": b"2", "b": b"3"})
    memory.let_go(("a/",))
    del memory["a/2"]
    memory["a/3"] = b"4"
    assert (memory["a/1"], memory["a/3"]) == (b"1", b"4"), "until they are committed"
    assert memory.changes() == {"a/2": None, "a/3": b"4"}
    assert dict(memory) == {"a/1": b"", "a/3": b"", "b": b"3"}
    memory["a/3"] = b"5"
    del memory["a/1"]
    assert memory.changes() == {"a/1": None, "a/3": b"5"}
    assert dict(memory) == {"a/3": b"", "b": b"3"}


@pytest.mark.parametrize("way", ["pop", "popitem", "setdefault", "update", "clear", "__ior__"])
def test_memory_is_not_changed_in_ways_that_it_would_not_notice(way: str) -> None:
    with pytest.raises(TypeError):
        getattr(Memory({"a": b"1"}), way)("a")


@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.binary(max_size=2), st.booleans())))
def test_changes_applied_in_order_give_the_memory(steps: list[tuple[str, bytes | None, bool]]) -> None:
    memory, stored = Memory({"a": b"1"}), {"a": b"1"}
    for key, value, commit in [*steps, ("a", b"end", True)]:
        if value is not None:
            memory[key] = value
        elif key in memory:
            del memory[key]
        if commit:
            stored |= (changes := memory.changes())
            stored = {name: kept for name, kept in stored.items() if kept is not None}
            assert changes.keys() <= {"a", "b", "c"}
    assert stored == dict(memory)


def test_a_letter_says_where_its_record_stood_and_keeps_the_error_short(clock: ManualClock) -> None:
    letter = dead_letter("s", Entry("posts", 0, 7, "k", NOW, b"{}"), "why", "x" * 900, clock.now())
    assert (letter.origin, letter.error, letter.value, letter.hash) == ("posts/0/7", "x" * 500, "{}", "")
