"""Posts by bucket, as a dictionary would keep them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tingchao.alerts.tally import Tally


@given(st.dictionaries(st.integers(5_900_000, 5_900_090), st.integers(0, 9)), st.integers(0, 90), st.integers(0, 90))
def test_a_tally_is_a_dictionary_of_buckets(posts: dict[int, int], start: int, length: int) -> None:
    tally, first = Tally(), 5_900_000 + start
    for number, count in posts.items():
        tally.put(number, 99)
        tally.put(number, count)
    last = first + length - 1
    assert list(tally) == sorted(posts)
    assert [number in tally for number in range(first, first + length)] == [
        number in posts for number in range(first, first + length)
    ]
    assert tally.each(first, last) == [posts.get(number, 0) for number in range(first, first + length)]
    assert tally.between(first, last) == sum(tally.each(first, last))
    assert tally.newest == max(posts, default=0)
    tally.drop(first // 12)
    assert list(tally) == sorted(number for number in posts if number // 12 != first // 12)
