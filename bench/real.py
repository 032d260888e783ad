"""On a real Kafka and Elasticsearch, all stages on the same two cores: throughput and latency beside the bare parts.

Needs KAFKA_BOOTSTRAP and ELASTICSEARCH_URL (`make bench-real` starts both).
"""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import latency
from elasticsearch import Elasticsearch, helpers
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata
from parts import percentile, posts, processor_seconds

from tingchao.config.settings import Settings, load
from tingchao.pipeline.backends import open_log
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.errors import Retry
from tingchao.pipeline.flow import WAY, waiting
from tingchao.pipeline.intake import Intake, Raw
from tingchao.pipeline.log import Log, Output, output

COUNT = int(os.environ.get("COUNT", "30000"))
ROUNDS = int(os.environ.get("ROUNDS", "2"))
BATCH = 500
ROLES = ("score", "index", "watch", "decide", "notify")
KAFKA, ELASTIC = os.environ["KAFKA_BOOTSTRAP"], os.environ["ELASTICSEARCH_URL"]


def configure(folder: Path, port: int) -> Settings:
    """The configuration of the latency bench, on a cluster with a prefix of its own."""
    folder.mkdir()
    latency.configure(folder, port)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    with (folder / "tingchao.toml").open("a") as file:
        file.write(
            f'[log]\nkind = "kafka"\n[kafka]\nbootstrap = ["{KAFKA}"]\nprefix = "{prefix}"\npartitions = 2\n'
            f'[store]\nkind = "elasticsearch"\n[elasticsearch]\nurls = ["{ELASTIC}"]\nprefix = "{prefix}"\n'
        )
    command(folder, "setup")
    return load(folder)


def command(folder: Path, *arguments: str) -> None:
    run = [sys.executable, "-m", "tingchao.pipeline.cli", *arguments, "--config", str(folder)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def crew(folder: Path, *roles: str) -> Iterator[dict[str, int]]:
    """One process a role; the groups of processes by role, with those of the servers."""
    run, place = [sys.executable, "-m", "tingchao.pipeline.cli", "run"], ["--config", str(folder)]
    place += ["--db", str(folder / "t.db")]
    running = [subprocess.Popen([*run, role, *place], start_new_session=True) for role in roles]
    groups = {
        f"{role} {number}": process.pid for number, (role, process) in enumerate(zip(roles, running, strict=True))
    }
    try:
        yield groups | {server: int(os.environ[f"{server.upper()}_GROUP"]) for server in ("kafka", "elasticsearch")}
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(120)  # one that is just letting data age out ends that first


def records(shared: Path, log: Log) -> list[Output]:
    intake, now = Intake(log), SystemClock().now()
    made = (
        intake.post(
            Raw(
                source=str(row["source"]),
                text=str(row["text"]),
                author=str(row["author"]),
                basis=f"{row['id']}",
                published_at=now - timedelta(hours=6) * (1 - number / COUNT),
                fetched_at=now,
            )
        )
        for number, row in enumerate(posts(shared, COUNT))
    )
    return [output("posts", post.id, post) for post in made]


def kafka_bytes(prefix: str) -> str:
    """What the topics take on disk, a post, in bytes; one copy of each."""
    admin, sizes = KafkaAdminClient(bootstrap_servers=KAFKA), dict[str, int]()
    for broker in admin.describe_log_dirs():
        for topic in (topic for folder in broker["log_dirs"] for topic in folder["topics"]):
            if topic["name"].startswith(f"{prefix}."):
                name = topic["name"].removeprefix(f"{prefix}.")
                sizes[name] = sizes.get(name, 0) + sum(one["partition_size"] for one in topic["partitions"])
    admin.close()
    return ", ".join(f"{name} {size / COUNT:.0f}" for name, size in sorted(sizes.items()) if size / COUNT >= 1)


def left(log: Log, *stages: str) -> int:
    """How many records wait for these stages."""
    try:
        return sum(waiting(log, stage) for stage in stages)
    except Retry:  # a new broker makes the topic of positions only when it is first asked for one
        return COUNT


def end_to_end(
    shared: Path, folder: Path, roles: Sequence[str], stages: Sequence[str], spent: dict[str, float] | None = None
) -> float:
    """Posts a second from the first record written until every stage has read all; the processes run before.

    `spent`: takes the seconds of processor time a post of each process and server, and of this one that writes.
    """
    settings = configure(folder, 9)
    log = open_log(settings, folder / "t.db")
    rows = records(shared, log)
    with crew(folder, *roles) as groups:
        log.publish([rows[0]], SystemClock().now())
        while left(log, *stages):
            time.sleep(0.2)
        time.sleep(5)  # until all have joined
        before = {name: processor_seconds(group) for name, group in groups.items()}
        began, own = time.perf_counter(), time.process_time()
        for start in range(1, COUNT, BATCH):
            log.publish(rows[start : start + BATCH], SystemClock().now())
        written = time.process_time() - own
        while left(log, *stages):
            time.sleep(0.1)
        rate = (COUNT - 1) / (time.perf_counter() - began)
        print(f"  {folder.name}: {rate:,.0f} posts a second", file=sys.stderr)
        if spent is not None:
            spent |= {name: (processor_seconds(group) - before[name]) / COUNT for name, group in groups.items()}
            spent["writing"] = written / COUNT
            print(f"  bytes a post in Kafka: {kafka_bytes(settings.main.kafka.prefix)}", file=sys.stderr)
    log.close()
    return rate


def scoring(shared: Path, folder: Path, workers: int) -> float:
    """Posts a second that so many workers score together, of posts that were all written before."""
    settings = configure(folder, 9)
    log = open_log(settings, folder / "t.db")
    rows = records(shared, log)
    for start in range(0, COUNT, BATCH):
        log.publish(rows[start : start + BATCH], SystemClock().now())
    with crew(folder, *["score"] * workers):
        first, began = _down_to(log, 0.8)  # all have joined, and warmed up
        last, ended = _down_to(log, 0.2)  # none has run dry
    log.close()
    return (first - last) / (ended - began)


def _down_to(log: Log, share: float) -> tuple[int, float]:
    """How many posts wait for score when at most this share of them does, and when that was."""
    while (posts := left(log, "score")) > share * COUNT:
        time.sleep(0.05)
    return posts, time.perf_counter()


def bare_topic(partitions: int = 1) -> str:
    name = f"bare-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=KAFKA)
    admin.create_topics([NewTopic(name, partitions, 1)])
    admin.close()
    return name


def producing(values: list[bytes], topic: str) -> float:
    producer = KafkaProducer(bootstrap_servers=KAFKA, compression_type="gzip", linger_ms=5)
    began = time.perf_counter()
    for value in values:
        producer.send(topic, value)
    producer.flush()
    rate = len(values) / (time.perf_counter() - began)
    producer.close()
    return rate


def consuming(count: int, topic: str) -> float:
    consumer = KafkaConsumer(bootstrap_servers=KAFKA, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, 0)])
    read, began = 0, time.perf_counter()
    while read < count:
        read += sum(len(found) for found in consumer.poll(200, max_records=BATCH).values())
    rate = count / (time.perf_counter() - began)
    consumer.close()
    return rate


def hop(count: int, topic: str) -> float:
    """Read a batch, write as many, commit both in one transaction: what every stage does at least."""
    there, name = bare_topic(), f"hop-{uuid.uuid4().hex[:8]}"
    consumer = KafkaConsumer(
        bootstrap_servers=KAFKA, group_id=name, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.subscribe([topic])
    while not consumer.assignment():
        consumer.poll(100, max_records=1)
    consumer.seek_to_beginning()
    producer = KafkaProducer(bootstrap_servers=KAFKA, transactional_id=name, compression_type="gzip", linger_ms=5)
    producer.init_transactions()
    read, began = 0, time.perf_counter()
    while read < count:
        for place, found in consumer.poll(200, max_records=BATCH).items():
            producer.begin_transaction()
            sent = [producer.send(there, one.value) for one in found]
            producer.flush()
            for future in sent:
                future.get(20)
            offsets = {place: OffsetAndMetadata(found[-1].offset + 1, "", -1)}
            producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
            producer.commit_transaction()
            read += len(found)
    rate = read / (time.perf_counter() - began)
    producer.close()
    consumer.close()
    return rate


def bulk(values: list[bytes]) -> float:
    client, name = Elasticsearch(ELASTIC), f"bare-{uuid.uuid4().hex[:8]}"
    rows = [json.loads(value) for value in values]
    fields = {"text": {"type": "text"}, "id": {"type": "keyword"}}
    client.indices.create(index=name, mappings={"dynamic": False, "properties": fields})
    began = time.perf_counter()
    helpers.bulk(client, ({"_index": name, "_id": row["id"], "_source": row} for row in rows), chunk_size=BATCH)
    rate = len(rows) / (time.perf_counter() - began)
    client.indices.delete(index=name)
    client.close()
    return rate


def delays(shared: Path, folder: Path) -> list[float]:
    """Seconds from the log to the webhook while 200 posts a second come in."""
    latency.Desk.arrived.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), latency.Desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = configure(folder, server.server_address[1])
    log = open_log(settings, folder / "t.db")
    with crew(folder, *ROLES):
        time.sleep(20)  # until the stages have their models and partitions
        sent = latency.feed(shared, log)
        time.sleep(8)
    log.close()
    server.shutdown()
    return [latency.Desk.arrived[topic] - at for topic, at in sent.items() if topic in latency.Desk.arrived]


def alone(measure: Callable[..., float], *arguments: object) -> float:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, *arguments).result()


def main(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scratch = folder / "scratch"
        log = open_log(configure(scratch, 9), scratch / "t.db")
        values = [one.value for one in records(shared, log)]
        log.close()
        found: dict[str, list[float]] = {}
        spent: dict[str, float] = {}
        # Both servers compile their code while they first work: a new one takes several times as long for a post.
        end_to_end(shared, folder / "warm", ROLES, WAY)
        for number in range(ROUNDS):  # alternating, since the machine is shared
            topic = bare_topic()
            # In a process of its own: kafka-python as it comes, without our sums and compression.
            found.setdefault("kafka-python producing", []).append(alone(producing, values, topic))
            found.setdefault("kafka-python consuming", []).append(alone(consuming, len(values), topic))
            found.setdefault("one bare transactional hop", []).append(alone(hop, len(values), topic))
            found.setdefault("helpers.bulk", []).append(bulk(values))
            found.setdefault("end to end, one process a stage", []).append(
                end_to_end(shared, folder / f"all{number}", ROLES, WAY, spent)
            )
            found.setdefault("score alone, one worker", []).append(scoring(shared, folder / f"one{number}", 1))
            found.setdefault("score alone, two workers", []).append(scoring(shared, folder / f"two{number}", 2))
        print(f"real servers: {COUNT:,} posts of about 80 characters, posts a second")
        for what, rates in found.items():
            print(f"  {what:32} {statistics.median(rates):8,.0f} ({min(rates):,.0f}-{max(rates):,.0f})")
        share = [
            a / b
            for a, b in zip(found["end to end, one process a stage"], found["one bare transactional hop"], strict=True)
        ]
        more = [a / b for a, b in zip(found["score alone, two workers"], found["score alone, one worker"], strict=True)]
        print(f"  end to end / hop: {', '.join(f'{one:.2f}' for one in share)} (wanted: 0.33, and 1,500 a second)")
        print(f"  two workers / one: {', '.join(f'{one:.2f}' for one in more)} (wanted: 1.6)")
        print("  microseconds of processor time a post, end to end, which other work on the machine hardly changes:")
        print("    " + ", ".join(f"{name} {seconds * 1e6:.0f}" for name, seconds in spent.items()))
        print(f"    all {sum(spent.values()) * 1e6:.0f}: {1 / sum(spent.values()):,.0f} posts a second and core")
        times = delays(shared, folder / "latency")
        shown = ", ".join(f"p{part * 100:.0f} {percentile(times, part):.2f} s" for part in (0.5, 0.95, 0.99))
        print(f"  log to webhook at {latency.RATE} posts a second: {shown}, {len(times)} of {latency.ALERTS} told")
        print("  (wanted: p95 at most 3 s, p99 at most 5 s)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
