"""One function that both stores index and search with.

Search must not depend on how a word happened to be cut: pairs of adjacent Han characters and whole lower-cased
Latin words. The last character of a run of Han stands alone as well, so that every Han character
begins exactly one token and a query of a single character is a prefix.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice, product
from operator import add

from tingchao.models.han import simplified, traditional

# CJK unified ideographs with extensions A to H, compatibility forms, and the iteration mark.
HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
# Full-width forms and the ellipsis stand in nearly every Chinese post; replacing them first spares most posts the
# general normalisation (measured on 2,000 posts: 3 µs instead of 9).
_COMMON = re.compile("[\uff01-\uff5e\u3000\u2026]")
# A longer run is no word, and Lucene refuses a whole document for a token of 32 KB: it becomes several tokens.
_LONGEST = 255
_RUN = re.compile(rf"([{HAN}]+)|[^\W_{HAN}]{{1,{_LONGEST}}}")


def fold(text: str) -> str:
    """Compatibility form (full width becomes half width) in lower case; lone surrogates and NUL become spaces."""
    clean = text.encode("utf-8", "replace").decode().replace("\0", " ")
    narrow = _COMMON.sub(lambda match: unicodedata.normalize("NFKC", match.group()), clean)
    if not unicodedata.is_normalized("NFKC", narrow):
        narrow = unicodedata.normalize("NFKC", narrow)
    return narrow.casefold()


def grams(text: str) -> list[str]:
    """Tokens in the order of the text: "地铁停运 Line 3" → 地铁 铁停 停运 运 line 3."""
    tokens: list[str] = []
    for match in _RUN.finditer(fold(text)):
        run = match.group()
        if match.lastindex:  # a run of Han
            tokens += map(add, run, run[1:])
            tokens.append(run[-1])
        else:
            tokens.append(run)
    return tokens


def phrase(word: str) -> tuple[list[str], bool]:
    """The tokens that must stand side by side for `word`, and whether the last one is only a prefix.

    The text may go on after the word, so a word's last Han character is covered by the pair before it; a
    single one is the beginning of a token.
    """
    tokens = grams(word)
    if not tokens or not re.match(f"[{HAN}]$", tokens[-1]):
        return tokens, False
    if len(tokens) > 1 and tokens[-2][1:] == tokens[-1]:
        return tokens[:-1], False
    return tokens, True


# Characters of all traditional spellings of a word together, as 16 spellings of four characters with two forms each: no
# query of the greatest length then makes more than the 16,384 clauses that Elasticsearch takes.
_SPELLED = 64


def spellings(word: str) -> list[str]:
    """The word as it is written, in simplified characters, and in traditional ones: 地鐵 → 地鐵 地铁; first its own.

    A query is spelled, not the index: that costs ingest nothing, and finds what was indexed before there were
    spellings. A text that mixes both writings within a word is found as it stands only. Of a long phrase whose
    characters have several traditional forms each, the usual ones come first, and the least usual are left out.
    """
    own = fold(word)
    simple = "".join(simplified().get(character, character) for character in own)
    forms = product(*(traditional().get(character, (character,)) for character in simple))
    most = max(2, _SPELLED // max(1, len(own)))
    return list(dict.fromkeys([own, simple, *map("".join, islice(forms, most))]))
