"""What the loop would do next, without doing it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from progtrain.engine.control.context import Context
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import elsewhere, sequence
from progtrain.engine.loop.runner import finished, prepare
from progtrain.engine.loop.sequence import Next
from progtrain.engine.loop.steps import check, evaluate, initialize
from progtrain.engine.script import version_files
from progtrain.engine.text import unified_diff
from progtrain.engine.workspace import Workspace, next_version


def plan(ws: Workspace, options: Options) -> list[Next]:
    """The steps up to the next decision, and what follows for every further version; none of a finished loop.

    Raises what the loop would.
    """
    context = prepare(ws, options, dry_run=True)
    initialize.look(context)
    if finished(context):
        return []
    first = sequence.select(context)
    if first.step not in {"initialize", "train"} and elsewhere.is_taken_over(context, first.version):
        found = f"taken over as it is: {elsewhere.described(ws, first.version)}"
        first = replace(first, reasons=(*first.reasons, found))
    planned = [first]
    if first.step not in {"author", "report"}:
        other = "author" if check.is_last(context, first.version) else "report"
        following = list(sequence.STEPS)[list(sequence.STEPS).index(first.step) + 1 :]
        planned += [Next(first.version, step, ("it follows",)) for step in following if step != other]
    return [_with_effects(context, step) for step in planned]


def _with_effects(context: Context, planned: Next) -> Next:
    """What it runs, writes and changes."""
    step, version = planned.step, planned.version
    ws, folder, drafts = context.ws, context.ws.version(version), context.ws.drafts(version)
    runs: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    writes: list[Path] = []
    script: Path | None = None
    if step == "initialize":
        writes, changes = [ws.script(version)], tuple(_fixes(context))
    elif step == "train":
        words = version_files.arguments(ws, version, context.rules.training_args)
        runs = (shlex.join([context.python, ws.script(version).name, *words]),)
        writes = [folder.best_checkpoint, folder.last_checkpoint, folder.spec, folder.logs]
        if folder.path.exists():
            changes = (f"{ws.relative(folder.path)}/ is set aside below .progtrain/attempts/",)
    elif step == "evaluate":
        runs = (shlex.join([context.python, ws.eval_script.name, "--version", version]),)
        writes, script = [folder.eval_score, folder.infer_samples, folder.evaluation], ws.eval_script
    elif step == "analyze":
        runs = (f"the advisor, with {context.rules.value('advisor_config.model') or 'the bundled model'}",)
        writes = [ws.insight(version), drafts.analysis, drafts.action]
    elif step == "extract":
        runs = ("accepts the draft" if context.autopilot else "asks you",)
        writes = [folder.analysis, folder.action]
    elif step == "author":
        writes = [ws.script(next_version(version))]
    elif step == "report":
        runs = (shlex.join([context.python, ws.report_script.name]),)
        writes, script = [ws.reports / "YYYY-MM-DD_HH-MM"], ws.report_script
    made = [f"{name} (missing)" for name in evaluate.to_write(script)] if script else []
    return replace(planned, runs=runs, writes=(*made, *map(ws.relative, writes)), changes=changes)


def _fixes(context: Context) -> list[str]:
    """The audit's diff, so that the user sees it before anything is written."""
    ws = context.ws
    found = initialize.examine(ws, context.dataset_id, context.rules)
    errors = [f"cannot be fixed: {error.problem}" for error in found.errors]
    return errors or [unified_diff(found.sources[p], text, ws.relative(p)) for p, text in found.changed.items()]
