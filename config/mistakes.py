"""What pydantic finds wrong in a file, in our words: file and key, what was got and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails, PydanticCustomError

from tingchao.config.language import Said, catalogue

UNSHOWN = "unshown"  # the type of a mistake whose value must not be shown
_LONGEST = 60  # characters of a value that are shown


def wrong(expected: Said, kind: str = "said") -> PydanticCustomError:
    """The error for a validator to raise; of kind UNSHOWN its value is kept out of the message."""
    return PydanticCustomError(kind, "{said}", {"said": expected})


def twice(names: Iterable[str]) -> str:
    """Those that stand there more than once."""
    listed = list(names)
    return ", ".join(sorted({name for name in listed if listed.count(name) > 1}))


def either(values: Iterable[str]) -> str:
    """`a, b or c`."""
    *others, last = values
    return Said("error.config.either", others=", ".join(others), last=last) if others else last


def mistake(path: Path, data: object, kind: type[BaseModel], error: ErrorDetails) -> Said:
    """One error of `kind`, read from `data`, as a line."""
    place: dict[str, object] = {"file": path, "key": _key(data, error["loc"])}
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(place, str(error["loc"][-1]), _known_keys(kind, error["loc"]))
        case "missing":
            return Said("error.config.missing", **place)
        case "union_tag_not_found":
            known = ", ".join(dict.fromkeys(_tags(_annotation(kind, error["loc"]))))
            return Said("error.config.no_tag", file=path, key=f"{place['key']}.kind", known=known)
        case "union_tag_invalid":
            error = {**error, "input": error["input"]["kind"]}
            place["key"] = f"{place['key']}.kind"
    return _wrong_value(place, error)


def _unknown_key(place: dict[str, object], key: str, known: list[str]) -> Said:
    if near := difflib.get_close_matches(key, known, n=1):
        return Said("error.config.near", **place, near=near[0])
    return Said("error.config.unknown", **place, known=", ".join(known))


def _wrong_value(place: dict[str, object], error: ErrorDetails) -> Said:
    got, message = error["input"], _expected(error)
    if not place["key"]:
        return Said("error.config.whole", file=place["file"], message=message)
    if error["type"] == UNSHOWN or (error["type"] == "value_error" and isinstance(got, dict)):
        return Said("error.config.unshown", **place, message=message)
    return Said("error.config.wrong", **place, message=message, got=shown(got))


def shown(value: object) -> str:
    """A value as it stands in a TOML file, cut where it is long."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return Said("error.config.block")
        case [dict(), *_]:
            return Said("error.config.blocks")
        case list():
            found = f"[{', '.join(map(shown, value))}]"
        case date() | time():
            found = value.isoformat()
        case _:
            found = repr(value)
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"


def _expected(error: ErrorDetails) -> str:
    """What was expected: our own words, in both languages for the usual mistakes, else pydantic's."""
    context = error.get("ctx", {})
    if isinstance(said := context.get("said"), Said):
        return said
    if isinstance(own := context.get("error"), ValueError) and own.args:
        return own.args[0] if isinstance(own.args[0], Said) else str(own)
    if error["type"] in {"literal_error", "union_tag_invalid"}:
        values = str(context.get("expected", context.get("expected_tags"))).replace(" or ", ", ").split(", ")
        return Said("error.config.expected.one", values=either(values))
    kind = "list_of_blocks" if error["type"] == "list_type" and isinstance(error["input"], dict) else error["type"]
    key = f"error.config.expected.{kind}"
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
    return ".".join(parts)


def _known_keys(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the block in which the last step of `location` stands."""
    model = _block(_annotation(kind, location[:-1]), location)
    return [] if model is None else sorted(field.alias or name for name, field in model.model_fields.items())


def _annotation(kind: type[BaseModel], location: tuple[int | str, ...]) -> Any:
    """The type of what stands at `location`, or of the list in which it stands."""
    found: Any = kind
    for step in location:
        model = _block(found, location)
        if model is not None and isinstance(step, str) and step in model.model_fields:
            found = model.model_fields[step].annotation
    return found


def _block(annotation: Any, location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The block within `list[Block]`, `Block | None` or a union told apart by `kind` (its tag is in the location)."""
    blocks = list(_blocks(annotation))
    return next((block for block in blocks if set(_tags(block)) & set(location)), blocks[0] if blocks else None)


def _blocks(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _blocks(argument)


def _tags(annotation: Any) -> Iterator[str]:
    """The kinds of all blocks within it that have one."""
    for block in _blocks(annotation):
        if (tag := block.model_fields.get("kind")) is not None:
            yield from getattr(tag.annotation, "__args__", ())
