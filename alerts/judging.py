"""Windows of a topic become candidates: which rules are asked of which windows, and which of those that hold are told.

Remembers nothing but what was told, which stands in the hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from tingchao.alerts.findings import Findings, length_of
from tingchao.alerts.holding import Holding
from tingchao.alerts.hours import Hours, Total
from tingchao.alerts.measure import Gate, Measure, gate_of, signal_number
from tingchao.alerts.stories import Stories
from tingchao.alerts.windows import BUCKET, PER_HOUR, UNIT, Window
from tingchao.config.rules import COMBINED, Rule
from tingchao.pipeline.records import Candidate, Reason

GROWTH = 1.25  # a rule that goes on holding is told again when it observes so many times as much ...
AGAIN = 2  # ... or so many buckets (10 minutes of event time) further on


class _Open(NamedTuple):
    """The gates that some hours pass, and what these hold at most."""

    gates: Sequence[Gate]
    most: Total


class Judging:
    """The rules on windows; not those on silence, and not those made of others (see holding)."""

    def __init__(
        self,
        rules: Sequence[Rule],
        hours: Hours,
        stories: Stories,
        measure: Measure,
        findings: Findings,
        holding: Holding,
    ) -> None:
        self._rules = _by_length([rule for rule in rules if rule.kind not in {"absence", *COMBINED}])
        self._hours, self._stories = hours, stories
        self._measure, self._findings, self._holding = measure, findings, holding
        self._of_stories = [rule for rule in rules if _may_tell_of_stories(rule)]

    @property
    def longest(self) -> int:
        """Buckets of the longest window."""
        return max(self._rules, default=1)

    def added(self, topic: str, at: float) -> list[Candidate]:
        """Candidates of each window that ends with a bucket that has posts and holds one that was added to, in order.

        `at`: the time of writing, in seconds.
        """
        buckets = self._hours.sum_up(topic)
        self._measure.changed(topic, buckets[0] // PER_HOUR)
        posts = self._hours.posts(topic)
        newest = posts.newest  # most of what comes in is added there, and no window ends behind it
        found: list[tuple[int, Candidate]] = []
        for length, gates in self._rules.items():
            ends = {end for b in buckets for end in range(b, min(b + length, newest + 1)) if end in posts}
            # Most windows fail by what the hours that they touch hold in all, and many touch the same hours.
            known: dict[tuple[int, int], _Open] = {}
            for end in sorted(ends):
                hours = (end - length + 1) // PER_HOUR, end // PER_HOUR
                opened = known.get(hours)
                if opened is None:
                    opened = known[hours] = self._may_hold(topic, hours, gates)
                if opened.gates:
                    found += [(end, one) for one in self._judge(topic, end, length, opened, at)]
        return [one for _, one in sorted(found, key=itemgetter(0))]

    def quiet(self, topic: str, end: int, at: float) -> Iterator[Candidate]:
        """Candidates of the windows that end with bucket `end`, to which nothing was added: only what is new."""
        for length, gates in self._rules.items():
            hours = (end - length + 1) // PER_HOUR, end // PER_HOUR
            may, most = self._may_hold(topic, hours, gates)
            may = [gate for gate in may if self._told(topic, gate.rule.name, end, length) is None]
            if may:
                yield from self._judge(topic, end, length, _Open(may, most), at)

    def stories(self, topic: str) -> Iterator[Candidate]:
        """Candidates of the stories of a topic, each in the window that ends with its newest post."""
        for story in self._stories.of(topic):
            last = story.event.last // BUCKET
            for rule in self._of_stories:
                if rule.watches(topic):
                    window = story.window(last, length_of(rule))
                    bucket, told = story.told.get(rule.name, (last - AGAIN, 0.0))
                    least = told * GROWTH if last - bucket < AGAIN else 0.0
                    if (reason := self._measure.holds(rule, topic, window, least)) is not None:
                        self._stories.tell(topic, story, rule.name, last, reason.observed)
                        yield self._findings.candidate(topic, rule, window, reason, story)

    def _may_hold(self, topic: str, hours: tuple[int, int], gates: Sequence[Gate]) -> _Open:
        """The rules that can hold in windows within the hours."""
        most = self._hours.at_most(topic, *hours)
        return _Open([gate for gate in gates if gate.lets(topic, most)], most)

    def _judge(self, topic: str, end: int, length: int, opened: _Open, at: float) -> Iterator[Candidate]:
        """Candidates of the rules that hold in the window of `length` buckets that ends with bucket `end`."""
        posts = self._hours.posts(topic).between(end - length + 1, end)
        window = self._hours.window(topic, end, length)
        for gate in opened.gates:
            if posts < gate.rule.fewest:
                continue
            found = self._found(gate, topic, window, posts, opened.most)
            if found is not None:
                reason, told = found
                self._hours.tell(topic, gate.rule.name, end, told, int(at))
                candidate = self._findings.candidate(topic, gate.rule, window, reason)
                yield from self._holding.found(gate.rule, candidate, at)

    def _found(self, gate: Gate, topic: str, window: Window, posts: int, most: Total) -> tuple[Reason, float] | None:
        """Why the rule is to be told now, and how much of it: the strength of a surge, else what was observed.

        `posts`: in the window; `most`: what the hours that it touches hold. Both are known before it is summed.
        """
        rule = gate.rule
        if rule.kind == "baseline":
            return self._measure.surge(rule, topic, window)
        lowered = self._holding.lowered(rule, topic)
        told = self._told(topic, rule.name, window.last, AGAIN)
        least = max(lowered.threshold or 0.0, 0.0 if told is None else told * GROWTH)
        if not gate.reaches(most, posts, least):
            return None
        if self._goes_on(topic, lowered, window.last):
            lowered = lowered.model_copy(update={"ratio": None, "p": None})
        reason = self._findings.holds(lowered, topic, window, least)
        if reason is None or self._is_told_by_stories(rule, topic, window, reason):
            return None
        return reason, reason.observed

    def _is_told_by_stories(self, rule: Rule, topic: str, window: Window, reason: Reason) -> bool:
        """Whether the rule would not hold without what was told of by itself."""
        signal = signal_number(rule)
        if rule.kind != "signal" or signal is None or window.is_full(signal):
            return False
        parts = [story.window(window.last, length_of(rule)) for story in self._stories.of(topic) if story.told]
        if rule.single:
            return any(part.likeliest(signal) >= reason.observed * UNIT for part in parts)
        mass = sum(part.mass(signal) for part in parts) / UNIT
        return mass > 0 and reason.observed - mass < (rule.threshold or 0.0)

    def _told(self, topic: str, rule: str, end: int, near: int) -> float | None:
        """The most that was observed when the rule was told less than `near` buckets away."""
        told = self._hours.told(topic, rule)
        if not told:
            return None
        return max([told[number] for number in range(end - near + 1, end + near) if number in told], default=None)

    def _goes_on(self, topic: str, rule: Rule, end: int) -> bool:
        """Whether the rule was told so shortly before that what it tells of need not be unusual, since it goes on."""
        if rule.quiet is None or (rule.p is None and rule.ratio is None):
            return False
        first = end - int(rule.quiet.total_seconds()) // BUCKET
        return any(first <= told <= end for told in self._hours.told(topic, rule.name))


def _may_tell_of_stories(rule: Rule) -> bool:
    """Whether it sums up a signal, and holds at once: for how long is remembered of the topic as a whole."""
    at_once = rule.alert and not rule.for_ and rule.resolve_below is None
    return rule.kind == "signal" and not rule.single and at_once


def _by_length(rules: Sequence[Rule]) -> Mapping[int, Sequence[Gate]]:
    """Rules by the length of their window in buckets, at least one."""
    found: dict[int, list[Gate]] = {}
    for rule in rules:
        found.setdefault(length_of(rule), []).append(gate_of(rule))
    return found
