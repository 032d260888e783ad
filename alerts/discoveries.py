"""Of the alerts that rest on chance alone, at most a share may be false: over all topics, rules and hours of a day.

A topic that does nothing unusual still has, once in a thousand windows, one of p = 0.001; with hundreds of topics that
is many a day. So what is told is chosen as Benjamini and Hochberg (1995) choose, among all windows of the last day: of
M windows judged, those with p <= level * k / M, where k is how many of them are. What has been told stays told and
counts in k, so that the choice can be made at any time (as LORD spends evenly over a day: Ramdas et al. 2017).
Nothing is remembered for it but the alerts.

Rules on the chance that a post truly tells of a signal (`single`) pass by: it is a posterior, one minus the local false
discovery rate (Efron 2010, Large-Scale Inference, ch. 5). As far as the scores are calibrated, at most 1 - threshold of
what they tell is false however much is watched, so there is nothing to correct. A p-value beside it says only that the
like is rare for the topic.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tingchao.alerts.why import Why
from tingchao.alerts.windows import BUCKET
from tingchao.config.rules import Rule
from tingchao.config.settings import Settings
from tingchao.pipeline.records import ACTIVE, Alert

DAY = timedelta(days=1)
_UNTOLD = {"", Why.UNPROVEN.value}


class Discoveries:
    """Tells which alerts are unlikely enough to be told, among all that were judged."""

    def __init__(self, settings: Settings) -> None:
        self._share = settings.main.decide.false_discoveries
        tested = [rule for rule in settings.rules if _is_tested(rule)]
        self._rules = {rule.name for rule in tested}
        topics = len(settings.topics)
        rows = sum(topics if "*" in rule.topics else len(rule.topics) for rule in tested if rule.alert)
        self._tests = max(1, rows * int(DAY.total_seconds()) // BUCKET)  # watch judges every bucket

    def chance(self, alert: Alert) -> float | None:
        """The p-value that an alert rests on; None when one of its rules asks for no chance, as the operator chose."""
        if self._share >= 1 or any(reason.p is None or reason.rule not in self._rules for reason in alert.reasons):
            return None
        return min((reason.p for reason in alert.reasons if reason.p is not None), default=None)

    def limit(self, alerts: Iterable[Alert], at: datetime) -> float:
        """The greatest p-value that is told now, given all alerts that are known."""
        found, untold = 0, []
        for alert in alerts:
            if at - alert.opened_at > DAY or (p := self.chance(alert)) is None:
                continue
            if is_told(alert):
                found += 1
            elif alert.state in ACTIVE:
                untold.append(p)
        chosen = [k for k, p in enumerate(sorted(untold), found + 1) if p <= self._share * k / self._tests]
        return self._share * max(chosen, default=max(1, found)) / self._tests


def is_told(alert: Alert) -> bool:
    """Whether a channel was told of the alert, or would have been, had nothing else held it."""
    return any(one.at is not None or one.digest or one.why not in _UNTOLD for one in alert.deliveries or ())


def _is_tested(rule: Rule) -> bool:
    """Whether a rule's alerts rest on chance alone: not with a threshold or a `sure` that the operator fixed.

    The threshold of kind baseline is only the least that is looked at.
    """
    by_chance = rule.kind == "baseline" or (rule.p is not None and rule.threshold is None)
    return by_chance and rule.sure is None
