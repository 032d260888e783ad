"""[fetches] → sources → [candidates], [mentions]: a source that can no longer be read is an alert of its own.

What a sick source does not tell is not silence of the public. So these alerts come first, and decide lets them inhibit
what they would falsify. No source is given up: it is visited at its interval whatever is said here.
`watch` hears of the hours in which none was read, by a tick in each partition; its baselines leave them out (dark.py),
and of the sources that are ill, whose share of each topic they leave out (coverage.py).
An alert begins after some failures in a row and ends after two good visits in a row, so that a source that fails every
second time is one alert. While most fail, the alerts on single ones go on, and no others begin.
State keys: the source's name; `@most`, the alert on most of them; `@unread`, the hours that `watch` was last told of,
and `@ill`, the sources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tingchao.alerts import shards
from tingchao.alerts.absence import AGAIN, LASTS
from tingchao.config.matchers import ALL_SOURCES, ONE_SOURCE
from tingchao.config.settings import Settings
from tingchao.config.sources import Source
from tingchao.pipeline.backends import clustered
from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.flow import READS
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.records import FINE, TICK_KEY, Alert, Candidate, Fetch, Reason, Tick, encode
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage

TICK = timedelta(minutes=1)
FAILING = frozenset({"source_failing", "source_unvisited", "sources_failing"})  # kinds: what cannot be read

_TRIES = 3  # visits in a row that failed; one or two are the web as it is
_PATIENCE = timedelta(minutes=30)  # and at least so long, for sources that are visited every minute
_MANY = 0.5  # share of the sources that fail at once, from which the trouble is ours: one alert
_OFTEN = timedelta(minutes=30)  # a source that is visited at least so often has a visit in each hour
_UNREAD, _ILL, _MOST = "@unread", "@ill", "@most"
_TOLD = 72  # hours that `watch` is told of: more than it looks at again (dark.py)
_LEAST = 3  # sources; of two, both may be ill by themselves
_SLOTS = 24  # hours of the day, in Beijing: people post by day
_DAYS = 14  # that the usual number of an hour rests on, about; older ones fade
_LEARN = 3  # days until there is a usual number
_EXPECT = 10.0  # posts expected in the hours looked at; from fewer, silence says nothing
_FARTHEST = 48  # hours looked at
_P = 0.001  # that a source brings so little by chance
_DISPERSION = 3  # size of the negative binomial; news per hour vary about as much (a guess, on the careful side)


class Health(msgspec.Struct):
    """What is known of one source."""

    good: datetime | None = None  # the last visit that brought what there was
    bad: datetime | None = None  # the first of the failures in a row
    failures: int = 0
    detail: str = ""  # of the last failure: outcome, or outcome:status
    charset: str = ""
    robots: str = ""
    told: dict[str, datetime] = {}  # kind -> when a candidate was last written; "failing" only until it is over
    began: datetime | None = None
    usual: list[float] = []  # posts in an hour, by hour of the day
    days: list[float] = []  # that each rests on
    hours: dict[int, int] = {}  # the last hours with a good visit -> posts in it


class Most(msgspec.Struct):
    """The alert on most of the sources, while there is one."""

    told: datetime | None = None  # when a candidate was last written
    names: tuple[str, ...] = ()  # each source that failed with the others, until it is well


def plan(settings: Settings) -> Plan:
    """The stage; one partition."""

    def make(memory: Memory) -> Stage:
        return Sources(memory, settings)

    return Plan("sources", READS["sources"], make, tick=TICK)


def titles(settings: Settings) -> dict[str, str]:
    """For people: the topic of an alert about a source -> its title."""
    return {ONE_SOURCE + source.name: source.title or source.name for source in settings.sources}


def about_sources(alert: Alert) -> bool:
    """Whether the alert is on a source, or on most of them, and so has no posts to show."""
    return alert.topic == ALL_SOURCES or alert.topic.startswith(ONE_SOURCE)


class Sources:
    """The health of all sources."""

    def __init__(self, memory: Memory, settings: Settings) -> None:
        self._memory = memory
        self._sources = {source.name: source for source in settings.sources if source.enabled}
        self._all = {name: _HEALTH.decode(value) for name, value in memory.items() if name[0] != "@"}
        self._most = _MOST_OF_ALL.decode(shards.get(memory, _MOST)) if _MOST in memory else Most()
        self._partitions = settings.main.kafka.partitions if clustered(settings) else 1

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcomes: good, bad, other (one article, or a source that is configured no longer), tick."""
        outputs: list[Output] = []
        outcomes: list[str] = []
        for given in inputs:
            match given.record:
                case Fetch() as fetch:
                    outcome, found = self._fetch(fetch)
                case Tick() as tick:
                    failing = [name for name in self._sources if self._fails(name, tick.at)]
                    quiet = dict(self._quiet(failing, tick.at))
                    outcome, found = "tick", list(self._tick(failing, quiet, tick.at))
                    outputs += self._tell_watch(failing, quiet, tick.at)
                case other:
                    raise AssertionError(f"sources reads fetches, got {type(other).__name__}")
            outcomes.append(outcome)
            outputs += [output("candidates", one.topic, one) for one in found]
        return Result(outputs, outcomes)

    def _fetch(self, fetch: Fetch) -> tuple[str, list[Candidate]]:
        source = self._sources.get(fetch.source)
        if source is None or fetch.url != source.url:
            return "other", []
        health = self._all.setdefault(fetch.source, Health(began=fetch.at))
        if fetch.outcome not in FINE:
            health.failures += 1
            health.bad = health.bad or fetch.at
            health.detail = f"{fetch.outcome}:{fetch.status}" if fetch.outcome == "status" else fetch.outcome
            self._keep(fetch.source)
            return "bad", []
        changes = list(_changes(fetch, health))
        if not health.failures:
            changes += self._well(fetch.source, fetch.at)
        health.good, health.bad, health.failures, health.detail = fetch.at, None, 0, ""
        health.charset, health.robots = fetch.charset or health.charset, fetch.robots or health.robots
        _count(health, fetch.at, fetch.items)
        self._keep(fetch.source)
        return "good", changes

    def _tick(self, failing: Sequence[str], quiet: Mapping[str, Reason], now: datetime) -> Iterator[Candidate]:
        if self._are_most(failing):
            yield from self._tell_most(failing, now)
        elif self._most.told is not None and not self._are_most(self._most.names):
            self._keep_most(Most())
            yield _over(ALL_SOURCES, "sources_failing", now)
        for name in failing:
            if self._most.told is None or "failing" in self._all[name].told:
                yield from self._tell_failing(name, now)
        if self._most.told is not None:
            return
        for name, found in quiet.items():
            if found.p is not None and self._due(name, "quiet", now):
                yield _candidate(ONE_SOURCE + name, found, 1 - found.p)

    def _tell_watch(self, failing: Sequence[str], quiet: Mapping[str, Reason], now: datetime) -> Iterator[Output]:
        """To each partition, when they have changed, the hours in which no source was read, and which are ill."""
        told = msgspec.json.decode(self._memory.get(_UNREAD, b"[]"), type=tuple[int, ...])
        hour = _hour(now)
        first = hour - _FARTHEST + 1  # health remembers no visits before it
        unread = (*(one for one in told if hour - _TOLD <= one < first), *self._unread(first, hour))
        known = msgspec.json.decode(shards.get(self._memory, _ILL) if _ILL in self._memory else b"{}")
        since = {name: _hour(found.start) for name, found in quiet.items()} | dict(self._unseen(failing))
        # The shortest silence that is no chance ends now, and its beginning moves on.
        ill = {name: min(begin, known.get(name, begin)) for name, begin in since.items()}
        if (unread, ill) != (told, known):
            self._memory[_UNREAD] = _ENCODER.encode(unread)
            shards.put(self._memory, _ILL, _ENCODER.encode(ill))
            tick = encode(Tick(at=now, unread=unread, ill=ill))
            yield from (Output("mentions", TICK_KEY, tick, number) for number in range(self._partitions))

    def _unseen(self, failing: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Each with the first hour in which it was not read at all."""
        for name in failing:
            last = self._all[name].good or self._all[name].began
            if last is not None:
                yield name, _hour(last) + 1

    def _unread(self, first: int, end: int) -> Iterator[int]:
        """Hours from `first` on, without `end`, in which none of the sources that are visited often enough was read."""
        often = [
            health
            for name, health in self._all.items()
            if name in self._sources and self._sources[name].every <= _OFTEN
        ]
        begun = min((_hour(health.began) + 1 for health in often if health.began), default=end)
        read = {hour for health in often for hour in health.hours}
        return (hour for hour in range(max(first, begun), end) if hour not in read)

    def _fails(self, name: str, now: datetime) -> bool:
        health = self._all.get(name)
        if health is None:
            return False
        patience = max(_PATIENCE, _TRIES * self._sources[name].every)
        if health.failures and ("failing" in health.told or name in self._most.names):
            return True  # not well yet
        if health.bad is not None and health.failures >= _TRIES and now - health.bad >= patience:
            return True
        last = max(filter(None, (health.good, health.bad, health.began)))
        return health.failures == 0 and now - last > 2 * patience  # nobody visits it any more

    def _tell_failing(self, name: str, now: datetime) -> Iterator[Candidate]:
        health = self._all[name]
        if self._due(name, "failing", now):
            kind = "source_failing" if health.failures else "source_unvisited"
            start = health.bad or health.good or now
            reason = Reason(
                rule=kind, kind=kind, start=start, end=now, observed=float(health.failures), detail=health.detail
            )
            yield _candidate(ONE_SOURCE + name, reason, 1.0)

    def _well(self, name: str, now: datetime) -> Iterator[Candidate]:
        """A second good visit in a row, or the first one in a long time: what failed is over."""
        if name in self._most.names:
            self._keep_most(Most(self._most.told, tuple(one for one in self._most.names if one != name)))
        told = self._all[name].told
        quiet = "quiet" in told and now - told["quiet"] < LASTS  # of which the same alert tells
        if told.pop("failing", None) is not None and not quiet:
            yield _over(ONE_SOURCE + name, "source_failing", now)

    def _are_most(self, names: Collection[str]) -> bool:
        known = self._known()
        return len(known & set(names)) >= max(_LEAST, _MANY * len(known))

    def _known(self) -> set[str]:
        """Those that are configured and were visited."""
        return self._sources.keys() & self._all.keys()

    def _tell_most(self, failing: Sequence[str], now: datetime) -> Iterator[Candidate]:
        due = self._most.told is None or now - self._most.told >= AGAIN
        names = tuple(sorted({*self._most.names, *failing}))
        if due or names != self._most.names:
            self._keep_most(Most(now if due else self._most.told, names))
        if due:
            start = min((self._all[name].bad or self._all[name].good or now) for name in failing)
            detail = self._all[failing[0]].detail
            reason = Reason(
                rule="sources_failing",
                kind="sources_failing",
                start=start,
                end=now,
                observed=float(len(failing)),
                expected=float(len(self._known())),
                detail=detail,
            )
            yield msgspec.structs.replace(_candidate(ALL_SOURCES, reason, 1.0), level=2)

    def _quiet(self, failing: Sequence[str], now: datetime) -> Iterator[tuple[str, Reason]]:
        """Sources that can be read, and bring too little."""
        for name, source in self._sources.items():
            if name in self._all and name not in failing:
                found = _silence(self._all[name], now, source)
                if found is not None:
                    yield name, found

    def _due(self, name: str, kind: str, now: datetime) -> bool:
        health = self._all[name]
        last = health.told.get(kind)
        if last is not None and now - last < AGAIN:
            return False
        health.told[kind] = now
        self._keep(name)
        return True

    def _keep_most(self, most: Most) -> None:
        self._most = most
        shards.put(self._memory, _MOST, _ENCODER.encode(most))

    def _keep(self, name: str) -> None:
        self._memory[name] = _ENCODER.encode(self._all[name])


_ENCODER = msgspec.json.Encoder()
_HEALTH, _MOST_OF_ALL = msgspec.json.Decoder(Health), msgspec.json.Decoder(Most)


def _changes(fetch: Fetch, health: Health) -> Iterator[Candidate]:
    """What is worth a look although the visit went well."""
    said = (
        ("charset", health.charset, fetch.charset),
        ("robots", _without_answer(health.robots), _without_answer(fetch.robots)),
    )
    for what, before, after in said:
        # What may be read as it likes to be is no trouble: a robots.txt that is gone, a delay that is over.
        if before and after and after not in {before, "allowed"}:
            kind = f"source_{what}"
            start = health.good or fetch.at
            reason = Reason(rule=kind, kind=kind, start=start, end=fetch.at, observed=1.0, detail=f"{before} → {after}")
            yield _candidate(ONE_SOURCE + fetch.source, reason, 1.0)


def _without_answer(robots: str) -> str:
    """What robots.txt says of the page, without how it came to say so: `allowed: robots.txt 404` is `allowed`."""
    decision, _, answer = robots.partition(": ")
    return decision + "".join(answer.partition(", ")[1:])


def _count(health: Health, at: datetime, items: int) -> None:
    """Add the posts of a good visit to its hour; hours that fall out of sight become part of what is usual."""
    hour = _hour(at)
    health.hours[hour] = health.hours.get(hour, 0) + items
    if not health.usual:
        health.usual, health.days = [0.0] * _SLOTS, [0.0] * _SLOTS
    for old in [one for one in health.hours if one <= hour - _FARTHEST]:
        slot, posts = _slot(old), health.hours.pop(old)
        days = min(health.days[slot] + 1, float(_DAYS))
        health.usual[slot] += (posts - health.usual[slot]) / days
        health.days[slot] = days


def _silence(health: Health, now: datetime, source: Source) -> Reason | None:
    """The shortest stretch of good hours in which the source brought too little to be chance; None if there is none.

    Hours without a good visit are left out: missing is not zero. Lower tail of a negative binomial.
    """
    if not health.usual or source.every > timedelta(hours=1):
        return None
    this = _hour(now)
    expected, observed = 0.0, 0
    for hour in sorted((one for one in health.hours if one < this), reverse=True):
        slot = _slot(hour)
        if health.days[slot] < _LEARN:
            return None
        expected += health.usual[slot]
        observed += health.hours[hour]
        if expected >= _EXPECT:
            chance = _chance(observed, expected)
            if chance < _P:
                start = datetime.fromtimestamp(hour * 3600, now.tzinfo)
                return Reason(
                    rule="source_quiet",
                    kind="source_quiet",
                    start=start,
                    end=now,
                    observed=float(observed),
                    expected=round(expected, 1),
                    p=chance,
                )
    return None


def _chance(observed: int, expected: float) -> float:
    """Of at most so many posts: the lower tail of a negative binomial."""
    from scipy.special import nbdtr  # noqa: PLC0415 the page knows this file for its names and must not wait for SciPy

    return float(nbdtr(observed, _DISPERSION, _DISPERSION / (_DISPERSION + expected)))


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // 3600


def _slot(hour: int) -> int:
    return datetime.fromtimestamp(hour * 3600, BEIJING).hour


def _over(topic: str, kind: str, now: datetime) -> Candidate:
    reason = Reason(rule=kind, kind=kind, start=now, end=now, observed=0.0)
    return msgspec.structs.replace(_candidate(topic, reason, 1.0), over=True)


def _candidate(topic: str, reason: Reason, sure: float) -> Candidate:
    return Candidate(
        topic=topic,
        reason=reason,
        level=1,
        sure=round(min(sure, 0.99), 3),
        posts=0,
        voices=0,
        quiet=LASTS.total_seconds(),
    )
