"""Words respelled to dodge a filter become the words they stand for: 炸骗, 诈👍骗 and 讠乍马扁 are 诈骗.

Only the words of dodged.txt are restored. A character of the same sound (toneless) or of a like shape is replaced only
where the spelling is a whole word, or words, of the text, brings in no character of function.txt, and is none of
usual.txt, which are words of their own (期货 sounds like 起火). A sign is dropped, and parts are put together, only
within such a word. Of 150,000 usual texts one in a thousand was changed, and of those one in seven rightly.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tingchao.models.cutter import known_words
from tingchao.models.normalise import Codes, Flags, Plain, plain_of

Numbers = npt.NDArray[np.int64]

_FIRST, _LAST = 0x4E00, 0x9FFF  # the block of Han characters in daily use
_READINGS = 2  # of a character of a listed word; a third one is archaic
_SLOTS = 1 << 18
_FACTOR = 40_503  # odd: spreads pairs over the slots
_ALONE = 100_000  # groups from here on have one character
_TOP = _LAST + 1  # stands for every code point that is no Han character
PAIR_BITS = 20  # bits of a code point in a number for two
# Taiwan writes 著 for 着 as well (著火); in these words it is 著 everywhere.
_BEFORE_ZHU, _AFTER_ZHU = (np.array([*map(ord, signs)]) for signs in ("名显原土编巨遗论专拙卓昭合译", "名作称述录者书"))
_TONES = str.maketrans("āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜüńňǹḿ", "aaaaeeeeiiiioooouuuuuuuuunnnm")


class _Likeness(NamedTuple):
    """One way in which characters resemble each other."""

    group: Numbers  # of each code point up to _TOP; one of its own for one that resembles none
    words: Mapping[tuple[int, ...], str]  # by the groups of their characters
    begins: Flags  # slots of the pairs of groups with which a word begins
    longer: Flags  # slots of such a slot and the third group, of the words of more than two characters
    pairs: Flags  # slots of all pairs of groups that stand together in a word


def lines_of(name: str) -> list[str]:
    """The lines of a table beside this file, without comments."""
    text = importlib.resources.files("tingchao.models").joinpath(name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@cache
def dodged() -> tuple[str, ...]:
    """The words that are restored."""
    return tuple(dict.fromkeys(word for line in lines_of("dodged.txt") for word in line.split()))


@cache
def usual() -> frozenset[str]:
    """Spellings that stay as they are."""
    return frozenset(word for line in lines_of("usual.txt") for word in line.split()) | frozenset(dodged())


@cache
def _surnames() -> frozenset[str]:
    return frozenset("".join(lines_of("surnames.txt")))


@cache
def _function() -> frozenset[str]:
    return frozenset("".join(lines_of("function.txt")))


def _by_sound() -> dict[str, list[str]]:
    """For each character its toneless readings, the most frequent first, from pypinyin's table (MIT).

    The file is read without importing the package, which would read its phrases too (a tenth of a second, 10 MB).
    """
    found = importlib.util.find_spec("pypinyin")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pypinyin is missing; install the packages that pyproject.toml names")
    table: dict[str, str] = json.loads(Path(found.origin).with_name("pinyin_dict.json").read_text("utf-8"))
    return {
        chr(int(code)): list(dict.fromkeys(readings.translate(_TONES).split(",")))
        for code, readings in table.items()
        if _FIRST <= int(code) <= _LAST
    }


def _by_shape() -> dict[str, list[str]]:
    """For each character that resembles others the groups that it stands in."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines_of("shapes.txt")):
        for character in line:
            found.setdefault(character, []).append(str(number))
    return found


def slot(first: Numbers, second: Numbers) -> Numbers:
    """The place of two numbers in a table; few pairs share one."""
    return (first * _FACTOR + second) & (_SLOTS - 1)


def _slot_of(way: tuple[int, ...]) -> int:
    return (way[0] * _FACTOR + way[1]) & (_SLOTS - 1)


def _likeness(names: Mapping[str, list[str]]) -> _Likeness:
    numbers: dict[str, int] = {}
    group = np.arange(_ALONE, _ALONE + _TOP + 1)
    for sign, groups in names.items():
        group[ord(sign)] = numbers.setdefault(groups[0], len(numbers))
    words: dict[tuple[int, ...], str] = {}
    for word in reversed(dodged()):  # of words of one sound the first one listed
        ways = [
            [numbers.setdefault(name, len(numbers)) for name in names.get(sign, ())[:_READINGS]]
            or [int(group[ord(sign)])]
            for sign in word
        ]
        words |= dict.fromkeys(itertools.product(*ways), word)
    longer = [(_slot_of(way), way[2]) for way in words if len(way) > 2]
    every = [pair for way in words for pair in itertools.pairwise(way)]
    return _Likeness(group, words, slots_of(words), slots_of(longer), slots_of(every))


def slots_of(pairs: Iterable[Sequence[int]]) -> Flags:
    """A table that is true at the slots of the first two numbers of each."""
    both = np.array([pair[:2] for pair in pairs], dtype=np.int64).reshape(-1, 2)
    table = np.zeros(_SLOTS, dtype=np.bool_)
    table[slot(both[:, 0], both[:, 1])] = True
    return table


@cache
def _likenesses() -> tuple[_Likeness, _Likeness]:
    return _likeness(_by_sound()), _likeness(_by_shape())


@cache
def _lengths() -> tuple[int, ...]:
    return tuple(sorted({len(word) for word in dodged()}, reverse=True))


def _with_zhe(plain: Plain) -> Plain:
    """着 where Taiwan writes 著."""
    at = np.flatnonzero(plain.codes == ord("著"))  # behind the last one stands a newline, and so before the first
    at = at[~np.isin(plain.codes[at - 1], _BEFORE_ZHU) & ~np.isin(plain.codes[at + 1], _AFTER_ZHU)]
    if not len(at):
        return plain
    codes = plain.codes.copy()
    codes[at] = ord("着")
    return plain_of(codes)


def respelled(plain: Plain) -> Plain:
    """A batch with its respelled words restored; as long as before.

    The words of jieba's dictionary alone decide where a word begins and ends: the cutter's guesses at unknown words
    would join a spelling with its neighbours. Only the few texts with a candidate are cut for that.
    """
    plain = _with_zhe(plain)
    found = _candidates(plain.codes)
    if not found:
        return plain
    ends = np.flatnonzero(plain.codes == ord("\n"))
    texts, codes = list(plain.texts), None
    for number, some in itertools.groupby(sorted(found), key=lambda one: int(np.searchsorted(ends, one.at))):
        begin = int(ends[number - 1]) + 1 if number else 0
        edges = {0, *itertools.accumulate(map(len, known_words(texts[number])))}
        signs = list(texts[number])
        for at, _, word in some:
            if at - begin in edges and at - begin + len(word) in edges:
                codes = plain.codes.copy() if codes is None else codes
                codes[at : at + len(word)] = list(map(ord, word))
                signs[at - begin : at - begin + len(word)] = word
        texts[number] = "".join(signs)
    return plain if codes is None else Plain(texts, codes)


def in_order(numbers: Numbers, table: Numbers) -> Flags:
    """Which numbers stand in the table, whose numbers are in order; np.isin sorts both each time."""
    found: Flags = table[np.minimum(np.searchsorted(table, numbers), len(table) - 1)] == numbers
    return found


class _Candidate(NamedTuple):
    at: int  # position in the codes of the batch
    spelling: str
    word: str


def _candidates(codes: Codes) -> list[_Candidate]:
    found, places = [], np.minimum(codes, _TOP).astype(np.int64)
    for like in _likenesses():
        group = like.group[places]
        slots = slot(group[:-1], group[1:])
        starts = np.flatnonzero(like.begins[slots])
        pairs = codes[starts].astype(np.int64) << PAIR_BITS | codes[starts + 1]
        third = slot(slots[starts], group[np.minimum(starts + 2, len(group) - 1)])
        fresh = starts[like.longer[third] | ~in_order(pairs, _usual_pairs())]
        for at in fresh.tolist():
            word, spelling = _word(codes, group, at, like.words)
            if word and word != spelling:
                found.append(_Candidate(at, spelling, word))
    return found


def _word(codes: Codes, group: Numbers, at: int, words: Mapping[tuple[int, ...], str]) -> tuple[str, str]:
    """The word that stands there, and how it is spelled; "" if none does or the spelling is one that stays."""
    for length in _lengths():
        if word := words.get(tuple(group[at : at + length].tolist())):
            spelling = "".join(map(chr, codes[at : at + length].tolist()))
            new = {sign for sign, meant in zip(spelling, word, strict=True) if sign != meant}
            stays = (
                spelling in usual()
                or new & _function()
                or new & _surnames()
                or (at and chr(codes[at - 1]) in _surnames())
            )
            return ("", "") if stays else (word, spelling)
    return "", ""


@cache
def _usual_pairs() -> Numbers:
    """The usual spellings of two characters, as numbers in order."""
    return np.array(sorted(ord(word[0]) << PAIR_BITS | ord(word[1]) for word in usual() if len(word) == 2))
