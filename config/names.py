"""Is a word the name of a person? Only for refusing topics that would follow somebody (design: topics, never people).

It knows names by their form: a family name and a usual given name that no dictionary knows as another word. The
dictionary is jieba's file, searched in place and only when a word looks like a name, because loading it takes a second.
"""

from __future__ import annotations

import mmap
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

FILE = Path(__file__).with_name("names.toml")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_BETWEEN_HAN = re.compile(r"(?<=[\u4e00-\u9fff])\s+(?=[\u4e00-\u9fff])")
_DOTTED = re.compile(r"[\u4e00-\u9fff]{1,8}(?:[·•・][\u4e00-\u9fff]{1,8})+")  # a foreign name in Han
_HANDLE = re.compile(r"[@＠]\S+")
_LATIN = re.compile(r"([A-Z][a-z]+) (?:[A-Z][a-z]*\.? )?[A-Z][A-Za-z'-]+")
_PLACES = ("市", "县", "区", "省", "州", "镇")  # 高安 is a place because the dictionary has 高安市
# A word of two characters that jieba takes for a name though it stands so often in its texts (jieba 0.42.1, whose
# counts go up to 300,000) is another word as a rule: 文明, 高峰. Only of family names that begin many words.
_COMMON = 25


@dataclass(frozen=True, slots=True)
class _Tables:
    strong: frozenset[str]
    weak: frozenset[str]
    compound: frozenset[str]
    given: frozenset[str]
    loose: frozenset[str]
    things: frozenset[str]
    words: frozenset[str]
    forms: frozenset[str]
    latin: frozenset[str]
    titles: frozenset[str]


def is_person(word: str) -> bool:
    """Whether the word alone names somebody: 张伟, 王 小 明, 欧阳某, 院长张伟, @somebody, Firstname Lastname."""
    word = _BETWEEN_HAN.sub("", word.strip())
    if _HANDLE.fullmatch(word) or _DOTTED.fullmatch(word):
        return True
    latin = _LATIN.fullmatch(word)
    if latin is not None:
        return latin[1] in _tables().latin
    if _HAN.fullmatch(word) is None or not 2 <= len(word) <= 8:
        return False
    return any(2 <= len(name) <= 6 and _is_chinese_name(name) for name in (word, *_without_title(word)))


def _without_title(word: str) -> Iterator[str]:
    """What remains of a word that begins or ends with somebody's title."""
    for title in _tables().titles:
        if word.endswith(title):
            yield word.removesuffix(title)
        if word.startswith(title):
            yield word.removeprefix(title)


def _is_chinese_name(word: str) -> bool:
    tables = _tables()
    for length, families in ((2, tables.compound), (1, tables.strong | tables.weak)):
        family, given = word[:length], word[length:]
        if family not in families:
            continue
        if given in tables.forms:
            return True
        if len(given) in (1, 2):
            return not _is_thing(word) and _is_given(family, given)
    return False


def _is_thing(word: str) -> bool:
    """Whether the word is known as something else."""
    tables = _tables()
    if word in tables.words or (len(word) > 2 and word[-1] in tables.things):
        return True
    kind, _ = _look_up(word)
    return (kind != "" and not kind.startswith("nr")) or any(word + end in _entries(word) for end in _PLACES)


def _is_given(family: str, given: str) -> bool:
    """Whether what follows the family name is a given name: the less the family name says, the more must this."""
    tables = _tables()
    word = family + given
    kind, count = _look_up(word)
    if len(family) == 2:
        return True
    if len(given) == 1:
        return _is_short_given(family, given, kind, count)
    usual = all(letter in tables.given for letter in given)
    begins = _is_word(word[:2])  # 白名|单 is not cut so, 余额|宝 is
    if family in tables.strong:
        return usual or kind != "" or not begins
    return (usual and not begins) or (kind != "" and usual) or not (begins or _is_word(given))


def _is_short_given(family: str, given: str, kind: str, count: int) -> bool:
    tables = _tables()
    if family in tables.strong:
        return given not in tables.things and (given in tables.given or kind == "")
    return given in tables.given and given not in tables.loose and (kind == "" or count < _COMMON)


def _is_word(word: str) -> bool:
    kind, _ = _look_up(word)
    return kind != "" and not kind.startswith("nr")


def _look_up(word: str) -> tuple[str, int]:
    """Part of speech and count of a word in jieba's dictionary; ("", 0) when it does not have it."""
    return _entries(word).get(word, ("", 0))


@lru_cache(maxsize=256)
def _entries(beginning: str) -> dict[str, tuple[str, int]]:
    """The words that begin so; one pass over the dictionary's 5 MB takes about a millisecond."""
    text, found = _dictionary(), {}
    key = f"\n{beginning}".encode()
    at = text.find(key)
    while at >= 0:
        end = text.find(b"\n", at + 1)
        word, count, kind = text[at + 1 : end].decode().rsplit(" ", 2)
        found[word] = kind, int(count)
        at = text.find(key, end)
    return found


@cache
def _dictionary() -> mmap.mmap | bytes:
    found = find_spec("jieba")
    if found is None or found.origin is None:
        return b""
    with Path(found.origin).with_name("dict.txt").open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@cache
def _tables() -> _Tables:
    data: dict[str, str] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    letters = {name: frozenset("".join(data[name].split())) for name in ("strong", "weak", "given", "loose", "things")}
    words = {name: frozenset(data[name].split()) for name in ("compound", "words", "forms", "latin", "titles")}
    return _Tables(**letters, **words)
