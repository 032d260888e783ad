"""Words that are broken up to dodge a filter become whole: 诈👍骗 and 讠乍马扁 are 诈骗.

A sign or a blank is dropped, and parts of characters are put together, only within a word of dodged.txt.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tingchao.models.normalise import Codes, Flags, Plain, plain_of
from tingchao.models.respell import PAIR_BITS, dodged, in_order, lines_of, slot, slots_of

_MOST_SIGNS = 3  # that are dropped between two characters
_KINDS = {"So", "Sm", "Sk", "Sc", "Po", "Pd", "Pc"}
_CLAUSE = frozenset(",!?;:、。@")  # signs that part words as well
_HAN = 0xA000  # above every part
_REACH = 9  # characters before and after split ones in which their word is looked for
# 微信 as adverts write it, after NFKC and in lower case.
_MARKS = ("v", "薇", "徽信", "溦信", "wx", "威", "裙")  # no pattern matches a text without any
_CONTACT = (
    (re.compile("v信|[薇徽溦]信"), "微信"),
    (
        re.compile(r"(?<=[加+])(?:vx?|wx|威信?|薇)(?![a-z信\u4e00-\u9fff])|(?<![a-z])(?:vx|wx)(?=[:号])|威信(?=[:号])"),
        "微信",
    ),
    (re.compile("(?<=[加进])裙|[扣q]裙"), "群"),
)


@cache
def _signs() -> Flags:
    """Code points that say nothing between two characters of a word: all signs but those that end a clause."""
    table = np.zeros(0x30000, dtype=np.bool_)
    table[ord(" ")] = True
    for code in [*range(33, 0x3400), *range(0xFE00, 0x10000), *range(0x1F000, 0x1FB00)]:
        table[code] = unicodedata.category(chr(code)) in _KINDS and chr(code) not in _CLAUSE
    return table


@cache
def _inside() -> npt.NDArray[np.int64]:
    """The pairs of characters that stand together in a listed word, as numbers in order."""
    pairs = {pair for word in dodged() for pair in itertools.pairwise(word)}
    return np.array(sorted(ord(first) << PAIR_BITS | ord(second) for first, second in pairs))


def _without_signs(codes: Codes) -> Codes:
    """Without the signs and blanks between two characters that stand together in a listed word."""
    places = np.flatnonzero(_signs()[np.minimum(codes, len(_signs()) - 1).astype(np.int64)])
    if not len(places):
        return codes
    firsts = places[np.diff(places, prepend=-2) > 1]  # of each run of signs
    lasts = places[np.diff(places, append=len(codes) + 2) > 1]
    inner = (firsts > 0) & (lasts < len(codes) - 1) & (lasts - firsts < _MOST_SIGNS)
    firsts, lasts = firsts[inner], lasts[inner]
    pairs = codes[firsts - 1].astype(np.int64) << PAIR_BITS | codes[lasts + 1]
    broken = in_order(pairs, _inside())
    if not broken.any():
        return codes
    kept = np.ones(len(codes), dtype=np.bool_)
    for first, last in zip(firsts[broken].tolist(), lasts[broken].tolist(), strict=True):
        kept[first : last + 1] = False
    result: Codes = codes[kept]
    return result


class _Parts(NamedTuple):
    firsts: Flags  # code points with which a split character begins
    pairs: Flags  # slots of two parts that make a character
    whole: Mapping[str, tuple[re.Pattern[str], ...]]  # for two parts the patterns of the words that they may belong to
    words: Mapping[str, str]  # by the names of the groups in the patterns


@cache
def _parts() -> _Parts:
    written = {line[0]: line.split()[1:] for line in lines_of("parts.txt")}
    patterns: dict[str, list[re.Pattern[str]]] = {}
    words = {}
    for number, word in enumerate(dodged()):
        ways = "".join(f"(?:{'|'.join([sign, *written.get(sign, [])])})" for sign in word)
        pattern = re.compile(f"(?P<w{number}>{ways})")
        words[f"w{number}"] = word
        for both in {both for sign in word for both in written.get(sign, [])}:
            patterns.setdefault(both, []).append(pattern)
    pairs = slots_of([list(map(ord, both)) for both in patterns])
    firsts = np.zeros(_HAN, dtype=np.bool_)
    firsts[[ord(both[0]) for both in patterns]] = True
    return _Parts(firsts, pairs, {both: tuple(found) for both, found in patterns.items()}, words)


def _assembled(text: str) -> str:
    """The text with the listed words whose characters stand in parts."""
    parts, at = _parts(), 0
    while at < len(text) - 1:
        for pattern in parts.whole.get(text[at : at + 2], ()):
            found = pattern.search(text, max(0, at - _REACH), at + _REACH)
            if found and found.start() <= at < found.end() and found.lastgroup:
                word = parts.words[found.lastgroup]
                if found[0] != word:
                    text = text[: found.start()] + word + text[found.end() :]
                    at = found.start()
                    break
        at += 1
    return text


def _named(plain: Plain) -> Plain:
    """A batch with 微信 and 群 where adverts write them otherwise."""
    some = [at for at, text in enumerate(plain.texts) if any(mark in text for mark in _MARKS)]
    if not some:
        return plain
    texts = list(plain.texts)
    for at in some:
        for pattern, meant in _CONTACT:
            texts[at] = pattern.sub(meant, texts[at])
    return plain if texts == plain.texts else _plain(texts)


def _plain(texts: list[str]) -> Plain:
    return Plain(texts, np.frombuffer("".join([f"{text}\n" for text in texts]).encode("utf-32-le"), dtype=np.uint32))


def rejoined(plain: Plain) -> Plain:
    """A batch without the signs, blanks and split characters that break up listed words."""
    plain = _named(plain)
    codes = _without_signs(plain.codes)
    texts = plain.texts
    if len(codes) < len(plain.codes):
        texts = plain_of(codes).texts
    first = np.flatnonzero(_parts().firsts[np.minimum(codes[:-1], _HAN - 1).astype(np.int64)])
    split = first[_parts().pairs[slot(codes[first].astype(np.int64), codes[first + 1].astype(np.int64))]]
    if not len(split):
        return Plain(texts, codes)
    texts = list(texts)
    for number in np.unique(np.searchsorted(np.flatnonzero(codes == ord("\n")), split)).tolist():
        texts[number] = _assembled(texts[number])
    return _plain(texts)
