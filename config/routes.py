"""routes.toml: which channel is told of which alert, how often, and when not. Alertmanager's words and meanings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from tingchao.config.intervals import TimeInterval
from tingchao.config.language import Said
from tingchao.config.load import Block, Duration
from tingchao.config.matchers import LABELS, MatcherText, no_value, parse
from tingchao.config.mistakes import twice

ALL = "*"  # as a receiver: every channel of tingchao.toml
EACH = "..."  # in group_by: each alert by itself


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_several), Field(min_length=1)]


class Route(Block):
    """A node of the tree. What it does not give, save matchers, intervals and `continue`, it has from its parent."""

    receiver: Names | None = None
    matchers: list[MatcherText] = []
    group_by: list[str] | None = None
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    mute_time_intervals: list[str] = []
    active_time_intervals: list[str] = []
    continue_: bool = Field(default=False, alias="continue")
    routes: list[Route] = []

    @model_validator(mode="after")
    def _groups_by_labels(self) -> Route:
        for label in self.group_by or ():
            if label not in LABELS and label != EACH:
                raise ValueError(Said("error.config.group_by", label=label, each=EACH, known=", ".join(LABELS)))
        if self.repeat_interval is not None and timedelta(0) < self.repeat_interval < timedelta(minutes=1):
            raise ValueError(Said("error.config.repeat"))
        return self


class RootRoute(Route):
    """The top of the tree: it takes every alert, and has no parent to inherit from."""

    receiver: Names = [ALL]
    group_by: list[str] = [EACH]
    group_wait: Duration = timedelta(0)
    group_interval: Duration = timedelta(0)
    repeat_interval: Duration = timedelta(0)  # never

    @model_validator(mode="after")
    def _takes_all(self) -> RootRoute:
        if self.matchers or self.mute_time_intervals or self.active_time_intervals or self.continue_:
            raise ValueError(Said("error.config.top_route"))
        return self


class InhibitRule(Block):
    """While an alert fits the source, alerts that fit the target and share the `equal` labels are not sent."""

    name: str = ""
    source_matchers: list[MatcherText] = Field(min_length=1)
    target_matchers: list[MatcherText] = Field(min_length=1)
    equal: list[str] = []

    @model_validator(mode="after")
    def _compares_labels(self) -> InhibitRule:
        for label in self.equal:
            if label not in LABELS:
                raise ValueError(Said("error.config.equal", label=label, known=", ".join(LABELS)))
        return self


class RoutesFile(Block):
    """routes.toml."""

    route: RootRoute = RootRoute()
    time_intervals: list[TimeInterval] = []
    inhibit_rules: list[InhibitRule] = []

    @model_validator(mode="after")
    def _intervals_are_there(self) -> RoutesFile:
        names = [one.name for one in self.time_intervals]
        if same := twice(names):
            raise ValueError(Said("error.config.twice_intervals", names=same))
        for place, route in routes_of(self.route):
            for name in (*route.mute_time_intervals, *route.active_time_intervals):
                if name not in names:
                    known = ", ".join(names) or Said("error.config.interval_block")
                    raise ValueError(Said("error.config.no_interval", place=place, name=name, known=known))
        return self


def routes_of(route: Route, place: str = "route") -> Iterator[tuple[str, Route]]:
    """The route and all below it, each with its place in the file."""
    yield place, route
    for number, child in enumerate(route.routes, 1):
        yield from routes_of(child, f"{place}.routes[{number}]")


def loose_ends(
    file: RoutesFile, channels: Collection[str], values: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Key and mistake of each channel, topic, rule … that routes.toml names and other files do not have."""
    for place, route in routes_of(file.route):
        for name in route.receiver or ():
            if name != ALL and name not in channels:
                known = ", ".join(sorted(channels))
                yield f"{place}.receiver", Said("error.config.no_channel", name=name, all=ALL, known=known)
        yield from _strange(f"{place}.matchers", route.matchers, values)
    for number, rule in enumerate(file.inhibit_rules, 1):
        yield from _strange(f"inhibit_rules[{number}].source_matchers", rule.source_matchers, values)
        yield from _strange(f"inhibit_rules[{number}].target_matchers", rule.target_matchers, values)


def _strange(place: str, matchers: list[str], values: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str]]:
    for matcher in map(parse, matchers):
        known = values.get(matcher.label)
        exact = matcher.operator in {"=", "!="}
        if exact and matcher.value and known is not None and matcher.value not in known:
            yield place, no_value(matcher, known)
