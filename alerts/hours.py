"""What watch keeps of each topic: buckets by the hour, and hourly totals for the baseline.

In memory only what a batch works on is decoded; everything else waits encoded in the keyed state, from where a
restart takes it as well. State keys: `h/topic/hour` (buckets), `t/topic/day` (totals).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tingchao.alerts import shards
from tingchao.alerts.kept import Kept
from tingchao.alerts.tally import Tally
from tingchao.alerts.windows import BUCKET, HOUR, PER_HOUR, Bucket, Window
from tingchao.config.rules import SOURCES
from tingchao.config.signals import SIGNALS

# Places in a Total; negative, signals and gravity in thousandths. New ones stand last: older totals are shorter.
POSTS, JUDGED, NEGATIVE, FIRST_SIGNAL = 0, 1, 2, 3
OUTLETS = FIRST_SIGNAL + len(SIGNALS)
GRAVITY = OUTLETS + 1
REACTIONS = GRAVITY + 1
_WIDTH = REACTIONS + 1
UNKNOWN = -1  # in a Total: it was written before this was counted
Total = list[int]
BASELINE = 28 * 24  # hours of totals that a baseline looks back on: four weeks, so that each weekday counts as much
# Share of an hour's posts from which on further ones are worth asking the rules again. To tell a fiftieth more from
# chance takes 10,000 posts (two standard deviations of a Poisson count); below 50 an hour each post is asked about.
GROWN = 0.02
_DECODED, _A_TOPIC = 1000, 3  # hours kept decoded between two batches, at least, and so many a topic; 2 to 14 KB each
_DAYS = 2  # days of totals kept decoded a topic; 10 KB each, and one of 28 days encoded takes less than 1 KB


class Hour(msgspec.Struct, array_like=True):
    """The buckets of one topic and one hour of event time. New fields stand last."""

    touched: int  # seconds: when something was last added, by the clock
    buckets: dict[int, Bucket] = {}  # by their number since 1970
    told: dict[str, dict[int, float]] = {}  # rule -> bucket in which its window ended -> what was observed then
    before: Total = []  # what the hour's total was when an earlier form of the hour had been dropped already


class Day(msgspec.Struct, omit_defaults=True):
    """The totals of one topic and one day (UTC) of event time."""

    touched: int
    hours: dict[int, Total] = {}  # by their number since 1970


class Hours:
    """All hours of all topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], topics: int = 1) -> None:
        self._memory = memory
        self._hours = Kept(memory, _read, max(_DECODED, topics * _A_TOPIC))
        self._days = Kept(memory, msgspec.msgpack.Decoder(Day).decode, max(_DECODED, topics * _DAYS))
        self._fresh: dict[str, dict[int, int]] = {}  # topic -> bucket -> counted since the rules were asked of it
        self._touched: set[str] = set()  # topics counted in since `due` was asked
        self._posts: dict[str, Tally] = {}
        self._dates: dict[str, set[int]] = {}  # topic -> days with totals
        self._all_posts: dict[int, int] = {}  # an hour, over all topics
        self._told: dict[tuple[str, str], dict[int, float]] = {}
        self._load()

    def _load(self) -> None:
        for key in list(self._memory):
            kind, _, rest = key.partition("/")
            if kind not in {"h", "t"} or "#" in rest:
                continue
            topic, _, number = rest.rpartition("/")
            if kind == "h":
                hour = self._opened(topic, int(number))
                posts = self._posts.setdefault(topic, Tally())
                for n, bucket in hour.buckets.items():
                    posts.put(n, bucket.posts)
                if fresh := {n: b.fresh for n, b in hour.buckets.items() if b.fresh}:
                    self._fresh.setdefault(topic, {}).update(fresh)
                    self._touched.add(topic)
                for rule, told in hour.told.items():
                    self._told.setdefault((topic, rule), {}).update(told)
                self._hours.shrink()
            else:
                self._dates.setdefault(topic, set()).add(int(number))
                for hour_number, total in self._totals_of(topic, int(number)).items():
                    self._all_posts[hour_number] = self._all_posts.get(hour_number, 0) + total[POSTS]

    def posts(self, topic: str) -> Tally:
        """Posts a bucket, of the buckets that have any; 0 where older posts gained reactions only."""
        return self._posts.get(topic, _NO_POSTS)

    def total(self, topic: str, number: int) -> Total | None:
        """The total of an hour, also of one whose buckets are gone; None when there was nothing."""
        day = self._days.get(_day_key(topic, number // 24))
        total = None if day is None else day.hours.get(number)
        return None if total is None else _widened(total)

    def all_posts(self) -> Mapping[int, int]:
        """Posts an hour, over all topics."""
        return self._all_posts

    def at_most(self, topic: str, first: int, last: int) -> Total:
        """The sum of the hours `first` to `last`: an upper bound of what any window within them holds."""
        touched = []
        for number in range(first // 24, last // 24 + 1):
            day = self._days.get(_day_key(topic, number))
            if day is not None:
                hours = range(max(first, 24 * number), min(last, 24 * number + 23) + 1)
                touched += [_widened(day.hours[hour]) for hour in hours if hour in day.hours]
        if len(touched) == 1:
            return touched[0]
        return list(map(sum, zip(*touched, strict=True))) if touched else _NOTHING

    def past(self, topic: str, first: int, end: int, place: int) -> NDArray[np.float64]:
        """One place of the totals of the hours from `first` on, without `end`; zeros where there was nothing."""
        values = np.zeros(end - first)
        for day in range(first // 24, -(-end // 24)):
            for number, total in self._totals_of(topic, day).items():
                if first <= number < end:
                    values[number - first] = total[place] if place < len(total) else UNKNOWN
        return values

    def first(self, topic: str, before: int) -> int:
        """The first hour that has anything; `before` when none has."""
        dates = self._dates.get(topic)
        return min(self._totals_of(topic, min(dates))) if dates else before

    def bucket(self, topic: str, number: int, at: int) -> Bucket:
        """The bucket to add to; `save` writes it."""
        hour = self._open(topic, number // PER_HOUR, at)
        bucket = hour.buckets.get(number)
        if bucket is None:
            bucket = hour.buckets[number] = Bucket()
        return bucket

    def window(self, topic: str, last: int, length: int) -> Window:
        """The window of `length` buckets that ends with bucket `last`."""
        first = last - length + 1
        return Window(first * BUCKET, (last + 1) * BUCKET, self._within(topic, first, last))

    def _within(self, topic: str, first: int, last: int) -> Iterator[Bucket]:
        posts = self.posts(topic)
        for number in range(first // PER_HOUR, last // PER_HOUR + 1):
            hour = self._hours.get(_key(topic, number))
            if hour is not None:
                yield from [bucket for n, bucket in hour.buckets.items() if first <= n <= last and n in posts]

    def told(self, topic: str, rule: str) -> dict[int, float]:
        """Last bucket of a window -> what was observed when a candidate of the rule was written for it."""
        return self._told.get((topic, rule), {})

    def tell(self, topic: str, rule: str, last: int, observed: float, at: int) -> None:
        """Remember that a candidate was written."""
        self._open(topic, last // PER_HOUR, at).told.setdefault(rule, {})[last] = observed
        self._told.setdefault((topic, rule), {})[last] = observed

    def touch(self, topic: str, number: int, at: int) -> None:
        """Keep the hour `number`, though nothing is added to it."""
        self._open(topic, number, at)

    def counted(self, topic: str, number: int, bucket: Bucket) -> None:
        """Bring `posts` and `due` up to date with a bucket."""
        posts = self._posts.get(topic)
        if posts is None:
            posts = self._posts[topic] = Tally()
        posts.put(number, bucket.posts)
        fresh = self._fresh.get(topic)
        if fresh is None:
            fresh = self._fresh[topic] = {}
        fresh[number] = bucket.fresh
        self._touched.add(topic)

    def due(self, *, all_of_them: bool) -> list[str]:
        """The topics of which something was counted since `sum_up`, in order.

        Without `all_of_them` those of which enough was counted that the rules may say something else.
        """
        touched, self._touched = self._touched, set()
        return sorted(self._fresh) if all_of_them else sorted(filter(self._has_grown, touched))

    def _has_grown(self, topic: str) -> bool:
        """Whether what is fresh is enough beside the hour that ends with the newest bucket that has some."""
        fresh = self._fresh[topic]
        last = max(fresh)
        return sum(fresh.values()) >= GROWN * self._posts[topic].between(last - PER_HOUR + 1, last)

    def sum_up(self, topic: str) -> list[int]:
        """Bring the totals of a topic up to date, for the rules to be asked of it.

        Returns the buckets with something that was counted since it was called before, in order.
        """
        fresh = sorted(self._fresh.pop(topic, ()))
        for number in {bucket // PER_HOUR for bucket in fresh}:
            hour = self._opened(topic, number)
            for bucket in fresh:
                if bucket // PER_HOUR == number:
                    hour.buckets[bucket].fresh = 0
            self._add_up(topic, number, hour)
            self._hours.changed(_key(topic, number))
        return fresh

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._hours.save()
        self._days.save()

    def drop(self, before: int) -> list[tuple[str, int, dict[str, int]]]:
        """Forget buckets whose hour ended, and was last touched, before `before` (seconds); totals four weeks later.

        Returns the topics and hours that went, each with its posts a source.
        """
        dropped = []
        for topic, number in self._old("h", before, HOUR):
            hour = self._opened(topic, number)
            if hour.touched >= before:
                continue
            if topic in self._posts:
                self._posts[topic].drop(number)
            for rule, told in hour.told.items():
                for last in told:
                    self._told[topic, rule].pop(last, None)
            self._hours.drop(_key(topic, number))
            dropped.append((topic, number, Window(0, HOUR, hour.buckets.values()).sources))
        for topic, number in self._old("t", before - BASELINE * HOUR, 24 * HOUR):
            day = self._days.look(_day_key(topic, number))
            if day is None or day.touched >= before:
                continue
            for hour_number, total in day.hours.items():
                self._all_posts[hour_number] -= total[POSTS]
                if not self._all_posts[hour_number]:
                    del self._all_posts[hour_number]
            self._days.drop(_day_key(topic, number))
            self._dates[topic].discard(number)
        return dropped

    def _add_up(self, topic: str, number: int, hour: Hour) -> None:
        """Bring the total of an hour up to date."""
        key = _day_key(topic, number // 24)
        day = self._days.get(key)
        if day is None:
            day = self._days.add(key, Day(hour.touched))
            self._dates.setdefault(topic, set()).add(number // 24)
        known = _widened(day.hours[number]) if number in day.hours else _NOTHING
        total = _total(hour, known)
        self._all_posts[number] = self._all_posts.get(number, 0) + total[POSTS] - known[POSTS]
        day.touched, day.hours[number] = max(day.touched, hour.touched), total
        self._days.changed(key)

    def _totals_of(self, topic: str, number: int) -> Mapping[int, Total]:
        """The totals of a day by the hour, some of them perhaps of an earlier form, and shorter."""
        day = self._days.look(_day_key(topic, number))
        return {} if day is None else day.hours

    def _old(self, kind: str, before: int, seconds: int) -> Iterator[tuple[str, int]]:
        for key in shards.keys(self._memory, f"{kind}/"):
            topic, _, number = key.removeprefix(f"{kind}/").rpartition("/")
            if (int(number) + 1) * seconds <= before:
                yield topic, int(number)

    def _open(self, topic: str, number: int, at: int) -> Hour:
        """The hour, to be altered; `save` writes it."""
        key = _key(topic, number)
        hour = self._hours.get(key)
        if hour is None:
            hour = self._hours.add(key, Hour(at, {}, {}, self.total(topic, number) or []))
        hour.touched = max(hour.touched, at)
        self._hours.changed(key)
        return hour

    def _opened(self, topic: str, number: int) -> Hour:
        hour = self._hours.get(_key(topic, number))
        assert hour is not None, f"no hour {number} of {topic}"
        return hour


def _key(topic: str, number: int) -> str:
    return f"h/{topic}/{number}"


def _day_key(topic: str, number: int) -> str:
    return f"t/{topic}/{number}"


_NO_POSTS = Tally()
_NOTHING: Total = [0] * _WIDTH


class _Named(msgspec.Struct):
    """An hour of the form of before: its fields, and those of its buckets, have their names beside them."""

    touched: int
    buckets: dict[int, dict[str, Any]] = {}
    told: dict[str, dict[int, float]] = {}
    before: Total = []


_HOUR, _NAMED = msgspec.msgpack.Decoder(Hour), msgspec.msgpack.Decoder(_Named)
_MAP = 0x80  # the upper half of the first byte of a map of up to 15 fields, in msgpack


def _read(kept: bytes) -> Hour:
    if kept[0] & 0xF0 != _MAP:
        return _HOUR.decode(kept)
    named = _NAMED.decode(kept)
    buckets = {
        number: Bucket(**{name: value for name, value in fields.items() if name in Bucket.__struct_fields__})
        for number, fields in named.buckets.items()
    }
    return Hour(named.touched, buckets, named.told, named.before)


def _total(hour: Hour, known: Total) -> Total:
    """The sum of the buckets; `known` is what it was before something was added to them."""
    # In one pass, not by a sum of Window's each: that took 8 us instead of 5, and nearly each mention asks for it.
    total = [0] * _WIDTH
    signals: set[int] = set()
    for bucket in hour.buckets.values():
        total[POSTS] += bucket.posts
        total[JUDGED] += bucket.judged
        total[NEGATIVE] += bucket.negative
        total[GRAVITY] += bucket.gravity
        total[REACTIONS] += bucket.reactions
        signals.update(bucket.texts)
    window = Window(0, HOUR, hour.buckets.values())
    # So many sources cannot become more, unless some are of buckets that are gone.
    total[OUTLETS] = SOURCES if known[OUTLETS] == SOURCES and not hour.before else window.outlets
    for signal in signals:
        if signal < len(SIGNALS):
            total[FIRST_SIGNAL + signal] = window.mass(signal)
    if not hour.before:
        return total
    before = _widened(hour.before)
    return [UNKNOWN if b == UNKNOWN else a + b for a, b in zip(total, before, strict=True)]


def _widened(total: Total) -> Total:
    """A total as long as today's, also of a time in which less was counted."""
    if len(total) == _WIDTH:
        return total
    return total + [UNKNOWN] * (_WIDTH - len(total))
