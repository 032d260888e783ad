"""Models: train, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tingchao.pipeline.commands.base import DataFolder, app, help_of, out, say


@app.command(help=help_of("train"))
def train(
    data: DataFolder,
    to: Annotated[Path | None, typer.Option("--out", help=help_of("out"))] = None,
    seed: Annotated[int, typer.Option(help=help_of("seed"))] = 0,
) -> None:
    from tingchao.models import train as training

    out(str(training.train(data, to or Path(training.__file__).parent, seed, say)))


@app.command(help=help_of("evaluate"))
def evaluate(data: DataFolder) -> None:
    from tingchao.models import evaluate as evaluation

    report = evaluation.evaluate(data)
    out(str(report))
    raise typer.Exit(0 if report.floors_hold else 1)
