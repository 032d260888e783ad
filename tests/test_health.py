"""What a process says of itself: alive, ready, and its measures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import httpx
import pytest
from prometheus_client import REGISTRY

from tingchao.pipeline import health as health_module
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.errors import Poison, Refused, Retry
from tingchao.pipeline.health import HEALTH, Health, serve
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.records import Post
from tingchao.pipeline.roles import patiently, run_stages
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Runner


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def ask(health: Health) -> Iterator[Callable[[str], httpx.Response]]:
    server = serve("0", health)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as client:
        yield client.get
    server.shutdown()
    server.server_close()


def test_ready_when_a_loop_turns_and_waits_for_nothing(health: Health, ask: Callable[[str], httpx.Response]) -> None:
    assert ask("/readyz").status_code == 503, "nothing has begun"
    health.turned("score")
    assert ask("/readyz").status_code == 200
    health.turned("score", "Kafka is away")
    assert ask("/readyz").status_code == 503
    assert ask("/readyz").json()["waiting"] == {"score": "Kafka is away"}
    assert ask("/healthz").status_code == 200, "starting anew would not help"


def test_a_loop_that_no_longer_turns_is_not_alive(
    health: Health, ask: Callable[[str], httpx.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    health.turned("score")
    health.turned("watch")
    later = health_module.stopwatch() + 61
    monkeypatch.setattr(health_module, "stopwatch", lambda: later)
    health.turned("watch")
    assert ask("/healthz").status_code == 503
    assert ask("/healthz").json()["stuck"] == ["score"]
    health.left("score")
    assert ask("/healthz").status_code == 200


def test_other_paths_are_named(ask: Callable[[str], httpx.Response]) -> None:
    assert ask("/").status_code == 404
    assert "/metrics" in ask("/").text


def test_a_process_of_several_roles_is_not_ready_while_one_still_waits_to_begin() -> None:
    HEALTH.turned("decide")
    said, tries = list[object](), iter((Retry("Kafka is away", 0.0), Retry("Kafka is away", 0.0)))

    def make() -> str:
        said.append(HEALTH.troubles())
        for trouble in tries:
            raise trouble
        return "a log"

    try:
        assert patiently("crawl", make, threading.Event()) == "a log"
        assert said == [{}, {"crawl": "Kafka is away"}, {"crawl": "Kafka is away"}]
        assert HEALTH.troubles() == {}
    finally:
        HEALTH.left("decide")


@pytest.mark.parametrize("address", ["", "x", "127.0.0.1:99999", "256.1.1.1:80"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="--health"):
        serve(address)


class Fussy:
    """A stage with an opinion on texts."""

    def __init__(self, trouble: list[str]) -> None:
        self._trouble = trouble

    def process(self, inputs: Sequence[Input]) -> Result:
        if self._trouble:
            raise Retry(self._trouble[0], 1)
        posts = [one.record for one in inputs if isinstance(one.record, Post)]
        if any(post.text == "poison" for post in posts):
            raise Poison("test.poison", "never works")
        return Result([output("scored", post.id, post) for post in posts], ["fine"] * len(inputs))


def measured(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_each_record_is_counted_once_with_its_outcome(
    log: Log, clock: ManualClock, make_post: Callable[..., Post]
) -> None:
    trouble: list[str] = ["the store is away"]
    runner = Runner(Plan("fussy", ("posts",), lambda _: Fussy(trouble)), log, clock)
    posts = [make_post("a", "good"), make_post("b", "poison")]
    log.publish([output("posts", post.id, post) for post in posts], clock.now())
    assert runner.lag() == {"posts": 2}
    runner.step()
    assert runner.trouble == "the store is away"
    assert measured("tingchao_retries_total", stage="fussy", reason="other") == 1
    trouble.clear()
    clock.move(timedelta(seconds=1))
    assert runner.step()
    assert runner.trouble == ""
    assert runner.lag() == {"posts": 0}
    assert measured("tingchao_records_total", stage="fussy", outcome="fine") == 1
    assert measured("tingchao_records_total", stage="fussy", outcome="dead") == 1
    assert measured("tingchao_dead_total", stage="fussy", reason="test.poison") == 1
    assert measured("tingchao_outputs_total", stage="fussy", topic="scored") == 1
    assert measured("tingchao_batch_seconds_count", stage="fussy") == 1, "the second was set aside"


def test_a_running_stage_tells_its_lag(log: Log, clock: ManualClock, make_post: Callable[..., Post]) -> None:
    stop = threading.Event()

    class Once:
        def __init__(self, _: Memory) -> None:
            pass

        def process(self, inputs: Sequence[Input]) -> Result:
            stop.set()
            return Result((), ["read"] * len(inputs))

    log.publish([output("posts", str(n), make_post(str(n))) for n in range(5)], clock.now())
    run_stages([Plan("lagging", ("posts",), Once, batch=3)], log, clock, stop, lambda: None)
    assert measured("tingchao_lag_records", stage="lagging", topic="posts") == 2
