"""What a channel remembers: the messages that wait, what was told of each alert, and how sending goes.

Keyed state of the channel's stage. State keys: `wait:` and `told:` with an alert's id, `@health`, `@began`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from tingchao.alerts.message import Kind, Message
from tingchao.pipeline.clock import from_millis, millis
from tingchao.pipeline.records import ACTIVE, Alert
from tingchao.pipeline.stage import Memory

# What was told is forgotten of an ended alert (decide forgets it after the same time) and of one that no longer moves.
KEEP, KEEP_ACTIVE = timedelta(days=7), timedelta(days=30)
NEWS: frozenset[Kind] = frozenset({"opened", "raised", "repeated"})
_PRUNE_EVERY = timedelta(days=1)
_FARTHEST = 2 * 3600 * 1000  # milliseconds; a wait is at most an hour, so what is further off stems from another clock
_SIZE = 48 * 1024  # bytes of a waiting message, below log.STATE_LIMIT with room for what is around it
_WAIT, _TOLD, _HEALTH, _BEGAN = "wait:", "told:", "@health", "@began"


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a channel knows of an alert."""

    level: int
    event: Kind
    at: int  # milliseconds
    round: int = 0  # of repetitions
    alert: Alert | None = None  # as it is now; kept while it is active and goes with a group to be told as a whole

    @property
    def active(self) -> bool:
        """Whether the channel takes the alert for active."""
        return self.event in NEWS


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message in the outbox."""

    message: Message
    number: int  # of the change that caused it
    since: int  # milliseconds
    tries: int = 0
    due: int = 0  # milliseconds

    def saying(self, alert: Alert) -> Waiting:
        """The same message with the newest facts, without what would make it too large to wait."""
        return msgspec.structs.replace(self, message=msgspec.structs.replace(self.message, alert=fitting(alert)))

    def to(self, recipients: tuple[int, ...]) -> Waiting:
        """The same message, for these recipients only."""
        return msgspec.structs.replace(self, message=msgspec.structs.replace(self.message, to=recipients))


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a channel's sending, since it began."""

    sent: int = 0
    failed: int = 0  # tries
    refused: int = 0  # messages or recipients, set aside
    error: str = ""  # of the last try, '' when it went well
    paused_until: int = 0  # milliseconds; the other side asked for it


class Outbox:
    """The outbox of one channel; what it holds in memory and what is committed change together."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._told = _load(memory, _TOLD, Told)
        self._waiting = _load(memory, _WAIT, Waiting)
        self.health = _health(memory)
        self._pruned: datetime | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, alert: str) -> bool:
        return alert in self._waiting

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting.values())

    def began(self, now: datetime) -> datetime:
        """When the channel first ran on this log."""
        if _BEGAN not in self._memory:
            self._memory[_BEGAN] = str(millis(now)).encode()
        return from_millis(int(self._memory[_BEGAN]))

    def waiting(self, alert: str) -> Waiting | None:
        return self._waiting.get(alert)

    def told(self, alert: str) -> Told | None:
        return self._told.get(alert)

    def due(self, now: int) -> Iterator[Waiting]:
        """What may be sent at `now` (milliseconds)."""
        if not now < self.health.paused_until <= now + _FARTHEST:
            yield from (one for one in self if not now < one.due <= now + _FARTHEST)

    def put(self, waiting: Waiting) -> None:
        """Let a message wait, in place of the one of the same alert."""
        self._waiting[waiting.message.alert.id] = waiting
        self._memory[_WAIT + waiting.message.alert.id] = msgspec.json.encode(waiting)

    def drop(self, alert: str) -> None:
        """Nothing waits for the alert any more."""
        del self._waiting[alert]
        del self._memory[_WAIT + alert]

    def tell(self, alert: str, told: Told) -> None:
        """Remember what the channel was told."""
        self._told[alert] = told
        self._memory[_TOLD + alert] = msgspec.json.encode(told)

    def follow(self, alert: Alert) -> None:
        """Remember how an alert that the channel takes for active is now."""
        told = self._told.get(alert.id)
        if told is not None and told.active:
            self.tell(alert.id, msgspec.structs.replace(told, alert=fitting(alert)))

    def going_on(self) -> Iterator[Alert]:
        """The alerts that the channel was told of and that are followed, as far as they have not ended."""
        followed = (told.alert for told in self._told.values() if told.active and told.alert is not None)
        return (alert for alert in followed if alert.state in ACTIVE)

    def feel(self, **changes: int | str) -> None:
        """Change fields of `health`."""
        self.health = msgspec.structs.replace(self.health, **changes)
        self._memory[_HEALTH] = msgspec.json.encode(self.health)

    def prune(self, at: datetime) -> None:
        """Once a day, forget what was told long ago."""
        if self._pruned is not None and at - self._pruned < _PRUNE_EVERY:
            return
        self._pruned = at
        for alert, told in list(self._told.items()):
            if at - from_millis(told.at) > (KEEP_ACTIVE if told.active else KEEP):
                del self._told[alert]
                del self._memory[_TOLD + alert]


class ChannelState(msgspec.Struct, frozen=True):
    """A channel as the page and `tingchao doctor` show it."""

    name: str
    waiting: int
    health: Health
    next_try: datetime | None


def channel_state(name: str, state: Mapping[str, bytes]) -> ChannelState:
    """What waits in a channel, from the state of its group (`Log.state(f"notify.{name}")`)."""
    waiting = _load(state, _WAIT, Waiting).values()
    health = _health(state)
    due = max(min((one.due for one in waiting), default=0), health.paused_until)
    return ChannelState(name, len(waiting), health, from_millis(due) if waiting and due else None)


def fitting(alert: Alert) -> Alert:
    """The alert without its oldest history and weakest evidence, where it would be too large to wait."""
    while len(msgspec.json.encode(alert)) > _SIZE and (alert.history or alert.evidence):
        alert = msgspec.structs.replace(
            alert, history=alert.history[len(alert.history) // 2 + 1 :], evidence=alert.evidence[:-1]
        )
    return alert


_S = TypeVar("_S", bound=msgspec.Struct)


def _health(state: Mapping[str, bytes]) -> Health:
    return msgspec.json.decode(state.get(_HEALTH, b"{}"), type=Health)


def _load(state: Mapping[str, bytes], prefix: str, kind: type[_S]) -> dict[str, _S]:
    return {
        key.removeprefix(prefix): msgspec.json.decode(value, type=kind)
        for key, value in state.items()
        if key.startswith(prefix)
    }
