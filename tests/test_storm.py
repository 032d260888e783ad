"""The short forms of the proof; `make chaos` has the long ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.shared]


@pytest.mark.timeout(900)  # it starts servers and a dozen processes of its own
@pytest.mark.parametrize("way", [("--posts", "2000", "--kills", "1"), ("--outage", "20")])
def test_nothing_is_lost_and_nothing_doubled(shared: Path, way: tuple[str, ...]) -> None:
    storm = Path(__file__).with_name("storm.py")
    command = [sys.executable, str(storm), "--shared", str(shared), *way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
