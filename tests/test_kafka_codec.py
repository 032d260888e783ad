"""Our sums and compression are those that kafka-python has, only faster."""

from __future__ import annotations

import gzip

from hypothesis import given
from hypothesis import strategies as st
from kafka import codec
from kafka.record import _crc32c, util

from tingchao.pipeline import kafka_cluster  # its import puts ours in place
from tingchao.pipeline.kafka_codec import crc32c

assert kafka_cluster


@given(st.binary(max_size=5000))
def test_the_sum_is_the_one_that_kafka_python_makes(data: bytes) -> None:
    assert crc32c(memoryview(bytearray(data))) == _crc32c.crc(data)


def test_the_sum_is_the_one_of_the_standard() -> None:
    assert crc32c(memoryview(b"123456789")) == 0xE3069283  # RFC 3720's check value


@given(st.binary(max_size=5000))
def test_what_is_written_can_be_read(data: bytes) -> None:
    assert gzip.decompress(codec.gzip_encode(data)) == data


def test_kafka_python_uses_both() -> None:
    assert util.calc_crc32c.__defaults__ == (crc32c,)
    data = bytes(100_000)
    assert codec.gzip_encode(data)[8] == 4  # the header's mark of the fastest level
