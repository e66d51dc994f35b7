"""`progtrain experiment scaffold`, `run`, `resume` and `cancel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.experiment_common import dry_run_option, follow, name_argument, on_gpus, run_option
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.clock import now
from progtrain.engine.control import lock
from progtrain.engine.experiment import expand
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment.opening import executor_of, minutes, opened
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.stages import run as run_stage
from progtrain.engine.experiment.stages import scaffold as scaffold_stage
from progtrain.engine.experiment.stages.scaffold import Writing
from progtrain.engine.experiment.view import look
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import LineReader
from progtrain.engine.workspace import Workspace

#: trainings and evaluations that are named where many are written for one reason
_NAMED = 4


def wait_option(function: Any) -> Any:
    return click.option(
        "--wait-for-slurm",
        "wait",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Give up, with exit code 4, when the cluster has not answered for so long; by default it is waited for.",
    )(function)


def detach_option(function: Any) -> Any:
    return click.option("--detach", is_flag=True, help="Do not follow: start it and return.")(function)


@click.command("scaffold")
@name_argument
@run_option
@click.option("--anew", is_flag=True, help="Also what is done already: it is done again.")
@dry_run_option
@json_option
@click.pass_context
def scaffold(ctx: click.Context, name: str, runs: tuple[str, ...], anew: bool, dry_run: bool, as_json: bool) -> None:
    """Write what each run and each evaluation needs.

    First all tools look at the plan: where one of them finds something wrong, all of it is told and nothing is written.
    """
    scaffold_with(workspace(ctx), name, runs, "", dry_run=dry_run, as_json=as_json, anew=anew)


def scaffold_with(
    ws: Workspace, name: str, runs: Sequence[str], tool: str, *, dry_run: bool, as_json: bool, anew: bool = False
) -> None:
    experiment = opened(ws, name)
    executor = executor_of(experiment)
    if dry_run:
        found = scaffold_stage.planned(experiment, runs, tool, anew=anew)
        said = scaffold_stage.answer(experiment, executor)
    else:
        found, said = scaffold_stage.run(experiment, executor, runs, tool, anew=anew), ""
    if as_json:
        print_json("experiment_scaffold", _as_dict(found, experiment, dry_run, said))
        return
    if dry_run:
        say("nothing is written; this is what would be:")
    _show_reasons(found, ws, dry_run)
    for path in (path for writing in found for path in writing.edited):
        say(f"note: {ws.relative(path)} was edited, and stays as it is")
    for writing in (writing for writing in found if writing.kept):
        say(f"note: {writing.piece.run.name}: {scaffold_stage.told_kept(writing)}")
    former = scaffold_stage.left_over(experiment.folder, expand.runs(experiment.plan, experiment.folder))
    for folder in former:
        say(f"note: {folder} is no run of the plan any longer; its folder stays")
    if said:
        say(f"the executor says: {said}")
    written = sum(bool(writing.reasons) for writing in found)
    if dry_run:
        say(f"{written} trainings and evaluations to write, {len(found) - written} are there", bold=True)
    else:
        say(f"scaffolded: {written} written, {len(found) - written} were there; progtrain experiment run {name} starts")


def _show_reasons(found: Sequence[Writing], ws: Workspace, dry_run: bool) -> None:
    """Why each is written; what is written for it only where that is all that is done."""
    for why, same in _by_reason(found).items():
        if not dry_run:
            more = f" and {len(same) - _NAMED} more" if len(same) > _NAMED else ""
            say(f"{', '.join(map(_name, same[:_NAMED]))}{more}: {why}")
            continue
        for writing in same:
            say(f"{_name(writing)}: {why}")
            for told in _told(writing, ws):
                say(f"  writes  {told}")


def _by_reason(found: Sequence[Writing]) -> dict[str, list[Writing]]:
    same: dict[str, list[Writing]] = {}
    for writing in found:
        if writing.reasons:
            same.setdefault("; ".join(writing.reasons), []).append(writing)
    return same


def _name(writing: Writing) -> str:
    cell = writing.piece.cell
    return f"{writing.piece.run.name}{f'/{cell.name}' if cell else ''}"


def _told(writing: Writing, ws: Workspace) -> list[str]:
    """Its paths; those of the run's own workspace, which are dozens, as one."""
    own = writing.piece.folder.workspace
    paths = [*writing.files, *writing.links]
    inside = sum(path.is_relative_to(own) for path in paths)
    rest = [ws.relative(path) for path in paths if not path.is_relative_to(own)]
    return [f"{ws.relative(own)}/ ({inside} files and links)", *rest] if inside else rest


def _as_dict(found: Sequence[Writing], experiment: Experiment, dry_run: bool, said: str) -> dict[str, Any]:
    root = experiment.ws
    rows = [
        {
            "run": writing.piece.run.name,
            "evaluation": writing.piece.cell.name if writing.piece.cell else None,
            "reasons": list(writing.reasons),
            "writes": [root.relative(path) for path in (*writing.files, *writing.links)] if writing.reasons else [],
            "edited": [root.relative(path) for path in writing.edited],
        }
        for writing in found
    ]
    return {"name": experiment.folder.name, "dry_run": dry_run, "executor": said, "rows": rows}


@click.command("run")
@name_argument
@run_option
@wait_option
@detach_option
@dry_run_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    name: str,
    runs: tuple[str, ...],
    wait: float | None,
    detach: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train and evaluate until all of it has ended.

    It goes on where it stopped. The work is done by a process of its own: closing this terminal does not end it.
    """
    return run_with(workspace(ctx), name, Options(runs, "", wait), detach=detach, dry_run=dry_run, as_json=as_json)


def run_with(ws: Workspace, name: str, options: Options, *, detach: bool, dry_run: bool, as_json: bool) -> int:
    folder = folders.existing(ws, name)
    if dry_run:
        return _dry_run(ws, name, options, as_json)
    events = LineReader(folder.journal)
    events.read()
    runner = run_stage.start(ws, name, options)
    if detach and not as_json:
        say(f"started; progtrain experiment status {name} --watch follows it")
    code = 0 if detach else follow(folder, runner, events, as_json=as_json)
    if as_json:
        view = look(folder)
        print_json("experiment_run", {"exit_code": code, "pid": runner.pid, "status": view.status}, lines=True)
    return code


def _dry_run(ws: Workspace, name: str, options: Options, as_json: bool) -> int:
    experiment = opened(ws, name)
    parts = run_stage.planned(experiment, options)
    said = scaffold_stage.answer(experiment, executor_of(experiment))
    each, trainings = minutes(experiment.plan), sum(part.cell is None for part, _ in parts)
    hours = None if each is None else each * trainings / 60
    rows = [{"run": part.run.name, "what": part.what, "reasons": reasons} for part, reasons in parts]
    gpus = experiment.plan.resources.gpus
    if as_json:
        print_json("experiment_dry_run", {"name": name, "executor": said, "hours": hours, "gpus": gpus, "rows": rows})
        return 0
    say("nothing is submitted; this is what would be:")
    for row in rows:
        say(f"{row['run']}  {row['what']}: {'; '.join(row['reasons'])}")
    limit = f"at most {hours:.1f} hours{on_gpus(gpus)}" if hours is not None else "no time limit is stated"
    say(f"{trainings} trainings and {len(rows) - trainings} evaluations; {limit}", bold=True)
    if said:
        say(f"the executor says: {said}")
    return 0


@click.command("resume")
@name_argument
@run_option
@click.option("--cause", metavar="CAUSE", help="Only what failed for this reason, such as 'out of memory'.")
@wait_option
@detach_option
@json_option
@click.pass_context
def resume(
    ctx: click.Context,
    name: str,
    runs: tuple[str, ...],
    cause: str | None,
    wait: float | None,
    detach: bool,
    as_json: bool,
) -> int:
    """Start again what failed or was cancelled, and nothing else.

    A training goes on from its last checkpoint where time or machine ended it; where it failed by itself anew.
    """
    ws = workspace(ctx)
    folder = folders.existing(ws, name)
    found = run_stage.resume(folder, runs, cause, now().isoformat())
    if not as_json:
        for part in found:
            where = f"{part.run.name}{f'/{part.what}' if part.cell else ''}"
            say(f"{where}: again, after {part.cause}: {part.reason}")
    if lock.held(folder.lock):
        if not as_json:
            say("the runner that is at work starts them")
        return 0
    names = tuple(dict.fromkeys(part.run.name for part in found))
    return run_with(ws, name, Options(names, "", wait), detach=detach, dry_run=False, as_json=as_json)


@click.command("cancel")
@name_argument
@run_option
@json_option
@click.pass_context
def cancel(ctx: click.Context, name: str, runs: tuple[str, ...], as_json: bool) -> int:
    """End the jobs of an experiment, or of one run.

    What is cancelled stays so until `progtrain experiment resume`.
    """
    ws = workspace(ctx)
    folder = folders.existing(ws, name)
    found = run_stage.cancel(folder, runs, now().isoformat())
    if not lock.held(folder.lock):
        # nobody is there to hear of it: a runner that ends with the last job
        runner = run_stage.start(ws, name, Options(tuple(found)))
        runner.wait()
    if as_json:
        print_json("experiment_cancel", {"name": name, "runs": found})
    else:
        say(f"cancelled: {', '.join(found)}")
    return 0
