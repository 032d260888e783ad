"""TOML files become typed settings; a mistake is named by file and key, with what was expected."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails

from tingchao.config.language import Said, catalogue

DEFAULTS = Path(__file__).parent


class ConfigError(Exception):
    """One or more mistakes in a file of settings; one line each."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Block(BaseModel):
    """A block of settings: frozen, and a key that it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(value: object) -> object:
    """'90s', '10m', '2h', '7d' as a timedelta; anything else is left to pydantic to refuse."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(Said("error.config.duration"))
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError as err:
        raise ValueError("longer than any calendar; expected such as '7d'") from err


Duration = Annotated[timedelta, BeforeValidator(duration)]
Word = Annotated[str, Field(pattern=r"\S")]  # an empty word would be found in every post


def _beside(path: Path, info: ValidationInfo) -> Path:
    """A relative path starts at the file that names it, not where the program happens to run."""
    return info.context / path if isinstance(info.context, Path) else path


SecretFile = Annotated[Path, AfterValidator(_beside)]  # a file that holds one secret
Folder = Annotated[Path, AfterValidator(_beside)]
UNSHOWN = "unshown"  # the type of a mistake whose value must not be shown

M = TypeVar("M", bound=BaseModel)


def read(directory: Path | None, name: str, kind: type[M]) -> M:
    """The file `name` in `directory`, or the one that ships with the project when it is not there.

    Raises ConfigError.
    """
    path = directory / name if directory is not None and (directory / name).exists() else DEFAULTS / name
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as err:
        raise ConfigError([Said("error.config.unreadable", file=path, error=err)]) from err
    try:
        return kind.model_validate(data, context=path.parent)
    except ValidationError as err:
        raise ConfigError(_mistake(path, data, kind, one) for one in err.errors()) from err


def _mistake(path: Path, data: object, kind: type[BaseModel], error: ErrorDetails) -> str:
    place: dict[str, object] = {"file": path, "key": _key(data, error["loc"])}
    if error["type"] == "extra_forbidden":
        known = _known_keys(kind, error["loc"])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        if near:
            return Said("error.config.near", **place, near=near[0])
        return Said("error.config.unknown", **place, known=", ".join(known))
    if error["type"] == "missing":
        return Said("error.config.missing", **place)
    if error["type"] == UNSHOWN:
        return Said("error.config.unshown", **place, message=error["msg"])
    return Said("error.config.wrong", **place, message=_expected(error), got=error["input"])


def _expected(error: ErrorDetails) -> str:
    """What was expected: our own words, in both languages for the usual mistakes, else pydantic's."""
    context = error.get("ctx", {})
    if isinstance(own := context.get("error"), ValueError) and own.args:
        return own.args[0] if isinstance(own.args[0], Said) else str(own)
    key = f"error.config.expected.{error['type']}"
    return Said(key, **context) if key in catalogue() else error["msg"]


def _key(data: object, location: tuple[int | str, ...]) -> str:
    """`source[2] (xinhua-local).url`: lists by position, counted from 1, and by the block's own name."""
    parts: list[str] = []
    node: Any = data
    for step in location:
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
            name = node.get("name") if isinstance(node, dict) else None
            parts[-1] += f"[{step + 1}]" + (f" ({name})" if name else "")
        else:
            node = node.get(step) if isinstance(node, dict) else None
            parts.append(str(step))
    return ".".join(parts) or "(file)"


def _known_keys(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the block in which the last step of `location` stands."""
    model: type[BaseModel] | None = kind
    for step in location[:-1]:
        if model is not None and isinstance(step, str) and step in model.model_fields:
            model = _inner(model.model_fields[step].annotation, location)
    return [] if model is None else sorted(field.alias or name for name, field in model.model_fields.items())


def _inner(annotation: Any, location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The block within `list[Block]`, `Block | None` or a union told apart by `kind` (its tag is in the location)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [found for arg in getattr(annotation, "__args__", ()) if (found := _inner(arg, location)) is not None]
    for candidate in inner:
        tag = candidate.model_fields.get("kind")
        if tag is not None and set(getattr(tag.annotation, "__args__", ())) & set(location):
            return candidate
    return inner[0] if inner else None
