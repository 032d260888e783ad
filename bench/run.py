"""All benchmarks, one after another; each prints what was measured beside what is wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITH_DATA = ("score.py", "events.py", "load.py", "pages.py", "ingest.py", "latency.py", "up.py", "stories.py")
ALONE = ("crawl.py",)  # makes its own pages


def main() -> None:
    folder = Path(__file__).parent
    for name in WITH_DATA:
        subprocess.run([sys.executable, str(folder / name), *sys.argv[1:]], check=True)
    for name in ALONE:
        subprocess.run([sys.executable, str(folder / name)], check=True)


if __name__ == "__main__":
    main()
