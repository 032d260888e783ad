"""Matchers: `topic=metro`, `level=~"2|3"`, with Alertmanager's four operators, over the labels of an alert."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, get_args

from pydantic import AfterValidator

from tingchao.config.language import Said
from tingchao.config.rules import Kind

# What an alert can be matched by. `rule`, `kind`, `signal` and `source` may have several values at once.
LABELS = ("topic", "level", "rule", "kind", "signal", "source", "state")

# The kinds of reasons: of rules, those of kind baseline as what they count, and of sources.
SOURCE_KINDS = frozenset(
    {"source_failing", "source_unvisited", "source_quiet", "source_charset", "source_robots", "sources_failing"}
)
KINDS = SOURCE_KINDS | (frozenset(get_args(Kind)) - {"baseline"})
FIXED = frozenset({"level", "kind", "signal", "state"})  # labels whose values no setting adds to
STATES = frozenset({"open", "acknowledged", "in_hand", "resolved", "false_alarm", "past"})

# Topics of alerts on one source, with its name behind, and on most of them; '@' stands in no name of a topic.
ONE_SOURCE, ALL_SOURCES = "@source/", "@sources"

# A label that is missing has no value; as in Alertmanager that is the same as an empty one.
Labels = Mapping[str, tuple[str, ...]]

_FORM = re.compile(r"\s*([a-z_]+)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Matcher:
    """One condition on one label. `=` and `=~` hold when any of its values fits, `!=` and `!~` when none does."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.value)

    def fits(self, labels: Labels) -> bool:
        """Whether the labels meet the condition; a regular expression must fit the whole value."""
        values = labels.get(self.label) or ("",)
        if self.operator in {"=~", "!~"}:
            found = any(self._pattern.fullmatch(value) for value in values)
        else:
            found = self.value in values
        return found == (self.operator in {"=", "=~"})

    def names_one_of(self, values: Iterable[str]) -> bool:
        """Whether it tells any of the values, or the lack of one, apart from others."""
        positive = replace(self, operator=self.operator.replace("!", "=").replace("==", "="))
        return any(positive.fits({self.label: (value,)}) for value in (*values, ""))


def parse(text: str) -> Matcher:
    """The matcher in `text`; the value may stand in double quotes. Raises ValueError that says what was expected."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(Said("error.config.no_matcher", text=text))
    label, operator, value = found.groups()
    if label not in LABELS:
        raise ValueError(Said("error.config.no_label", label=label, known=", ".join(LABELS)))
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if operator in {"=~", "!~"}:
        try:
            re.compile(value)
        except re.error as err:
            raise ValueError(Said("error.config.pattern", error=err)) from err
    return Matcher(label, operator, value)


def fit(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether all of the matchers hold."""
    return all(matcher.fits(labels) for matcher in matchers)


def no_value(matcher: Matcher, known: Iterable[str]) -> Said:
    """What is said of a value that its label never has; topics of alerts on sources stand last."""
    wanted = ", ".join(sorted(known, key=lambda value: (value.startswith("@"), value)))
    return Said("error.config.no_value", label=matcher.label, value=matcher.value, known=wanted)


def _checked(text: str) -> str:
    parse(text)
    return text


MatcherText = Annotated[str, AfterValidator(_checked)]
