"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real data, beside the project; another place by TINGCHAO_SHARED."""
    folder = Path(os.environ.get("TINGCHAO_SHARED", ROOT.parent / "shared"))
    assert (folder / "data").is_dir(), f"no data in {folder}: set TINGCHAO_SHARED or deselect with -m 'not shared'"
    return folder
