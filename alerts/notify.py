"""Alerts become messages: whom to tell what, and to go on until it has arrived.

Each channel is a stage of its own. It decides on every change of an alert, with a reason (telling.py); what is to be
told waits in an outbox (outbox.py, at most one message an alert) and is sent at a later call only, so that whatever may
have been sent is committed: a kill between sending and commit sends the same message again, under the same id. When the
commit fails and the process lives on, it remembers what was delivered, and only the commit is tried again.
"""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from tingchao.alerts.alertmanager import AlertmanagerChannel
from tingchao.alerts.mail import MailChannel
from tingchao.alerts.message import Busy, Channel, Kind, Message, Report, joined, message_id
from tingchao.alerts.outbox import Outbox, Told, Waiting, fitting
from tingchao.alerts.robots import RobotChannel
from tingchao.alerts.routing import tree, ways
from tingchao.alerts.telling import Known, telling
from tingchao.alerts.terminal import TerminalChannel
from tingchao.alerts.webhook import WebhookChannel
from tingchao.alerts.why import STOPS, Why, delivery_to
from tingchao.config.channels import Alertmanager, Robot
from tingchao.config.settings import Channel as AnyChannel
from tingchao.config.settings import Mail, Settings, Terminal, Webhook
from tingchao.pipeline.clock import Clock, SystemClock, millis
from tingchao.pipeline.errors import Poison, Retry
from tingchao.pipeline.flow import channel_group
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.metrics import DEAD, FAILED, WAITING, delayed
from tingchao.pipeline.records import Alert, Dead
from tingchao.pipeline.stage import Input, Memory, Plan, Result

logger = structlog.get_logger()

FIRST_WAIT = 5.0  # seconds after the first failure; doubled with each further one
LONGEST_WAIT = 600.0
_DOUBLED = 10  # times, by then beyond the longest wait; a float ends at 1,024 of them, after a week
_DELIVERED = 1000  # deliveries remembered while their commit fails; each failed commit adds at most one


class _Try(NamedTuple):
    """One try of one message; the number grows with each one that was committed."""

    id: str
    tries: int


class _Fresh(NamedTuple):
    """A message of the call that is under way."""

    number: int  # the input that caused it
    new: bool  # nothing of the alert waited before, so that nobody can have been told


def plans(settings: Settings, say: Callable[[str], None], clock: Clock | None = None) -> list[Plan]:
    """One plan a channel of tingchao.toml; each wants a thread and a Log of its own, so that a slow one delays nobody.

    `say` prints one block of text (the terminal's channel). `clock` is the one that the other stages run on: a channel
    that is new to a log tells nothing of what was written more than `decide.past` before its first start.
    """
    channels = [_channel(block, settings, say, clock or SystemClock()) for block in settings.main.notify]
    return [_plan(channel, settings, clock) for channel in channels]


def _plan(channel: Channel, settings: Settings, clock: Clock | None) -> Plan:
    name = channel_group(channel.name)
    delivered: dict[_Try, Report] = {}  # outlives the stages: after a failed commit the next one is made from the log

    def make(memory: Memory) -> Notify:
        past = settings.main.decide.past if clock else None
        return Notify(name, channel, memory, clock or SystemClock(), past, delivered)

    return Plan(name, ("alerts",), make, batch=100, idle=True)


def _channel(block: AnyChannel, settings: Settings, say: Callable[[str], None], clock: Clock) -> Channel:
    language = settings.main.language
    match block:
        case Webhook():
            return WebhookChannel(block, language, clock)
        case Alertmanager():
            root = tree(settings.routes, [channel.name for channel in settings.main.notify])
            groups = {way.place: way.group_by for way in ways(root)}
            return AlertmanagerChannel(block, language, clock, groups)
        case Robot():
            return RobotChannel(block, language, clock)
        case Mail():
            return MailChannel(block, language, clock)
        case Terminal():
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
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
        self._name, self._channel, self._clock = name, channel, clock
        self._outbox = Outbox(memory)
        WAITING.labels(channel.name).set(len(self._outbox))
        # The time before which the log is history for this channel.
        self._oldest = None if past is None else self._outbox.began(clock.now()) - past

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcomes are the values of `Why`; outputs are dead letters of what was refused for good."""
        if self._last is not None:  # this stage lives on, so its last call was committed
            self._uncommitted.pop(self._last, None)
            self._last = None
        if not inputs and not self._outbox:
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
            if before is not None and (event is not None or alert.id not in self._outbox):
                outcomes[before.number] = Why.SUPERSEDED.value
                del fresh[alert.id]
            waiting = self._outbox.waiting(alert.id)
            if event is not None:
                fresh[alert.id] = _Fresh(number, before.new if before else waiting is None)
                message = Message(id=message_id(alert.id, event, alert.number), event=event, alert=fitting(alert))
                self._outbox.put(Waiting(message, alert.number, millis(now)))
            elif waiting is not None:
                self._outbox.put(waiting.saying(alert))
            self._follow(alert)
            self._outbox.prune(given.at)
        outputs = self._send_one(now, fresh)
        WAITING.labels(self._channel.name).set(len(self._outbox))
        return Result(outputs, outcomes)

    def _decide(self, alert: Alert, at: datetime, fresh: Mapping[str, _Fresh]) -> tuple[Why, Kind | None]:
        """Why, and what to tell; None: nothing new."""
        box = self._outbox
        known = Known(box.told(alert.id), box.waiting(alert.id), alert.id in fresh and fresh[alert.id].new)
        history = self._oldest is not None and at < self._oldest
        found = telling(self._channel.name, self._channel.min_level, alert, known, history=history)
        if found.drop:
            box.drop(alert.id)
        return found.why, found.event

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
            report = self._channel.send(self._with_group(message))
        except Exception as err:  # noqa: BLE001 a mistake in one channel must not lose a message
            return self._failed(together, err)
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
        flood = 0 < self._channel.flood <= len(self._outbox)
        if not group and not flood:
            return [first]
        same = [
            one
            for one in self._outbox
            if self._may_go(one, fresh)
            and one.message.to == first.message.to
            and (flood or delivery_to(self._channel.name, one.message.alert).group == group)
        ]
        return sorted(same, key=lambda one: _place(one.message.alert))[: self._channel.together]

    def _with_group(self, message: Message) -> Message:
        """The message with the others of its group that go on, where the channel tells of whole groups."""
        own = delivery_to(self._channel.name, message.alert)
        if not self._channel.whole or not own.group:
            return message
        told = {message.alert.id, *(one.alert.id for one in message.others)}
        beside = [
            alert
            for alert in self._outbox.going_on()
            if alert.id not in told
            and (given := delivery_to(self._channel.name, alert)).group == own.group
            and given.route == own.route
        ]
        return msgspec.structs.replace(message, beside=tuple(sorted(beside, key=_place)))

    def _follow(self, alert: Alert) -> None:
        """Remember how the alert is now, for what its group is told of others."""
        if self._channel.whole and delivery_to(self._channel.name, alert).group:
            self._outbox.follow(alert)

    def _next(self, now: int, fresh: Mapping[str, _Fresh]) -> Waiting | None:
        """Of what is due, first what was tried least (one that always fails holds up nobody), then the gravest."""
        due = (one for one in self._outbox.due(now) if self._may_go(one, fresh))
        return min(due, key=lambda one: (one.tries, -one.message.alert.level, one.since), default=None)

    def _may_go(self, waiting: Waiting, fresh: Mapping[str, _Fresh]) -> bool:
        """Whether a message was committed before this call, and nothing came to hold its alert back since."""
        alert = waiting.message.alert
        return alert.id not in fresh and delivery_to(self._channel.name, alert).why not in STOPS

    def _delivered(self, together: Sequence[Waiting], report: Report) -> list[Output]:
        outputs = []
        if report.refused:
            outputs = [
                self._set_aside(one.message, "notify.refused", report.why, len(report.refused)) for one in together
            ]
        if report.later:
            self._postpone([one.to(report.later) for one in together], report.why, 1.0)
            return outputs
        for one in together:
            alert = one.message.alert
            self._outbox.drop(alert.id)
            number = delivery_to(self._channel.name, alert).round
            self._outbox.tell(alert.id, Told(alert.level, one.message.event, millis(alert.updated_at), number))
            self._follow(alert)
        self._outbox.feel(sent=self._outbox.health.sent + 1, error=report.why, paused_until=0)
        return outputs

    def _failed(self, together: Sequence[Waiting], err: Exception) -> list[Output]:
        """What becomes of messages that the channel has not sent."""
        match err:
            case Poison():
                for one in together:
                    self._outbox.drop(one.message.alert.id)
                return [self._set_aside(one.message, err.reason, str(err), 1) for one in together]
            case Busy():
                self._outbox.feel(paused_until=millis(self._clock.now() + timedelta(seconds=err.after)))
            case Retry():
                self._postpone(together, str(err), err.after)
            case _:  # its text may hold anything, so only its kind and place are told
                place = traceback.extract_tb(err.__traceback__)[-1]
                self._postpone(together, f"bug: {type(err).__name__}, {Path(place.filename).name}:{place.lineno}", 1.0)
        return []

    def _postpone(self, together: Sequence[Waiting], error: str, after: float) -> None:
        now = self._clock.now()  # the try may have taken long
        tries = max(one.tries for one in together)
        wait = max(after, min(FIRST_WAIT * 2 ** min(tries, _DOUBLED), LONGEST_WAIT))
        due = millis(now + timedelta(seconds=wait))
        for one in together:
            self._outbox.put(msgspec.structs.replace(one, tries=tries + 1, due=due))
        if error != self._outbox.health.error:  # the same complaint once, not at every try
            logger.warning(
                "notify.retry", channel=self._channel.name, id=together[0].message.id, error=error, after=wait
            )
        FAILED.labels(self._channel.name).inc()
        self._outbox.feel(
            failed=self._outbox.health.failed + 1, error=error, paused_until=millis(now + timedelta(seconds=after))
        )

    def _set_aside(self, message: Message, reason: str, error: str, refused: int) -> Output:
        logger.error(
            "notify.refused",
            channel=self._channel.name,
            id=message.id,
            alert=message.alert.id,
            reason=reason,
            error=error,
        )
        DEAD.labels(self._name, reason).inc()
        self._outbox.feel(refused=self._outbox.health.refused + refused, error=error)
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


def _place(alert: Alert) -> tuple[int, datetime, str]:
    """The gravest first, then the oldest."""
    return -alert.level, alert.opened_at, alert.id


def _measure(message: Message, now: datetime) -> None:
    """The delay of the post that was the last to be seen before staff were told."""
    if message.event == "opened":
        seen = [(one.fetched_at, one.published_at) for one in message.alert.evidence if one.fetched_at is not None]
        if seen:
            fetched, published = max(seen)
            delayed("alert", now, [(published, fetched)])
