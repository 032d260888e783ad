"""Rules that must hold for a while, hold on to a lower threshold, or are made of others: the state between ticks.

A rule that was found to hold is asked again with each bucket of time, and when it is due; timers fire on ticks only.
State keys: `@held/rule/topic`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from tingchao.alerts.detector import SCALES
from tingchao.config.rules import COMBINED, Rule
from tingchao.pipeline.records import Candidate, Reason
from tingchao.pipeline.stage import Memory

_KEY = "@held/"
_BASELINE = timedelta(seconds=SCALES[-1])  # the detector looks at so much; a surge counts as lasting for so long

Still = Callable[[Rule, str], Candidate | None]  # the candidate of a rule that holds for a topic now


class Held(msgspec.Struct, frozen=True):
    """A rule that holds for a topic."""

    since: float  # seconds, by the clock
    told: bool  # it has held for long enough
    last: float  # when it was found last
    candidate: Candidate  # the newest one


class _Key(NamedTuple):
    rule: str
    topic: str


class Holding:
    """What holds, of the rules that need to be remembered; all others pass."""

    def __init__(self, memory: Memory, rules: Sequence[Rule]) -> None:
        self._memory = memory
        self._rules = {rule.name: rule for rule in rules}
        self._combined = [rule for rule in rules if rule.kind in COMBINED]
        members = {name for rule in self._combined for name in rule.rules}
        self._kept = {
            rule.name
            for rule in rules
            if rule.for_ or rule.resolve_below is not None or not rule.alert or rule.name in members
        } | {rule.name for rule in self._combined}
        self._held: dict[_Key, Held] = {}
        for key in sorted(memory):
            if key.startswith(_KEY):
                rule, _, topic = key.removeprefix(_KEY).partition("/")
                if rule in self._kept:
                    self._held[_Key(rule, topic)] = msgspec.json.decode(memory[key], type=Held)

    def lowered(self, rule: Rule, topic: str) -> Rule:
        """The rule as it is asked now: with its lower threshold while it holds."""
        held = self._held.get(_Key(rule.name, topic))
        if rule.resolve_below is None or held is None or not held.told:
            return rule
        return rule.model_copy(update={"threshold": rule.resolve_below, "ratio": None, "p": None})

    def found(self, rule: Rule, candidate: Candidate, at: float) -> Iterator[Candidate]:
        """What is to be told because the rule holds, now."""
        if rule.name not in self._kept:
            yield candidate
            return
        key = _Key(rule.name, candidate.topic)
        held = self._held.get(key)
        if held is None:
            held = Held(at, rule.for_ <= timedelta(0), at, candidate)
        self._put(key, msgspec.structs.replace(held, last=at, candidate=candidate))
        if held.told:
            yield from self._tell(rule, candidate, at)

    def tick(self, at: float, still: Still, *, all_of_them: bool) -> Iterator[Candidate]:
        """What is due: rules that have held for long enough; those that hold no longer are forgotten."""
        for key, held in list(self._held.items()):
            rule = self._rules[key.rule]
            due = not held.told and at - held.since >= rule.for_.total_seconds()
            if not (due or all_of_them) or self._held.get(key) is not held:
                continue
            candidate = self._still(rule, key.topic, at, still)
            if candidate is None:
                del self._held[key]
                del self._memory[_name(key)]
            elif due:
                self._put(key, msgspec.structs.replace(held, told=True, last=at, candidate=candidate))
                yield from self._tell(rule, candidate, at)

    def _tell(self, rule: Rule, candidate: Candidate, at: float) -> Iterator[Candidate]:
        if rule.alert:
            yield candidate
        for combined in self._combined:
            if rule.name in combined.rules and (found := self._join(combined, candidate.topic)) is not None:
                yield from self.found(combined, found, at)

    def _still(self, rule: Rule, topic: str, at: float, still: Still) -> Candidate | None:
        if rule.kind in COMBINED:
            return self._join(rule, topic)
        held = self._held[_Key(rule.name, topic)]
        if rule.kind in {"baseline", "absence"}:  # they are not asked, they tell
            lasting = max(_BASELINE, rule.window).total_seconds()
            return held.candidate if at - held.last <= lasting else None
        return still(self.lowered(rule, topic), topic)

    def _join(self, rule: Rule, topic: str) -> Candidate | None:
        """The candidate of a combined rule, from those of the rules that hold."""
        if not rule.watches(topic):
            return None
        members = [held for name in rule.rules if (held := self._held.get(_Key(name, topic))) is not None and held.told]
        if len(members) < (len(rule.rules) if rule.kind == "all" else 1):
            return None
        candidates = [held.candidate for held in members]
        newest = max(candidates, key=lambda one: (one.reason.end, one.posts, one.reason.rule))
        reason = Reason(
            rule=rule.name,
            kind=rule.kind,
            start=min(one.reason.start for one in candidates),
            end=newest.reason.end,
            observed=float(len(members)),
            detail=", ".join(one.reason.rule for one in candidates),
        )
        sure = (min if rule.kind == "all" else max)(one.sure for one in candidates)
        return msgspec.structs.replace(newest, reason=reason, level=rule.level, sure=sure)

    def _put(self, key: _Key, held: Held) -> None:
        self._held[key] = held
        self._memory[_name(key)] = msgspec.json.encode(held)


def _name(key: _Key) -> str:
    return f"{_KEY}{key.rule}/{key.topic}"
