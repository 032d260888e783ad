"""Ingest to indexed and watched, durable: posts a second, beside SQLite alone doing one log and one index."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parts import alternate, posts, ratio, spread, write_posts

from tingchao.pipeline.grams import grams

COUNT = 60_000
ROUNDS = 3
BATCH = 500


def ours(file: Path, folder: Path) -> float:
    db = folder / f"{time.monotonic_ns()}.db"
    began = time.perf_counter()
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "ingest", str(file), "--db", str(db)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return COUNT / (time.perf_counter() - began)


def bare(rows: list[tuple[str, str]], folder: Path) -> float:
    """The least that durable search over the same posts costs: one table and one full-text index, same settings."""
    db = sqlite3.connect(folder / f"{time.monotonic_ns()}.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE log (offset INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT)")
    db.execute("CREATE VIRTUAL TABLE found USING fts5 (grams, content='', columnsize=0, tokenize='ascii')")
    began = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO log (value) VALUES (?)", [(value,) for value, _ in rows[start : start + BATCH]])
        values = [(n, " ".join(grams(text))) for n, (_, text) in enumerate(rows[start : start + BATCH], start)]
        db.executemany("INSERT INTO found (rowid, grams) VALUES (?, ?)", values)
        db.execute("COMMIT")
    return len(rows) / (time.perf_counter() - began)


def main(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "posts.jsonl"
        write_posts(file, shared, COUNT, time.time())
        rows = [(json.dumps(post, ensure_ascii=False), str(post["text"])) for post in posts(shared, COUNT)]
        mine, least = alternate(lambda: ours(file, folder), lambda: bare(rows, folder), ROUNDS)
    print(f"ingest: {COUNT:,} posts of about 80 characters, from start to end of the command, {ROUNDS} rounds")
    print(f"  tingchao ingest          {spread(mine)} posts/s (wanted: 3,000)")
    print(f"  SQLite log + index alone {spread(least)} posts/s; ratio {ratio(mine, least)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
