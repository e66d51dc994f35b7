"""`progtrain export`: versions written for other tools to show."""

from __future__ import annotations

from collections.abc import Sequence

import click

from progtrain.engine.cli.common import interpreter, json_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.errors import InputError
from progtrain.engine.trackers import export, runs
from progtrain.engine.trackers.runs import Run


@click.command("export")
@click.argument("tool", type=click.Choice(export.TOOLS))
@click.option("--to", metavar="PATH_OR_URI", help="By default Models/exports/TOOL/ in the workspace.")
@click.option("--versions", multiple=True, metavar="v001,v003", help="Only these; by default all that were trained.")
@click.option("--python", metavar="PATH", help="The interpreter that has the tool; by default that of your scripts.")
@click.option("--allow-network", is_flag=True, help="Write to a server that --to names.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    tool: str,
    to: str | None,
    versions: tuple[str, ...],
    python: str | None,
    allow_network: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write versions where other tools show them: CSV, TensorBoard, MLflow, trackio, wandb.

    Settings, curves, results and origin of each go there. csv and tensorboard need nothing else; mlflow, trackio and
    wandb are written by their own package, in the interpreter that has it. What was exported before is updated, never
    written twice.
    """
    ws = workspace(ctx)
    found = runs.read(ws, _named(versions))
    target = export.target(ws, tool, to, allow_network, found[0].project)
    outcomes = {run.id: "planned" for run in found}
    if not dry_run:
        for run, outcome in export.write(ws, target, found, interpreter(python)):
            outcomes[run.id] = outcome
            if not as_json:
                say(f"{run.version}  {outcome}")
    if as_json:
        rows = [_row(run, outcomes[run.id], dry_run) for run in found]
        told = {"tool": tool, "to": target.to, "look": list(target.look), "dry_run": dry_run, "runs": rows}
        print_json("export", told)
        return
    if dry_run:
        _say_planned(found)
        say(f"would be written to {target.to}")
        return
    say(f"\nwritten to {target.to}")
    for look in target.look:
        say(f"{'send it with' if tool == 'wandb' else 'look at it with'}: {look}")


def _named(versions: tuple[str, ...]) -> list[str]:
    """Raises `InputError` where nothing is named."""
    if not versions:
        return []
    named = [name for name in ",".join(versions).replace(",", " ").split() if name]
    if not named:
        raise InputError("no version is named", place="--versions", fix="name some, as v001,v003, or leave it out")
    return named


def _row(run: Run, outcome: str, count: bool) -> dict[str, object]:
    return {
        "id": run.id,
        "version": run.version,
        "base": run.base,
        "lineage": run.lineage,
        "outcome": outcome,
        "times": run.times,
        "points": _points(run) if count else None,
    }


def _points(run: Run) -> int:
    return sum(len(numbers) for _, _, _, numbers in runs.rows(run))


def _say_planned(found: Sequence[Run]) -> None:
    rows = [(run.version, run.id, str(_points(run)), str(len(run.final)), run.lineage) for run in found]
    say(table(("version", "run", "points", "results", "origin"), rows, right=(2, 3)))
