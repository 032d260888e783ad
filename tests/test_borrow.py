"""Word vectors from a large model: packed on a developer's machine, found by hash when training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tingchao.models.borrow import DIMENSIONS, borrowed, condensed, spellings
from tingchao.models.features import read


def test_the_shipped_words_are_of_length_one_and_unknown_ones_are_nothing() -> None:
    hashes = np.append(read(["地铁停运，大家都在骂"]).word_hashes[:2], np.uint64(12345))
    lengths = np.linalg.norm(borrowed(hashes), axis=1)
    assert np.allclose(lengths[:2], 1, atol=0.02)
    assert lengths[2] == 0


def test_words_of_like_meaning_are_nearer() -> None:
    fire, blaze, refund = borrowed(read(["火灾", "大火", "退款"]).word_hashes[:3])
    assert fire @ blaze > fire @ refund


def test_packed_words_come_back(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(500, DIMENSIONS + 20)).astype(np.float32)
    rows, size = condensed(vectors, np.ones(500, dtype=np.float32))
    hashes = generator.integers(1, 2**63, 500).astype(np.uint64)
    np.savez(tmp_path / "words.npz", hashes=hashes, rows=rows, size=size)
    again = borrowed(hashes[::-1], tmp_path / "words.npz")
    assert np.allclose(again, (rows * size[:, None])[::-1])


def test_a_word_is_asked_for_as_it_is_written() -> None:
    hashes = read(["停电", "不退款"]).word_hashes[:3]  # a denied word is another word, and written as the same
    assert sorted(spellings(["昨天停电了", "商家不退款"], np.sort(hashes))) == sorted(["停电", "不", "退款"])
