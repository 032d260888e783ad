"""What a channel is given to send, what it says of it, and the words that leave the house."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from tingchao.alerts import card
from tingchao.config.language import text
from tingchao.pipeline.errors import Retry
from tingchao.pipeline.records import Alert

Kind = Literal["opened", "raised", "repeated", "resolved", "false_alarm"]

# Characters that turn the direction of what follows; within a hostile post they could rewrite a line on a screen.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell of one alert, and of others of its group. The id is the same however often it is sent."""

    id: str
    event: Kind
    alert: Alert
    to: tuple[int, ...] = ()  # positions of the recipients that still lack it; empty: all
    others: tuple[Message, ...] = ()  # of the same group, to be told in the same breath
    beside: tuple[Alert, ...] = ()  # of the same group, told before, that go on; for channels that tell of whole groups


class Report(NamedTuple):
    """What became of a message that was sent: nothing to add, or recipients that did not get it, by position."""

    later: tuple[int, ...] = ()  # may get it later
    refused: tuple[int, ...] = ()  # will never get it
    why: str = ""  # one line without secrets


class Busy(Retry):
    """A channel sends no faster than the other side takes messages; nothing went wrong."""


class Channel(Protocol):
    """One way out of the house; `name` and `min_level` as in tingchao.toml."""

    name: str
    min_level: int
    together: int  # alerts in one message, at most
    flood: int  # messages that wait, from which on several become one whatever their groups; 0: never
    whole: bool  # whether each message on a group carries all of its alerts that go on

    def send(self, message: Message) -> Report:
        """Send once; returns when the other side has taken it.

        Raises Retry (later may work; `after` at least so many seconds), Busy (its turn comes in so many seconds) and
        Poison (it never will). Neither their texts nor anything that is logged holds a secret: no token, no password,
        of a URL only scheme, host and port.
        """


def message_id(alert: str, event: str, number: int) -> str:
    """The id of what is told of an alert because of its change `number`: 16 bytes as hex."""
    return hashlib.blake2b(f"{alert} {event} {number}".encode(), digest_size=16).hexdigest()


def joined(messages: Sequence[Message]) -> Message:
    """One message for all of a group; its id tells which they are, so that more of them make another one."""
    first, *others = messages
    if not others:
        return first
    ids = " ".join(sorted(one.id for one in messages))
    name = hashlib.blake2b(ids.encode(), digest_size=16).hexdigest()
    return msgspec.structs.replace(first, id=name, others=tuple(others))


def plain(words: str) -> str:
    """The words without characters that control a terminal or turn the direction of writing; lines stay."""
    return "".join(
        letter
        for letter in words
        if letter == "\n" or (letter not in _TURNING and unicodedata.category(letter) not in {"Cc", "Cs"})
    )


def subject(message: Message, language: str) -> str:
    """The headline in one line, with what happened when it is not news, and how many others it tells of."""
    headline = " ".join(plain(card.headline(message.alert, language)).split())
    line = headline if message.event == "opened" else f"[{text(f'notify.event.{message.event}', language)}] {headline}"
    return line + text("notify.more", language, number=len(message.others)) if message.others else line


def body(message: Message, language: str) -> str:
    """The alert as sentences, and the headlines of the others."""
    words = plain(card.as_text(message.alert, language))
    if not message.others:
        return words
    lines = [f"  {text('notify.level.' + str(o.alert.level), language)} {subject(o, language)}" for o in message.others]
    return "\n".join([words, "", text("notify.others", language), *lines])
