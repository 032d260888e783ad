"""Traditional and simplified characters, from OpenCC's tables (Apache-2.0)."""

from __future__ import annotations

import importlib.resources
from functools import cache


@cache
def simplified() -> dict[str, str]:
    """Traditional to simplified characters, one to one."""
    known = {source: targets[0] for source, targets in _table("TSCharacters")}
    for name in ("TWVariants", "HKVariants"):  # how Taiwan and Hong Kong write some of them: 説 for 說
        for source, variants in _table(name):
            known |= {variant: known[source] for variant in variants if source in known and variant not in known}
    return known


@cache
def traditional() -> dict[str, tuple[str, ...]]:
    """Simplified characters to what they may be in traditional writing, the usual one first: 发 → 發 髮."""
    return {source: tuple(targets) for source, targets in _table("STCharacters") if targets != [source]}


def _table(name: str) -> list[tuple[str, list[str]]]:
    table = importlib.resources.files("opencc").joinpath(f"dictionary/{name}.txt").read_text("utf-8")
    pairs = (line.split("\t") for line in table.splitlines() if "\t" in line)
    return [(source, target.split(" ")) for source, target in pairs if len(source) == 1]
