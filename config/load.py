"""TOML files become typed settings; a mistake is named by file and key, with what was got and what was expected."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

from tingchao.config.language import Said
from tingchao.config.mistakes import UNSHOWN, mistake, wrong

DEFAULTS = Path(__file__).parent


class ConfigError(Exception):
    """One or more mistakes in a file of settings; one line each."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Block(BaseModel):
    """A block of settings: frozen; a key that it does not know is a mistake, and so is "3" or true for a number.

    TOML has types of its own, so nothing is converted but what the types below do on purpose, and 2 where 2.0 is meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=36525)  # a century: times minus this are still dates


def duration(value: object) -> object:
    """'90s', '10m', '2h', '7d' as a timedelta. Raises ValueError for anything else, and beyond a century."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(Said("error.config.duration"))
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST.total_seconds():
        raise ValueError(Said("error.config.too_long"))
    return timedelta(seconds=seconds)


def _more_than_nothing(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError(Said("error.config.no_time"))
    return value


def at_most(longest: str) -> AfterValidator:
    """For a length of time that has an upper bound, which is told as it would be written."""
    most = duration(longest)
    assert isinstance(most, timedelta)

    def check(value: timedelta) -> timedelta:
        if value > most:
            raise ValueError(Said("error.config.expected.less_than_equal", le=f"'{longest}'"))
        return value

    return AfterValidator(check)


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError(Said("error.config.empty"))
    return text


def _found_in_some(word: str) -> str:
    """An empty word, or mere punctuation, would be found in every post."""
    if all(unicodedata.category(sign)[0] in "PZC" for sign in word):
        raise ValueError(Said("error.config.no_word"))
    return word


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False
    return usable and re.match(r"https?://[^\s/]+(/|$|\?|#)", url, re.IGNORECASE) is not None


def web_address(url: str) -> str:
    """The address of something on the web. Raises ValueError for anything else."""
    if not _is_web_address(url):
        raise ValueError(Said("error.config.url"))
    return url


def _secret_address(url: str) -> str:
    if not _is_web_address(url):
        raise wrong(Said("error.config.url"), UNSHOWN)
    return url


def _beside(value: object, info: ValidationInfo) -> object:
    """A relative path starts at the file that names it, not where the program happens to run."""
    if not isinstance(value, str):
        return value
    _filled(value)
    return info.context / value if isinstance(info.context, Path) else Path(value)


def _whole(value: object) -> object:
    """For Literal, which takes true and 1.0 for 1."""
    if type(value) is not int:
        raise ValueError(Said("error.config.expected.int_type"))
    return value


Level = Annotated[Literal[1, 2, 3], BeforeValidator(_whole)]
Duration = Annotated[timedelta, BeforeValidator(duration)]
Positive = Annotated[Duration, AfterValidator(_more_than_nothing)]
Filled = Annotated[str, AfterValidator(_filled)]
Word = Annotated[str, AfterValidator(_found_in_some)]
WebAddress = Annotated[str, AfterValidator(web_address)]
SecretAddress = Annotated[str, AfterValidator(_secret_address)]  # a path can be a secret: it is never shown
SecretFile = Annotated[Path, BeforeValidator(_beside)]  # a file that holds one secret
Folder = Annotated[Path, BeforeValidator(_beside)]

M = TypeVar("M", bound=BaseModel)


def read(directory: Path | None, name: str, kind: type[M]) -> M:
    """The file `name` in `directory`, or the one that ships with the project when it is not there.

    Raises ConfigError.
    """
    path = directory / name if directory is not None and (directory / name).exists() else DEFAULTS / name
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as err:
        raise ConfigError([Said("error.config.not_utf8", file=path)]) from err
    except tomllib.TOMLDecodeError as err:
        raise ConfigError([Said("error.config.not_toml", file=path, error=err)]) from err
    except OSError as err:
        raise ConfigError([Said("error.config.unreadable", file=path, error=err)]) from err
    try:
        return kind.model_validate(data, context=path.parent)
    except ValidationError as err:
        raise ConfigError(mistake(path, data, kind, one) for one in err.errors()) from err
