"""`progtrain experiment status` and `list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from progtrain.engine import values
from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.experiment_common import name_argument
from progtrain.engine.cli.output import number, print_json, say, show, table
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.state import RunState, counts
from progtrain.engine.experiment.view import View, as_dict, look, metrics_of, progress_of


@click.command("status")
@name_argument
@json_option
@click.option("--watch", is_flag=True, help="Go on showing it until Ctrl-C.")
@click.option("--interval", type=click.FloatRange(min=0.2), default=1.0, hidden=True)
@click.pass_context
def command(ctx: click.Context, name: str, as_json: bool, watch: bool, interval: float) -> None:
    """Where an experiment stands: the state of each run, and why."""
    folder = folders.existing(workspace(ctx), name)

    def tell() -> str:
        view = look(folder)
        if not as_json:
            return described(view, folder)
        print_json("experiment_status", _as_dict(view, folder), lines=watch)
        return ""

    show(tell, interval if watch else None)


@click.command("list")
@click.option(
    "--export",
    "kind",
    type=click.Choice(["csv", "parquet"]),
    help="All runs of all experiments here as one table; parquet needs pyarrow.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The table's file; without it CSV goes to the screen, parquet to experiments.parquet.",
)
@json_option
@click.pass_context
def listed(ctx: click.Context, kind: str | None, output: Path | None, as_json: bool) -> None:
    """All experiments of the workspace."""
    ws = workspace(ctx)
    if kind is not None:
        # what `status` need not wait for
        from progtrain.engine.cli.experiment_index import export

        export(ws, kind, output)
        return
    rows = [_listed(folders.folder(ws, name)) for name in folders.names(ws)]
    if as_json:
        print_json("experiments", rows)
    elif not rows:
        say("no experiment yet: progtrain experiment design NAME writes the plan of one")
    else:
        cells = [(row["name"], row["status"], row["told"], row["question"]) for row in rows]
        say(table(("name", "status", "runs", "question"), cells))


def _listed(folder: ExperimentFolder) -> dict[str, Any]:
    try:
        view = look(folder)
    except InputError as error:
        return {"name": folder.name, "status": "broken", "runs": {}, "told": "", "question": error.reason}
    told = counts(view.states)
    text = ", ".join(f"{count} {phase}" for phase, count in told.items())
    return {
        "name": folder.name,
        "status": view.status,
        "runs": told,
        "told": text,
        "question": view.plan.experiment.question,
    }


def _as_dict(view: View, folder: ExperimentFolder) -> dict[str, Any]:
    measured = metrics_of(folder)
    asked = view.plan.experiment
    return {
        "name": asked.name,
        "question": asked.question,
        "kind": asked.kind,
        "status": view.status,
        "running": view.running,
        "executor": view.plan.resources.executor,
        "stale_seconds": view.stale,
        "exit_code": (view.outcome or {}).get("exit_code"),
        "runs": counts(view.states),
        "rows": [as_dict(held, folder) | {"metrics": measured.get(held.run.name, {})} for held in view.states],
    }


def described(view: View, folder: ExperimentFolder) -> str:
    asked = view.plan.experiment
    lines = [f"{asked.name}  {view.status}{_hint(view, folder)}"]
    if asked.question:
        lines.append(asked.question)
    if view.stale is not None:
        lines.append(f"the cluster has not answered for {view.stale:.0f} s: the rest is as it was known then")
    told = [f"{count} {phase}" for phase, count in counts(view.states).items()]
    cells = [cell for held in view.states for cell in held.cells]
    done = sum(cell.phase == "done" for cell in cells)
    lines.append(f"{len(view.states)} runs: {', '.join(told)}; evaluations {done}/{len(cells)}")
    measured = metrics_of(folder)
    names = list(dict.fromkeys(name for found in measured.values() for name in found))[:3]
    columns = [[measured.get(held.run.name, {}).get(name) for held in view.states] for name in names]
    places = [values.places(column) for column in columns]
    shown = [[number(value, decimals) for value in column] for column, decimals in zip(columns, places, strict=True)]
    rows = [_row(held, folder, cells) for held, *cells in zip(view.states, *shown, strict=True)]
    header = ("run", "state", "tries", *names, "job", "node", "reason")
    lines += ["", table(header, rows, right=tuple(range(2, 3 + len(names))))]
    outcome = view.outcome or {}
    if not view.running and outcome.get("event") == "runner_ended" and outcome.get("reason"):
        lines.append(f"the last runner failed: {outcome['reason']}")
    return "\n".join(lines)


def _row(held: RunState, folder: ExperimentFolder, numbers: list[str]) -> tuple[object, ...]:
    told = progress_of(held, folder)
    step = f" {told['step']}/{told.get('steps') or '?'}" if told.get("step") is not None else ""
    seen = held.at_work.seen if held.at_work else None
    reason = f"{held.cause}: {held.reason}" if _is_new(held) else held.reason
    if held.phase == "evaluating":
        done, _, reason = reason.partition("; ")
        step = f" {done}"
    return (
        held.run.name,
        f"{held.phase}{step}",
        held.training.attempt or "",
        *numbers,
        values.show(seen.job or "") if seen else "",
        seen.node or "" if seen else "",
        "; ".join(filter(None, (reason, held.advice))),
    )


def _is_new(held: RunState) -> bool:
    """Whether its cause tells more than its reason."""
    return bool(held.cause) and held.cause not in held.reason and held.phase != "cancelled"


def _hint(view: View, folder: ExperimentFolder) -> str:
    commands = {
        "planned": "scaffold",
        "stale": "scaffold",
        "scaffolded": "run",
        "stopped": "run",
        "without runner": "run",
        "partly": "resume",
        "failed": "resume",
        "done": "analyze",
    }
    named = commands.get(view.status)
    return f"; progtrain experiment {named} {folder.name} goes on" if named else ""
