"""A value of any size in keyed records of at most 60 KB: the first under its key, others under `key#1`, `key#2`."""

from __future__ import annotations

from collections.abc import MutableMapping

PIECE = 60 * 1024  # bytes; below log.STATE_LIMIT


def put(memory: MutableMapping[str, bytes], key: str, value: bytes) -> None:
    """Store the value; pieces that did not change are not written again."""
    pieces = [value[start : start + PIECE] for start in range(0, max(1, len(value)), PIECE)]
    for number, piece in enumerate(pieces):
        name = _key(key, number)
        if memory.get(name) != piece:
            memory[name] = piece
    _cut(memory, key, len(pieces))


def get(memory: MutableMapping[str, bytes], key: str) -> bytes:
    """The whole value. Raises KeyError when there is none."""
    first = memory[key]
    if len(first) < PIECE:
        return first
    pieces, number = [first], 1
    while (piece := memory.get(_key(key, number))) is not None:
        pieces.append(piece)
        number += 1
    return b"".join(pieces)


def keys(memory: MutableMapping[str, bytes], prefix: str) -> list[str]:
    """The keys of whole values that begin with a prefix, in the order of the state."""
    return [key for key in memory if key.startswith(prefix) and "#" not in key]


def delete(memory: MutableMapping[str, bytes], key: str) -> None:
    """Forget the value with all its pieces."""
    _cut(memory, key, 0)


def _cut(memory: MutableMapping[str, bytes], key: str, number: int) -> None:
    while _key(key, number) in memory:
        del memory[_key(key, number)]
        number += 1


def _key(key: str, number: int) -> str:
    return f"{key}#{number}" if number else key
