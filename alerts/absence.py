"""Topics, and sources within them, of which nothing comes: rules of kind absence, asked at each tick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from tingchao.alerts import shards
from tingchao.config.rules import Rule
from tingchao.pipeline.records import Reason
from tingchao.pipeline.stage import Memory

AGAIN = timedelta(hours=1)  # what lasts is told again so often, here and in sources.py,
LASTS = 2 * AGAIN  # and its alert goes on for so long without, also where `decide.quiet` is shorter


class Absences:
    """Topics, and sources within them, of which nothing comes. State key: `@absences`."""

    GAP = 600.0  # seconds between two ticks: longer, and nobody listened (as in decide)

    def __init__(self, memory: Memory, rules: Sequence[Rule]) -> None:
        self._memory = memory
        self._rules = [rule for rule in rules if rule.kind == "absence"]
        self._wanted = {source for rule in self._rules for source in rule.sources}
        # Seconds: when something last came of a topic, or of `topic/source`; when each rule last told of it; ticks.
        self._last, self._told, self._ticked = (
            msgspec.json.decode(shards.get(memory, "@absences"), type=tuple[dict[str, float], dict[str, float], float])
            if "@absences" in memory
            else ({}, {}, 0.0)
        )

    def hear(self, topic: str, source: str, published: float) -> None:
        """A post on the topic."""
        if self._rules:
            for key in (topic, f"{topic}/{source}") if source in self._wanted else (topic,):
                self._last[key] = max(published, self._last.get(key, 0.0))

    def tick(self, at: float, topics: Sequence[str]) -> Iterator[tuple[Rule, str, Reason]]:
        """Each rule and topic of which nothing came for long enough, once an hour."""
        if not self._rules:
            return
        listened = not self._ticked or at - self._ticked <= self.GAP
        self._ticked = at
        for rule in self._rules:
            for topic in filter(rule.watches, topics):
                for source in rule.sources or ("",):
                    key = f"{topic}/{source}" if source else topic
                    last = self._last.setdefault(key, at)
                    if not listened:  # what was silent while we were down is not known
                        last = self._last[key] = at
                    told = f"{rule.name} {key}"
                    silent = at - last
                    if silent < rule.window.total_seconds():
                        self._told.pop(told, None)
                    elif at - self._told.get(told, 0.0) >= AGAIN.total_seconds():
                        self._told[told] = at
                        start, end = datetime.fromtimestamp(last, UTC), datetime.fromtimestamp(at, UTC)
                        reason = Reason(
                            rule=rule.name, kind="absence", start=start, end=end, observed=0.0, detail=source
                        )
                        yield rule, topic, reason

    def save(self) -> None:
        """Write what is remembered into the keyed state."""
        if self._rules:
            shards.put(self._memory, "@absences", msgspec.json.encode((self._last, self._told, self._ticked)))


def silent_sources(reasons: Iterable[Reason]) -> list[Reason]:
    """Those that tell of the silence of a source, without sources that speak again: of them nothing more is told."""
    found = [reason for reason in reasons if reason.kind == "absence" and reason.detail]
    newest = max((reason.end for reason in found), default=None)
    return [reason for reason in found if newest is not None and reason.end >= newest - AGAIN]
