"""Models: train, evaluate, learn from verdicts, versions."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tingchao.config.language import Said
from tingchao.config.settings import Settings, load
from tingchao.pipeline import shows
from tingchao.pipeline.backends import model_folder, open_log, open_store, require, require_posts
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.commands.base import (
    DB,
    LANGUAGE,
    AsJson,
    ConfigDir,
    Database,
    DataFolder,
    app,
    group,
    help_of,
    out,
    say,
    t,
)
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.times import when

if TYPE_CHECKING:
    from tingchao.models.compare import Difference

models_app = group("models")


@app.command(help=help_of("train"))
def train(
    data: DataFolder,
    to: Annotated[Path | None, typer.Option("--out", help=help_of("out"))] = None,
    seed: Annotated[int, typer.Option(help=help_of("seed"))] = 0,
    feedback: Annotated[bool, typer.Option("--feedback", help=help_of("feedback"))] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help=help_of("dry"))] = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.models import train as training
    from tingchao.models import versions

    if not feedback:
        found = training.train(data, to or Path(training.__file__).parent, seed, say)
        name, minutes = found.sha256[: versions.NAME], f"{found.seconds / 60:.1f}"
        out(t("said.trained", rows=found.rows, features=found.features, minutes=minutes, name=name, path=found.path))
        return
    if to is not None:
        raise Refused(Said("error.feedback_out"))
    _train_on_feedback(load(config), db, data, seed, dry=dry)


def _train_on_feedback(settings: Settings, db: Path, data: Path, seed: int, *, dry: bool) -> None:
    from tingchao.alerts.verdict import examples
    from tingchao.models import compare, versions
    from tingchao.models.feedback import Example, challenge

    require(settings, db)
    folder = model_folder(settings, db)
    judged = [Example(one.text, one.signals, one.alert, one.at) for one in examples(open_log(settings, db))]
    with tempfile.TemporaryDirectory(prefix="tingchao-") as place:
        found = challenge(data, versions.in_use(folder), Path(place), judged, seed, say)
        say(t("said.learned", learned=found.learned, judged=found.judged, left=found.left_out))
        out("\n".join([compare.HEAD, *map(str, found.differences)]))
        better, worse = (_names(one for one in found.differences if getattr(one, side)) for side in ("better", "worse"))
        names = {"name": found.challenger, "before": found.champion}
        if not found.wins:
            said = t("said.kept_worse", worse=worse, **names) if worse else t("said.kept_same", **names)
        elif dry:
            said = t("said.would_replace", better=better, **names)
        else:
            count = sum(one.better for one in found.differences)
            reason = f"{found.learned} verdicts; better in {count} of {len(found.differences)} figures, worse in none"
            name = versions.keep(Path(place), folder, found.trained.sha256)
            versions.promote(folder, name, SystemClock().now(), reason)
            said = t("said.replaced", better=better, **names)
    say(said)


def _names(found: Iterable[Difference]) -> str:
    return "; ".join(f"{one.name} ({one.metric})" for one in found)


@app.command(help=help_of("evaluate"))
def evaluate(data: DataFolder) -> None:
    from tingchao.models import drift
    from tingchao.models import evaluate as evaluation
    from tingchao.models.versions import SHIPPED_FOLDER

    report = evaluation.evaluate(data)
    out(str(report))
    if report.elsewhere:
        sets = "; ".join(report.elsewhere)
        say(t("said.elsewhere", folder=data, floors=SHIPPED_FOLDER / evaluation.FLOORS, sets=sets), error=True)
    else:
        drift.write_reference(data, SHIPPED_FOLDER)
    raise typer.Exit(0 if report.floors_hold else 1)


@models_app.command("list", help=help_of("models_list"))
def models_list(json: AsJson = False, config: ConfigDir = None, db: Database = DB) -> None:
    from tingchao.models import versions

    found = versions.versions(model_folder(load(config), db))
    if json:
        sys.stdout.write(shows.json_lines(found))
    else:
        shows.console().print(shows.versions_table(found, LANGUAGE))


@models_app.command("rollback", help=help_of("models_rollback"))
def models_rollback(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=help_of("model_version"))] = "",
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    from tingchao.models import versions

    before, now = versions.rollback(model_folder(load(config), db), SystemClock().now(), version)
    say(t("said.rolled_back", before=before, now=now))


@models_app.command("drift", help=help_of("models_drift"))
def models_drift(
    since: Annotated[str, typer.Option(help=help_of("since"))] = "28d",
    until: Annotated[str, typer.Option(help=help_of("until"))] = "",
    json: AsJson = False,
    config: ConfigDir = None,
    db: Database = DB,
) -> None:
    """Exit code 1 when there is something to worry about."""
    from tingchao.models import drift, versions
    from tingchao.models.scorer import Scorer
    from tingchao.pipeline.weeks import texts_by_week

    settings, now = load(config), SystemClock().now()
    require_posts(settings, db)
    model = versions.in_use(model_folder(settings, db))
    texts = texts_by_week(open_store(settings, db), when(since, now), when(until, now) if until else now)
    found = drift.drift(texts, Scorer.load(model), drift.read_reference(model))
    if json:
        sys.stdout.write(shows.json_lines([shows.drift_dict(found)]))
    else:
        if found.cells:
            shows.console().print(shows.drift_table(found, LANGUAGE))
        out(shows.drift_sentence(found, LANGUAGE))
    raise typer.Exit(1 if found.level == "worry" else 0)
