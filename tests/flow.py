"""Mentions through watch and decide, on one log with one clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mentions import report

from tingchao.alerts import decide, ledger, watch
from tingchao.config.rules import Rule
from tingchao.config.settings import Settings, load
from tingchao.config.topics import Topic
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.records import TICK_KEY, Alert, Candidate, Counts, decode
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Runner

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NONE = Counts()
RULES = (
    Rule(name="safety", kind="signal", signal="safety", threshold=2.0, min_posts=3, level=2),
    Rule(name="many", kind="count", ratio=4.0, p=0.001, min_posts=10, min_voices=3, level=1),
)
TOPICS = (Topic(name="plant", title="化工厂", any=["化工厂"]), Topic(name="county", title="甲县", any=["甲县"]))


class Flow:
    """Both stages on one log with one clock."""

    def __init__(self, path: Path, rules: tuple[Rule, ...] = RULES, topics: tuple[Topic, ...] = TOPICS) -> None:
        path.mkdir(exist_ok=True)
        self.topic = topics[0].name
        self.settings: Settings = replace(load(), rules=rules, topics=topics)
        self.log, self.clock, self.posts = SqliteLog(path / "log.db"), ManualClock(T0), 0
        self.restart()

    def restart(self) -> None:
        plans = (watch.plan(self.settings), decide.plan(self.settings))
        self.runners = [Runner(plan, self.log, self.clock) for plan in plans]

    def told(
        self,
        texts: Iterable[str],
        topic: str = "",
        *,
        again: bool = False,
        counts: Counts = NONE,
        late: timedelta = timedelta(0),
    ) -> Flow:
        """Each text by a voice and source of its own, read `late` after it was written.

        With `again` the same posts once more, or of another topic.
        """
        texts = list(texts)
        if again:
            self.posts -= len(texts)
        mentions = []
        for text in texts:
            self.posts += 1
            mentions.append(report(self.posts, self.clock.now() - late, text, topic or self.topic, counts))
        return self._read([output("mentions", one.topic, one) for one in mentions])

    def told_candidates(self, candidates: Iterable[Candidate]) -> Flow:
        """To `decide`, one by one."""
        for one in candidates:
            self._read([output("candidates", one.topic, one)])
        return self

    def _read(self, outputs: Sequence[Output]) -> Flow:
        self.log.publish(outputs, self.clock.now())
        self.clock.move(MINUTE)
        while any([runner.step() for runner in self.runners]):  # noqa: C419 each takes its step
            pass
        return self

    def candidates(self) -> list[Candidate]:
        return [decode(Candidate, one.value) for one in self.log.scan("candidates", limit=10**5) if one.key != TICK_KEY]

    def alerts(self) -> list[Alert]:
        return sorted(ledger.alerts(self.log).values(), key=lambda alert: alert.opened_at)
