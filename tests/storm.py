#!/usr/bin/env python3
"""The proof: real posts go through every role while processes are killed and Kafka and Elasticsearch come and go.

    storm.py --shared ../shared --posts 100000 --kills 10      make chaos; about an hour on two cores
    storm.py --shared ../shared --posts 2000 --kills 1         make test-real has it that short
    storm.py --shared ../shared --outage 600                   make chaos: Elasticsearch is away for ten minutes

At seeded random moments each kind of process is killed by SIGKILL, Kafka is stopped and started twice, Elasticsearch
twice (once by SIGKILL), workers join and leave, and alerts are acknowledged. Then, when all has been worked off:

- every post is in the index exactly once, with the scores that the model gives it,
- every mention that is no advert is counted exactly once in the windows of its topic,
- each topic has one alert, or shares that of another topic that is about the same event; the webhook heard of each
  alert under one id, at least once,
- every acknowledgement that was given holds, and nothing was set aside.

With --outage nothing is killed, but Elasticsearch is away for so many seconds while 200 posts a second come in. An
alert that begins meanwhile must be told meanwhile; then all of the above must hold. How fast the index catches up is
told beside the three times of what comes in that we want.

Prints what was done when, the counts, and exits with 1 if anything of this does not hold.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import servers
from aftermath import Aftermath, scored
from crew import Crew, Webhook

from tingchao.alerts import ledger
from tingchao.config.settings import load
from tingchao.pipeline.backends import open_log, open_store
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.errors import TingchaoError
from tingchao.pipeline.flow import groups, waiting
from tingchao.pipeline.intake import Intake, Raw
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.records import Post

CREW = {"crawl": 1, "score": 2, "index": 2, "watch": 2, "decide": 2, "notify": 2, "web": 1}
BATCH = 250
TOPIC = """[[topic]]
name = "{name}"
title = "{name}"
any = [{words}]
"""
TOPICS = {
    "metro": ["地铁", "公交", "车站"],
    "hospital": ["医院", "医生", "护士"],
    "campus": ["学校", "大学", "学生"],
    "city": ["武汉", "北京", "上海"],
}
RULES = """[[rule]]
name = "many"
kind = "count"
window = "1h"
threshold = 5
min_posts = 5
level = 2
"""


@dataclass
class Storm:
    """One run."""

    shared: Path
    count: int
    kills: int
    seed: int
    folder: Path
    rate: float = 500  # posts a second
    topics: dict[str, list[str]] = field(default_factory=lambda: dict(TOPICS))
    wrong: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)

    def run(self) -> bool:
        chance = random.Random(self.seed)
        self.began = time.monotonic()
        self.kafka, self.elastic = servers.Kafka(self.folder), servers.Elasticsearch(self.folder)
        self.hook = Webhook(random.Random(self.seed + 1))
        try:
            servers.up([self.kafka, self.elastic])
            self._configure()
            self._command("setup")
            self.crew = Crew(self.config, self.folder)
            for role, number in CREW.items():
                for _ in range(number):
                    self.crew.start(role)
            posts = self._posts()
            feeder = threading.Thread(target=self._feed, args=(posts,), daemon=True)
            feeder.start()
            self._storm(chance, feeder)
            self._settle()
            self._judge(posts)
        finally:
            if hasattr(self, "crew"):
                self.crew.stop()
            self.hook.close()
            self.kafka.wipe()
            self.elastic.wipe()
        return not self.wrong

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {words}", flush=True)

    def _configure(self) -> None:
        self.config = self.folder / "config"
        self.config.mkdir()
        (self.config / "tingchao.toml").write_text(
            f'[page]\nport = 0\n[log]\nkind = "kafka"\n[kafka]\nbootstrap = ["127.0.0.1:{self.kafka.port}"]\n'
            f'partitions = 4\n[store]\nkind = "elasticsearch"\n[elasticsearch]\n'
            f'urls = ["http://127.0.0.1:{self.elastic.port}"]\n'
            f'[[notify]]\nkind = "webhook"\nname = "desk"\nurl = "{self.hook.url}"\n'
        )
        (self.config / "sources.toml").write_text("source = []\n")
        blocks = (
            TOPIC.format(name=name, words=", ".join(f'"{word}"' for word in words))
            for name, words in self.topics.items()
        )
        (self.config / "topics.toml").write_text("\n".join(blocks))
        (self.config / "rules.toml").write_text(RULES)
        self.settings = load(self.config)

    def _command(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tingchao.pipeline.cli", *arguments, "--config", str(self.config)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")

    def _log(self) -> Log:
        return open_log(self.settings, self.folder / "t.db")

    def _posts(self) -> list[Post]:
        """Real texts of the last minutes, each with an id of its own."""
        now = datetime.now(UTC)
        log = patiently(self._log)
        intake = Intake(log)
        texts = list(real_texts(self.shared))
        raws = (
            Raw(
                source=f"storm-{number % 20}",
                text=self._text(number, text),
                published_at=now - timedelta(minutes=25) * (1 - number / self.count),
                fetched_at=now,
                author=str(number % 500),
                basis=f"storm-{number:06}",
            )
            for number, text in enumerate(islice(cycle(texts), self.count))
        )
        made = [intake.post(raw) for raw in raws]
        log.close()
        return made

    def _text(self, _: int, text: str) -> str:
        return text

    def _feed(self, posts: Sequence[Post]) -> None:
        """As a reader does: what may not have arrived is sent again."""
        log, started = patiently(self._log), time.monotonic()
        for begin in range(0, len(posts), BATCH):
            self._before(begin + BATCH)
            batch = [output("posts", post.id, post) for post in posts[begin : begin + BATCH]]
            patiently(lambda batch=batch: log.publish(batch, SystemClock().now()))  # type: ignore[misc]
            time.sleep(max(0.0, started + (begin + BATCH) / self.rate - time.monotonic()))  # the storm has time to rage
        self.say(f"all {len(posts):,} posts are in the log")
        log.close()

    def _before(self, count: int) -> None:
        """Called before so many posts are in the log."""

    def _storm(self, chance: random.Random, feeder: threading.Thread) -> None:
        """All blows once each, in random order, at random moments."""
        blows: list[tuple[str, Callable[[], None]]] = []
        for role in CREW:
            blows += [(f"kill {role}", lambda role=role: self._kill(role, chance))] * self.kills  # type: ignore[misc]
        rounds = 2 if self.kills > 1 else 1
        blows += [("Kafka stops", lambda: self._down(self.kafka, signal.SIGTERM, chance))] * rounds
        blows += [("Elasticsearch stops", lambda: self._down(self.elastic, signal.SIGTERM, chance))]
        blows += [("Elasticsearch is killed", lambda: self._down(self.elastic, signal.SIGKILL, chance))] * (rounds - 1)
        blows += [("a worker leaves", lambda: self._leave(chance)), ("a worker joins", self._join)] * rounds
        blows += [("acknowledge", self._acknowledge)] * max(3, self.kills)
        chance.shuffle(blows)
        pause = max(2.0, self.count / self.rate / len(blows))
        for name, blow in blows:
            time.sleep(chance.uniform(0.5, 1.5) * pause)
            for role, number in self.crew.look().items():  # before: what a blow shall meet must be there
                self.say(f"{role} had ended by itself ({number}); started again")
            self.say(name)
            blow()
        feeder.join()
        self._acknowledge()

    def _kill(self, role: str, chance: random.Random) -> None:
        if self.crew.end(role, chance, signal.SIGKILL):
            self.crew.start(role)
        else:
            self.wrong.append(f"there was no {role} to kill")

    def _down(self, server: Any, number: int, chance: random.Random) -> None:
        server.stop(number)
        time.sleep(chance.uniform(2, 10))
        server.start()
        self.say(f"{server.name} answers again")

    def _leave(self, chance: random.Random) -> None:
        self.crew.end("score", chance, signal.SIGTERM)

    def _join(self) -> None:
        self.crew.start("score")

    def _acknowledge(self) -> None:
        """Staff see an alert and say so; what the log has taken must hold."""
        try:
            log = self._log()
            for name, alert in ledger.alerts(log).items():
                if alert.state == "open":
                    ledger.send(log, SystemClock(), name, "acknowledge", "seen in the storm")
                    self.acknowledged.add(name)
                    self.say(f"acknowledged {alert.topic}")
            log.close()
        except TingchaoError as err:
            self.say(f"not acknowledged: {str(err)[:100]}")

    def _settle(self) -> None:
        """Until every stage has read all, and still has a while later."""
        until, calm, shown = time.monotonic() + 900, 0, 0.0
        while calm < 3:
            self.crew.look()
            time.sleep(1)
            try:
                lag = self._lag()
            except TingchaoError:
                continue
            calm = calm + 1 if not any(lag.values()) else 0
            if time.monotonic() - shown > 20:
                shown = time.monotonic()
                self.say("waiting: " + (", ".join(f"{name} {left}" for name, left in lag.items() if left) or "nothing"))
            if time.monotonic() > until:
                self.wrong.append(f"not worked off within 15 minutes: {lag}")
                return
        self.say("all is worked off")

    def _lag(self) -> dict[str, int]:
        with closing(self._log()) as log:
            return {
                f"{group}/{topic}": max(0, log.end(topic) - log.position(group, topic))
                for group, topics in groups(self.settings).items()
                if group not in {"schedule", "visits", "sources"}
                for topic in topics
            }

    def _judge(self, posts: Sequence[Post]) -> None:
        after, told = Aftermath(self.settings, self.say), list(scored(posts))
        with closing(self._log()) as log:
            after.index(told, open_store(self.settings, self.folder / "t.db"))
            after.windows(told, log)
            after.alerts(log, self.hook, self.acknowledged)
            after.dead(log)
        self.wrong += after.wrong

    def _must(self, holds: bool, words: str) -> None:
        if not holds:
            self.wrong.append(words)


class Outage(Storm):
    """Elasticsearch goes away for some time, and nothing else happens."""

    QUIET = 30.0  # seconds before it goes
    RATE = 200.0  # posts a second
    DRILL = "drill", "演练水厂"  # a topic of which the posts speak only while Elasticsearch is away

    def __init__(self, shared: Path, seconds: float, seed: int, folder: Path) -> None:
        # Three times as fast as it comes in, what waits is worked off in half the time that it took to gather.
        count = int(self.RATE * (self.QUIET + 1.5 * seconds))
        super().__init__(shared, count, 0, seed, folder, self.RATE, TOPICS | {self.DRILL[0]: [self.DRILL[1]]})
        self._seconds, self._away = seconds, threading.Event()
        self._drill = int(self.RATE * (self.QUIET + seconds / 4))  # the first post of it

    def _text(self, number: int, text: str) -> str:
        return f"{self.DRILL[1]}{text}" if self._drill <= number < self._drill + 20 else text

    def _before(self, count: int) -> None:
        if count > self._drill:
            self._away.wait()

    def _storm(self, _: random.Random, feeder: threading.Thread) -> None:
        time.sleep(self.QUIET)
        self.elastic.stop()
        self.say("Elasticsearch stops")
        self._must(not self._drilled(), "the drill was told of before it began")
        self._away.set()
        time.sleep(self._seconds)
        until = time.monotonic() + 60  # more where the machine is slow: it stays away as long
        while not self._drilled() and time.monotonic() < until:
            time.sleep(1)
        self._must(self._drilled(), "no alert of the drill was told while Elasticsearch was away")
        self.elastic.start()
        began, waited, done = time.monotonic(), self._waiting(), self._indexed()
        self.say(f"Elasticsearch answers again; {waited:,} posts wait")
        while self._waiting() > 2 * self.RATE:
            time.sleep(0.5)
        rate = (self._indexed() - done) / (time.monotonic() - began)
        self.say(f"caught up at {rate:,.0f} posts a second (wanted: {3 * self.RATE:,.0f})")
        feeder.join()

    def _drilled(self) -> bool:
        return any(body["alert"]["topic"] == self.DRILL[0] for body in self.hook.opened())

    def _waiting(self) -> int:
        with closing(self._log()) as log:
            return waiting(log, "index")

    def _indexed(self) -> int:
        with closing(self._log()) as log:
            return log.position("index", "scored")


def patiently(action: Callable[[], Any]) -> Any:
    """Do it again for two minutes, whatever the servers say."""
    until = time.monotonic() + 120
    while True:
        try:
            return action()
        except TingchaoError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def real_texts(shared: Path) -> Iterator[str]:
    """Real posts with a text."""
    with gzip.open(shared / "data" / "cctv_weibo2020" / "posts.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            text = row.get("text") or row.get("content") or ""
            if len(text) > 10:
                yield text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10, help="of each kind of process")
    parser.add_argument("--outage", type=float, help="seconds without Elasticsearch, instead of the storm")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("TINGCHAO_LOG", "ERROR")
    with tempfile.TemporaryDirectory(prefix="tingchao-storm-") as name:
        if options.outage:
            storm: Storm = Outage(options.shared, options.outage, options.seed, Path(name))
        else:
            storm = Storm(options.shared, options.posts, options.kills, options.seed, Path(name))
        well = storm.run()
        for line in storm.wrong:
            print(f"WRONG: {line}")
        if not well and (keep := os.environ.get("TINGCHAO_STORM_LOGS")):
            for log in Path(name).glob("*.log"):
                log.rename(Path(keep) / log.name)
    print("it has passed; nothing lost, nothing doubled" if well else "it has done harm")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
