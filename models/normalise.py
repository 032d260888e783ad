"""A text as people write it becomes the plain text that the heads read; the caller keeps the original.

One table look-up per code point does compatibility forms (NFKC), case, traditional characters and invisible marks;
a few patterns do what needs its neighbours. Everything is linear in the length of the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tingchao.models.han import simplified

Codes = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]

# A post says what it is about at its start; 20,000 characters hold every article of the training sets
# (longest: 9,400) and bound the work on a text of 1 MB.
LONGEST = 20_000
_TABLE_SIZE = 0x30000  # planes 0 to 2: every assigned letter, Han character and emoji; what lies above is removed
_NEWLINE = 10
_SPACE = 32
# Signs that are put between two Han characters to break a word up (诈*骗, 诈.骗); commas and stops really separate.
_BREAKERS = "*._~`^|+=\\/·•…-—'\"<>"
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,2000}>")
_HIDDEN = re.compile(r"<(script|style)\b", re.IGNORECASE)
_SHOWN_AGAIN = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style")}
_MASK = re.compile(r"<[A-Z]{3,12}>")
# One pattern each, with a fixed beginning: Python finds those about five times as fast as one alternation of them.
_URL = re.compile(r"https?://[a-z0-9./?=&_%#:~+;,@!-]*")
_NAME = re.compile(r"@([\w-]{1,30})")
_HAN_ALONE = re.compile(r"[\u3400-\u9fff]+")
_LONGEST_NAME = 6  # Han characters of a name behind which no blank or colon stands
_NUMBER = re.compile(r"[0-9]{4,}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Plain(NamedTuple):
    """A batch of normalised texts: `texts` one by one, and the same as code points, each text ended by a newline."""

    texts: list[str]
    codes: Codes


def _compatible() -> Iterator[int]:
    """Code points that have a compatibility form, a case or no width: everything outside the plain Han blocks."""
    for first, last in (
        (0, 0x33FF),
        (0xA000, 0xABFF),
        (0xD7A4, 0xFFFF),
        (0x1D400, 0x1D7FF),
        (0x1F000, 0x2003F),
        (0x2F800, 0x2FA1F),
    ):
        yield from range(first, last + 1)


# Letters that nobody sees: Hangul fillers, and the blank of Braille.
_INVISIBLE = frozenset({0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800})


def _plain_form(code: int) -> str:
    """What one character becomes: nothing, a blank, itself or its plain form."""
    character = chr(code)
    kind = unicodedata.category(character)
    if kind == "Cc" or kind.startswith("Z"):
        return " "
    if kind in {"Cf", "Cs", "Co", "Cn", "Mn", "Me"} or code in _INVISIBLE:
        return ""
    if 0x1F3FB <= code <= 0x1F3FF:  # the skin tones of emoji
        return ""
    if character == "…":  # NFKC makes three stops of it
        return character
    plain = unicodedata.normalize("NFKC", character).lower()
    return "".join(simplified().get(part, part) for part in plain)


class _Table(NamedTuple):
    codes: Codes  # 0: removed
    longer: dict[int, str]  # characters that become several
    several: Flags  # where those are
    breaker: Flags
    odd: Flags
    han: Flags


@cache
def _table() -> _Table:
    codes = np.arange(_TABLE_SIZE, dtype=np.uint32)
    longer = {}
    for code in _compatible():
        plain = _plain_form(code)
        codes[code] = ord(plain) if len(plain) == 1 else 0
        if len(plain) > 1:
            longer[code] = plain
            codes[code] = code
    for source, target in simplified().items():
        if ord(source) < _TABLE_SIZE:
            codes[ord(source)] = ord(target)
    beyond = codes >= _TABLE_SIZE  # some rare traditional characters have a simplified form in plane 3
    codes[beyond] = np.flatnonzero(beyond)
    codes[_NEWLINE] = _NEWLINE
    breaker = np.zeros(_TABLE_SIZE, dtype=np.bool_)
    breaker[[ord(sign) for sign in _BREAKERS]] = True
    han = _is_han(np.arange(_TABLE_SIZE, dtype=np.uint32))
    odd = np.zeros(_TABLE_SIZE, dtype=np.bool_)  # symbols and emoji; commas and stops really separate
    others = np.flatnonzero(~han).tolist()
    odd[others] = [unicodedata.category(chr(code))[0] == "S" for code in others]
    odd[ord("・")] = True
    odd[:128] = False
    several = np.zeros(_TABLE_SIZE, dtype=np.bool_)
    several[list(longer)] = True
    return _Table(codes, longer, several, breaker, odd, han)


def _is_han(codes: Codes) -> Flags:
    return ((codes >= 0x4E00) & (codes <= 0x9FFF)) | ((codes >= 0x3400) & (codes <= 0x4DBF)) | (codes >= 0x20000)


def _without_hidden(text: str) -> str:
    """The text without scripts and style sheets; an unclosed one reaches to the end."""
    kept, at = [], 0
    while found := _HIDDEN.search(text, at):
        kept.append(text[at : found.start()])
        end = _SHOWN_AGAIN[found[1].lower()].search(text, found.end())
        if end is None:
            return "".join(kept)
        at = end.start()
    kept.append(text[at:])
    return "".join(kept)


def _without_markup(text: str) -> str:
    """HTML entities resolved, tags replaced by a blank; masks like <PHONE> become a word."""
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    if "<" not in text:
        return text
    text = _MASK.sub(lambda found: f" {found[0][1:-1]} ", text)
    return _TAG.sub(" ", _without_hidden(text)) if "<" in text else text


def _one_line(text: str) -> str:
    text = text[:LONGEST]
    if "<" in text or "&" in text:
        text = _without_markup(text)
    return text.replace("\n", " ") if "\n" in text else text


def _encoded(text: str) -> Codes:
    try:
        raw = text.encode("utf-32-le")
    except UnicodeEncodeError:
        raw = _SURROGATE.sub("", text).encode("utf-32-le")
    return np.frombuffer(raw, dtype=np.uint32)


def _decoded(codes: Codes) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def _present(codes: Codes) -> Codes:
    result: Codes = codes[codes != 0]
    return result


def _mapped(codes: Codes) -> Codes:
    """Each code point by its plain form."""
    table = _table()
    codes = np.where(codes < _TABLE_SIZE, codes, 0)
    plain = table.codes[codes]
    several = table.several[plain]
    if not several.any():
        return _present(plain)
    text = _decoded(_present(plain))
    for code in np.unique(plain[several]).tolist():
        text = text.replace(chr(code), table.longer[code])
    return _encoded("\n".join([one[:LONGEST] for one in text.split("\n")]))  # ﷺ becomes 18 characters


def _edges_trimmed(codes: Codes) -> Codes:
    """Without blanks at the ends of a text, and with one blank where there were several."""
    before = np.concatenate(([np.uint32(_NEWLINE)], codes[:-1]))
    useless = (codes == _SPACE) & ((before == _SPACE) | (before == _NEWLINE))
    kept: Codes = codes[~useless]
    after = np.concatenate((kept[1:], [np.uint32(_NEWLINE)]))
    trimmed: Codes = kept[(kept != _SPACE) | (after != _NEWLINE)]
    return trimmed


def _joined(codes: Codes) -> Codes:
    """Without what is put between characters to hide a word, and without the third and later of equal signs.

    Dropped are breakers between two Han characters, and blanks, symbols and emoji that stand between them one by one.
    """
    table = _table()
    edge = np.full(2, _NEWLINE, dtype=np.uint32)
    around = np.concatenate((edge, codes, edge))
    before, here, after = around[1:-3], around[2:-2], around[3:-1]
    between = table.han[before] & table.han[after]
    blank = around == _SPACE
    spaced = blank[2:-2] & between & (blank[:-4] | blank[4:])
    spaced |= table.odd[here] & between & ((here == around[:-4]) | (here == around[4:]))
    digit = (here >= ord("0")) & (here <= ord("9"))
    repeated = (here == before) & (here == around[:-4]) & ~digit & (here != _NEWLINE)
    kept: Codes = codes[~((table.breaker[here] & between) | spaced | repeated)]
    return kept


def _named(found: re.Match[str]) -> str:
    """A name by its sign; what is text behind a sign (停@电了) stays."""
    text, start, end = found.string, found.start(), found.end()
    ended = text[end : end + 1] in {" ", ":"}
    glued = start > 0 and _HAN_ALONE.fullmatch(text[start - 1]) is not None
    if ended or not _HAN_ALONE.fullmatch(found[1]) or (not glued and len(found[1]) <= _LONGEST_NAME):
        return "@"
    return found[1]


def _without_marks(text: str) -> str:
    """Links, names and long numbers by one stand-in each; weibo2018's {%#topic#%} as the #topic# it was."""
    text = _NAME.sub(_named, _URL.sub(" url ", text))
    if "%}" in text:
        text = text.replace("{%#", "#").replace("{%", "#").replace("#%}", "#").replace("%}", "#")
    return _NUMBER.sub(lambda found: "0000" if len(found[0]) < 7 else "0000000", text)


def plain_batch(texts: Sequence[str]) -> Plain:
    """Normalise a batch; as many texts come out as go in, none contains a newline."""
    joined = "".join([_one_line(text) + "\n" for text in texts])
    text = _decoded(_mapped(_encoded(joined)))
    return plain_of(_joined(_edges_trimmed(_encoded(_without_marks(text)))))


def plain_of(codes: Codes) -> Plain:
    """The batch whose code points these are."""
    return Plain(_decoded(codes).split("\n")[:-1], codes)


def normalise(text: str) -> str:
    """One text as the heads read it."""
    return plain_batch([text]).texts[0]
