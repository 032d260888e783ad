"""How soon the page answers, and how much memory `tingchao up` takes while 500,000 posts come in."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from parts import family_pss, write_posts

ROUNDS = 5
STEPS = 5
STEP = 100_000  # posts
PORT = 18_760


def start(folder: Path, db: Path) -> tuple[subprocess.Popen[bytes], float]:
    (folder / "tingchao.toml").write_text(f"[page]\nport = {PORT}\n")
    (folder / "sources.toml").write_text("source = []\n")
    began = time.perf_counter()
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "up", "--config", str(folder), "--db", str(db)]
    up = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=1).read()
            return up, time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)


def stop(up: subprocess.Popen[bytes]) -> float:
    began = time.perf_counter()
    up.send_signal(signal.SIGINT)
    up.wait(20)
    return time.perf_counter() - began


def main(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = []
        for number in range(ROUNDS):
            up, seconds = start(folder, folder / f"{number}.db")
            times.append((seconds, stop(up)))
        print(f"up: page answers after {', '.join(f'{a:.2f}' for a, _ in times)} s (wanted: 3)")
        print(f"    stops within {', '.join(f'{b:.2f}' for _, b in times)} s")
        memory(shared, folder)


def memory(shared: Path, folder: Path) -> None:
    db, file = folder / "m.db", folder / "posts.jsonl"
    up, _ = start(folder, db)
    try:
        time.sleep(10)
        show(0, up.pid)
        for step in range(1, STEPS + 1):
            write_posts(file, shared, STEP, time.time())
            command = [sys.executable, "-m", "tingchao.pipeline.cli", "ingest", str(file), "--source", f"s{step}"]
            text = file.read_text().replace('"source": "bench', f'"source": "bench{step}')
            file.write_text(text)
            began = time.perf_counter()
            subprocess.run([*command, "--db", str(db), "--config", str(folder)], check=True, capture_output=True)
            rate = STEP / (time.perf_counter() - began)
            print(f"    {rate:,.0f} posts/s from file to indexed and watched (wanted: 3,000)")
            show(step * STEP, up.pid)
    finally:
        stop(up)


def show(posts: int, pid: int) -> None:
    sizes = family_pss(pid)
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    print(f"    {posts:>7,} posts: {sum(sizes.values()):.0f} MB (wanted: 600): {parts}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
