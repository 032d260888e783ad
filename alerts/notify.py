"""Alerts become messages: whom to tell what, and to go on until it has arrived.

Each channel is a stage of its own. It decides on every change of an alert, with a reason; what is to be told waits in
an outbox (keyed state, at most one message an alert) and is sent at a later call only, so that whatever may have been
sent is committed: a kill between sending and commit sends the same message again, under the same id. When the commit
fails and the process lives on, it remembers what was delivered, and only the commit is tried again.
"""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import structlog

from tingchao.alerts.alertmanager import AlertmanagerChannel
from tingchao.alerts.mail import MailChannel
from tingchao.alerts.message import Channel, Event, Message, Report, joined, message_id
from tingchao.alerts.robots import RobotChannel
from tingchao.alerts.terminal import TerminalChannel
from tingchao.alerts.webhook import WebhookChannel
from tingchao.alerts.why import Why, delivery_to
from tingchao.config.channels import Alertmanager, Robot
from tingchao.config.settings import Channel as AnyChannel
from tingchao.config.settings import Mail, Settings, Terminal, Webhook
from tingchao.pipeline.clock import Clock, SystemClock, from_millis, millis
from tingchao.pipeline.errors import Poison, Retry
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.metrics import delayed
from tingchao.pipeline.records import ACTIVE, Alert, Dead
from tingchao.pipeline.stage import Input, Memory, Plan, Result

logger = structlog.get_logger()

FIRST_WAIT = 5.0  # seconds after the first failure; doubled with each further one (issue 3)
LONGEST_WAIT = 600.0
# What was told is forgotten of an ended alert (decide forgets it after the same time) and of one that no longer moves.
KEEP, KEEP_ACTIVE = timedelta(days=7), timedelta(days=30)
_PRUNE_EVERY = timedelta(days=1)
_FARTHEST = 2 * 3600 * 1000  # milliseconds; a wait is at most an hour, so what is further off stems from another clock
_NEWS: frozenset[Event] = frozenset({"opened", "raised", "repeated"})
_SIZE = 48 * 1024  # bytes of a waiting message, below log.STATE_LIMIT with room for what is around it
_DELIVERED = 1000  # deliveries remembered while their commit fails; each failed commit adds at most one
_WAIT, _TOLD, _HEALTH, _BEGAN = "wait:", "told:", "@health", "@began"


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a channel knows of an alert."""

    level: int
    event: Event
    at: int  # milliseconds
    round: int = 0  # of repetitions


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message in the outbox."""

    message: Message
    number: int  # of the change that caused it
    since: int  # milliseconds
    tries: int = 0
    due: int = 0  # milliseconds


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a channel's sending, since it began."""

    sent: int = 0
    failed: int = 0  # tries
    refused: int = 0  # messages or recipients, set aside
    error: str = ""  # of the last try, '' when it went well
    paused_until: int = 0  # milliseconds; the other side asked for it


class _Try(NamedTuple):
    """One try of one message; the number grows with each one that was committed."""

    id: str
    tries: int


class _Fresh(NamedTuple):
    """A message of the call that is under way."""

    number: int  # the input that caused it
    new: bool  # nothing of the alert waited before, so that nobody can have been told


class Outbox(msgspec.Struct, frozen=True):
    """A channel as the page and `tingchao doctor` show it."""

    name: str
    waiting: int
    health: Health
    next_try: datetime | None


def plans(settings: Settings, say: Callable[[str], None], clock: Clock | None = None) -> list[Plan]:
    """One plan a channel of tingchao.toml; each wants a thread and a Log of its own, so that a slow one delays nobody.

    `say` prints one block of text (the terminal's channel). `clock` is the one that the other stages run on: a channel
    that is new to a log tells nothing of what was written more than `decide.past` before its first start.
    """
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return [
        _plan(_channel(block, settings.main.language, say, clock or SystemClock(), colour=colour), settings, clock)
        for block in settings.main.notify
    ]


def outbox(name: str, state: Mapping[str, bytes]) -> Outbox:
    """What waits in a channel, from the state of its group (`Log.state(f"notify.{name}")`)."""
    waiting = [msgspec.json.decode(value, type=Waiting) for key, value in state.items() if key.startswith(_WAIT)]
    health = msgspec.json.decode(state.get(_HEALTH, b"{}"), type=Health)
    due = max(min((one.due for one in waiting), default=0), health.paused_until)
    return Outbox(name, len(waiting), health, from_millis(due) if waiting and due else None)


def _plan(channel: Channel, settings: Settings, clock: Clock | None) -> Plan:
    name = f"notify.{channel.name}"
    delivered: dict[_Try, Report] = {}  # outlives the stages: after a failed commit the next one is made from the log

    def make(memory: Memory) -> Notify:
        past = settings.main.decide.past if clock else None
        return Notify(name, channel, memory, clock or SystemClock(), past, delivered)

    return Plan(name, ("alerts",), make, batch=100, idle=True)


def _channel(block: AnyChannel, language: str, say: Callable[[str], None], clock: Clock, *, colour: bool) -> Channel:
    match block:
        case Webhook():
            return WebhookChannel(block, language, clock)
        case Alertmanager():
            return AlertmanagerChannel(block, language, clock)
        case Robot():
            return RobotChannel(block, language, clock)
        case Mail():
            return MailChannel(block, language, clock)
        case Terminal():
            return TerminalChannel(block, language, say, colour=colour)


class Notify:
    """The stage of one channel. A call takes in a batch and sends at most one message, so that it ends soon."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        memory: Memory,
        clock: Clock,
        past: timedelta | None,
        delivered: dict[_Try, Report],
    ) -> None:
        self._uncommitted = delivered  # by try: delivered, but not known to be committed
        self._last: _Try | None = None
        self._name, self._channel, self._memory, self._clock = name, channel, memory, clock
        self._told = _load(memory, _TOLD, Told)
        self._waiting = _load(memory, _WAIT, Waiting)
        self._health = msgspec.json.decode(memory.get(_HEALTH, b"{}"), type=Health)
        self._oldest = self._begin(past)
        self._pruned: datetime | None = None

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcomes are the values of `Why`; outputs are dead letters of what was refused for good."""
        if self._last is not None:  # this stage lives on, so its last call was committed
            self._uncommitted.pop(self._last, None)
            self._last = None
        if not inputs and not self._waiting:
            return Result((), ())
        now = self._clock.now()
        fresh: dict[str, _Fresh] = {}
        outcomes: list[str] = []
        for number, given in enumerate(inputs):
            alert = given.record
            assert isinstance(alert, Alert), f"{self._name} reads alerts, got {type(alert).__name__}"
            why, event = self._decide(alert, given.at, fresh)
            outcomes.append(why.value)
            before = fresh.get(alert.id)
            if before is not None and (event is not None or alert.id not in self._waiting):
                outcomes[before.number] = Why.SUPERSEDED.value
                del fresh[alert.id]
            if event is not None:
                fresh[alert.id] = _Fresh(number, before.new if before else alert.id not in self._waiting)
                self._enqueue(alert, event, now)
            elif alert.id in self._waiting:
                self._refresh(alert)
            self._prune(given.at)
        return Result(self._send_one(now, fresh), outcomes)

    def _decide(self, alert: Alert, at: datetime, fresh: Mapping[str, _Fresh]) -> tuple[Why, Event | None]:
        """Why, and what to tell; None: nothing new."""
        told, waiting = self._told.get(alert.id), self._waiting.get(alert.id)
        believed = told is not None and told.event in _NEWS  # the channel takes the alert for active
        delivery = delivery_to(self._channel.name, alert)
        if alert.state == "past" or delivery.why:
            return (Why.PAST if alert.state == "past" else Why(delivery.why)), None
        if delivery.digest and told is None and waiting is None:
            events: dict[str, Event] = {"resolved": "resolved", "false_alarm": "false_alarm"}
            return Why.DIGEST, events.get(alert.state, "opened")
        if alert.state not in ACTIVE:
            return self._decide_end(alert, told, waiting, fresh)
        if waiting is not None and waiting.message.event in _NEWS:
            return self._decide_level(alert, waiting.message.alert.level, believed=believed)
        if told is not None and believed and waiting is None:
            why, event = self._decide_level(alert, told.level, believed=True)
            again = event is None and delivery.round > told.round
            return (Why.REPEAT, "repeated") if again else (why, event)
        return self._decide_first(alert, at, known=told is not None or waiting is not None)

    def _decide_level(self, alert: Alert, known: int, *, believed: bool) -> tuple[Why, Event | None]:
        if alert.level > known:
            return Why.RAISED, "raised" if believed else "opened"
        return Why.NO_CHANGE, None

    def _decide_first(self, alert: Alert, at: datetime, *, known: bool) -> tuple[Why, Event | None]:
        if alert.level < self._channel.min_level:
            return Why.BELOW_LEVEL, None
        if known:
            return Why.STATE_CHANGE, "opened"  # again
        if self._oldest is not None and at < self._oldest:
            return Why.PAST, None
        return Why.FIRST, "opened"

    def _decide_end(
        self, alert: Alert, told: Told | None, waiting: Waiting | None, fresh: Mapping[str, _Fresh]
    ) -> tuple[Why, Event | None]:
        event: Event = "resolved" if alert.state == "resolved" else "false_alarm"
        if alert.id in fresh and fresh[alert.id].new and (told is None or told.event not in _NEWS):
            # Opened and ended within one batch: nobody was told, nobody needs to be.
            self._drop(alert.id)
            return Why.NO_CHANGE, None
        last = waiting.message.event if waiting else told.event if told else None
        if last in {None, event}:
            return Why.NO_CHANGE, None
        return (Why.RESOLVED if event == "resolved" else Why.STATE_CHANGE), event

    def _enqueue(self, alert: Alert, event: Event, now: datetime) -> None:
        message = Message(id=message_id(alert.id, event, alert.number), event=event, alert=_fit(alert))
        self._wait(Waiting(message, alert.number, millis(now)))

    def _refresh(self, alert: Alert) -> None:
        """What waits tells the newest facts, and stays the same message."""
        waiting = self._waiting[alert.id]
        self._wait(
            msgspec.structs.replace(waiting, message=msgspec.structs.replace(waiting.message, alert=_fit(alert)))
        )

    def _send_one(self, now: datetime, fresh: Mapping[str, _Fresh]) -> list[Output]:
        waiting = self._next(millis(now), fresh)
        if waiting is None:
            return []
        together = self._together(waiting, fresh)
        message = joined([one.message for one in together])
        self._last = _Try(message.id, waiting.tries)
        known = self._uncommitted.get(self._last)
        if known is not None:
            return self._delivered(together, known)
        try:
            report = self._channel.send(message)
        except Poison as err:
            for one in together:
                self._drop(one.message.alert.id)
            return [self._set_aside(one.message, err.reason, str(err), 1) for one in together]
        except Retry as err:
            self._postpone(together, str(err), err.after)
            return []
        except Exception as err:  # noqa: BLE001 a mistake in one channel must not lose a message
            # Its text may hold anything, so only its kind and place are told.
            place = traceback.extract_tb(err.__traceback__)[-1]
            self._postpone(together, f"bug: {type(err).__name__}, {Path(place.filename).name}:{place.lineno}", 1.0)
            return []
        while len(self._uncommitted) >= _DELIVERED:
            del self._uncommitted[next(iter(self._uncommitted))]
        self._uncommitted[self._last] = report
        if not report.later:
            _measure(message, self._clock.now())
            logger.info(
                "notify.sent", channel=self._channel.name, id=message.id, alert=message.alert.id, what=message.event
            )
        return self._delivered(together, report)

    def _together(self, first: Waiting, fresh: Mapping[str, _Fresh]) -> list[Waiting]:
        """What goes out in one message: all of one group that waits for the same recipients, the gravest first."""
        group = delivery_to(self._channel.name, first.message.alert).group
        flood = 0 < self._channel.flood <= len(self._waiting)
        if not group and not flood:
            return [first]
        same = [
            one
            for alert, one in self._waiting.items()
            if alert not in fresh
            and one.message.to == first.message.to
            and (flood or delivery_to(self._channel.name, one.message.alert).group == group)
        ]
        return sorted(same, key=lambda one: _place(one.message.alert))[: self._channel.together]

    def _next(self, now: int, fresh: Mapping[str, _Fresh]) -> Waiting | None:
        """Of what is due, first what was tried least (one that always fails holds up nobody), then the gravest."""
        if now < self._health.paused_until <= now + _FARTHEST:
            return None
        due = [
            one for alert, one in self._waiting.items() if alert not in fresh and not now < one.due <= now + _FARTHEST
        ]
        return min(due, key=lambda one: (one.tries, -one.message.alert.level, one.since), default=None)

    def _delivered(self, together: Sequence[Waiting], report: Report) -> list[Output]:
        outputs = []
        if report.refused:
            outputs = [
                self._set_aside(one.message, "notify.refused", report.why, len(report.refused)) for one in together
            ]
        if report.later:
            rest = [
                msgspec.structs.replace(one, message=msgspec.structs.replace(one.message, to=report.later))
                for one in together
            ]
            self._postpone(rest, report.why, 1.0)
            return outputs
        for one in together:
            alert = one.message.alert
            self._drop(alert.id)
            number = delivery_to(self._channel.name, alert).round
            self._tell(alert.id, Told(alert.level, one.message.event, millis(alert.updated_at), number))
        self._feel(sent=self._health.sent + 1, error=report.why, paused_until=0)
        return outputs

    def _postpone(self, together: Sequence[Waiting], error: str, after: float) -> None:
        now = self._clock.now()  # the try may have taken long
        tries = max(one.tries for one in together)
        wait = max(after, min(FIRST_WAIT * 2**tries, LONGEST_WAIT))
        due = millis(now + timedelta(seconds=wait))
        for one in together:
            self._wait(msgspec.structs.replace(one, tries=tries + 1, due=due))
        if error != self._health.error:  # the same complaint once, not at every try
            logger.warning(
                "notify.retry", channel=self._channel.name, id=together[0].message.id, error=error, after=wait
            )
        self._feel(failed=self._health.failed + 1, error=error, paused_until=millis(now + timedelta(seconds=after)))

    def _set_aside(self, message: Message, reason: str, error: str, refused: int) -> Output:
        logger.error(
            "notify.refused",
            channel=self._channel.name,
            id=message.id,
            alert=message.alert.id,
            reason=reason,
            error=error,
        )
        self._feel(refused=self._health.refused + refused, error=error)
        identity = hashlib.blake2b(f"{self._name} {message.id}".encode(), digest_size=8).hexdigest()
        dead = Dead(
            id=identity,
            stage=self._name,
            reason=reason,
            error=error[:500],
            at=self._clock.now(),
            origin=f"alert {message.alert.id}, {message.event}",
            hash=message.id,
        )
        return output("dead", identity, dead)

    def _begin(self, past: timedelta | None) -> datetime | None:
        """The time before which the log is history for this channel."""
        if past is None:
            return None
        if _BEGAN not in self._memory:
            self._memory[_BEGAN] = str(millis(self._clock.now())).encode()
        return from_millis(int(self._memory[_BEGAN])) - past

    def _prune(self, at: datetime) -> None:
        if self._pruned is not None and at - self._pruned < _PRUNE_EVERY:
            return
        self._pruned = at
        for alert, told in list(self._told.items()):
            if at - from_millis(told.at) > (KEEP if told.event not in _NEWS else KEEP_ACTIVE):
                del self._told[alert]
                del self._memory[_TOLD + alert]

    # The memory and what was read from it change together.

    def _wait(self, waiting: Waiting) -> None:
        self._waiting[waiting.message.alert.id] = waiting
        self._memory[_WAIT + waiting.message.alert.id] = msgspec.json.encode(waiting)

    def _drop(self, alert: str) -> None:
        del self._waiting[alert]
        del self._memory[_WAIT + alert]

    def _tell(self, alert: str, told: Told) -> None:
        self._told[alert] = told
        self._memory[_TOLD + alert] = msgspec.json.encode(told)

    def _feel(self, **changes: int | str) -> None:
        self._health = msgspec.structs.replace(self._health, **changes)
        self._memory[_HEALTH] = msgspec.json.encode(self._health)


def _place(alert: Alert) -> tuple[int, datetime, str]:
    """The gravest first, then the oldest."""
    return -alert.level, alert.opened_at, alert.id


_S = TypeVar("_S", bound=msgspec.Struct)


def _load(memory: Memory, prefix: str, kind: type[_S]) -> dict[str, _S]:
    return {
        key.removeprefix(prefix): msgspec.json.decode(value, type=kind)
        for key, value in memory.items()
        if key.startswith(prefix)
    }


def _measure(message: Message, now: datetime) -> None:
    """The delay of the post that was the last to be seen before staff were told."""
    if message.event == "opened":
        seen = [(one.fetched_at, one.published_at) for one in message.alert.evidence if one.fetched_at is not None]
        if seen:
            fetched, published = max(seen)
            delayed("alert", now, [(published, fetched)])


def _fit(alert: Alert) -> Alert:
    """The alert without its oldest history and weakest evidence, where it would be too large to wait."""
    while len(msgspec.json.encode(alert)) > _SIZE and (alert.history or alert.evidence):
        alert = msgspec.structs.replace(
            alert, history=alert.history[len(alert.history) // 2 + 1 :], evidence=alert.evidence[:-1]
        )
    return alert
