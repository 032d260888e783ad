"""Counts a bucket of five minutes over the newest day of something, in little memory."""

from __future__ import annotations

import sys

import msgspec

from tingchao.alerts.windows import BUCKET

_WIDTH = 4  # bytes of a count
LENGTH = 288  # buckets kept: a day
_MOST = 2**32 - 1


class Spread(msgspec.Struct, array_like=True, gc=False):
    """The counts of the buckets from `first` on; the order in which they are added does not matter."""

    first: int = 0
    counts: bytearray = msgspec.field(default_factory=bytearray)

    def add(self, at: int, many: int) -> None:
        """Count so many at a time (seconds); nothing if that is more than a day before the newest."""
        bucket = at // BUCKET
        if not self.counts:
            self.first, self.counts = bucket, bytearray(min(_MOST, many).to_bytes(_WIDTH, sys.byteorder))
            return
        length = len(self.counts) // _WIDTH
        if (before := self.first - bucket) > 0:
            if length + before > LENGTH:
                return
            self.counts[:0] = bytes(_WIDTH * before)
            self.first, length = bucket, length + before
        after = bucket - self.first + 1 - length
        if after > LENGTH:  # all there was is older than a day
            self.first, self.counts, after = bucket, bytearray(), 1
        self.counts += bytes(_WIDTH * max(0, after))
        counts, place = memoryview(self.counts).cast("I"), bucket - self.first
        counts[place] = min(_MOST, counts[place] + many)
        if len(counts) > LENGTH:
            self._drop(len(counts) - LENGTH)

    def _drop(self, number: int) -> None:
        """Forget so many of the oldest buckets, and those after them that are empty."""
        kept = self.counts[_WIDTH * number :]
        number += (len(kept) - len(kept.lstrip(b"\0"))) // _WIDTH
        self.first, self.counts = self.first + number, self.counts[_WIDTH * number :]

    def between(self, first: int, last: int) -> int:
        """The sum of the buckets `first` to `last`."""
        return sum(memoryview(self.counts).cast("I")[max(0, first - self.first) : max(0, last + 1 - self.first)])

    @property
    def peak(self) -> int:
        """An hour, in the fastest bucket."""
        return max(memoryview(self.counts).cast("I"), default=0) * 3600 // BUCKET
