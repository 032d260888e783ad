"""What the benchmarks share: real posts, ratios with their spread, memory of a family of processes."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path


def real_texts(shared: Path) -> list[str]:
    """Distinct real posts of 60 to 100 characters."""
    texts: dict[str, None] = {}
    for name in ("cctv_weibo2020/posts.csv.gz", "weibo2018/dev.csv.gz", "smp2020_ewect/dev_virus.csv.gz"):
        with gzip.open(shared / "data" / name, "rt", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                text = row.get("text") or row.get("content") or ""
                if 60 <= len(text) <= 100:
                    texts[text] = None
    assert texts, f"no texts found below {shared}"
    return list(texts)


def posts(shared: Path, count: int, spread: float = 6 * 3600, now: float = 0.0) -> Iterator[dict[str, object]]:
    """`count` posts over the last `spread` seconds before `now`, each with an id of its own."""
    for number, text in enumerate(islice(cycle(real_texts(shared)), count)):
        yield {
            "id": str(number),
            "text": text,
            "source": f"bench-{number % 20}",
            "author": str(number % 5000),
            "published_at": now - spread * (1 - number / count),
        }


def write_posts(path: Path, shared: Path, count: int, now: float) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(post, ensure_ascii=False) + "\n" for post in posts(shared, count, now=now))


def alternate(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Rates of both, measured in turn: ours, theirs, ours, theirs …"""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def processor_seconds(group: int) -> float:
    """Processor time that the processes of a group have used so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = stat.read_text().rpartition(") ")[2].split()  # from the state on; the name may hold anything
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def family_pss(pid: int) -> dict[str, float]:
    """MB of proportional memory of a process and its children, by the last argument that names a role."""
    sizes: dict[str, float] = {}
    for member in (pid, *_children(pid)):
        arguments = Path(f"/proc/{member}/cmdline").read_bytes().decode().split("\0")
        name = arguments[arguments.index("run") + 1] if "run" in arguments else "web"
        rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        sizes[name] = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    return sizes


def _children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
