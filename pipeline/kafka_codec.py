"""The sums and the compression of kafka-python, which has no setting for either.

As it comes, a record of a post costs 75 us of processor time here: 45 in gzip's level 9, 29 in a sum made in Python.
With this it is 8, and a tenth more bytes. Measured with kafka-python 3.0.12, batches of 500 real posts.
"""

from __future__ import annotations

import google_crc32c
from kafka import codec
from kafka.record import util

_LEVEL = 1  # of gzip, as Kafka's own producers use for speed; 207 bytes a post instead of 187


def crc32c(data: memoryview) -> int:
    """The sum of Kafka's batches of records (Castagnoli)."""
    return int(google_crc32c.value(bytes(data)))


def quicken() -> None:
    """Both functions take these from their default arguments; for the whole process."""
    util.calc_crc32c.__defaults__ = (crc32c,)
    codec.gzip_encode.__defaults__ = (_LEVEL,)
