"""An alert and the channels: whom it may be told now, and why not the others. Part of decide, which knows all alerts.

For each channel that the routes lead to, an alert carries a `Delivery`. What is held back (by a silence, another alert,
a time interval, or because its group waits) says why and until when, and is let go by a tick of the clock. The stage of
the channel (notify.py) only obeys. All that is remembered stands in the deliveries, so a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from tingchao.alerts.absence import silent_sources
from tingchao.alerts.budget import Budget
from tingchao.alerts.discoveries import Discoveries, is_told
from tingchao.alerts.inhibit import Active, Inhibitor
from tingchao.alerts.routing import Way, by_receiver, group_of, labels_of, tree, ways
from tingchao.alerts.silences import Silences
from tingchao.alerts.why import Why
from tingchao.config.matchers import Labels
from tingchao.config.settings import Settings
from tingchao.pipeline.records import ACTIVE, Alert, Delivery, Silence

logger = structlog.get_logger()

_GROUPED = frozenset({Why.GROUP_WAIT, Why.GROUP_INTERVAL})


class Hold(NamedTuple):
    """Why a channel is not told now."""

    why: Why
    by: str = ""
    until: datetime | None = None


class _Case(NamedTuple):
    """An alert at a time."""

    alert: Alert
    labels: Labels
    at: datetime
    ticks: bool  # whether only the clock has moved

    @property
    def active(self) -> bool:
        return self.alert.state in ACTIVE


class Dispatch:
    """The deliveries of all alerts that decide remembers."""

    def __init__(self, settings: Settings, silences: Silences, budget: Budget, alerts: Sequence[Alert]) -> None:
        self._tree = tree(settings.routes, [channel.name for channel in settings.main.notify])
        self._ways = {way.place: way for way in ways(self._tree)}
        self._inhibitor = Inhibitor(settings.routes.inhibit_rules) if settings.routes.inhibit_rules else None
        self._levels = {channel.name: channel.min_level for channel in settings.main.notify}
        self._silences, self._budget = silences, budget
        self._discoveries = Discoveries(settings)
        self._limit: tuple[datetime, float] | None = None  # of chance, at a time; None: to be found out
        self._floors = {rule.name: rule.sure for rule in settings.rules if rule.sure is not None}
        self._alerts: dict[str, Alert] = {}
        self._groups: dict[tuple[str, str], set[str]] = {}  # receiver and group -> alerts
        self._inhibited: dict[str, str] | None = None  # None: to be found out
        self._mutes: tuple[datetime | None, dict[str, Hold | None]] = None, {}  # by route, at one time
        for alert in alerts:
            self._learn(alert)

    def stamped(self, alert: Alert, at: datetime) -> Alert:
        """The alert, which has just changed, with its deliveries."""
        self._inhibited = None
        self._budget.learn(alert)
        self._alerts[alert.id] = alert  # the others are inhibited by what it is now
        self._limit = None
        alert = self._stamp(alert, at, ticks=False)
        self._learn(alert)
        return alert

    def due(self, at: datetime) -> Iterator[Alert]:
        """The alerts whose deliveries change by the clock, or by what became of others, at a tick."""
        last = {
            key: max((found.at for name in names if (found := self._delivery(name, key)) and found.at), default=None)
            for key, names in self._groups.items()
        }
        for before in list(self._alerts.values()):
            alert = self._repeated(self._stamp(before, at, ticks=True), at, last)
            if alert is not before:
                alert = replace(alert, number=alert.number + 1, updated_at=at)
                self._learn(alert)
                yield alert

    def forget(self, alert: str) -> None:
        """Drop an alert that decide forgets."""
        for delivery in self._alerts.pop(alert).deliveries or ():
            self._leave(alert, delivery)

    def _stamp(self, alert: Alert, at: datetime, *, ticks: bool) -> Alert:
        known = {delivery.receiver: delivery for delivery in alert.deliveries or ()}
        ended = alert.state not in ACTIVE
        # Of what ended, nothing is due but what is held until a time: by a silence, an interval or the budget.
        if alert.state == "past" or (ticks and ended and not any(one.why and one.until for one in known.values())):
            return alert
        case = _Case(alert, labels_of(alert), at, ticks)
        chosen = {} if ended and known else by_receiver(self._tree, case.labels)
        for receiver, delivery in known.items():
            if delivery.at is not None or ended:  # whoever was told of an alert is told of its end
                chosen[receiver] = self._own_first(delivery, chosen.get(receiver, ()))
        deliveries = tuple(
            self._deliver(known.get(receiver) or Delivery(receiver=receiver), found, case)
            for receiver, found in sorted(chosen.items())
        )
        return alert if deliveries == alert.deliveries else replace(alert, deliveries=deliveries)

    def _own_first(self, known: Delivery, found: tuple[Way, ...]) -> tuple[Way, ...]:
        """The ways to a channel, first the one by which it was told; that one alone when no other is left."""
        own = self._ways.get(known.route, self._tree)
        return tuple(sorted(found, key=lambda way: way is not own)) or (own,)

    def _deliver(self, before: Delivery, found: Sequence[Way], case: _Case) -> Delivery:
        """What is said to one channel, to which one or more ways lead."""
        known, hold = self._passed(before, found, case)
        alert, heard = case.alert, known.at is not None or known.digest
        if hold is not None:
            if before.why != hold.why:
                _log("decide.held", alert, known.receiver, hold)
            return replace(known, why=hold.why.value, by=hold.by, until=hold.until)
        if known.why and not heard and not case.active:
            return replace(known, until=None, news=_news(alert))  # it ended before, so nobody is told, and why stays
        free = replace(known, why="", by="", until=None)
        if before.why:
            _log("decide.freed", alert, known.receiver, Hold(Why(before.why), before.by))
        if known.news == _news(alert):
            return free
        told = heard or case.active  # nobody is told that it ended who never heard of it
        return replace(free, news=_news(alert), at=case.at if told else None)

    def _passed(self, before: Delivery, found: Sequence[Way], case: _Case) -> tuple[Delivery, Hold | None]:
        """What is known by the way that decides, and what holds the alert back there.

        The first that lets it pass decides. While none does, the group that lets it go first stands, since its wait
        is remembered nowhere else; without any, the first way. The budget is asked last, since what passes spends it.
        """
        if hold := self._below(before, case) or self._unproven(before, case) or self._silenced(case):
            return _by(found[0], before, case), hold
        held: list[tuple[Delivery, Hold]] = []
        for way in found:
            known = _by(way, before, case)
            hold = self._mute(way, case.at) or (self._wait(known, way, case) if _goes_with_group(known, case) else None)
            if hold is None:
                return (known, None) if known.at is not None else self._spend(known, case)
            held.append((known, hold))
        waits = [(hold.until, number) for number, (_, hold) in enumerate(held) if hold.why in _GROUPED and hold.until]
        return held[min(waits)[1] if waits else 0]

    def _below(self, known: Delivery, case: _Case) -> Hold | None:
        """Whether the channel wants to hear of graver alerts only; of what it was told it hears the end."""
        heard = known.at is not None or known.digest or not case.active
        return None if heard or case.alert.level >= self._levels.get(known.receiver, 0) else Hold(Why.BELOW_LEVEL)

    def _unproven(self, known: Delivery, case: _Case) -> Hold | None:
        """Whether an alert of which the channel knows nothing yet may well be chance."""
        if known.at is not None or known.digest or known.why not in {"", Why.UNPROVEN} or not case.active:
            return None
        if not self._may_be_chance(case.alert, case.at):
            return None
        # The limit is told as it was: it moves with each alert of the day.
        by = known.by if known.why == Why.UNPROVEN else f"{self._chance_limit(case.at):.2g}"
        return Hold(Why.UNPROVEN, by)

    def _may_be_chance(self, alert: Alert, at: datetime) -> bool:
        chance = self._discoveries.chance(alert)
        return chance is not None and chance > self._chance_limit(at)

    def _chance_limit(self, at: datetime) -> float:
        if self._limit is None or self._limit[0] != at:
            self._limit = at, self._discoveries.limit(self._alerts.values(), at)
        return self._limit[1]

    def _silenced(self, case: _Case) -> Hold | None:
        """What holds the alert back on every way."""
        if silence := self._silence(case):
            return Hold(Why.SILENCED, silence.id, silence.ends_at)
        holder = self._inhibitors(case.at).get(case.alert.id)
        return Hold(Why.INHIBITED, holder) if holder else None

    def _silence(self, case: _Case) -> Silence | None:
        """What holds the alert back under each of its topics; of several the one that ends first."""
        each = ({**case.labels, "topic": (topic,)} for topic in case.labels["topic"])
        found = [self._silences.holding(labels, case.at) for labels in each]
        silences = [one for one in found if one is not None]
        return min(silences, key=lambda one: one.ends_at) if len(silences) == len(found) else None

    def _spend(self, known: Delivery, case: _Case) -> tuple[Delivery, Hold | None]:
        """Whether the budget has room for an alert that the channel has not been told of.

        What had none goes out at the end of the shift, all of it together, also what ended meanwhile.
        """
        alert, at = case.alert, case.at
        if known.why == Why.OVER_BUDGET and known.until is not None:
            if case.ticks and known.until <= at:
                return replace(known, digest=True, group=Why.OVER_BUDGET.value), None
            if not case.active or known.until <= at:
                return known, Hold(Why.OVER_BUDGET, known.by, known.until)
        if not case.active or known.digest:
            return known, None
        floors = [floor for reason in alert.reasons if (floor := self._floors.get(reason.rule)) is not None]
        end = self._budget.over(alert, at, min(floors, default=None))
        return known, None if end is None else Hold(Why.OVER_BUDGET, str(alert.level), end)

    def _mute(self, way: Way, at: datetime) -> Hold | None:
        """Whether the route is mute at a time; asked once for all alerts of a tick, since the next change is far."""
        if not way.mute and not way.active:
            return None
        if self._mutes[0] != at:
            self._mutes = at, {}
        found = self._mutes[1]
        if way.place not in found:
            found[way.place] = muted(way, at)
        return found[way.place]

    def _wait(self, known: Delivery, way: Way, case: _Case) -> Hold | None:
        """Whether the group waits. What waits together is let go at one tick, and goes out in one message."""
        at = case.at
        if known.why in _GROUPED and known.until is not None:
            return None if case.ticks and known.until <= at else Hold(Why(known.why), until=known.until)
        key = (known.receiver, known.group or case.alert.id)
        others = [found for name in self._groups.get(key, ()) if (found := self._delivery(name, key)) is not None]
        # Of the alert itself another way may be known, which this one does not wait for.
        waiting = [one for one in others if one.why in _GROUPED and one.until is not None and one.route == way.place]
        if waiting:
            return Hold(Why(waiting[0].why), until=waiting[0].until)
        told = max((one.at for one in others if one.at is not None), default=None)
        if told is not None and at < told + way.group_interval:
            return Hold(Why.GROUP_INTERVAL, until=told + way.group_interval)
        if way.group_wait and not self._goes_on(key):
            return Hold(Why.GROUP_WAIT, until=at + way.group_wait)
        return None

    def _goes_on(self, key: tuple[str, str]) -> bool:
        """Whether the channel knows of an active alert of the group."""
        return any(
            self._alerts[name].state in ACTIVE
            and (found := self._delivery(name, key)) is not None
            and found.at is not None
            for name in self._groups.get(key, ())
        )

    def _repeated(self, alert: Alert, at: datetime, last: dict[tuple[str, str], datetime | None]) -> Alert:
        """The alert once more for the channels whose group was told long ago, while nobody has acknowledged it."""
        if alert.state != "open":
            return alert
        deliveries = []
        for one in alert.deliveries or ():
            every = self._ways.get(one.route, self._tree).repeat_interval
            told = last.get((one.receiver, one.group or alert.id))
            if every > timedelta(0) and not one.why and one.at != at and told is not None and at - told >= every:
                one = replace(one, at=at, round=one.round + 1)  # noqa: PLW2901 the next form of the same
            deliveries.append(one)
        return alert if tuple(deliveries) == (alert.deliveries or ()) else replace(alert, deliveries=tuple(deliveries))

    def _inhibitors(self, at: datetime) -> dict[str, str]:
        if self._inhibitor is None:
            return {}
        if self._inhibited is None:
            active = {
                alert.id: Active((-alert.level, alert.opened_at.timestamp(), alert.id), labels_of(alert))
                for alert in self._alerts.values()
                if alert.state in ACTIVE and (is_told(alert) or not self._may_be_chance(alert, at))
            }
            found = self._inhibitor.inhibited(active)
            self._inhibited = {name: by for name, by in found.items() if self._held_in_each(name, active)}
        return self._inhibited

    def _held_in_each(self, name: str, active: Mapping[str, Active]) -> bool:
        """Whether what holds an alert on several silent sources back does so for each of them."""
        if self._inhibitor is None or len(mute := silent_sources(self._alerts[name].reasons)) < 2:
            return True
        one = active[name]
        each = (one._replace(labels={**one.labels, "source": (reason.detail,)}) for reason in mute)
        return all(name in self._inhibitor.inhibited({**active, name: alone}) for alone in each)

    def _delivery(self, alert: str, key: tuple[str, str]) -> Delivery | None:
        """What the alert says to the receiver of a group."""
        found = (one for one in self._alerts[alert].deliveries or () if one.receiver == key[0])
        return next(found, None)

    def _learn(self, alert: Alert) -> None:
        before = self._alerts.get(alert.id)
        self._limit = None
        for delivery in (before and before.deliveries) or ():
            self._leave(alert.id, delivery)
        self._alerts[alert.id] = alert
        for delivery in alert.deliveries or ():
            self._groups.setdefault((delivery.receiver, delivery.group or alert.id), set()).add(alert.id)

    def _leave(self, alert: str, delivery: Delivery) -> None:
        key = (delivery.receiver, delivery.group or alert)
        names = self._groups.get(key, set())
        names.discard(alert)
        if not names:
            self._groups.pop(key, None)


def muted(way: Way, at: datetime) -> Hold | None:
    """Whether the intervals of a route keep it silent at a time."""
    for interval in way.mute:
        if interval.holds(at):
            return Hold(Why.MUTED, interval.name, interval.until(at))
    if way.active and not any(interval.holds(at) for interval in way.active):
        begins = [moment for interval in way.active if (moment := interval.until(at)) is not None]
        return Hold(Why.MUTED, way.active[0].name, min(begins, default=None))
    return None


def _by(way: Way, known: Delivery, case: _Case) -> Delivery:
    """What is known, on this way: it does not wait for the group of another one."""
    if known.route == way.place:
        return known
    known = replace(known, route=way.place, group=group_of(way, case.labels))
    return replace(known, why="", until=None) if known.why in _GROUPED else known


def _goes_with_group(known: Delivery, case: _Case) -> bool:
    """Whether there is something to tell that the budget has not put off, which goes out with the group."""
    put_off = known.digest or known.why == Why.OVER_BUDGET
    return not put_off and known.news != _news(case.alert) and (known.at is not None or case.active)


def _news(alert: Alert) -> str:
    """What a channel has to know of the alert: whether it goes on, and how grave it is."""
    return f"active {alert.level}" if alert.state in ACTIVE else alert.state


def _log(event: str, alert: Alert, receiver: str, hold: Hold) -> None:
    logger.info(event, alert=alert.id, receiver=receiver, why=hold.why.value, by=hold.by, until=hold.until)
