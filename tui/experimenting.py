"""What the app has the engine do with experiments. Every function may wait: they are called in a thread.

What they need is imported by the first call: it brings executors, workers and rules with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from progtrain.engine.clock import now
from progtrain.engine.control import lock
from progtrain.engine.drafting.preview import Check
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    import subprocess

    from progtrain.engine.experiment.plots import Plot

#: more of them nobody goes through
_MOST_FOUND = 200

Verb = Literal["design", "scaffold", "run", "cancel", "resume", "analyze", "adopt"]
#: what it is answered, and the runner that was started for it
Done = tuple[str, "subprocess.Popen[bytes] | None"]


def carry_out(ws: Workspace, verb: Verb, name: str, runs: Sequence[str], given: Mapping[str, Any]) -> Done:
    """`runs`: names or patterns; empty: all, and the winner of an adoption. `given`: of a design, as the stage has it;
    of an adoption `dry_run`.

    Raises `ProgtrainError` for what a user can fix.
    """
    if verb == "design":
        return _design(ws, name, given), None
    if verb == "scaffold":
        return _scaffold(ws, name), None
    if verb == "analyze":
        return _analyze(ws, name), None
    if verb == "adopt":
        return _adopt(ws, name, runs, dry_run=bool(given.get("dry_run")))
    return {"run": _run, "cancel": _cancel, "resume": _resume}[verb](ws, name, runs)


def _design(ws: Workspace, name: str, given: Mapping[str, Any]) -> str:
    from progtrain.engine.experiment.stages import design

    designed = design.made(ws, name, given)
    design.write(designed)
    told = f"{name}: {len(designed.runs)} runs, {len(designed.cells)} evaluations are planned"
    return "\n".join([told, *designed.notes])


def _scaffold(ws: Workspace, name: str) -> str:
    from progtrain.engine.experiment.opening import executor_of, opened
    from progtrain.engine.experiment.stages import scaffold

    experiment = opened(ws, name)
    found = scaffold.run(experiment, executor_of(experiment))
    written = sum(bool(writing.reasons) for writing in found)
    return f"scaffolded: {written} written, {len(found) - written} were there"


def _analyze(ws: Workspace, name: str) -> str:
    from progtrain.engine.experiment.opening import opened
    from progtrain.engine.experiment.stages import analyze

    made = analyze.run(opened(ws, name))
    return f"analysed: {ws.relative(made[-1])}"


def _run(ws: Workspace, name: str, runs: Sequence[str]) -> Done:
    from progtrain.engine.experiment.opening import opened
    from progtrain.engine.experiment.runner import Options
    from progtrain.engine.experiment.stages import run

    options = Options(tuple(runs))
    # what a runner would only write into its journal is told here
    planned = run.planned(opened(ws, name), options)
    return f"started: {len(planned)} trainings and evaluations", run.start(ws, name, options)


def _resume(ws: Workspace, name: str, runs: Sequence[str]) -> Done:
    from progtrain.engine.experiment.runner import Options
    from progtrain.engine.experiment.stages import run

    folder = folders.existing(ws, name)
    found = run.resume(folder, runs, None, now().isoformat())
    names = tuple(dict.fromkeys(part.run.name for part in found))
    told = f"again: {', '.join(names)}"
    return told, None if lock.held(folder.lock) else run.start(ws, name, Options(names))


def _cancel(ws: Workspace, name: str, runs: Sequence[str]) -> Done:
    from progtrain.engine.experiment.runner import Options
    from progtrain.engine.experiment.stages import run

    folder = folders.existing(ws, name)
    found = run.cancel(folder, runs, now().isoformat())
    told = f"cancelled: {', '.join(found)}"
    # nobody is there to hear of it: a runner that ends with the last job
    return told, None if lock.held(folder.lock) else run.start(ws, name, Options(tuple(found)))


def _adopt(ws: Workspace, name: str, runs: Sequence[str], *, dry_run: bool) -> Done:
    from progtrain.engine.control import launch
    from progtrain.engine.experiment import adoption

    found = adoption.prepared(ws, name, next(iter(runs), None))
    told = f"{found.run.name} becomes {found.planned.version}: {found.planned.action_text}"
    if dry_run:
        parts = (("training", found.takeover.not_trained), ("evaluation", found.takeover.not_evaluated))
        again = [f"its {what} is done again: {why}" if why else f"its {what} is taken over" for what, why in parts]
        return "\n".join([told, "", found.reason, "", *again]), None
    adoption.carry_out(found)
    if not found.is_asked:
        return f"{told}\nthe review of {found.base} is answered; starting the loop goes on with it", None
    return told, launch.start(ws, launch.Options())


def plots_of(ws: Workspace, name: str) -> list[Plot]:
    from progtrain.engine.experiment import board

    return board.plots_of(ws, name)


def search(ws: Workspace, text: str) -> list[dict[str, Any]]:
    """Runs of all experiments that were ever seen. Raises `InputError` for a query that means nothing."""
    from progtrain.engine.experiment import query

    return query.search(text, ws, limit=_MOST_FOUND)[0]


def check_plan(ws: Workspace, name: str, text: str) -> Check:
    """What a plan would come to."""
    from progtrain.engine.experiment import expand
    from progtrain.engine.experiment import plan as plans

    folder = folders.folder(ws, name)
    try:
        plan = plans.parse(text, folder)
        runs = expand.runs(plan, folder)
        cells = expand.cells(plan, runs, folder)
    except InputError as error:
        return Check(problems=(str(error),))
    told = "\n".join(f"{run.name}  {run.type}" for run in runs)
    return Check(diff=told, checks=(f"valid: {len(runs)} runs, {len(cells)} evaluations",))
