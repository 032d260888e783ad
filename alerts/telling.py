"""Whether a channel is to be told of a change of an alert, what, and why or why not."""

from __future__ import annotations

from typing import NamedTuple

from tingchao.alerts.message import Kind
from tingchao.alerts.outbox import NEWS, Told, Waiting
from tingchao.alerts.why import STOPS, Why, delivery_to
from tingchao.pipeline.records import ACTIVE, Alert

_ENDS: dict[str, Kind] = {"resolved": "resolved", "false_alarm": "false_alarm"}


class Known(NamedTuple):
    """What a channel knows of an alert before a change of it."""

    told: Told | None
    waiting: Waiting | None
    new: bool  # what waits was put there by the same batch, so that nobody can have been told

    @property
    def unheard(self) -> bool:
        """Whether nobody takes the alert for active, nor can have been told of it."""
        return self.new and not self.believed

    @property
    def has_news(self) -> bool:
        """Whether what waits says that the alert is active."""
        return self.waiting is not None and self.waiting.message.event in NEWS

    @property
    def believed(self) -> bool:
        """Whether the channel takes the alert for active."""
        return self.told is not None and self.told.active


class Telling(NamedTuple):
    """`event` is what to tell, None for nothing new; `drop`: what waits is not to be told either."""

    why: Why
    event: Kind | None = None
    drop: bool = False


def telling(channel: str, min_level: int, alert: Alert, known: Known, *, history: bool) -> Telling:
    """What to tell a channel of a changed alert; `history`: the change was written long before the channel began."""
    delivery = delivery_to(channel, alert)
    if alert.state == "past" or delivery.why:
        return _of_held(alert, delivery.why, known)
    if delivery.digest and known.told is None and known.waiting is None:
        return Telling(Why.DIGEST, _ENDS.get(alert.state, "opened"))
    if alert.state not in ACTIVE:
        return _of_end(alert, known)
    if known.waiting is not None and known.has_news:
        return _of_level(alert, known.waiting.message.alert.level, believed=known.believed)
    if known.told is not None and known.believed and known.waiting is None:
        return _again(alert, known.told, delivery.round)
    return _of_first(alert, min_level, known, history=history)


def _of_held(alert: Alert, why: str, known: Known) -> Telling:
    """What waits goes on waiting, unless its alert has ended: then nobody needs to be told that it began."""
    if alert.state == "past":
        return Telling(Why.PAST)
    return Telling(Why(why), drop=why in STOPS and alert.state not in ACTIVE and known.has_news)


def _again(alert: Alert, told: Told, repetition: int) -> Telling:
    of_level = _of_level(alert, told.level, believed=True)
    repeat = of_level.event is None and repetition > told.round
    return Telling(Why.REPEAT, "repeated") if repeat else of_level


def _of_first(alert: Alert, min_level: int, known: Known, *, history: bool) -> Telling:
    if alert.level < min_level:
        return Telling(Why.BELOW_LEVEL)
    if known.told is not None or known.waiting is not None:
        return Telling(Why.STATE_CHANGE, "opened")  # again
    return Telling(Why.PAST) if history else Telling(Why.FIRST, "opened")


def _of_level(alert: Alert, before: int, *, believed: bool) -> Telling:
    if alert.level > before:
        return Telling(Why.RAISED, "raised" if believed else "opened")
    return Telling(Why.NO_CHANGE)


def _of_end(alert: Alert, known: Known) -> Telling:
    event = _ENDS[alert.state]
    if known.unheard:  # opened and ended within one batch: nobody needs to be told
        return Telling(Why.NO_CHANGE, drop=True)
    last = known.waiting.message.event if known.waiting else known.told.event if known.told else None
    if last in {None, event}:
        return Telling(Why.NO_CHANGE)
    return Telling(Why.RESOLVED if event == "resolved" else Why.STATE_CHANGE, event)
