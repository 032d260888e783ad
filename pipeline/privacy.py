"""Personal data is masked before the log: phone and identity numbers, e-mail addresses, plates, @names.

The mark says what stood there, so that a reader still understands the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

# Full-width digits and letters are digits and letters too: people write １３８… to get past filters.
_WIDE = {ord("０") + i: str(i) for i in range(10)} | {ord("＠"): "@", ord("．"): ".", ord("－"): "-"}
_WIDE |= {ord("Ａ") + i: chr(ord("A") + i) for i in range(26)} | {ord("ａ") + i: chr(ord("a") + i) for i in range(26)}

_GAP = r"[-\s.·]?"
_EMAIL = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}\s?@\s?[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,10}"
)
_IDENTITY = re.compile(
    r"(?<![0-9A-Za-z])([1-8]\d{5})[-\s]?((?:18|19|20)\d{2})[-\s]?(\d{4})[-\s]?(\d{3}[0-9Xx])(?![0-9A-Za-z])"
)
_IDENTITY_OLD = re.compile(r"(?<!\d)[1-8]\d{5}\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}(?!\d)")
_MOBILE = re.compile(rf"(?<![0-9A-Za-z.])(?:(?:\+|00)?86{_GAP})?1[3-9]\d{_GAP}\d{{4}}{_GAP}\d{{4}}(?![0-9A-Za-z])")
_MOBILE_334 = re.compile(rf"(?<![0-9A-Za-z.])1[3-9]\d{_GAP}\d{{3}}{_GAP}\d{{5}}(?![0-9A-Za-z])")
# Area codes: 010, 02x, 03xx-09xx. Service numbers (110, 12345, 400-…, 95588) belong to organisations and stay.
_LANDLINE = re.compile(
    r"(?<![0-9A-Za-z])(?:0(?:10|2\d|[3-9]\d{2})[-\s—]|[（(]0(?:10|2\d|[3-9]\d{2})[）)]\s?)[2-8]\d{6,7}(?!\d)"
)
# GA 36-2018: province, authority letter, five characters (six for new energy); I and O are never used.
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][\s·•.\-]?"
    r"(?:[DF][A-HJ-NP-Z0-9]\d{4}|\d{5}[DF]|[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳])(?![A-Za-z0-9])"
)
# A name goes on until a space, punctuation, or the colon of a repost; Weibo allows letters, digits, Han, _ and -.
_AT = re.compile(r"@[\w\u3400-\u9fff·-]{1,30}")

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_CHECK = "10X98765432"


def mask(text: str) -> str:
    """The text with personal data replaced by marks such as [手机号]; other characters stay as they were."""
    narrow = text.translate(_WIDE)  # one character for one: positions stay
    for pattern, keep, mark in _RULES:
        if pattern.search(narrow):
            text, narrow = _replace(text, narrow, pattern, keep, mark)
    return text


def mask_url(url: str) -> str:
    """The URL with parameters that hold personal data masked; its path stays, so that the link still works."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return mask(url)
    if not parts.query:
        return url
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    masked = [(name, mask(value)) for name, value in pairs]
    return url if masked == pairs else urlunsplit(parts._replace(query=urlencode(masked)))


def identity_holds(digits: str) -> bool:
    """Whether 18 characters end in the check character of GB 11643-1999."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=False))
    return len(digits) == 18 and digits[-1].upper() == _CHECK[total % 11]


def _checked(match: re.Match[str]) -> bool:
    return identity_holds("".join(match.groups()))


def _always(_: re.Match[str]) -> bool:
    return True


# The order matters: an identity number holds what looks like a mobile number, an address holds an @.
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bool], str], ...] = (
    (_EMAIL, _always, "[邮箱]"),
    (_IDENTITY, _checked, "[身份证号]"),
    (_IDENTITY_OLD, _always, "[身份证号]"),
    (_MOBILE, _always, "[手机号]"),
    (_MOBILE_334, _always, "[手机号]"),
    (_LANDLINE, _always, "[电话]"),
    (_PLATE, _always, "[车牌]"),
    (_AT, _always, "@某人"),
)


def _replace(
    text: str, narrow: str, pattern: re.Pattern[str], keep: Callable[[re.Match[str]], bool], mark: str
) -> tuple[str, str]:
    parts, shadow, end = [], [], 0
    for match in pattern.finditer(narrow):
        if keep(match):
            parts += [text[end : match.start()], mark]
            shadow += [narrow[end : match.start()], mark]
            end = match.end()
    return "".join([*parts, text[end:]]), "".join([*shadow, narrow[end:]])
