"""A normalised text becomes the name of its language, as far as the models need it: Chinese or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tingchao.models.normalise import Codes, Plain

CHINESE = "zh"
OTHER = "other"
NONE = "none"

_FEWEST_HAN = 2  # one character alone says too little
_LATIN_PER_HAN = 6  # a Latin word of about six letters stands for one or two characters: up to half may be Latin
_KANA_PER_HAN = 0.2  # Japanese mixes about one kana for each kanji, a Chinese post has a の at most


def _counted(flags: npt.NDArray[np.bool_], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    total = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(flags, dtype=np.int64)))
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1))
    counts: npt.NDArray[np.int64] = total[ends] - total[starts]
    return counts


def _between(codes: Codes, *ranges: tuple[int, int]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(codes), dtype=np.bool_)
    for first, last in ranges:
        found |= (codes >= first) & (codes <= last)
    return found


def languages(plain: Plain) -> list[str]:
    """For each text of a batch "zh", "other", or "none" (no letters in any writing)."""
    codes = plain.codes
    ends = np.flatnonzero(codes == 10)
    if not len(ends):
        return []
    han = _counted(_between(codes, (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2FFFF)), ends)
    kana = _counted(_between(codes, (0x3041, 0x30FA), (0xAC00, 0xD7A3), (0x1100, 0x11FF)), ends)
    letters = _counted(_between(codes, (97, 122), (0xDF, 0x2FF), (0x370, 0x1FFF)), ends)
    chinese = (han >= _FEWEST_HAN) & (letters <= _LATIN_PER_HAN * han) & (kana <= _KANA_PER_HAN * han)
    nothing = han + kana + letters == 0
    return [
        CHINESE if good else NONE if none else OTHER
        for good, none in zip(chinese.tolist(), nothing.tolist(), strict=True)
    ]
