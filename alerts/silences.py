"""Silences: alerts that staff do not want to be told of for a while, kept by decide as records."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from tingchao.config.language import Said
from tingchao.config.matchers import Labels, Matcher, fit, no_value, parse
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.privacy import mask
from tingchao.pipeline.records import Command, Silence, decode
from tingchao.pipeline.stage import Memory
from tingchao.pipeline.times import local

KEEP = timedelta(days=5)  # after their end (Alertmanager's retention is 120 hours)
MOST = 1000  # silences at a time; each alert is held against all of them
_KEY = "s/"
_TEXT = 500  # characters of a comment, and of a matcher

Phase = Literal["pending", "active", "expired"]


def phase(silence: Silence, now: datetime) -> Phase:
    """What a silence is at a time: it begins with `starts_at` and ends before `ends_at`."""
    if now >= silence.ends_at:
        return "expired"
    return "active" if now >= silence.starts_at else "pending"


class Silences:
    """What decide knows of silences. State keys: `s/id`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._known: dict[str, tuple[Silence, tuple[Matcher, ...]]] = {}
        for key in sorted(memory):
            if key.startswith(_KEY):
                self._learn(msgspec.json.decode(memory[key], type=Silence))

    def __bool__(self) -> bool:
        return bool(self._known)

    def holding(self, labels: Labels, at: datetime) -> Silence | None:
        """The silence that holds an alert with these labels back; of several the one that ends last."""
        found = [
            silence
            for silence, matchers in self._known.values()
            if phase(silence, at) == "active" and fit(matchers, labels)
        ]
        return max(found, key=lambda one: (one.ends_at, one.id), default=None)

    def obey(self, command: Command, at: datetime) -> tuple[str, Silence | None]:
        """Carry out `silence` or `expire`: the outcome (done, repeated, refused), and the silence that changed."""
        asked = command.silence
        if asked is None:
            return "refused", None
        known = self._known.get(asked.id)
        if command.action == "expire":
            if known is None or phase(known[0], at) == "expired":
                return "refused", None
            # One that has not begun yet never does.
            ended = msgspec.structs.replace(known[0], starts_at=min(known[0].starts_at, at), ends_at=at)
        elif known is not None:
            return "repeated", None
        elif len(self._known) >= MOST or wrong(asked, at):
            return "refused", None
        else:
            ended = asked
        self._learn(ended)
        self._memory[_KEY + ended.id] = msgspec.json.encode(ended)
        return "done", ended

    def forget(self, at: datetime) -> None:
        """Drop what ended long ago."""
        for name, (silence, _) in list(self._known.items()):
            if at - silence.ends_at > KEEP:
                del self._known[name]
                del self._memory[_KEY + name]

    def _learn(self, silence: Silence) -> None:
        self._known[silence.id] = silence, tuple(map(parse, silence.matchers))


def wrong(silence: Silence, now: datetime) -> str:
    """What is wrong with a new silence; '' when it can be taken."""
    try:
        matchers = [parse(text) for text in silence.matchers]
    except ValueError as err:
        return err.args[0] if err.args and isinstance(err.args[0], str) else str(err)
    if fit(matchers, {}):  # also when there is none
        return Said("error.silences.every")
    if any(len(text) > _TEXT for text in (*silence.matchers, silence.comment)):
        return Said("error.silences.long", most=_TEXT)
    ends = local(silence.ends_at)
    if silence.ends_at <= now:
        return Said("error.silences.over", ends=ends)
    begins = local(silence.starts_at)
    return Said("error.silences.order", ends=ends, begins=begins) if silence.ends_at <= silence.starts_at else ""


def strange(matchers: Sequence[str], values: Mapping[str, Collection[str]]) -> Iterator[tuple[str, Said]]:
    """Label and mistake of each matcher whose value is none of these; `values`: what each label can be."""
    for text in matchers:
        try:
            matcher = parse(text)
        except ValueError:  # `wrong` says so
            continue
        known = values.get(matcher.label)
        if known is not None and not matcher.names_one_of(known):
            yield matcher.label, no_value(matcher, known)


def silences(log: Log, now: datetime) -> list[Silence]:
    """All that are known and did not end long ago, the newest end first."""
    found = [decode(Silence, entry.value) for entry in log.newest("silences")]
    return sorted(
        (one for one in found if now - one.ends_at <= KEEP), key=lambda one: (one.ends_at, one.id), reverse=True
    )


def add(log: Log, clock: Clock, matchers: Sequence[str], starts: datetime | None, ends: datetime, comment: str) -> str:
    """Ask decide for a silence; its id. Raises Refused for one that makes no sense."""
    now = clock.now()
    texts = tuple(text.strip() for text in matchers)
    comment = mask(comment)
    basis = f"{texts} {starts} {ends.isoformat()} {comment}"
    name = hashlib.blake2b(basis.encode("utf-8", "replace"), digest_size=8).hexdigest()
    silence = Silence(id=name, matchers=texts, starts_at=starts or now, ends_at=ends, comment=comment)
    if why := wrong(silence, now):
        raise Refused(Said("error.silences.refused", why=why))
    _send(log, "silence", silence, now)
    return name


def expire(log: Log, clock: Clock, beginning: str) -> str:
    """Ask decide to end a silence now; its id. Raises Refused when it is not one that goes on or is to come."""
    now = clock.now()
    known = silences(log, now) if beginning else ()  # '' would begin every id
    found = [one for one in known if one.id.startswith(beginning) and phase(one, now) != "expired"]
    if len(found) != 1:
        raise Refused(Said("error.silence", id=beginning, count=len(found)))
    _send(log, "expire", found[0], now)
    return found[0].id


def _send(log: Log, action: Literal["silence", "expire"], silence: Silence, now: datetime) -> None:
    command = Command(id=f"{action} {silence.id}", alert="", action=action, silence=silence)
    log.publish([output("commands", silence.id, command)], now)
