"""Posts a bucket of one topic: an array an hour, since a dictionary of buckets takes five times as much."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from tingchao.alerts.windows import PER_HOUR

_EMPTY = array("I", bytes(4 * (PER_HOUR + 1)))  # the last one has a bit for each bucket that is there, perhaps with 0


class Tally:
    """Numbers of buckets (since 1970) -> posts."""

    def __init__(self) -> None:
        self._hours: dict[int, array[int]] = {}
        self.newest = 0  # no bucket is newer

    def put(self, number: int, posts: int) -> None:
        """Say how many posts a bucket has."""
        hour, place = divmod(number, PER_HOUR)
        row = self._hours.get(hour)
        if row is None:
            row = self._hours[hour] = _EMPTY[:]
        row[place] = posts
        row[PER_HOUR] |= 1 << place
        self.newest = max(self.newest, number)

    def __contains__(self, number: int) -> bool:
        hour, place = divmod(number, PER_HOUR)
        return bool(self._hours.get(hour, _EMPTY)[PER_HOUR] >> place & 1)

    def __iter__(self) -> Iterator[int]:
        for hour, row in sorted(self._hours.items()):
            yield from (hour * PER_HOUR + place for place in range(PER_HOUR) if row[PER_HOUR] >> place & 1)

    def each(self, first: int, last: int) -> list[int]:
        """Posts in each of the buckets `first` to `last`."""
        hours = range(first // PER_HOUR, last // PER_HOUR + 1)
        found = [posts for hour in hours for posts in self._hours.get(hour, _EMPTY)[:PER_HOUR]]
        return found[first % PER_HOUR :][: last - first + 1]

    def between(self, first: int, last: int) -> int:
        """Posts in the buckets `first` to `last`."""
        total = 0
        for hour in range(first // PER_HOUR, last // PER_HOUR + 1):
            row = self._hours.get(hour)
            if row is not None:
                start = hour * PER_HOUR
                total += sum(row[max(0, first - start) : min(PER_HOUR, last + 1 - start)])
        return total

    def drop(self, hour: int) -> None:
        """Forget the buckets of an hour."""
        self._hours.pop(hour, None)
