"""What happened before that is like an alert, and what was done then; read from the alerts themselves."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Set
from datetime import datetime

import msgspec

from tingchao.pipeline.records import ACTIVE, Alert, Judgement, State

SHOWN = 3
_LOOKED_AT = 1000  # ended alerts, the newest: about 10 ms; half a year of five a day
# Of 1: one of the same topic with other signals and words has 0.33, one of another topic needs both to be alike.
_LIKE = 0.5
_SIGNAL = 0.5  # expected posts with a signal, from which an alert tells of it
_STAFF = frozenset({"acknowledged", "in_hand", "resolved", "false_alarm", "reopened"})


class Precedent(msgspec.Struct, frozen=True, kw_only=True):
    """An ended alert that is like another one."""

    id: str
    topic: str
    title: str
    level: int
    since: datetime
    ended_at: datetime
    state: State  # resolved, false_alarm or past
    by_itself: bool  # it became quiet, or was past already: nobody ended it
    done: tuple[str, ...]  # what staff did, in order: the words of `Change.what`
    verdict: Judgement | None
    note: str  # the last one that staff wrote
    similarity: float  # 0-1


def precedents(alert: Alert, known: Iterable[Alert]) -> tuple[Precedent, ...]:
    """The ended alerts of `known` that began before `alert` and are most like it, at most `SHOWN`.

    Similarity is the mean over topic (same or not), signals and words, each of the latter by Dice's coefficient (1945).
    """
    ended = (one for one in known if one.state not in ACTIVE and one.id != alert.id and one.since < alert.since)
    newest = heapq.nlargest(_LOOKED_AT, ended, key=lambda one: (one.since, one.id))
    what, words = _what(alert), _words(alert)
    rated = [(_similarity(alert, what, words, one), one.since, one.id, one) for one in newest]
    best = heapq.nlargest(SHOWN, (rate for rate in rated if rate[0] >= _LIKE))
    return tuple(_precedent(one, similarity) for similarity, _, _, one in best)


def _similarity(alert: Alert, what: Set[str], words: Set[str], other: Alert) -> float:
    parts = [float(alert.topic == other.topic), _dice(what, _what(other))]
    others = _words(other)
    if words or others:  # alerts about sources have none
        parts.append(_dice(words, others))
    return round(sum(parts) / len(parts), 3)


def _dice(one: Set[str], other: Set[str]) -> float:
    return 2 * len(one & other) / max(1, len(one) + len(other))


def _what(alert: Alert) -> Set[str]:
    """The signals of an alert, or where none stands out the kinds of its reasons."""
    likely = {name for name, mass in alert.signals.items() if mass >= _SIGNAL}
    return likely or {reason.kind for reason in alert.reasons}


def _words(alert: Alert) -> Set[str]:
    """Pairs of characters of the words: phrases differ more often, and older alerts have single words."""
    words = {word for one in alert.evidence for word in one.words}
    return {word[at : at + 2] for word in words for at in range(max(1, len(word) - 1))}


def _precedent(alert: Alert, similarity: float) -> Precedent:
    staff = [change for change in alert.history if change.what in _STAFF]
    ends = [change for change in alert.history if change.what in {"resolved", "false_alarm", "quiet"}]
    notes = [change.note for change in alert.history if change.note and not change.post]
    return Precedent(
        id=alert.id,
        topic=alert.topic,
        title=alert.title,
        level=alert.level,
        since=alert.since,
        ended_at=ends[-1].at if ends else alert.until,
        state=alert.state,
        by_itself=not ends or ends[-1].what == "quiet",
        done=tuple(change.what for change in staff),
        verdict=alert.verdict,
        note=notes[-1] if notes else "",
        similarity=similarity,
    )
