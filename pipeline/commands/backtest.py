"""What would have fired when: backtest."""

from __future__ import annotations

import io
from typing import Annotated

import msgspec
import typer

from tingchao.config.settings import load
from tingchao.pipeline.commands.base import ConfigDir, app, help_of, opened, out
from tingchao.pipeline.errors import Refused


@app.command(help=help_of("backtest"))
def backtest(
    series: Annotated[str, typer.Option("--series", metavar="FILE", help=help_of("backtest_series"))] = "",
    config: ConfigDir = None,
) -> None:
    if not series:
        raise Refused("nothing to try: give --series FILE.csv")
    from tingchao.alerts.series_file import verdicts

    with opened(series) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as lines:
        for row, found in verdicts(lines, series, load(config).rules):
            line = {"timestamp": row.timestamp, "value": row.value, "expected": found.expected}
            out(msgspec.json.encode(line | {"score": found.score, "alert": found.alert}).decode())
