"""The smallest hashes of a set: how many different ones there were, in bounded memory and in any order of arrival.

Kept as bytes, sorted, eight to a hash: a set of Python's takes ten times as much, and tens of thousands are kept.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import numpy as np

MOST = 128  # hashes kept: exact up to here, then an estimate within about 9 % (1/sqrt(128))
_WIDTH = 8
_SPACE = 2.0**64


def hashed(text: str) -> int:
    """64 bits, evenly spread."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=_WIDTH).digest())


@lru_cache(maxsize=10_000)  # a voice is counted in a bucket, and again in an event with others of its batch
def hashed_voice(voice: str) -> int:
    """The same, of a voice or of a source that stands for it."""
    return hashed(voice)


def added(kept: bytes, one: int, most: int = MOST) -> bytes:
    """The `most` smallest of those kept and one more."""
    if not kept:
        return one.to_bytes(_WIDTH, sys.byteorder)
    if len(kept) >= most * _WIDTH and one >= int.from_bytes(kept[-_WIDTH:], sys.byteorder):
        return kept
    hashes = array("Q", kept)
    place = bisect_left(hashes, one)
    if place < len(hashes) and hashes[place] == one:
        return kept
    hashes.insert(place, one)
    return hashes[:most].tobytes()


def size(kept: bytes) -> int:
    """How many are kept."""
    return len(kept) // _WIDTH


def distinct(kept: Iterable[bytes]) -> int:
    """How many different ones went into these together: exact below `MOST`, else from how densely they lie.

    Bar-Yossef et al. 2002, "Counting distinct elements in a data stream", as the unbiased (k - 1) / kth smallest.
    """
    hashes = np.sort(np.frombuffer(b"".join(kept), dtype=np.uint64))  # np.unique would hash them
    first = np.ones(len(hashes), dtype=np.bool_)
    first[1:] = hashes[1:] != hashes[:-1]
    smallest = hashes[first][:MOST]
    if len(smallest) < MOST:
        return len(smallest)
    return max(MOST, round((MOST - 1) * _SPACE / (int(smallest[-1]) + 1)))
