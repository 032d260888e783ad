"""Why a rule holds in a window, and the candidate that tells of it."""

from __future__ import annotations

from tingchao.alerts.absence import LASTS
from tingchao.alerts.detector import CALM, SCALES
from tingchao.alerts.evidence import REACTED, Shelves
from tingchao.alerts.hours import Hours
from tingchao.alerts.measure import Measure, has_term, signal_number, told_by
from tingchao.alerts.stories import Stories
from tingchao.alerts.story import Story
from tingchao.alerts.terms import Terms
from tingchao.alerts.tracking import Tracker, record_of
from tingchao.alerts.windows import BUCKET, PER_HOUR, Window
from tingchao.config.rules import Rule
from tingchao.pipeline.records import Candidate, Event, Reason

CURVE = 6 * PER_HOUR  # buckets that an alert draws


class Findings:
    """Asks each kind of rule where its answer is kept; remembers nothing itself."""

    def __init__(
        self,
        hours: Hours,
        measure: Measure,
        events: Tracker,
        stories: Stories,
        terms: Terms | None,
        shelves: Shelves,
    ) -> None:
        """`terms`: None where no rule asks for new ones."""
        self._hours, self._measure, self._shelves = hours, measure, shelves
        self._events, self._stories, self._terms = events, stories, terms

    def holds(self, rule: Rule, topic: str, window: Window, least: float) -> Reason | None:
        """The reason why a rule of any kind but baseline holds, with at least `least` observed."""
        if rule.kind == "event":
            event = self._events.leading(topic, window.first, window.last, window.posts)
            return None if event is None else told_by(rule, window, event, least)
        if rule.kind == "new_term":
            assert self._terms is not None
            term = self._terms.newest(topic, window.start, window.end, rule.min_voices)
            return None if term is None else has_term(rule, window, *term, least)
        return self._measure.holds(rule, topic, window, least)

    def candidate(
        self, topic: str, rule: Rule, window: Window, reason: Reason, story: Story | None = None
    ) -> Candidate:
        """What is told of a rule that holds in a window, of the topic or of a story of it."""
        signal = signal_number(rule)
        first, last = window.first, window.last
        if story is not None:
            evidence = story.shelf.pick(signal)
            event: Event | None = record_of(story.event, window.posts)
            curve = story.curve(last - CURVE + 1, last)
        else:
            shelf = REACTED if rule.kind == "engagement" else signal
            picked = self._shelves.pick(topic, range(first, last + 1), shelf)
            evidence = tuple(one for one in picked if not self._stories.tells(topic, one))
            event = self._events.leading(topic, first, last, window.posts)
            curve = tuple(self._hours.posts(topic).each(last - CURVE + 1, last))
        return Candidate(
            topic=topic,
            reason=reason,
            level=rule.level,
            sure=round(self._measure.sure(rule, window, reason), 3),
            posts=window.posts,
            voices=window.voices,
            sources=window.sources,
            negative_share=round(window.negative_share, 3),
            severity=round(window.severity, 2),
            signals={name: round(mass, 2) for name, mass in window.masses().items()},
            evidence=evidence,
            curve=curve,
            bucket=BUCKET,
            event=event,
            alone=story is not None,
            quiet=_quiet(rule),
        )


def length_of(rule: Rule) -> int:
    """Buckets of the rule's window; the detector has its own."""
    if rule.kind == "baseline":
        return SCALES[-1] // BUCKET
    return max(1, -(-int(rule.window.total_seconds()) // BUCKET))


def _quiet(rule: Rule) -> float:
    """Seconds without news after which an alert of the rule ends; 0: as the settings say."""
    if rule.kind == "baseline":
        return float(CALM)
    if rule.kind == "absence":
        return LASTS.total_seconds()
    return 0.0 if rule.quiet is None else rule.quiet.total_seconds()
