"""Alerts that hold others back: the inhibit rules of routes.toml over all active alerts.

Alertmanager's meaning: an alert is inhibited while another active one fits the source side of a rule whose target side
it fits, both share the `equal` labels, and they do not both fit both sides. There, two alerts that inhibit each other
are both silent. Here, of alerts that inhibit each other, also in a ring, the first one by rank is always sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tingchao.config.matchers import Labels, Matcher, fit, parse
from tingchao.config.routes import InhibitRule


class Active(NamedTuple):
    """An active alert; the smaller rank is the more important one (ranks differ)."""

    rank: tuple[int, float, str]
    labels: Labels


@dataclass(frozen=True)
class _Sides:
    sources: tuple[Matcher, ...]
    targets: tuple[Matcher, ...]
    equal: tuple[str, ...]


class Inhibitor:
    """The rules, ready to be asked."""

    def __init__(self, rules: Sequence[InhibitRule]) -> None:
        self._rules = [
            _Sides(tuple(map(parse, rule.source_matchers)), tuple(map(parse, rule.target_matchers)), tuple(rule.equal))
            for rule in rules
        ]

    def inhibited(self, active: Mapping[str, Active]) -> dict[str, str]:
        """Each alert that is held back, with the most important one that holds it back."""
        sources: dict[str, set[str]] = {}  # of each target
        targets: dict[str, set[str]] = {}  # of each source
        for rule in self._rules:
            for source, target in _pairs(rule, active):
                sources.setdefault(target, set()).add(source)
                targets.setdefault(source, set()).add(target)
        found: dict[str, str] = {}
        for target, holders in sources.items():
            behind = _behind(target, targets)
            held = [source for source in holders if active[source].rank < active[target].rank or source not in behind]
            if held:
                found[target] = min(held, key=lambda name: active[name].rank)
        return found


def _pairs(rule: _Sides, active: Mapping[str, Active]) -> Iterator[tuple[str, str]]:
    """Source and target of each inhibition by the rule."""
    sources = {name for name, one in active.items() if fit(rule.sources, one.labels)}
    targets = {name for name, one in active.items() if fit(rule.targets, one.labels)}
    for source in sources:
        for target in targets:
            both = source in targets and target in sources
            if source != target and not both and _equal(rule.equal, active[source].labels, active[target].labels):
                yield source, target


def _equal(names: Sequence[str], one: Labels, other: Labels) -> bool:
    """Whether both have a value of each label in common; none at all is a value too."""
    return all(set(one.get(name) or ("",)) & set(other.get(name) or ("",)) for name in names)


def _behind(source: str, targets: Mapping[str, set[str]]) -> set[str]:
    """What an alert holds back, directly or through others."""
    found: set[str] = set()
    ahead = [source]
    while ahead:
        new = targets.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found
