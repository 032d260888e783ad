"""A disk that is full: servers of their own whose data stand on a tmpfs of some dozen MB. Needs the right to mount."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import servers
from backends import Elastic, Kafka
from incident import wait_for

from tingchao.pipeline.errors import Retry
from tingchao.pipeline.log import Output
from tingchao.pipeline.query import Query

pytestmark = pytest.mark.real
NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
SIZE = 200  # MB; Kafka makes index files of 10 MB at a time


@contextmanager
def small_disk(server: Any) -> Iterator[Callable[[int], Path]]:
    """The server's data on a small disk; called with percents, it is filled so far by a file of others."""
    data = server.folder / "data"
    data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", data], check=True)

    def fill(percent: int) -> Path:
        ballast: Path = data / "of-others"
        usage = shutil.disk_usage(data)
        with ballast.open("ab", buffering=0) as file, suppress(OSError):  # the server may take the last bytes first
            file.write(bytes(max(0, usage.total * percent // 100 - usage.used)))
        return ballast

    try:
        yield fill
    finally:
        server.stop()
        subprocess.run(["umount", data], check=True)
        server.wipe()


@pytest.fixture
def elasticsearch(new_server: Callable[..., Any]) -> Iterator[tuple[Any, Callable[[int], Path]]]:
    server = new_server(servers.Elasticsearch)
    with small_disk(server) as fill:
        server.start()
        yield server, fill


def test_elasticsearch_at_its_flood_stage_is_waited_for_and_taken_up_again(
    elasticsearch: Any, make_scored: Callable[..., Any]
) -> None:
    server, fill = elasticsearch
    made = Elastic(urls=[f"http://127.0.0.1:{server.port}"])
    disk = "cluster.routing.allocation.disk"
    marks = {f"{disk}.watermark.{name}": share for name, share in (("low", "70%"), ("high", "75%"))}
    marks |= {f"{disk}.watermark.flood_stage": "80%", f"{disk}.threshold_enabled": True}
    made.client.cluster.put_settings(persistent=marks | {"cluster.info.update.interval": "10s"})
    store, number, reasons = made.store(), 0, list[str]()

    def put() -> bool:
        nonlocal number
        try:
            store.put([make_scored(f"p{number:04}")])
        except Retry as err:
            reasons.append(err.reason)
            return False
        number += 1
        return True

    assert put()
    ballast = fill(90)
    assert wait_for(lambda: not put(), 60)  # it looks at its disk every 10 seconds
    assert set(reasons) == {"elasticsearch.blocked"}
    ballast.unlink()
    assert wait_for(put, 60)
    assert store.count(Query()) == number
    made.close()


@pytest.fixture
def kafka_on_small_disk(new_server: Callable[..., Any]) -> Iterator[tuple[Any, Callable[[int], Path]]]:
    server = new_server(servers.Kafka)
    with small_disk(server) as fill:
        server.start()
        yield server, fill


def test_kafka_on_a_full_disk_goes_on_when_there_is_room_again(kafka_on_small_disk: Any) -> None:
    server, fill = kafka_on_small_disk
    backend = Kafka(bootstrap=[f"127.0.0.1:{server.port}"])
    log, written = backend.log(), list[str]()

    def write() -> bool:
        value = f"{len(written):06}"
        try:
            log.publish([Output("posts", "k", value.encode() + bytes(100_000))], NOW)
        except Retry:
            return False
        written.append(value)
        return True

    assert write()
    ballast = fill(100)
    assert wait_for(lambda: not write(), 120)
    assert wait_for(lambda: not server.running(), 60)  # a broker all of whose disks have failed ends
    ballast.unlink()
    server.start()
    assert wait_for(write, 60)
    kept = [entry.value[:6].decode() for entry in log.scan("posts", limit=100_000)]
    assert sorted(set(kept)) == written  # what got no answer may stand there too, under the same name
    backend.close()
