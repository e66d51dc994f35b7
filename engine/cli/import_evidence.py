"""`progtrain import`: runs that other tools have kept, read into `Models/evidence/`."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.text import clean_line

_SOURCES = ("tensorboard", "mlflow", "wandb", "trackio", "csv")


@click.command("import")
@click.argument("source", type=click.Choice(_SOURCES))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="What it is called here; by default as the tracker calls it.")
@json_option
@click.pass_context
def command(ctx: click.Context, source: str, path: Path, name: str | None, as_json: bool) -> None:
    """Read runs of other trackers as evidence: never ranked, judged or built on.

    PATH is what the tool has written: a folder of event files, a database (mlflow.db) or a folder mlruns/, a folder
    wandb/, a CSV file with a column step or epoch. Of a folder each run is imported. Nothing of the tool is needed, and
    nothing there is changed.
    """
    from progtrain.engine.trackers import imports

    ws = workspace(ctx)
    outcomes, problems = imports.take_in(ws, source, path.expanduser().absolute(), name)
    if as_json:
        rows = [{"name": one.name, "outcome": one.done, **one.run} for one in outcomes]
        print_json("import", {"runs": rows, "problems": [clean_line(problem) for problem in problems]})
        return
    cells = [
        (one.name, one.done, one.run["points"], _step(one.run["last_step"]), len(one.run["params"])) for one in outcomes
    ]
    say(table(("run", "", "points", "last step", "settings"), cells, right=(2, 3, 4)))
    for one in outcomes:
        for note in one.run["notes"]:
            say(f"{one.name}: {note}")
    for problem in problems:
        say(problem)
    say(f"in {ws.relative(ws.evidence)}/, as evidence alone: progtrain leaderboard --evidence")


def _step(step: float | None) -> str:
    return "–" if step is None else f"{step:.12g}"
