"""A broker that stops and starts again: nothing is lost, nothing doubled, and everybody goes on by himself."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from backends import Kafka
from incident import wait_for
from local_site import free_port

from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.errors import Retry
from tingchao.pipeline.kafka_log import KafkaLog
from tingchao.pipeline.log import Output
from tingchao.pipeline.records import Post, encode
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Runner

pytestmark = pytest.mark.real
NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@pytest.fixture
def backend(own_kafka: Any) -> Iterator[Any]:
    made = Kafka(bootstrap=[f"127.0.0.1:{own_kafka.port}"])
    yield made
    made.close()


class Copy:
    """Says what it reads, and how many it has read."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def process(self, inputs: list[Input]) -> Result:
        outputs = []
        for one in inputs:
            assert isinstance(one.record, Post)
            number = int(self._memory.get("n", b"0")) + 1
            self._memory["n"] = str(number).encode()
            outputs.append(Output("commands", "k", f"{number} {one.record.id}".encode()))
        return Result(outputs, ["copied"] * len(inputs))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_stage_and_a_writer_go_on_after_the_broker_was_away(
    own_kafka: Any, log: KafkaLog, backend: Any, make_post: Callable[..., Post], how: signal.Signals
) -> None:
    sent: list[str] = []
    complaints: list[str] = []
    stop, done = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            try:
                log.publish([Output("posts", "k", encode(make_post(f"{number}"))) for _ in range(2)], NOW)
                sent.append(f"{number}")
            except Retry as err:  # whether it stands is not known: readers know posts by their ids
                complaints.append(str(err))
            number += 1
            stop.wait(0.05)

    def work() -> None:
        runner = Runner(Plan("g", ("posts",), Copy, batch=20), backend.log(0.02), SystemClock())
        while not done.is_set():
            runner.step()
        runner.close()

    def grow(count: int) -> None:
        want = log_of_views.end("commands") + count
        for _ in range(2400):
            if log_of_views.end("commands") >= want:
                return
            stop.wait(0.05)
        raise AssertionError("it does not go on")

    log_of_views = backend.log()

    def worked_off() -> bool:
        return log_of_views.position("g", "posts") >= log_of_views.end("posts")

    threads = [threading.Thread(target=write), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    try:
        grow(10)
        own_kafka.stop(how)
        stop.wait(3)
        own_kafka.start()
        grow(30)
        stop.set()
        threads[0].join()
        assert wait_for(worked_off, 60)  # not until a step does nothing: it may wait for partitions that move
    finally:
        stop.set()
        done.set()
        for thread in threads:
            thread.join()
    told = [entry.value.decode().split() for entry in log_of_views.scan("commands", limit=100_000)]
    published = [entry.value for entry in log_of_views.scan("posts", limit=100_000)]
    assert [int(number) for number, _ in told] == list(range(1, len(published) + 1))  # each entry once, in order
    idents = [ident for _, ident in told]
    assert set(sent) <= set(idents)
    assert all(idents.count(ident) == 2 for ident in sent)


def test_a_role_that_begins_before_the_broker_waits_for_it(own_kafka: Any, tmp_path: Path) -> None:
    config, said = tmp_path / "config", tmp_path / "said"
    config.mkdir()
    (config / "tingchao.toml").write_text(
        f'[log]\nkind = "kafka"\n[kafka]\nbootstrap = ["127.0.0.1:{own_kafka.port}"]\nprefix = "early"\n'
    )
    tingchao = [sys.executable, "-m", "tingchao.pipeline.cli"]
    subprocess.run([*tingchao, "setup", "--config", str(config)], check=True, capture_output=True)
    own_kafka.stop()
    port = free_port()
    command = [*tingchao, "run", "decide", "crawl", "--config", str(config), "--health", f"127.0.0.1:{port}"]
    with said.open("wb") as out:
        process = subprocess.Popen([*command, "--db", str(tmp_path / "t.db")], stdout=out, stderr=out)
    try:
        assert wait_for(lambda: b"role.waits" in said.read_bytes() or process.poll() is not None, 120)
        assert process.poll() is None, said.read_text()
        assert _answer(f"http://127.0.0.1:{port}/readyz") != 200
        own_kafka.start()
        assert wait_for(lambda: _answer(f"http://127.0.0.1:{port}/readyz") == 200, 120), said.read_text()
        process.terminate()
        assert process.wait(20) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()
        own_kafka.start()


def _answer(url: str) -> int:
    """The status of the answer, 0 when there is none."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return 0
