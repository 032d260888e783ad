"""An alert finds its channels: its labels, and the way through the tree of routes.toml."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tingchao.alerts.absence import silent_sources
from tingchao.config.intervals import TimeInterval
from tingchao.config.matchers import ONE_SOURCE, Labels, Matcher, fit, parse
from tingchao.config.routes import ALL, EACH, Route, RoutesFile
from tingchao.pipeline.records import Alert


@dataclass(frozen=True)
class Way:
    """A node of the tree with all that it inherits."""

    place: str  # in the file
    receivers: tuple[str, ...]
    matchers: tuple[Matcher, ...]
    group_by: tuple[str, ...]
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    mute: tuple[TimeInterval, ...]
    active: tuple[TimeInterval, ...]
    goes_on: bool = False
    below: tuple[Way, ...] = ()


def labels_of(alert: Alert) -> Labels:
    """The labels of an alert, see config/matchers.py; several values in the order in which they came up."""
    reasons = alert.reasons
    # The sources of its posts, and the one that it is about: of an alert on a source, or on the silence of one.
    about = [reason.detail for reason in silent_sources(reasons)]
    about += [alert.topic.removeprefix(ONE_SOURCE)] if alert.topic.startswith(ONE_SOURCE) else []
    return {
        "topic": (alert.topic, *alert.topics),
        "level": (str(alert.level),),
        "rule": tuple(dict.fromkeys(reason.rule for reason in reasons)),
        "kind": tuple(dict.fromkeys(reason.kind for reason in reasons)),
        "signal": tuple(dict.fromkeys(reason.signal for reason in reasons if reason.signal)),
        "source": tuple(dict.fromkeys([*about, *alert.sources])),
        "state": (alert.state,),
    }


def tree(file: RoutesFile, channels: Sequence[str]) -> Way:
    """The tree with what each node inherits; "*" becomes the names of all channels."""
    intervals = {one.name: one for one in file.time_intervals}
    return _way(file.route, "route", None, tuple(channels), intervals)


def ways(way: Way) -> Iterator[Way]:
    """The node and all below it."""
    yield way
    for one in way.below:
        yield from ways(one)


def find(way: Way, labels: Labels) -> Iterator[Way]:
    """The nodes that take an alert with these labels: the deepest that fit, in the order of the file."""
    if not fit(way.matchers, labels):
        return
    taken = False
    for one in way.below:
        found = list(find(one, labels))
        yield from found
        taken = taken or bool(found)
        if found and not one.goes_on:
            break
    if not taken:
        yield way


def by_receiver(way: Way, labels: Labels) -> dict[str, tuple[Way, ...]]:
    """Each channel that may be told, with the nodes that lead to it, in the order of the file."""
    found: dict[str, tuple[Way, ...]] = {}
    for one in find(way, labels):
        for receiver in dict.fromkeys(one.receivers):
            found[receiver] = (*found.get(receiver, ()), one)
    return found


def group_of(way: Way, labels: Labels) -> str:
    """The name of the alert's group; '' when it goes by itself. Of several values the first one counts."""
    if EACH in way.group_by:
        return ""
    values = [f"{label}={(labels.get(label) or ('',))[0]}" for label in sorted(way.group_by)]
    return hashlib.blake2b(f"{way.place} {values}".encode(), digest_size=8).hexdigest()


def _way(
    route: Route, place: str, parent: Way | None, channels: tuple[str, ...], intervals: Mapping[str, TimeInterval]
) -> Way:
    if parent is None:  # the top one gives everything
        parent = Way(place, channels, (), (EACH,), timedelta(), timedelta(), timedelta(), (), ())
    receivers = parent.receivers if route.receiver is None else tuple(route.receiver)
    own = Way(
        place=place,
        receivers=channels if ALL in receivers else receivers,
        matchers=tuple(map(parse, route.matchers)),
        group_by=parent.group_by if route.group_by is None else tuple(route.group_by),
        group_wait=parent.group_wait if route.group_wait is None else route.group_wait,
        group_interval=parent.group_interval if route.group_interval is None else route.group_interval,
        repeat_interval=parent.repeat_interval if route.repeat_interval is None else route.repeat_interval,
        mute=tuple(intervals[name] for name in route.mute_time_intervals),
        active=tuple(intervals[name] for name in route.active_time_intervals),
        goes_on=route.continue_,
    )
    below = tuple(
        _way(child, f"{place}.routes[{number}]", own, channels, intervals)
        for number, child in enumerate(route.routes, 1)
    )
    return replace(own, below=below)
