"""The help of every command, in its reader's language."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

TYPERS_OWN = ("Show this message", "[default", "[env var", "[required]", "Options", "Commands", "Arguments")
WALK = """
import typer.main
from typer.testing import CliRunner
from tingchao.pipeline.cli import app

waiting = [([], typer.main.get_command(app))]
while waiting:
    words, command = waiting.pop()
    print("# " + " ".join(words))
    print(CliRunner().invoke(app, [*words, "--help"]).output)
    waiting += [([*words, name], one) for name, one in getattr(command, "commands", {}).items()]
"""


def test_every_help_is_in_chinese() -> None:
    command = [sys.executable, "-c", WALK]
    done = subprocess.run(command, capture_output=True, check=True, env=os.environ | {"TINGCHAO_LANG": "zh"})
    helps = {words: said for words, _, said in (one.partition("\n") for one in done.stdout.decode().split("# "))}
    assert {"search", "alerts show"} <= set(helps)
    for words, said in helps.items():
        assert "显示这段说明" in said, words
        assert not [mark for mark in TYPERS_OWN if mark in said], words


def test_the_version_is_that_of_the_package() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tingchao.pipeline.cli", "--version"], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == version("tingchao")
