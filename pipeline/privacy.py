"""Personal data is masked before the log: phone and identity numbers, e-mail addresses, plates, @names.

The mark says what stood there, so that a reader still understands the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

# Digits and letters in other dress: people write １３８… or 𝟏𝟑𝟖… to get past filters. One character for one, so that
# positions stay. Full width, Arabic, Persian, and the five sets of mathematical digits.
_DIGITS = (0xFF10, 0x0660, 0x06F0, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6)
_WIDE = {first + digit: str(digit) for first in _DIGITS for digit in range(10)}
_WIDE |= {ord("Ａ") + i: chr(ord("A") + i) for i in range(26)} | {ord("ａ") + i: chr(ord("a") + i) for i in range(26)}
_WIDE |= {ord("＠"): "@", ord("﹫"): "@", ord("．"): ".", ord("＋"): "+"} | dict.fromkeys(map(ord, "－‐‑–—―−"), "-")
_DIGIT = re.compile("[0-9]")
_ANY_DIGIT = re.compile(r"\d")
_IS_WIDE = re.compile("[" + "".join(map(chr, _WIDE)) + "]")

_NO_WIDTH = r"\u00ad\u200b-\u200f\u2060\ufeff"
# Between the groups of a number: up to three of hyphen, space, dot, slash, comma, bracket …, and signs of no width.
_GAP = rf"[-\s.·•/_~～,，()（）{_NO_WIDTH}]{{0,3}}"
_DOMAIN = r"[A-Za-z0-9-]{1,63}(?:[.。][A-Za-z0-9-]{1,63}){0,4}[.。]"
# Before the @ also a name in Han, of which four characters are masked: where it begins in a sentence nobody can tell.
# What follows must then end as an address does, since 感谢@zhang.san is a thank-you.
_EMAIL = re.compile(
    rf"[A-Za-z0-9][A-Za-z0-9._%+-]{{0,63}}\s?@\s?{_DOMAIN}[A-Za-z]{{2,10}}"
    rf"|[\u4e00-\u9fff]{{1,4}}@{_DOMAIN}(?:com|cn|net|org|edu|gov|hk|tw)(?![A-Za-z0-9])"
)
# 18 characters in any grouping; the date and the check character (see `identity_holds`) tell it from other numbers.
_SIGN = r"[-\s.·]?"
_IDENTITY = re.compile(
    rf"(?<![0-9])[1-8](?:{_SIGN}[0-9]){{5}}{_SIGN}(?:1{_SIGN}[89]|2{_SIGN}0)(?:{_SIGN}[0-9]){{9}}{_SIGN}(?:[0-9](?![0-9])|[Xx])"
)
_IDENTITY_OLD = re.compile(r"(?<![0-9])[1-8]\d{5}\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}(?!\d)")
# Not behind `0.` (a fraction); letters on both sides are allowed, as in VX13812345678QQ.
_BEFORE = r"(?<![0-9])(?<![0-9]\.)"
_CHINA = rf"(?:(?:\+|00)?86{_GAP}\)?{_GAP})?"
_MOBILE = re.compile(rf"{_BEFORE}{_CHINA}1[3-9]\d(?:{_GAP}\d{{4}}{_GAP}\d{{4}}|{_GAP}\d{{3}}{_GAP}\d{{5}})(?![0-9])")
# Each digit on its own, with the same sign between all of them.
_MOBILE_SPACED = re.compile(rf"{_BEFORE}1(?P<gap>[-\s.·_])[3-9](?:(?P=gap)\d){{9}}(?![0-9])")
# Groups of any length with the same sign between them; `_eleven` counts. A dot or a comma would take sums of money.
_MOBILE_GROUPED = re.compile(
    rf"{_BEFORE}1[3-9]\d{{0,3}}(?P<gap>[-\s·_~～])\d{{1,4}}(?:(?P=gap)\d{{1,4}}){{1,3}}(?!(?P=gap)?[0-9])"
)
# Of Hong Kong, Macau, Taiwan and the countries from which most calls come; only behind a plus sign.
_ABROAD = re.compile(
    r"\+(?:(?:852|853|886|65|60|81|82|44|61)(?:[-\s.()（）]{0,2}[0-9]){8,10}|1(?:[-\s.()（）]{0,2}[0-9]){10})(?![0-9])"
)
# Area codes: 010, 02x, 03xx-09xx. Service numbers (110, 12345, 400-…, 95588) belong to organisations and stay.
# Without any sign between them, only the full length is a number: 11 digits in the big cities, else 11 or 12.
_AREA = r"(?:10|2\d|[3-9]\d{2})"
_LANDLINE = re.compile(
    rf"(?<![0-9])(?:0{_AREA}[-\s]{{1,3}}|[（(]0{_AREA}[）)][-\s]?|(?:\+|00)86[-\s]?[（(]?0?{_AREA}[）)]?[-\s]?)"
    r"[2-8]\d{2,3}[-\s]?\d{4}(?!\d)"
    r"|(?<![0-9])0(?:(?:10|2\d)[2-8]\d{7}|[3-9]\d{2}[2-8]\d{6,7})(?!\d)"
)
# GA 36-2018: province, authority letter, five characters (six for new energy); I and O are never used. At least two
# of them are digits, which 新GALAXY has not.
_PROVINCE = "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼滬雲遼魯蘇贛晉陝閩貴粵寧瓊]"
_PLATE = re.compile(
    rf"{_PROVINCE}\s?[A-HJ-NP-Z][\s·•.\-]?(?=(?:[A-Z]*[0-9]){{2}})"
    r"(?:[A-HJ-K][A-HJ-NP-Z0-9]\d{4}|\d{5}[A-HJ-K]|[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳])(?![A-Za-z0-9])"
    # Each character on its own, and those of the armed police and the forces (GA 36-2018 leaves them out).
    rf"|{_PROVINCE}\s?[A-HJ-NP-Z](?:\s[0-9]){{5}}(?![0-9])"
    rf"|WJ{_PROVINCE}?[\s·•.\-]?\d{{5}}(?![A-Za-z0-9])|[军軍海空][A-Z][\s·•.\-]?\d{{5}}(?![A-Za-z0-9])",
    re.IGNORECASE,
)
# A name goes on until a space, punctuation, or the colon of a repost; Weibo allows letters, digits, Han, _ and -, at
# most 30. What goes on after 30 is set off, so that masking again does not take it for the name. Elsewhere names have
# pictures before them, dots between Latin letters, or are two words that begin with capitals.
_NAME = r"[\w\u3400-\u9fff·-]"
_FRONT = rf"@[{_NO_WIDTH}\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]{{0,8}}"
_AT_LONG = re.compile(rf"{_FRONT}{_NAME}{{30}}(?={_NAME})")
_AT = re.compile(
    rf"{_FRONT}(?:[A-Z][a-z]{{1,20}} [A-Z][a-z]{{1,20}}(?!\w)|{_NAME}{{1,30}}(?:\.[A-Za-z0-9_]{{1,20}}){{0,3}})"
)
# Where Weibo leads to somebody by name; what stands before the name stays.
_PROFILE = re.compile(r"weibo\.c(?:n|om)/n/[^\s/?#()\[\]<>\"'，。；]+")

# Whole segments of a path. Article numbers of 11 digits are common, so a phone number is one only behind such a word.
_PHONE_SEGMENT = re.compile(r"(?:(?:\+|00)?86-?)?1[3-9][0-9]{9}")
_OF_PERSON = frozenset({"u", "n", "user", "users", "people", "profile", "tel", "phone", "member"})
_HAN = re.compile("[\u3400-\u9fff]")
_PIXELS = re.compile(r"@[0-9]x\.", re.IGNORECASE)  # logo@2x.png is no address

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_CHECK = "10X98765432"


def mask(text: str) -> str:
    """The text with personal data replaced by marks such as [手机号]; other characters stay as they were."""
    masked = _once(text)
    # A mark in place of digits may lay bare a number that they hid.
    while masked != text and len(_ANY_DIGIT.findall(masked)) < len(_ANY_DIGIT.findall(text)):
        text, masked = masked, _once(masked)
    return masked


def _once(text: str) -> str:
    narrow = text.translate(_WIDE) if _IS_WIDE.search(text) else text
    digits, at = len(_DIGIT.findall(narrow)), "@" in narrow
    for rule in _RULES:
        if digits >= rule.digits and at >= rule.at and rule.pattern.search(narrow):
            text, narrow = _replace(text, narrow, rule)
    return text


def mask_url(url: str) -> str:
    """The URL with personal data masked in parameters and fragment, and without a user's name and password.

    Of its path only segments that are nothing but personal data are masked, so that links to articles still work.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return mask(url)
    given = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    pairs = [(mask(name), mask(value)) for name, value in given]
    query = parts.query if pairs == given else urlencode(pairs, errors="surrogateescape")
    kept = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        path=_mask_path(parts.path),
        query=query,
        fragment=mask(parts.fragment),
    )
    return url if kept == parts else urlunsplit(kept)


def _mask_path(path: str) -> str:
    segments = path.split("/")
    before = ["", *(segment.lower() for segment in segments)]
    return "/".join(_mask_segment(segment, word) for segment, word in zip(segments, before, strict=False))


def _mask_segment(segment: str, before: str) -> str:
    """A segment of a path behind the segment `before`, or the mark of the personal data that it is."""
    said = unquote(segment).translate(_WIDE).strip()
    if len(said) > 1 and said.startswith("@"):
        mark = "@某人"
    elif _EMAIL.fullmatch(said) and not _PIXELS.search(said):
        mark = "[邮箱]"
    elif identity_holds(said):
        mark = "[身份证号]"
    elif before in _OF_PERSON and _PHONE_SEGMENT.fullmatch(said):
        mark = "[手机号]"
    elif before in _OF_PERSON and _HAN.search(said) and not said.startswith("["):  # that is a mark
        mark = "某人"
    else:
        return segment
    return quote(mark, safe="@")


def identity_holds(digits: str) -> bool:
    """Whether 18 characters hold a date and end in the check character of GB 11643-1999."""
    if not re.fullmatch(
        r"[1-8][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]", digits
    ):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=False))
    return digits[-1].upper() == _CHECK[total % 11]


def _checked(match: re.Match[str]) -> bool:
    return identity_holds(re.sub(r"[^0-9Xx]", "", match.group()))


def _eleven(match: re.Match[str]) -> bool:
    return len(_DIGIT.findall(match.group())) == 11


def _always(_: re.Match[str]) -> bool:
    return True


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    mark: str
    keep: Callable[[re.Match[str]], bool] = _always
    at: bool = False  # there is nothing to find without an @
    digits: int = 0  # nor with fewer digits than these


# The order matters: an identity number holds what looks like a mobile number, an address holds an @.
_RULES = (
    _Rule(_EMAIL, "[邮箱]", at=True),
    _Rule(_IDENTITY, "[身份证号]", _checked, digits=17),
    _Rule(_IDENTITY_OLD, "[身份证号]", digits=15),
    _Rule(_MOBILE, "[手机号]", digits=11),
    _Rule(_MOBILE_SPACED, "[手机号]", digits=11),
    _Rule(_MOBILE_GROUPED, "[手机号]", _eleven, digits=11),
    _Rule(_ABROAD, "[电话]", digits=9),
    _Rule(_LANDLINE, "[电话]", digits=9),
    _Rule(_PLATE, "[车牌]", digits=2),
    _Rule(_PROFILE, "weibo.com/n/某人"),
    _Rule(_AT_LONG, "@某人 ", at=True),
    _Rule(_AT, "@某人", at=True),
)


def _replace(text: str, narrow: str, rule: _Rule) -> tuple[str, str]:
    parts, shadow, end, start = [], [], 0, 0
    while match := rule.pattern.search(narrow, start):
        if rule.keep(match):
            parts += [text[end : match.start()], rule.mark]
            shadow += [narrow[end : match.start()], rule.mark]
            start = end = match.end()
        else:
            start = match.start() + 1  # a number that is none may hide the beginning of one that is
    return "".join([*parts, text[end:]]), "".join([*shadow, narrow[end:]])
