"""All benchmarks, one after another; each prints what was measured beside what is wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST = ("score.py", "events.py", "pages.py", "ingest.py", "latency.py", "crawl.py", "up.py")


def main() -> None:
    folder = Path(__file__).parent
    for name in FIRST:
        subprocess.run([sys.executable, str(folder / name), *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
