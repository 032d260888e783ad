"""Texts to be scored, from a file: one a line, or JSONL with `text`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import IO

from tingchao.pipeline.plain import unbroken

_BATCH = 500


def batches(stream: IO[bytes]) -> Iterator[list[str]]:
    """Lists of at most 500 texts; every line gives exactly one, an empty line an empty text.

    Raises Refused where a packed file breaks off, after what stands before.
    """
    lines = iter(stream)
    with unbroken():
        while batch := [_text(line) for line in islice(lines, _BATCH)]:
            yield batch


def _text(line: bytes) -> str:
    """The `text` of a JSON object (with its title, if it has one); any other line is the text itself."""
    if line.lstrip().startswith(b"{"):
        try:
            value = json.loads(line)  # takes lone surrogates, which msgspec does not: the models can do without them
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and isinstance(value.get("text"), str):
            title = value.get("title")
            return f"{title}\n{value['text']}" if isinstance(title, str) and title else str(value["text"])
    return line.decode("utf-8", "replace").rstrip("\r\n")
