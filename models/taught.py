"""What a large model said of unlabelled texts, once: hashes of the texts and chances in bytes, no text.

`teach.py` made the file. The teacher learned from three of four parts of the texts labelled one by one: figures on the
fourth are as clean as without a teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tingchao.models.corpora import part_of
from tingchao.models.features import Hashes
from tingchao.models.labels import hash_of
from tingchao.models.layers import SINGLE, Matrix
from tingchao.models.tasks import Rows

FILE = Path(__file__).with_name("taught.npz")
TAUGHT = SINGLE[:-1]  # every head but advert, one column each
_STEPS = 255
_PARTS, _PART, _SEED = 4, 0, 1  # as `train` with seed 0 cuts them for cross-fitting


def unknown(key: str) -> bool:
    """Whether the teacher never learned from the texts of this group."""
    return part_of(key, _PARTS, _SEED) == _PART


def taught(texts: Sequence[str], path: Path = FILE) -> tuple[Rows, Matrix]:
    """Which of the texts the large model read, in the order of the texts, and what it said of them."""
    with np.load(path) as file:
        known, chances = file["hashes"], file["chances"]
    hashes = _hashes(texts)
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    found = np.flatnonzero(known[place] == hashes)
    return found, (chances[place[found]] / np.float32(_STEPS)).astype(np.float32)


def count(path: Path = FILE) -> int:
    """How many texts it read."""
    with np.load(path) as file:
        return len(file["hashes"])


def keep(texts: Sequence[str], chances: Matrix, path: Path = FILE) -> None:
    """Write the file."""
    hashes = _hashes(texts)
    order = np.argsort(hashes)
    small = np.rint(chances * _STEPS).astype(np.uint8)
    np.savez_compressed(path, hashes=hashes[order], chances=small[order])


def _hashes(texts: Sequence[str]) -> Hashes:
    return np.array([int(hash_of(text)[:16], 16) for text in texts], dtype=np.uint64)
