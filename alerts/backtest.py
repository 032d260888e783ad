"""The past through `watch` and `decide` with another clock: which alerts a set of rules would have raised, and when.

The stages are the live ones; mentions come at the time at which they were published, ticks at the end of each bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import median

import numpy as np
from scipy.optimize import linear_sum_assignment

from tingchao.alerts.decide import FORGET, Decide
from tingchao.alerts.hours import BASELINE
from tingchao.alerts.watch import Watch
from tingchao.alerts.why import Why, delivery_to
from tingchao.alerts.windows import BUCKET
from tingchao.config.settings import Channel, Settings
from tingchao.pipeline.log import Output
from tingchao.pipeline.records import Alert, Candidate, Mention, Record, Tick, decode
from tingchao.pipeline.stage import Input, Memory

_AFTER = timedelta(hours=6)  # of ticks beyond the last mention, so that what is quiet ends
_HOUR = timedelta(hours=1)
_NEAR = timedelta(hours=1)  # an event may be talked of before its official time, and told of soon after its end
_NEVER = 1e12  # seconds; more than all that meet can be apart together
_DURING = timedelta(hours=24)  # how long an event without an end is talked of


@dataclass(frozen=True, slots=True)
class Known:
    """An event that truly happened; without a topic any topic may tell of it."""

    at: datetime
    until: datetime | None = None
    topic: str = ""
    name: str = ""

    def may_lie_in(self, since: datetime | None, until: datetime | None) -> bool:
        """Whether alerts from `since` on, before `until`, can tell of it."""
        return (since is None or (self.until or self.at + _DURING) >= since) and (until is None or self.at < until)

    def is_told_by(self, alert: Alert) -> bool:
        """Whether the alert is of the event's topic and lies in its time."""
        end = self.until or self.at + _DURING
        return self.topic in ("", alert.topic) and alert.until >= self.at - _NEAR and alert.since <= end

    def told_at(self, alert: Alert) -> datetime | None:
        """When the alert told of the event first; None when it does not, or was open before and merely went on."""
        if not self.is_told_by(alert):
            return None
        last = (self.until or self.at + _DURING) + _NEAR
        later = [moment for moment in _tellings(alert) if moment <= last]
        return min((moment for moment in (alert.opened_at, *later) if moment >= self.at - _NEAR), default=None)


def _tellings(alert: Alert) -> Iterator[datetime]:
    """When staff were told anew of an alert that was open: it was raised or opened again, or a channel let it pass."""
    yield from (change.at for change in alert.history if change.what in {"raised", "reopened"})
    for one in alert.deliveries or ():
        if one.at is not None and one.news.startswith("active") and not one.round:  # a repetition says nothing new
            yield one.at


@dataclass(frozen=True, slots=True)
class Quality:
    """How well alerts tell of known events."""

    alerts: int
    right: int  # alerts that tell of a known event
    events: int
    found: int  # events that an alert tells of
    within: int  # other events, in whose time an alert went on that was open before, for something else
    delays: tuple[timedelta, ...]  # of the events found, from their time to the alert; 0 when it was earlier

    @property
    def precision(self) -> float | None:
        return self.right / self.alerts if self.alerts else None

    @property
    def recall(self) -> float | None:
        return self.found / self.events if self.events else None

    @property
    def delay(self) -> timedelta | None:
        """The median."""
        return timedelta(seconds=median(d.total_seconds() for d in self.delays)) if self.delays else None


def earlier(since: datetime) -> datetime:
    """From when on posts must be known, so that at `since` as much is usual as it was live."""
    past = timedelta(hours=BASELINE)
    return max(since, datetime.min.replace(tzinfo=UTC) + past) - past


def replay(mentions: Iterable[Mention], settings: Settings) -> list[Alert]:
    """The last form of each alert, in the order in which they opened. Mentions count at `fetched_at`."""
    watch, decide = Watch(Memory({}), settings), Decide(Memory({}), settings)
    alerts: dict[str, Alert] = {}

    def work(records: Sequence[Record], at: datetime) -> None:
        found = watch.process([Input(record, at) for record in records])
        candidates: list[Record] = [decode(Candidate, one.value) for one in found.outputs if one.topic == "candidates"]
        ticks = [record for record in records if isinstance(record, Tick)]
        told = decide.process([Input(record, at) for record in (*candidates, *ticks)])
        for alert in _alerts(told.outputs):
            alerts[alert.id] = alert

    found = sorted(mentions, key=lambda one: (one.fetched_at, one.id, one.topic))
    for records, at in _beats(found, _memory_of(settings)):
        work(records, at)
    return sorted(alerts.values(), key=lambda alert: (alert.opened_at, alert.id))


def woken(alert: Alert, channels: Sequence[Channel]) -> list[str]:
    """The channels that would have told of the alert: those that `decide` let, unless it is below their level."""
    told = {one.receiver for one in alert.deliveries or () if one.at is not None}
    return [channel.name for channel in channels if channel.name in told and alert.level >= channel.min_level]


def held(alert: Alert, channels: Sequence[Channel]) -> dict[str, str]:
    """The channels that would not have told of it, each with the reason."""
    if alert.state == "past":
        return {channel.name: Why.PAST.value for channel in channels}
    told = woken(alert, channels)
    return {
        channel.name: delivery_to(channel.name, alert).why or Why.BELOW_LEVEL.value
        for channel in channels
        if channel.name not in told
    }


def pairs(alerts: Sequence[Alert], others: Sequence[Alert]) -> list[tuple[Alert, Alert]]:
    """Which alert of one run is which of another: as many as can be, each at most once, those opened nearest first."""
    found: list[tuple[Alert, Alert]] = []
    for topic in sorted({one.topic for one in alerts} & {one.topic for one in others}):
        mine, theirs = ([one for one in run if one.topic == topic] for run in (alerts, others))
        apart = np.array([[_apart(one, other) for other in theirs] for one in mine])
        places = zip(*linear_sum_assignment(apart), strict=True)
        found += [(mine[row], theirs[column]) for row, column in places if apart[row, column] < _NEVER]
    return found


def _apart(one: Alert, other: Alert) -> float:
    """Seconds between their openings, where they are of the same time."""
    meet = one.since <= other.until and other.since <= one.until
    return abs((one.opened_at - other.opened_at).total_seconds()) if meet else _NEVER


def invented(alert: Alert, end: datetime) -> bool:
    """Whether what raised the alert is only that nothing was read after `end`."""
    return alert.opened_at > end and all(reason.kind == "absence" for reason in alert.reasons)


def quality(alerts: Sequence[Alert], known: Sequence[Known]) -> Quality:
    """Precision, recall and time to detect; alerts about the past count like others."""
    told = [[at for alert in alerts if (at := event.told_at(alert)) is not None] for event in known]
    delays = tuple(max(timedelta(0), min(times) - event.at) for event, times in zip(known, told, strict=True) if times)
    within = sum(not times and any(map(event.is_told_by, alerts)) for event, times in zip(known, told, strict=True))
    right = sum(any(event.told_at(alert) is not None for event in known) for alert in alerts)
    return Quality(len(alerts), right, len(known), len(delays), within, delays)


def _memory_of(settings: Settings) -> timedelta | None:
    """How long after a mention it may still count, whatever for; None where silence itself is told of."""
    if any(rule.kind == "absence" for rule in settings.rules):
        return None
    main = settings.main
    spans = [timedelta(hours=BASELINE), main.decide.quiet, main.keep.lateness, main.budget.history + timedelta(days=1)]
    return max(*spans, *(rule.window + rule.for_ for rule in settings.rules)) + FORGET + timedelta(days=1)


def _beats(mentions: Sequence[Mention], memory: timedelta | None) -> Iterator[tuple[list[Record], datetime]]:
    """Mentions that came at one time, and between them a tick at the end of each bucket.

    Of a stretch without mentions in which all of before is forgotten, only the beginning, as long as `memory`, and as
    much of the end have ticks: one post of years ago would take minutes, and nothing can happen in between.
    """
    if not mentions:
        return
    step = timedelta(seconds=BUCKET)
    tick = datetime.fromtimestamp(mentions[0].fetched_at.timestamp() // BUCKET * BUCKET, UTC)
    resting = None  # from when on nothing is remembered
    for at, group in groupby(mentions, key=lambda one: one.fetched_at):
        while tick < at:  # in the log, mentions of the same time stand before it: `score` wrote them first
            if memory is not None and resting is not None and tick >= resting:
                tick += max(timedelta(0), at - memory - tick) // _HOUR * _HOUR  # whole ones: some work is done hourly
                resting = None
            yield [Tick(at=tick)], tick
            tick += step
        yield list(group), at
        resting = None if memory is None else at + memory
    while tick <= mentions[-1].fetched_at + _AFTER:
        yield [Tick(at=tick)], tick
        tick += step


def _alerts(outputs: Iterable[Output]) -> Iterator[Alert]:
    for one in outputs:
        if one.topic == "alerts":
            yield decode(Alert, one.value)
