"""[mentions] → watch → [candidates]: counts by event time, and the rules that hold for a topic in a window.

All mentions that were written together are counted before the rules are asked, however they are cut into batches, so
that a replay of the same log gives the same candidates. The only clock is the time of writing and the tick. The rules
are asked of a topic when it has grown enough for them to say something else (hours.py), and of all when a bucket ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter

import msgspec

from tingchao.alerts.absence import Absences
from tingchao.alerts.coverage import Coverage
from tingchao.alerts.dark import Dark
from tingchao.alerts.events import ONLY_WRITTEN
from tingchao.alerts.evidence import Shelves
from tingchao.alerts.findings import CURVE, Findings, length_of
from tingchao.alerts.holding import Holding
from tingchao.alerts.hours import Hours
from tingchao.alerts.judging import Judging
from tingchao.alerts.measure import Measure
from tingchao.alerts.reactions import Reactions
from tingchao.alerts.seen import Seen
from tingchao.alerts.smallest import hashed, hashed_voice
from tingchao.alerts.stories import Stories
from tingchao.alerts.terms import Terms
from tingchao.alerts.tracking import Tracker
from tingchao.alerts.windows import ADVERT, BUCKET, HOUR, PER_HOUR, weights
from tingchao.config.rules import Rule
from tingchao.config.settings import Settings
from tingchao.pipeline.flow import READS
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.records import Candidate, Mention, Reason, Tick
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage

BATCH = 5_000  # what is behind is caught up faster with many at a time, since a topic is written once a batch
TICK = timedelta(seconds=5)
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

    State keys: see hours, coverage, seen, reactions, evidence, events, stories; and `clock`, `began` and `written`.
    """

    def __init__(self, memory: Memory, settings: Settings, batch: int = BATCH) -> None:
        self._memory, self._batch = memory, batch
        # Those whose mentions come to this partition: of the others it knows nothing, not that they are silent.
        self._topics = sorted(topic.name for topic in settings.topics if memory.owns(topic.name))
        self._lateness = settings.main.keep.lateness
        topics = len(self._topics)
        self._hours, self._reactions = Hours(memory, topics), Reactions(memory, topics)
        self._seen, self._shelves = Seen(memory), Shelves(memory, topics)
        self._events = Tracker(memory, settings.topics)
        self._stories = Stories(memory, settings.topics)
        memory.let_go(ONLY_WRITTEN)
        # When a topic was first watched: what came in at once from before it is only what sources still showed.
        self._began: dict[str, int] = msgspec.json.decode(memory.get("began", b"{}"))
        self._clock = msgspec.json.decode(memory.get("clock", b"{}"), type=_Clock) if "clock" in memory else _Clock()
        self._holding, self._absences = Holding(memory, settings.rules), Absences(memory, settings.rules)
        terms = [rule.window.total_seconds() for rule in settings.rules if rule.kind == "new_term"]
        self._terms = Terms(memory, max(terms)) if terms else None
        self._dark = Dark(memory)
        self._coverage = Coverage(memory, self._dark)
        self._measure = Measure(self._hours, self._coverage, self._began, settings.main.decide.past)
        self._findings = Findings(self._hours, self._measure, self._events, self._stories, self._terms, self._shelves)
        self._judging = Judging(
            settings.rules, self._hours, self._stories, self._measure, self._findings, self._holding
        )
        self._keep = max(_KEEP, self._lateness, (self._judging.longest + CURVE) * timedelta(seconds=BUCKET))
        # The time of writing of what was counted last.
        self._written: float = msgspec.json.decode(memory.get("written", b"0.0"))

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcomes: counted, late (counted, though later than keep.lateness), revision, advert, tick."""
        outputs: list[Output] = []
        outcomes: list[str] = []
        for given in inputs:
            at = given.at.timestamp()
            if at != self._written:
                outputs += self._ask()
                self._written = at
            if isinstance(given.record, Mention):
                outcomes.append(self._count(given.record, at))
            else:
                assert isinstance(given.record, Tick), f"watch reads mentions, got {type(given.record).__name__}"
                if given.record.unread is None:
                    outputs += self._tick(given.record.at)
                else:  # of another stage, whose clock may be behind
                    self._hear_of_outage(given.record.unread, given.record.ill)
                outcomes.append("tick")
        if len(inputs) < self._batch:  # else more of what was written together may follow
            outputs += self._ask()
        self._save()
        return Result(outputs, outcomes)

    def _count(self, mention: Mention, at: float) -> str:
        published = min(mention.published_at.timestamp(), at)  # a post from the future counts when it was written
        topic, bucket, now = mention.topic, int(published) // BUCKET, int(at)
        if topic not in self._began:
            self._begin(topic, now)
        ident, hour = hashed(mention.id), bucket // PER_HOUR
        known = not self._seen.add(topic, ident, hour)
        if self._coverage.hear(mention.source, hour):
            self._measure.forget()
        if mention.scores.advert > ADVERT:
            self._hours.touch(topic, hour, now)
            return "revision" if known else "advert"
        text = hashed(mention.signature or mention.id)
        fresh = not known and mention.fetched_at - mention.published_at <= _FRESH
        if gained := self._reactions.gained(topic, hour, ident, mention.counts, fresh=fresh):
            self._react(mention, text, gained, now)
        if known:
            if gained:
                self._events.gain(mention, min(mention.fetched_at.timestamp(), at), at, gained)
            return "revision"
        found, voice = weights(mention), hashed_voice(mention.voice or mention.source)
        counted = self._hours.bucket(topic, bucket, now)
        counted.add(mention, voice, text, found)
        self._hours.counted(topic, bucket, counted)
        self._shelves.offer(bucket, mention, text, found, now)
        self._events.hear(mention, published, at, found, gained)
        self._stories.hear(mention, int(published), now, found)
        self._absences.hear(topic, mention.source, published)
        if self._terms is not None:
            self._terms.hear(mention, int(published), text, voice)
        return "late" if at - published > self._lateness.total_seconds() else "counted"

    def _react(self, mention: Mention, text: int, gained: int, now: int) -> None:
        """A post was seen to have gained reactions, when it was fetched."""
        number = min(int(mention.fetched_at.timestamp()), now) // BUCKET
        bucket = self._hours.bucket(mention.topic, number, now)
        bucket.reactions += gained
        bucket.fresh += gained
        self._hours.counted(mention.topic, number, bucket)
        self._shelves.react(number, mention, text, gained, now)

    def _tick(self, at: datetime) -> Iterator[Output]:
        """What is due by the clock: topics begin, the window that ends now is judged, what is old is forgotten."""
        now = int(at.timestamp())
        for topic in self._topics:
            if topic not in self._began:
                self._begin(topic, now)
        bucket, hour = now // BUCKET, now // HOUR
        yield from self._ask(all_of_them=bucket > self._clock.bucket)
        if bucket > self._clock.bucket:
            self._clock.bucket = bucket
            for topic in sorted(self._began):
                if bucket not in self._hours.posts(topic):
                    yield from _outputs(self._judging.quiet(topic, bucket, self._written))
            self._memory["clock"] = msgspec.json.encode(self._clock)
            yield from self._hold_on(now, all_of_them=True)
        else:
            yield from self._hold_on(now, all_of_them=False)
        for rule, topic, reason in self._absences.tick(float(now), self._topics):
            if (candidate := self._absent(rule, topic, reason)) is not None:
                yield from _outputs(self._holding.found(rule, candidate, float(now)))
        if hour > self._clock.hour:
            self._dark.tick(self._clock.hour, hour, self._hours.all_posts())
            self._coverage.tick(hour)
            self._clock.hour = hour
            self._memory["clock"] = msgspec.json.encode(self._clock)
            self._forget(now)

    def _hear_of_outage(self, unread: Sequence[int], ill: Mapping[str, int]) -> None:
        self._dark.tell(unread, self._clock.hour, self._hours.all_posts())
        self._coverage.tell(ill, self._clock.hour)
        self._measure.forget()

    def _hold_on(self, now: int, *, all_of_them: bool) -> Iterator[Output]:
        """What has held for long enough; what no longer holds in the window that ends now is forgotten."""

        def still(rule: Rule, topic: str) -> Candidate | None:
            for end in (now // BUCKET, now // BUCKET - 1):  # a bucket that has just begun is still empty
                window = self._hours.window(topic, end, length_of(rule))
                if (reason := self._findings.holds(rule, topic, window, 0.0)) is not None:
                    return self._findings.candidate(topic, rule, window, reason)
            return None

        return _outputs(self._holding.tick(float(now), still, all_of_them=all_of_them))

    def _absent(self, rule: Rule, topic: str, reason: Reason) -> Candidate | None:
        """The candidate of a silence; None where so little is usual, or could be seen, that it says nothing."""
        window = self._hours.window(topic, int(reason.end.timestamp()) // BUCKET, length_of(rule))
        if not rule.sources and self._measure.is_missing(topic, window):
            return None
        usual = self._measure.baseline(rule, topic, window)
        expected = None if usual is None else round(usual.expected, 3)
        if rule.threshold is not None and (expected is None or expected < rule.threshold):
            return None
        return self._findings.candidate(topic, rule, window, msgspec.structs.replace(reason, expected=expected))

    def _begin(self, topic: str, now: int) -> None:
        self._began[topic] = now
        self._memory["began"] = msgspec.json.encode(self._began)

    def _forget(self, now: int) -> None:
        before = now - int(self._keep.total_seconds())
        # In order, since what is learnt of sources depends on it, and that of the state is another after a restart.
        for topic, hour, posts in sorted(self._hours.drop(before), key=itemgetter(0, 1)):
            self._coverage.learn(topic, hour, posts)
            self._seen.drop(topic, hour)
            self._reactions.drop(topic, hour)
            self._shelves.drop(topic, range(hour * PER_HOUR, (hour + 1) * PER_HOUR))
        self._events.drop(before)
        self._stories.drop(before)
        if self._terms is not None:
            self._terms.forget(now)
        self._measure.forget()

    def _ask(self, *, all_of_them: bool = False) -> list[Output]:
        """Candidates of the topics that have grown, or of all to which anything was added."""
        topics = self._hours.due(all_of_them=all_of_them)
        if not topics:
            return []
        self._events.place()
        apart = [one for topic in self._stories.due() for one in self._judging.stories(topic)]
        rest = (one for topic in topics for one in self._judging.added(topic, self._written))
        return list(_outputs((*apart, *rest)))

    def _save(self) -> None:
        self._hours.save()
        self._seen.save()
        self._reactions.save()
        self._shelves.save()
        self._stories.save()
        self._events.place()
        self._events.save()
        self._absences.save()
        if self._terms is not None:
            self._terms.save()
        self._memory["written"] = msgspec.json.encode(self._written)


def _outputs(candidates: Iterable[Candidate]) -> Iterator[Output]:
    for candidate in candidates:
        yield output("candidates", candidate.topic, candidate)
