"""What the loop would do next, without doing it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from progtrain.engine.control.context import Context
from progtrain.engine.control.options import Options
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text
from progtrain.engine.loop import sequence
from progtrain.engine.loop.runner import prepare
from progtrain.engine.loop.sequence import STEPS
from progtrain.engine.loop.steps import check, initialize
from progtrain.engine.script.baseline.audit import audit
from progtrain.engine.script.baseline.fix import fix
from progtrain.engine.text import unified_diff
from progtrain.engine.workspace import Workspace, version_id, version_number


@dataclass(frozen=True)
class Planned:
    version: str
    step: str
    reasons: tuple[str, ...]
    runs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def plan(ws: Workspace, options: Options) -> list[Planned]:
    """The steps up to the next decision, and what follows for every further version. Raises what the loop would."""
    context = prepare(ws, options, dry_run=True)
    initialize.look(context)
    first = sequence.select(context)
    planned = [_describe(context, first.step.name, first.version, first.reasons)]
    order = [step.name for step in STEPS]
    follow_up = "report" if check.is_last(context, first.version) else "author"
    for name in order[order.index(first.step.name) + 1 :]:
        if name in {"author", "report"} and name != follow_up:
            continue
        if first.step.name in {"author", "report"}:
            break
        planned.append(_describe(context, name, first.version, ("it follows",)))
    return planned


def _describe(context: Context, name: str, version: str, reasons: tuple[str, ...]) -> Planned:
    ws = context.ws
    folder = ws.version(version)
    script = ws.script(version)
    shown = ws.relative
    if name == "initialize":
        return Planned(version, name, reasons, (), (shown(script),), tuple(_fixes(context)))
    if name == "train":
        outputs = [folder.best_checkpoint, folder.last_checkpoint, folder.spec, folder.logs]
        aside = (f"{shown(folder.path)}/ is set aside below .progtrain/attempts/",) if folder.path.exists() else ()
        return Planned(
            version,
            name,
            reasons,
            (shlex.join([context.python, script.name]),),
            tuple(shown(p) for p in outputs),
            aside,
        )
    if name == "evaluate":
        new = () if ws.eval_script.exists() else (f"{ws.eval_script.name} (it is missing)",)
        outputs = [folder.eval_score, folder.infer_samples, folder.evaluation]
        command = shlex.join([context.python, ws.eval_script.name, "--version", version])
        return Planned(version, name, reasons, (command,), (*new, *(shown(p) for p in outputs)))
    if name == "analyze":
        drafts = ws.drafts(version)
        model = context.rules.value("advisor_config.model") or "the bundled model"
        outputs = [ws.insight(version), drafts.analysis, drafts.action]
        return Planned(version, name, reasons, (f"the advisor, with {model}",), tuple(shown(p) for p in outputs))
    if name == "extract":
        asks = "accepts the draft" if context.autopilot else "asks you"
        return Planned(version, name, reasons, (asks,), (shown(folder.analysis), shown(folder.action)))
    if name == "author":
        target = ws.script(version_id((version_number(version) or 0) + 1))
        return Planned(version, name, reasons, (), (shown(target),))
    if name == "report":
        new = () if ws.report_script.exists() else (f"{ws.report_script.name} (it is missing)",)
        command = shlex.join([context.python, ws.report_script.name])
        return Planned(version, name, reasons, (command,), (*new, f"{shown(ws.reports)}/YYYY-MM-DD_HH-MM/"))
    return Planned(version, name, reasons)


def _fixes(context: Context) -> list[str]:
    """The audit's diff, so that the user sees it before anything is written."""
    ws = context.ws
    if not ws.baseline_script.is_file():
        raise InputError(
            "there is neither a baseline nor a version to begin with",
            file=ws.baseline_script,
            fix=f"put your training script there as {ws.baseline_script.name}",
        )
    found = audit(
        ws,
        dataset_id=context.dataset_id,
        settings=initialize.settings_for(context.rules, read_text(ws.baseline_script)),
        locked=context.rules.instruction.locked,
    )
    errors = [f"cannot be fixed: {f.problem}" for f in found.findings if f.error]
    if errors:
        return errors
    fixed = fix(found)
    return [unified_diff(read_text(path), text, ws.relative(path)) for path, text in fixed.files.items()]
