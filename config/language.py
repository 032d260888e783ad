"""User-facing text in Chinese and English: messages.toml, looked up by key and language."""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("messages.toml")
LANGUAGES = ("zh", "en")


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Text by key and language; keys are the tables of messages.toml joined by dots."""
    return dict(_flat("", tomllib.loads(FILE.read_text(encoding="utf-8"))))


def text(key: str, language: str, /, **values: object) -> str:
    """The text under `key` with its {fields} filled. Raises KeyError for an unknown key or language."""
    return catalogue()[key][language].format(**values)


class Said(str):
    """A message that can be said in either language; as a string it is the English one, as in logs.

    Values may be such messages themselves.
    """

    __slots__ = ("key", "values")
    key: str
    values: dict[str, object]

    def __new__(cls, key: str, /, **values: object) -> Said:
        said = super().__new__(cls, text(key, "en", **values))
        said.key, said.values = key, values
        return said

    def to(self, language: str) -> str:
        """The message in `language`."""
        values = {name: in_language(value, language) for name, value in self.values.items()}
        return text(self.key, language, **values)


def in_language(message: object, language: str) -> object:
    """A message, or that of an exception, in `language` where it is known there, else as it is."""
    said = message.args[0] if isinstance(message, Exception) and message.args else message
    return said.to(language) if isinstance(said, Said) else message


def explicit() -> str:
    """The language that TINGCHAO_LANG names, '' when it is not set."""
    wanted = os.environ.get("TINGCHAO_LANG", "")
    return from_environment() if wanted else ""


def from_environment() -> str:
    """The language of the command line: TINGCHAO_LANG, else the locale, else Chinese."""
    wanted = os.environ.get("TINGCHAO_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or "zh"
    return "en" if wanted.lower().startswith("en") else "zh"


def _flat(prefix: str, table: dict[str, object]) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    for name, value in table.items():
        key = f"{prefix}.{name}" if prefix else name
        assert isinstance(value, dict), f"{FILE}: {key}: expected a table"
        if set(value) <= set(LANGUAGES):
            found.append((key, {language: str(line) for language, line in value.items()}))
        else:
            found += _flat(key, value)
    return found
