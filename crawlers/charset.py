"""Bytes of a page become text: what the bytes are counts more than what the page declares."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

LOOK = 4096
"""Bytes in which a declaration is looked for: HTML asks for the first 1,024, real pages put a long script first."""

SAMPLE = 65536
"""Bytes on which the candidates are compared; enough for hundreds of common characters."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be"),
)
_LONG = re.compile("[\u0800-\U0010ffff]")  # characters of three and four bytes in UTF-8
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([a-zA-Z0-9_\-]{3,20})""", re.IGNORECASE)
# A page that says gb2312 or gbk uses the larger set as soon as a rare name occurs; browsers do the same (WHATWG).
_SPELLINGS = {
    "gb18030": "gb2312 gb_2312 gb-2312 gb_2312-80 gbk x-gbk cp936 euc-cn gb18030",
    "big5hkscs": "big5 big-5 big5-hkscs x-x-big5 cp950",
    "cp1252": "iso-8859-1 latin-1 latin1 us-ascii ascii",
    "cp932": "shift_jis x-sjis",
    "cp949": "ks_c_5601-1987 euc-kr",
    "utf-8": "utf8",
    "utf-16": "unicode",
}
_ALIASES = {spelling: codec for codec, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_SHOWN = {"big5hkscs": "big5", "cp1252": "windows-1252", "cp932": "shift_jis", "cp949": "euc-kr"}

# The most frequent characters of simplified and traditional Chinese text (any frequency list agrees on them), and
# Japanese syllables and Korean endings: text in the wrong one of two charsets hardly ever contains them.
_COMMON = frozenset(
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定"
    "行学法所民得经"
    "這為個國時來們於出對會發動過說產種後學經與與關開關長東車員實業務電話點題進還無從現當機體權樣樂應請讓記錢門問間聞"
    "与关开长东车员实业务电话点题进还无从现当机体权样乐应请让记钱门问间闻新市公日月，。：、“”！？《》"
    "のにはをたがでてとしれさいるもなかすこりまう이다는을의에가고한"
)
_WESTERN = frozenset({"cp1252", "iso-8859-15"})  # of one byte: any bytes are text in them
_HARD_CANDIDATES = ("gb18030", "big5hkscs")


def decode(body: bytes, content_type: str = "") -> tuple[str, str]:
    """The text of a page and the charset that was used; never raises, broken bytes become U+FFFD, NULs go.

    Order: byte order mark; UTF-8 that is valid (or broken in places only, such as a page cut in the middle); UTF-16
    without a mark; the declared charset if the text it gives looks like text; else the likelier of GB18030 and Big5;
    else a guess.
    """
    for mark, codec, name in _BOMS:
        if body.startswith(mark):
            return _text(body, codec), name
    if not body:
        return "", "utf-8"
    wide = _utf16_without_mark(body)
    if wide:
        return _text(body, wide), wide
    if _is_utf8(body):
        return _text(body, "utf-8"), "utf-8"
    codec = _best(body, _declared(body, content_type))
    return _text(body, codec), _SHOWN.get(codec, codec)


def _text(body: bytes, codec: str) -> str:
    return body.decode(codec, "replace").replace("\x00", "")


def _is_utf8(body: bytes) -> bool:
    """Whether the bytes are UTF-8, with at most one broken place in a hundred characters beyond ASCII."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body[: 4 * SAMPLE].decode("utf-8", "replace")
        broken = text.count("\ufffd")
        beyond = sum(1 for c in text if c > "\x7f") - broken
        return beyond > 100 * broken
    # Some words in GBK are valid pairs of UTF-8 too ("联通", "一"); UTF-8 needs three bytes for a Han character.
    return text.isascii() or _LONG.search(text) is not None or _looks(body[:SAMPLE], "gb18030") < 0.5


def _utf16_without_mark(body: bytes) -> str:
    """UTF-16 by the NUL bytes that every ASCII character (all markup) has in it."""
    head = body[:LOOK]
    if head.count(0) * 5 < len(head):
        return ""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 4 * even and b"<\x00" in head:
        return "utf-16-le"
    if even > 4 * odd and b"\x00<" in head:
        return "utf-16-be"
    return ""


def _declared(body: bytes, content_type: str) -> list[str]:
    """The usable codecs that header and page declare, the header's first; western ones last.

    Servers send ISO-8859-1 by default, so what else the page itself says is meant.
    """
    names = [match.decode("ascii") for match in _DECLARED.findall(content_type.encode("ascii", "replace"))]
    names += [match.decode("ascii") for match in _DECLARED.findall(body[:LOOK])[:3]]
    found: list[str] = []
    for name in names:
        codec = _ALIASES.get(name.lower(), name.lower())
        try:
            info = codecs.lookup(codec)
        except (LookupError, ValueError):
            continue
        # UTF-8 and UTF-16 were tried before; others (zip, hex, idna) are not charsets.
        if (
            info._is_text_encoding  # noqa: SLF001
            and not info.name.startswith(("utf", "idna", "punycode", "undefined"))
            and codec not in found
        ):
            found.append(codec)
    return sorted(found, key=_WESTERN.__contains__)


def _best(body: bytes, declared: list[str]) -> str:
    """The candidate whose text looks most like text; the declared one wins when it is about as good."""
    sample = body[:SAMPLE] if len(body) <= SAMPLE else body[:LOOK] + body[len(body) // 3 : len(body) // 3 + SAMPLE]
    ascii_only = sum(1 for byte in sample if byte < 0x80)
    beyond = len(sample) - ascii_only
    scores = {codec: _looks(sample, codec) for codec in dict.fromkeys([*declared, *_HARD_CANDIDATES])}
    best = max(scores, key=lambda codec: scores[codec])
    if declared:
        first = declared[0]
        # A single-byte charset decodes anything, so it only stands when no multi-byte one reads like Chinese.
        margin = 0.02 if first in _WESTERN else 0.1
        if scores[first] >= scores[best] - margin:
            return first
    if scores[best] > 0.05:
        return best
    if declared:
        return max(declared, key=lambda codec: scores[codec])
    guess = from_bytes(sample[: SAMPLE // 4]).best() if beyond >= 20 else None
    return guess.encoding if guess is not None else "utf-8"


def _looks(sample: bytes, codec: str) -> float:
    """How much like text the sample is: the share of common characters less ten times that of broken ones."""
    text = sample.decode(codec, "replace")
    beyond = [c for c in text if c > "\x7f"]
    if not beyond:
        return 0.0
    broken = sum(1 for c in beyond if c == "\ufffd" or "\ue000" <= c <= "\uf8ff" or "\x80" <= c <= "\x9f")
    common = sum(1 for c in beyond if c in _COMMON)
    return (common - 10 * max(0, broken - 2)) / len(beyond)
