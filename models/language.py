"""A normalised text becomes the name of its language, as far as the models need it: Chinese or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tingchao.models.normalise import Codes, Plain

CHINESE = "zh"
OTHER = "other"
NONE = "none"

_FEWEST_HAN = 2  # one character alone says too little to judge by
_LATIN_PER_HAN = 6  # a Latin word of about six letters stands for one or two characters: up to half may be Latin
# Japanese mixes about one kana for each kanji. A Chinese post has a の between two words at most (地铁の着火), and kana
# that stand apart from all words, in faces such as Σ(っ °Д °;)っ; neither counts.
_KANA_PER_HAN = 0.2
_NO = ord("の")


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


def languages(plain: Plain) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """For each text of a batch "zh", "other", or "none" (no letters in any writing), and whether it can be judged."""
    codes = plain.codes
    ends = np.flatnonzero(codes == 10)
    if not len(ends):
        return [], np.zeros(0, dtype=np.bool_)
    signs = _between(codes, (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2FFFF))
    syllables = _between(codes, (0x3041, 0x30FA))
    han, kana = _counted(signs, ends), _counted(syllables, ends)
    hangul = _counted(_between(codes, (0xAC00, 0xD7A3), (0x1100, 0x11FF)), ends)
    letters = _counted(_between(codes, (97, 122), (0xDF, 0x2FF), (0x370, 0x1FFF)), ends)
    foreign = kana + hangul
    if syllables.any():
        apart = _counted(syllables & ~_beside(signs | syllables), ends)
        linking = _counted((codes == _NO) & ~_beside(syllables) & _beside(signs), ends)
        foreign = foreign - apart - np.minimum(linking, 1)
    chinese = (han > 0) & (letters <= _LATIN_PER_HAN * han) & (foreign <= _KANA_PER_HAN * han)
    nothing = han + kana + hangul + letters == 0
    names = [
        CHINESE if good else NONE if none else OTHER
        for good, none in zip(chinese.tolist(), nothing.tolist(), strict=True)
    ]
    return names, chinese & (han >= _FEWEST_HAN)


def _beside(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Where one of the two neighbours has the flag; a newline stands between texts."""
    found = np.zeros(len(flags), dtype=np.bool_)
    found[1:] |= flags[:-1]
    found[:-1] |= flags[1:]
    return found
