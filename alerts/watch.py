"""[mentions] → watch → [candidates]: counts by event time, and the rules that hold for a topic in a window.

All mentions that were written together are counted before the rules are asked, however they are cut into batches, so
that a replay of the same log gives the same candidates. The only clock is the time of writing and the tick.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter

import msgspec

from tingchao.alerts.absence import Absences
from tingchao.alerts.dark import Dark
from tingchao.alerts.detector import CALM, SCALES
from tingchao.alerts.evidence import REACTED, Shelves
from tingchao.alerts.holding import Holding
from tingchao.alerts.hours import Hours
from tingchao.alerts.measure import Gate, Measure, gate_of, has_term, signal_number, told_by
from tingchao.alerts.reactions import Reactions
from tingchao.alerts.seen import Seen
from tingchao.alerts.terms import Terms
from tingchao.alerts.tracking import Tracker
from tingchao.alerts.windows import ADVERT, BUCKET, HOUR, PER_HOUR, Window, hashed, weights
from tingchao.config.rules import COMBINED, Rule
from tingchao.config.settings import Settings
from tingchao.pipeline.flow import READS
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.records import Candidate, Mention, Reason, Tick
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage

BATCH = 500
TICK = timedelta(seconds=5)
GROWTH = 1.25  # a rule that goes on holding is told again when it observes so many times as much ...
AGAIN = 2  # ... or so many buckets (10 minutes of event time) further on
_CURVE = 6 * PER_HOUR  # buckets
_FRESH = timedelta(hours=1)  # old at most when first seen: then its reactions are of that hour, else of who knows when
_KEEP = timedelta(hours=48)  # buckets, at least; longer with a greater lateness


def plan(settings: Settings) -> Plan:
    """The stage: reads [mentions], writes [candidates]."""

    def make(memory: Memory) -> Stage:
        return Watch(memory, settings)

    return Plan("watch", READS["watch"], make, batch=BATCH, tick=TICK)


class _Clock(msgspec.Struct):
    """What was last done on a tick, so that a restart does not do it again."""

    bucket: int = 0
    hour: int = 0


class Watch:
    """The topics of a partition.

    State keys: see hours, seen, reactions, evidence, events; and `clock`, `began` and `waiting`.
    """

    def __init__(self, memory: Memory, settings: Settings, batch: int = BATCH) -> None:
        self._memory, self._batch = memory, batch
        self._topics = [topic.name for topic in settings.topics]
        self._lateness = settings.main.keep.lateness
        self._rules = _by_length([rule for rule in settings.rules if rule.kind not in {"absence", *COMBINED}])
        self._longest = max(self._rules, default=1)
        self._keep = max(_KEEP, self._lateness, (self._longest + _CURVE) * timedelta(seconds=BUCKET))
        self._hours, self._seen, self._reactions = Hours(memory), Seen(memory), Reactions(memory)
        self._shelves = Shelves(memory, len(self._topics))
        self._events = Tracker(memory)
        # When a topic was first watched: what came in at once from before it is only what sources still showed.
        self._began: dict[str, int] = msgspec.json.decode(memory.get("began", b"{}"))
        self._clock = msgspec.json.decode(memory.get("clock", b"{}"), type=_Clock) if "clock" in memory else _Clock()
        self._holding, self._absences = Holding(memory, settings.rules), Absences(memory, settings.rules)
        terms = [rule.window.total_seconds() for rule in settings.rules if rule.kind == "new_term"]
        self._terms = Terms(memory, max(terms)) if terms else None
        self._dark = Dark(memory)
        self._measure = Measure(self._hours, self._dark, self._began, settings.main.decide.past)
        # Buckets counted but not judged yet, and the time of writing that they share.
        self._waiting: dict[str, set[int]] = {}
        self._written = 0.0
        if "waiting" in memory:
            self._written, waiting = msgspec.json.decode(memory["waiting"], type=tuple[float, dict[str, list[int]]])
            self._waiting = {topic: set(buckets) for topic, buckets in waiting.items()}

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcomes: counted, late (counted, though later than keep.lateness), revision, advert, tick."""
        outputs: list[Output] = []
        outcomes: list[str] = []
        for given in inputs:
            at = given.at.timestamp()
            if at != self._written:
                outputs += self._judge_waiting()
                self._written = at
            if isinstance(given.record, Mention):
                outcomes.append(self._count(given.record, at))
            else:
                assert isinstance(given.record, Tick), f"watch reads mentions, got {type(given.record).__name__}"
                outputs += self._judge_waiting()
                if given.record.unread is None:
                    outputs += self._tick(given.record.at)
                else:  # of another stage, whose clock may be behind
                    self._hear_of_outage(given.record.unread)
                outcomes.append("tick")
        if len(inputs) < self._batch:  # else more of what was written together may follow
            outputs += self._judge_waiting()
        self._save()
        return Result(outputs, outcomes)

    def _count(self, mention: Mention, at: float) -> str:
        published = min(mention.published_at.timestamp(), at)  # a post from the future counts when it was written
        topic, bucket, now = mention.topic, int(published) // BUCKET, int(at)
        if topic not in self._began:
            self._begin(topic, now)
        ident, hour = hashed(mention.id), bucket // PER_HOUR
        known = not self._seen.add(topic, ident, hour)
        if mention.scores.advert > ADVERT:
            self._hours.touch(topic, hour, now)
            return "revision" if known else "advert"
        fresh = not known and mention.fetched_at - mention.published_at <= _FRESH
        if gained := self._reactions.gained(topic, hour, ident, mention.counts, fresh=fresh):
            self._react(mention, gained, now)
        if known:
            return "revision"
        found = weights(mention)
        text = hashed(mention.signature or mention.id)
        counted = self._hours.bucket(topic, bucket, now)
        counted.add(mention, hashed(mention.voice or mention.source), text, found)
        self._hours.counted(topic, bucket, counted)
        self._shelves.offer(bucket, mention, text, found, now)
        self._events.hear(mention, published, at)
        self._absences.hear(topic, mention.source, published)
        if self._terms is not None:
            self._terms.hear(mention, int(published), text, hashed(mention.voice or mention.source))
        self._wait(topic, bucket)
        return "late" if at - published > self._lateness.total_seconds() else "counted"

    def _react(self, mention: Mention, gained: int, now: int) -> None:
        """A post was seen to have gained reactions, when it was fetched."""
        number = min(int(mention.fetched_at.timestamp()), now) // BUCKET
        bucket = self._hours.bucket(mention.topic, number, now)
        bucket.reactions += gained
        self._hours.counted(mention.topic, number, bucket)
        self._shelves.react(number, mention, hashed(mention.signature or mention.id), gained, now)
        self._wait(mention.topic, number)

    def _wait(self, topic: str, bucket: int) -> None:
        """The bucket has more than when its windows were judged."""
        waiting = self._waiting.get(topic)
        if waiting is None:
            waiting = self._waiting[topic] = set()
        waiting.add(bucket)

    def _tick(self, at: datetime) -> Iterator[Output]:
        """What is due by the clock: topics begin, the window that ends now is judged, what is old is forgotten."""
        now = int(at.timestamp())
        for topic in self._topics:
            if topic not in self._began:
                self._begin(topic, now)
        bucket, hour = now // BUCKET, now // HOUR
        if bucket > self._clock.bucket:
            self._clock.bucket = bucket
            for topic in sorted(self._began):
                if bucket not in self._hours.posts(topic):
                    yield from self._judge_quiet(topic, bucket)
            self._memory["clock"] = msgspec.json.encode(self._clock)
            yield from self._hold_on(now, all_of_them=True)
        else:
            yield from self._hold_on(now, all_of_them=False)
        for rule, topic, reason in self._absences.tick(float(now), sorted(self._began)):
            if (candidate := self._absent(rule, topic, reason)) is not None:
                yield from self._outputs(self._holding.found(rule, candidate, float(now)))
        if hour > self._clock.hour:
            self._dark.tick(self._clock.hour, hour, self._hours.all_posts())
            self._clock.hour = hour
            self._memory["clock"] = msgspec.json.encode(self._clock)
            self._forget(now)

    def _hear_of_outage(self, unread: Sequence[int]) -> None:
        self._dark.tell(unread, self._clock.hour, self._hours.all_posts())
        self._measure.forget()

    def _hold_on(self, now: int, *, all_of_them: bool) -> Iterator[Output]:
        """What has held for long enough; what no longer holds in the window that ends now is forgotten."""

        def still(rule: Rule, topic: str) -> Candidate | None:
            for end in (now // BUCKET, now // BUCKET - 1):  # a bucket that has just begun is still empty
                window = self._hours.window(topic, end, _length(rule))
                if (reason := self._holds(rule, topic, window, 0.0)) is not None:
                    return self._candidate(topic, rule, window, reason)
            return None

        return self._outputs(self._holding.tick(float(now), still, all_of_them=all_of_them))

    def _absent(self, rule: Rule, topic: str, reason: Reason) -> Candidate | None:
        """The candidate of a silence; None where so little is usual that it says nothing."""
        window = self._hours.window(topic, int(reason.end.timestamp()) // BUCKET, _length(rule))
        usual = self._measure.baseline(rule, topic, window)
        expected = None if usual is None else round(usual.expected, 3)
        if rule.threshold is not None and (expected is None or expected < rule.threshold):
            return None
        return self._candidate(topic, rule, window, msgspec.structs.replace(reason, expected=expected))

    def _outputs(self, candidates: Iterator[Candidate]) -> Iterator[Output]:
        for candidate in candidates:
            yield output("candidates", candidate.topic, candidate)

    def _begin(self, topic: str, now: int) -> None:
        self._began[topic] = now
        self._memory["began"] = msgspec.json.encode(self._began)

    def _forget(self, now: int) -> None:
        before = now - int(self._keep.total_seconds())
        for topic, hour in self._hours.drop(before):
            self._seen.drop(topic, hour)
            self._reactions.drop(topic, hour)
            self._shelves.drop(topic, range(hour * PER_HOUR, (hour + 1) * PER_HOUR))
        self._events.drop(before)
        if self._terms is not None:
            self._terms.forget(now)
        self._measure.forget()

    def _judge_waiting(self) -> list[Output]:
        """Candidates of every window that ends with a bucket that has posts, and holds a bucket that was added to."""
        if not self._waiting:
            return []
        self._events.place()
        waiting, self._waiting = self._waiting, {}
        self._measure.changed(self._hours.sum_up())
        return [one for topic in sorted(waiting) for one in self._judge_topic(topic, waiting[topic])]

    def _judge_topic(self, topic: str, added: Collection[int]) -> list[Output]:
        """Candidates in the order of their windows' ends."""
        posts = self._hours.posts(topic)
        newest = max(posts, default=0)  # most of what comes in is added there, and no window ends behind it
        found: list[tuple[int, Output]] = []
        for length, gates in self._rules.items():
            ends = {end for b in added for end in range(b, min(b + length, newest + 1)) if end in posts}
            # Most windows fail by what the hours that they touch hold in all, and many touch the same hours.
            known: dict[tuple[int, int], list[Rule]] = {}
            for end in sorted(ends):
                hours = (end - length + 1) // PER_HOUR, end // PER_HOUR
                rules = known.get(hours)
                if rules is None:
                    rules = known[hours] = self._may_hold(topic, hours, gates)
                if rules:
                    found += ((end, one) for one in self._judge(topic, end, length, rules))
        return [one for _, one in sorted(found, key=itemgetter(0))]

    def _judge_quiet(self, topic: str, end: int) -> Iterator[Output]:
        """Candidates of the windows that end with bucket `end`, to which nothing was added: only what is new."""
        for length, gates in self._rules.items():
            hours = (end - length + 1) // PER_HOUR, end // PER_HOUR
            rules = self._may_hold(topic, hours, gates)
            told = {rule.name for rule in rules if self._told(topic, rule.name, end, length) is not None}
            if rules := [rule for rule in rules if rule.name not in told]:
                yield from self._judge(topic, end, length, rules)

    def _may_hold(self, topic: str, hours: tuple[int, int], gates: Sequence[Gate]) -> list[Rule]:
        """The rules that can hold in windows within the hours."""
        most = self._hours.at_most(topic, *hours)
        return [gate.rule for gate in gates if gate.lets(topic, most)]

    def _judge(self, topic: str, end: int, length: int, rules: Sequence[Rule]) -> Iterator[Output]:
        """Candidates of the rules that hold in the window of `length` buckets that ends with bucket `end`."""
        counts = self._hours.posts(topic)
        posts = sum(counts.get(number, 0) for number in range(end - length + 1, end + 1))
        rules = [rule for rule in rules if posts >= rule.fewest]
        if not rules:
            return
        window = self._hours.window(topic, end, length)
        for rule in rules:
            found = self._found(rule, topic, window, end)
            if found is not None:
                reason, told = found
                self._hours.tell(topic, rule.name, end, told, int(self._written))
                candidate = self._candidate(topic, rule, window, reason)
                yield from self._outputs(self._holding.found(rule, candidate, self._written))

    def _found(self, rule: Rule, topic: str, window: Window, end: int) -> tuple[Reason, float] | None:
        """Why the rule is to be told now, and how much of it: the strength of a surge, else what was observed."""
        if rule.kind == "baseline":
            return self._measure.surge(rule, topic, window)
        told = self._told(topic, rule.name, end, AGAIN)
        lowered = self._holding.lowered(rule, topic)
        if self._goes_on(topic, lowered, end):
            lowered = lowered.model_copy(update={"ratio": None, "p": None})
        reason = self._holds(lowered, topic, window, 0.0 if told is None else told * GROWTH)
        return None if reason is None else (reason, reason.observed)

    def _holds(self, rule: Rule, topic: str, window: Window, least: float) -> Reason | None:
        """The reason why a rule of any kind but baseline holds, with at least `least` observed."""
        first, last = window.start // BUCKET, window.end // BUCKET
        if rule.kind == "event":
            event = self._events.leading(topic, first, last - 1, window.posts)
            return None if event is None else told_by(rule, window, event, least)
        if rule.kind == "new_term":
            assert self._terms is not None
            term = self._terms.newest(topic, window.start, window.end, rule.min_voices)
            return None if term is None else has_term(rule, window, *term, least)
        return self._measure.holds(rule, topic, window, least)

    def _told(self, topic: str, rule: str, end: int, near: int) -> float | None:
        """The most that was observed when the rule was told less than `near` buckets away."""
        told = self._hours.told(topic, rule)
        return max((told[number] for number in range(end - near + 1, end + near) if number in told), default=None)

    def _goes_on(self, topic: str, rule: Rule, end: int) -> bool:
        """Whether the rule was told so shortly before that what it tells of need not be unusual, since it goes on."""
        if rule.quiet is None or (rule.p is None and rule.ratio is None):
            return False
        first = end - int(rule.quiet.total_seconds()) // BUCKET
        return any(first <= told <= end for told in self._hours.told(topic, rule.name))

    def _candidate(self, topic: str, rule: Rule, window: Window, reason: Reason) -> Candidate:
        signal = signal_number(rule)
        first, last = window.start // BUCKET, window.end // BUCKET
        posts = self._hours.posts(topic)
        return Candidate(
            topic=topic,
            reason=reason,
            level=rule.level,
            sure=round(self._measure.sure(rule, window, reason), 3),
            posts=window.posts,
            voices=window.voices,
            sources=window.sources,
            negative_share=round(window.negative_share, 3),
            severity=round(window.severity, 2),
            signals={name: round(mass, 2) for name, mass in window.masses().items()},
            evidence=self._shelves.pick(topic, range(first, last), REACTED if rule.kind == "engagement" else signal),
            curve=tuple(posts.get(number, 0) for number in range(last - _CURVE, last)),
            bucket=BUCKET,
            event=self._events.leading(topic, first, last - 1, window.posts),
            quiet=_quiet(rule),
        )

    def _save(self) -> None:
        self._measure.changed(self._hours.sum_up())
        self._hours.save()
        self._seen.save()
        self._reactions.save()
        self._shelves.save()
        self._events.place()
        self._events.save()
        self._absences.save()
        if self._terms is not None:
            self._terms.save()
        if self._waiting:
            waiting = {topic: sorted(buckets) for topic, buckets in sorted(self._waiting.items())}
            self._memory["waiting"] = msgspec.json.encode((self._written, waiting))
        elif "waiting" in self._memory:
            del self._memory["waiting"]


def _by_length(rules: Sequence[Rule]) -> Mapping[int, Sequence[Gate]]:
    """Rules by the length of their window in buckets, at least one."""
    found: dict[int, list[Gate]] = {}
    for rule in rules:
        found.setdefault(_length(rule), []).append(gate_of(rule))
    return found


def _length(rule: Rule) -> int:
    """Buckets of the rule's window; the detector has its own."""
    if rule.kind == "baseline":
        return SCALES[-1] // BUCKET
    return max(1, -(-int(rule.window.total_seconds()) // BUCKET))


def _quiet(rule: Rule) -> float:
    """Seconds without news after which an alert of the rule ends; 0: as the settings say."""
    if rule.kind == "baseline":
        return float(CALM)
    return 0.0 if rule.quiet is None else rule.quiet.total_seconds()
