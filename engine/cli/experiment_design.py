"""`progtrain experiment design`."""

from __future__ import annotations

from typing import Any

import click

from progtrain.engine.cli.common import json_option, versions, workspace
from progtrain.engine.cli.experiment_common import name_argument, on_gpus
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment.opening import executor_of
from progtrain.engine.experiment.stages import design, scaffold
from progtrain.engine.experiment.stages.design import Designed

_RESOURCES = ("executor", "partition", "gpus", "cpus", "memory", "time", "parallel", "python")


@click.command("design")
@name_argument
@click.option(
    "--base", metavar="SCRIPT", help="What the runs are variations of; by default the latest version's script."
)
@click.option(
    "--from", "from_version", metavar="vNNN", shell_complete=versions, help="Runs are the candidates of this version."
)
@click.option("--candidates", type=click.IntRange(min=1), help="How many of them, the best first; by default 6.")
@click.option("--vary", multiple=True, metavar="NAME=A,B", help="A setting and its values; several are crossed.")
@click.option("--set", "fixed", multiple=True, metavar="NAME=A", help="A setting that all runs share.")
@click.option("--repeats", type=click.IntRange(min=1), help="Train each with so many seeds.")
@click.option("--with-base", is_flag=True, help="Train the base as it is besides, to compare with.")
@click.option("--question", metavar="TEXT", help="What is to be found out.")
@click.option("--tool", metavar="TOOL", help="What trains.")
@click.option("--evaluate", multiple=True, metavar="TOOL", help="What evaluates.")
@click.option("--executor", type=click.Choice(["local", "slurm"]), help="Where it is run; by default on this machine.")
@click.option("--partition", metavar="NAME")
@click.option("--gpus", type=click.IntRange(min=0), help="Of each run.")
@click.option("--cpus", type=click.IntRange(min=1), help="Of each run.")
@click.option("--memory", metavar="SIZE", help="Of each run, such as 16G.")
@click.option("--time", metavar="TIME", help="Of each run, such as 90 (minutes) or 04:30:00.")
@click.option("--parallel", type=click.IntRange(min=1), help="On this machine: runs that train at once.")
@click.option("--python", metavar="PATH", help="Interpreter of your scripts and tools.")
@click.option("--probe", is_flag=True, help="Train the largest run for 30 steps here, to know its time and memory.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and write nothing.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, name: str, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Write the plan of an experiment, or check the one that is there.

    Without options the plan that is there is checked as a whole. With them `experiment.yaml` is written, to be edited
    from then on: its keys are in `progtrain docs experiments`.
    """
    ws = workspace(ctx)
    resources = {key: given.pop(key) for key in _RESOURCES}
    asked = {key: value for key, value in given.items() if value} | (
        {"resources": resources} if any(resources.values()) else {}
    )
    folder = folders.folder(ws, name)
    if asked.get("candidates") and not asked.get("from_version"):
        raise InputError("candidates of which version?", place="--candidates", fix="name it: --from v003")
    if folder.plan.exists() and not asked:
        designed, wrote = design.read(ws, name), False
    else:
        designed, wrote = design.made(ws, name, asked), not dry_run
    said = scaffold.answer(designed.experiment, executor_of(designed.experiment))
    if wrote:
        design.write(designed)
    if as_json:
        print_json("experiment_design", _as_dict(designed, wrote, said))
    else:
        _show(designed, wrote, said)


def _as_dict(designed: Designed, wrote: bool, said: str) -> dict[str, Any]:
    plan = designed.experiment.plan
    return {
        "name": plan.experiment.name,
        "plan": str(designed.experiment.folder.plan),
        "written": wrote,
        "kind": plan.experiment.kind,
        "runs": [{"name": run.name, "type": run.type, "settings": dict(run.settings)} for run in designed.runs],
        "evaluations": len(designed.cells),
        "hours": designed.hours,
        "gpus": plan.resources.gpus,
        "basis": design.basis(plan),
        "executor": said,
        "notes": list(designed.notes),
    }


def _show(designed: Designed, wrote: bool, said: str) -> None:
    experiment = designed.experiment
    plan, ws = experiment.plan, experiment.ws
    say(f"{plan.experiment.name}: {len(designed.runs)} runs, {len(designed.cells)} evaluations", bold=True)
    names = list(dict.fromkeys(name for run in designed.runs for name in run.parameters))
    rows = [(run.name, run.type, *(run.parameters.get(name, "") for name in names)) for run in designed.runs[:12]]
    say(table(("run", "type", *names), rows))
    if len(designed.runs) > len(rows):
        say(f"... and {len(designed.runs) - len(rows)} more")
    if designed.hours is None:
        say("time: nobody says how long a run takes; state it: --time, or resources.time in the plan")
    else:
        gpus = plan.resources.gpus
        say(f"at most {designed.hours:.1f} hours{on_gpus(gpus)} in all ({design.basis(plan)})")
    if said:
        say(f"the executor says: {said}")
    for note in designed.notes:
        say(f"note: {note}")
    if wrote:
        say(
            f"written: {ws.relative(experiment.folder.plan)}\n"
            f"progtrain experiment scaffold {experiment.folder.name} goes on"
        )
    elif not experiment.folder.plan.exists():
        say(f"\n{designed.text.rstrip()}\n\nnothing is written")
    else:
        say("the plan holds")
