"""What a large model said of unlabelled texts: packed on a developer's machine, found by hash when training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tingchao.models import train
from tingchao.models.corpora import part_of
from tingchao.models.encoder import batches
from tingchao.models.taught import TAUGHT, keep, taught, unknown


def test_what_was_kept_is_found_again_by_text(tmp_path: Path) -> None:
    texts = [f"第{number}条" for number in range(300)]
    chances = np.random.default_rng(0).random((300, len(TAUGHT)), dtype=np.float32)
    keep(texts, chances, tmp_path / "taught.npz")
    found, said = taught(["未读", *texts[::-1], ""], tmp_path / "taught.npz")
    assert found.tolist() == list(range(1, 301))
    assert np.allclose(said, chances[::-1], atol=0.002)


def test_of_texts_that_it_never_read_the_teacher_says_nothing() -> None:
    found, said = taught(["谁也没写过的一句话"])
    assert (len(found), said.shape) == (0, (0, len(TAUGHT)))


def test_a_batch_holds_texts_of_like_length_and_no_more_pieces_than_allowed() -> None:
    lengths = [9, 2, 30, 2, 7, 8, 50]
    cut = batches(lengths, 18)
    assert sorted(at for some in cut for at in some) == list(range(7))
    assert all(len(some) * max(lengths[at] for at in some) <= 18 for some in cut if len(some) > 1)
    assert sorted(cut[0])[:2] == [1, 3]


@given(st.text(max_size=8))
def test_what_is_new_to_the_teacher_is_one_part_of_cross_fitting(key: str) -> None:
    assert unknown(key) == (part_of(key, train.FOLDS, seed=1) == 0), "as `train` with seed 0 cuts the parts"
