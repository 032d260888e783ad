"""Windows of `watch` before the detector: whether what one topic shows now is a surge of posts, or of one signal."""

from __future__ import annotations

from collections.abc import Callable

from tingchao.alerts.coverage import Coverage
from tingchao.alerts.detector import SCALES, Found, Normal, Told, judge, normal, swing, whole_days
from tingchao.alerts.hours import FIRST_SIGNAL, POSTS, Hours
from tingchao.alerts.season import MEMORY, Past
from tingchao.alerts.windows import BUCKET, HOUR, UNIT, Window
from tingchao.config.rules import Rule
from tingchao.config.signals import SIGNALS

First = Callable[[str, int, bool], int]  # topic, hour, whether live -> the first hour that is known


class Surges:
    """Remembers what is usual until an hour that it rests on changes."""

    def __init__(self, hours: Hours, coverage: Coverage, first: First) -> None:
        self._hours, self._coverage, self._first = hours, coverage, first
        self._normals: dict[str, dict[tuple[int, int, bool], Normal | None]] = {}
        self._swings: dict[str, dict[tuple[int, int, int], float]] = {}

    def changed(self, topic: str, hour: int) -> None:
        """Forget what rests on this hour or a later one."""
        if normals := self._normals.get(topic):
            self._normals[topic] = {key: one for key, one in normals.items() if key[0] <= hour}
        if swings := self._swings.get(topic):
            self._swings[topic] = {key: one for key, one in swings.items() if key[0] <= hour}

    def forget(self) -> None:
        """Forget everything."""
        self._normals.clear()
        self._swings.clear()

    def find(self, rule: Rule, topic: str, window: Window, *, live: bool) -> Found | None:
        """The window of an hour with its last minutes, compared with the usual; None during a cold start."""
        place = POSTS if not rule.signal else FIRST_SIGNAL + SIGNALS.index(rule.signal)
        usually = self._normal(topic, window.start // HOUR, place, live=live)
        if usually is None:
            return None
        counts = [
            self._count(topic, self._hours.window(topic, window.last, scale // BUCKET), place) for scale in SCALES
        ]
        return judge(counts, usually, counts[-1][0] >= (rule.threshold or 0.0))

    def tells(self, rule: Rule, topic: str, found: Found, end: int) -> bool:
        """Whether a surge in the window whose last bucket is `end` begins, or goes on and is to be told again."""
        told = Told({(at + 1) * BUCKET: strength for at, strength in self._hours.told(topic, rule.name).items()})
        now = (end + 1) * BUCKET
        return told.begins(found, now) or told.goes_on(found, now)

    def _normal(self, topic: str, end: int, place: int, *, live: bool) -> Normal | None:
        known = self._normals.setdefault(topic, {})
        key = end, place, live
        if key not in known:
            known[key] = self._fit(topic, end, place, live=live)
        return known[key]

    def _fit(self, topic: str, end: int, place: int, *, live: bool) -> Normal | None:
        first = max(self._first(topic, end, live), end - MEMORY)
        if first >= end:
            return None
        values = self._hours.past(topic, first, end, place) / (1 if place == POSTS else UNIT)
        past = Past(values, first, HOUR, self._coverage.known(topic, first, end))
        swings = self._swings.setdefault(topic, {})
        key = end // 24 * 24, place, first
        if key not in swings:
            swings[key] = swing(whole_days(past))
        return normal(past, end, BUCKET, swings[key])

    def _count(self, topic: str, window: Window, place: int) -> tuple[float, float]:
        """What was seen in the window, and the hours of it that could be seen."""
        known = window.hours * self._coverage.of(topic, window)
        if place == POSTS:
            return float(self._hours.posts(topic).between(window.first, window.last)), known
        return window.mass(place - FIRST_SIGNAL) / UNIT, known
