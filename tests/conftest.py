"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TINGCHAO_SHARED", ROOT.parent / "shared"))

# marker -> whether what it needs is here, and how to get it
NEEDS = {
    "browser": (bool(shutil.which("chromium") and shutil.which("chromedriver")), "install chromium and chromium-driver"),
    "shared": ((SHARED / "data").is_dir(), "set TINGCHAO_SHARED to the folder with data/ and annotation/"),
}
LEAVE_NOTHING_OUT = os.environ.get("TINGCHAO_LEAVE_NOTHING_OUT") == "1"
left_out = pytest.StashKey[dict[str, int]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here; `pytest_terminal_summary` names it."""
    counts: dict[str, int] = {}
    for item in items:
        for name, (here, how) in NEEDS.items():
            if not here and item.get_closest_marker(name):
                counts[name] = counts.get(name, 0) + 1
                item.add_marker(pytest.mark.skip(reason=f"left out: {how}"))
    config.stash[left_out] = counts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, count in config.stash.get(left_out, {}).items():
        terminalreporter.write_line(f"LEFT OUT: {count} tests marked {name!r}: {NEEDS[name][1]}", yellow=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """CI leaves nothing out: what could not run there is a failure."""
    if LEAVE_NOTHING_OUT and session.config.stash.get(left_out, {}):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real data, beside the project; another place by TINGCHAO_SHARED."""
    return SHARED
