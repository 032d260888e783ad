"""The short form of the proof; `make chaos` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.real
@pytest.mark.chaos
@pytest.mark.shared
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_doubled_in_a_storm(shared: Path) -> None:
    storm = Path(__file__).with_name("storm.py")
    command = [sys.executable, str(storm), "--shared", str(shared), "--posts", "2000", "--kills", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
