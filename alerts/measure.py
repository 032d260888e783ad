"""Does a rule hold for a topic in a window? The measures, their baselines, and how sure each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from tingchao.alerts.baseline import COLD, Usual, UsualShare, usual, usual_share
from tingchao.alerts.coverage import LEAST, Coverage
from tingchao.alerts.hours import (
    BASELINE,
    FIRST_SIGNAL,
    GRAVITY,
    JUDGED,
    NEGATIVE,
    OUTLETS,
    POSTS,
    REACTIONS,
    Hours,
    Total,
)
from tingchao.alerts.season import Past
from tingchao.alerts.surges import Surges
from tingchao.alerts.windows import HOUR, SURE, UNIT, Window
from tingchao.config.rules import Rule
from tingchao.config.signals import SIGNALS
from tingchao.pipeline.records import Event, Reason

_COLD_SURE = 0.5  # without a history a count says that much and no more
_PLACES = {"negative_share": NEGATIVE, "sources": OUTLETS, "severity": GRAVITY, "engagement": REACTIONS}  # in a Total
_ROUNDING = 1e-9  # more than what the order of multiplications changes
_WHOLE = frozenset({POSTS, OUTLETS, REACTIONS})  # places that count; the others hold thousandths
_MEANS = {NEGATIVE: 1.0, GRAVITY: 3.0}  # means over the posts that could be judged, and the most that each can be


class Gate(NamedTuple):
    """What the hours that a window touches must hold at least, or the rule cannot hold in the window."""

    rule: Rule
    topics: frozenset[str] | None  # None: all
    posts: int
    place: int  # in a Total
    least: float

    def lets(self, topic: str, most: Total) -> bool:
        """Whether the rule can hold at all, of the topic and where there is at most so much."""
        return (
            most[POSTS] >= self.posts
            and most[self.place] >= self.least
            and (self.topics is None or topic in self.topics)
        )

    def reaches(self, most: Total, posts: int, least: float) -> bool:
        """Whether `least` can be observed in a window with so many posts, where there is at most so much.

        Asked before the window is summed: most windows fail by what the hours that they touch hold in all.
        """
        if self.rule.kind == "signal":
            return least <= (1.0 if self.rule.single else most[self.place] / UNIT)
        if self.rule.kind == "negative_share":  # the posts that could not be judged, and all the negative ones, in it
            judged = posts - (most[POSTS] - most[JUDGED])
            return most[NEGATIVE] >= least * judged * UNIT * (1 - _ROUNDING)
        return True


def gate_of(rule: Rule) -> Gate:
    """The gate of a rule."""
    # There are no more sources than posts, and of a mean the posts alone say whether it can be.
    place = _place(rule) if rule.signal or rule.kind == "engagement" else POSTS
    counted = rule.kind in {"baseline", "count", "signal", "sources", "engagement"}
    floor = (rule.resolve_below or rule.threshold or 0.0) if counted else 0.0
    least = floor * (1 if place in _WHOLE else UNIT)
    return Gate(rule, None if "*" in rule.topics else frozenset(rule.topics), rule.fewest, place, least)


class Measure:
    """Tells whether rules hold; remembers baselines until an hour that they rest on changes."""

    def __init__(self, hours: Hours, coverage: Coverage, began: Mapping[str, int], past: timedelta) -> None:
        """`began`: when each topic was first watched, in seconds; `past`: what is older wakes nobody (decide.past)."""
        self._hours, self._coverage, self._began, self._past = hours, coverage, began, past.total_seconds()
        self._surges = Surges(hours, coverage, self._first_hour)
        self._known: dict[str, dict[tuple[int, int, int, bool], Usual | UsualShare | None]] = {}

    def changed(self, topic: str, hour: int) -> None:
        """Forget the baselines of a topic that rest on this hour or a later one."""
        self._surges.changed(topic, hour)
        if known := self._known.get(topic):
            self._known[topic] = {key: value for key, value in known.items() if key[0] <= hour}

    def forget(self) -> None:
        """Forget all baselines."""
        self._known.clear()
        self._surges.forget()

    def surge(self, rule: Rule, topic: str, window: Window) -> tuple[Reason, float] | None:
        """Why a rule of kind baseline is to be told now, and how strong the surge is; None when it is not."""
        found = self._surges.find(rule, topic, window, live=self._is_live(topic, window))
        if found is None or not self._surges.tells(rule, topic, found, window.last):
            return None
        if window.posts < rule.min_posts or not window.has_voices(rule.min_voices):
            return None
        observed = _observed(rule, window, signal_number(rule))
        return _reason(rule, window, observed, found.expected, found.p), found.strength

    def holds(self, rule: Rule, topic: str, window: Window, least: float) -> Reason | None:
        """The reason why the rule holds with at least `least` observed; None when it does not."""
        observed = _reaches(rule, window, max(least, rule.threshold or 0.0))
        if observed is None or window.severity < rule.min_severity:
            return None
        baseline = self.baseline(rule, topic, window)
        if baseline is None:
            return _reason(rule, window, observed, None, None) if _holds_cold(rule, observed) else None
        if isinstance(baseline, UsualShare):
            most = _MEANS[_place(rule)]
            expected, p = baseline.expected * most, baseline.tail(observed / most, window.judged)
        else:
            expected, p = baseline.expected, baseline.tail(observed)
        usual_enough = rule.ratio is not None and observed < rule.ratio * expected
        likely_enough = rule.p is not None and p > rule.p
        return None if usual_enough or likely_enough else _reason(rule, window, observed, expected, p)

    def sure(self, rule: Rule, window: Window, reason: Reason) -> float:
        """How sure the reason makes us, 0-0.99.

        Of a signal: the chance that at least one post truly tells of it (`Window.sure`). Of a count or a share: how
        unlikely it would be by chance alone, one minus p; that says that something is different, not what. Without a
        history 0.5.
        """
        signal = signal_number(rule)
        if signal is not None:
            return window.sure(signal)
        return _COLD_SURE if reason.p is None else min(SURE, 1 - reason.p)

    def baseline(self, rule: Rule, topic: str, window: Window) -> Usual | UsualShare | None:
        """What is usual for the topic at this time of day, without the window itself; None during a cold start.

        Windows of one length that begin within the same hour share one, and have of it what can be seen of them.
        """
        known = self._known.setdefault(topic, {})
        place = _place(rule)
        live = self._is_live(topic, window)
        key = window.start // HOUR, window.end - window.start, place, live
        if key not in known:
            known[key] = self._baseline(topic, window.start // HOUR, window.hours, place, live=live)
        found = known[key]
        # What one source says is no share of how many sources there are.
        return found.times(self._coverage.of(topic, window)) if isinstance(found, Usual) and place != OUTLETS else found

    def is_missing(self, topic: str, window: Window) -> bool:
        """Whether so little of the topic could be seen in the window that silence says nothing."""
        return self._coverage.of(topic, window) < LEAST

    def _baseline(self, topic: str, end: int, length: float, place: int, *, live: bool) -> Usual | UsualShare | None:
        first = max(self._first_hour(topic, end, live), end - BASELINE)
        if end - first < COLD:
            return None
        middle = end + 0.5 + length / 2  # windows begin half an hour after `end` on the average
        past = self._hours.past(topic, first, end, place)
        # Of the time before a measure was counted only hours without posts are known, which are not what is usual.
        begin = int(np.flatnonzero(past < 0).max(initial=-1)) + 1
        first, past = first + begin, past[begin:]
        if place in _MEANS:
            judged = self._hours.past(topic, first, end, JUDGED)
            return usual_share(past / UNIT / _MEANS[place], judged, first, middle)
        values = past / (1 if place in _WHOLE else UNIT)
        known = self._coverage.known(topic, first, end)
        if place == OUTLETS:  # half an hour has more than half the sources of an hour, and half the posts as well
            length, known = max(1.0, length), np.ceil(known)
        return usual(Past(values, first, HOUR, known), middle - 0.5, length)

    def _is_live(self, topic: str, window: Window) -> bool:
        return window.end > self._began.get(topic, 0) - self._past

    def _first_hour(self, topic: str, end: int, live: bool) -> int:  # noqa: FBT001 the form that Surges asks for
        """From when on hours without posts are known to be empty.

        For a live window: since the topic is watched, because of the time before sources showed only their newest
        posts, more of them the newer, which looks like a surge. For old posts, which come from a file: the first
        hour that has any.
        """
        return self._began[topic] // HOUR + 1 if live else self._hours.first(topic, end)


def told_by(rule: Rule, window: Window, event: Event, least: float) -> Reason | None:
    """The reason of a rule on events.

    Observed are independent voices, since reposts of one text are one voice's story, or with a signal the expected
    number of different texts that tell of it.
    """
    observed = event.signals.get(rule.signal, 0.0) if rule.signal else float(event.independent)
    enough = (
        observed >= max(least, rule.threshold or 0.0)
        and event.voices >= rule.min_voices
        and len(event.sources) >= rule.min_sources
        and event.severity >= rule.min_severity
        and event.negative_share >= rule.min_negative
        and event.reactions >= rule.min_reactions
    )
    return _reason(rule, window, observed, None, None) if enough else None


def has_term(rule: Rule, window: Window, term: str, texts: int, least: float) -> Reason | None:
    """The reason of a rule on new terms: so many different texts have it."""
    if texts < max(least, rule.threshold or 0.0):
        return None
    return replace(_reason(rule, window, float(texts), None, None), detail=term)


def signal_number(rule: Rule) -> int | None:
    """The place of the rule's signal in SIGNALS; None when it counts posts or a share."""
    return SIGNALS.index(rule.signal) if rule.signal else None


def _place(rule: Rule) -> int:
    """The place in a Total of what the rule measures."""
    signal = signal_number(rule)
    return _PLACES.get(rule.kind, POSTS) if signal is None else FIRST_SIGNAL + signal


def _reaches(rule: Rule, window: Window, floor: float) -> float | None:
    """What is observed, when it reaches `floor` with enough posts and voices; the quick tests come first."""
    signal = signal_number(rule)
    if window.posts < rule.fewest or (signal is not None and window.mass_at_most(signal) < floor * UNIT):
        return None
    observed = _observed(rule, window, signal)
    enough = observed > 0 and observed >= floor and window.has_voices(rule.min_voices)
    return observed if enough else None


def _observed(rule: Rule, window: Window, signal: int | None) -> float:
    """What the kind measures: a number, a share (0-1), a severity (0-3), or the chance of the likeliest text."""
    if signal is not None:
        return (window.likeliest(signal) if rule.single else window.mass(signal)) / UNIT
    match rule.kind:
        case "negative_share":
            return window.negative_share
        case "severity":
            return window.mean_severity
        case "sources":
            return float(window.outlets)
        case "engagement":
            return float(window.reactions)
        case _:
            return float(window.posts)


def _holds_cold(rule: Rule, observed: float) -> bool:
    """Without a history: a threshold decides; a count without one must reach `ratio` times `min_posts`.

    A single post that must be unusual waits: on the first day nobody knows what is.
    """
    if rule.single and rule.p is not None:
        return False
    if rule.threshold is not None:
        return True  # reached already
    return rule.kind == "count" and rule.ratio is not None and observed >= rule.ratio * rule.min_posts


def _reason(rule: Rule, window: Window, observed: float, expected: float | None, p: float | None) -> Reason:
    return Reason(
        rule=rule.name,
        kind=_what(rule),
        signal=rule.signal,
        start=datetime.fromtimestamp(window.start, UTC),
        end=datetime.fromtimestamp(window.end, UTC),
        observed=round(observed, 3),
        threshold=rule.threshold,
        expected=None if expected is None else round(expected, 3),
        p=None if p is None else float(f"{p:.3g}"),
    )


def _what(rule: Rule) -> str:
    """What is measured, as alerts name it."""
    if rule.kind == "baseline":
        return "signal" if rule.signal else "count"
    return rule.kind
