"""Step 2: scores `best.ckpt` on the whole validation set with `03_eval.py`.

Writes `03_eval.py` and the modules that it works with where there are none; what comes of it (`eval_score.json`,
`infer_samples/`, `_eval/`) the script writes itself.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from progtrain.engine import comparable, hooks, metrics, prepared_data, values
from progtrain.engine.control import digests, marks, watched
from progtrain.engine.control.context import Context
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import object_in, read_bytes, read_loosely, storage_errors, write_bytes
from progtrain.engine.loop import doubts, elsewhere, left_behind
from progtrain.engine.schema import EvalScore, JobState, Protocol, load
from progtrain.engine.script.repair.failure import killed
from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256
from progtrain.engine.text import clean_line, last_line, tail
from progtrain.engine.workspace import JobFolder, Workspace

_TEMPLATES = Path(__file__).parents[2] / "templates"
#: what the scripts work with, named so that no module of the user's is called the same
_MODULES = _TEMPLATES / "progtrain_eval"
#: of what the evaluator says, that many are told
_MOST_WARNINGS = 5


def ensure_script(path: Path) -> None:
    """Writes what is missing of `03_eval.py` or `04_final_report.py`; then it is the user's."""
    for target, source in missing(path).items():
        write_bytes(target, read_bytes(source))


def to_write(script: Path) -> list[str]:
    """The names of what `ensure_script` would write."""
    names = [path.name if path == script else f"{path.parent.name}/" for path in missing(script)]
    return list(dict.fromkeys(names))


def missing(script: Path) -> dict[Path, Path]:
    """The script and the modules that it works with, where they are not there -> what they are copied from.

    A script of the user's own that works with none of the modules does not get them. Where some are there already, only
    what these and the script import is added: a module of a newer progtrain would make it another evaluator.
    """
    source, folder = _TEMPLATES / script.name, script.parent / _MODULES.name
    text = read_loosely(script if script.exists() else source)
    ours = {module.stem: module for module in sorted(_MODULES.glob("*.py"))} if _MODULES.name in text else {}
    if folder.exists():
        ours = {name: ours[name] for name in sorted(_needed(text, ours, folder))}
    whole = {script: source, **{folder / module.name: module for module in ours.values()}}
    return {target: copied for target, copied in whole.items() if not target.exists()}


def _needed(text: str, ours: Mapping[str, Path], folder: Path) -> set[str]:
    """The modules of ours that a script imports, directly or through others, as they lie there or would."""
    found, texts = {"__init__"} & ours.keys(), [text]
    while texts:
        names = (_imported(texts.pop()) & ours.keys()) - found
        found |= names
        lying = [folder / f"{name}.py" for name in names]
        copied = [path if path.exists() else ours[path.stem] for path in lying]
        texts += [read_loosely(path) for path in copied]
    return found


@lru_cache(maxsize=256)
def _imported(text: str) -> frozenset[str]:
    """Names of modules beside it, or of the package of ours, that a text imports; none where it is no Python."""
    try:
        statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found = set()
    for node in statements:
        package, _, module = (node.module or "").partition(".") if not node.level else ("", "", node.module or "")
        if node.level or package == _MODULES.name:
            found |= {module} if module else {alias.name for alias in node.names}
    return frozenset(found)


def tell_if_written(context: Context, script: Path) -> None:
    names = to_write(script)
    ensure_script(script)
    if names:
        was = "was missing and has been written; it is" if len(names) == 1 else "were missing and are written; they are"
        context.journal.write("note", text=f"{' and '.join(names)} {was} yours to edit")


def reasons(context: Context, version: str) -> list[str]:
    return marks.why_not_done(context.ws, version, "evaluate", adopt=lambda: _adopt(context, version))


def run(context: Context, version: str) -> str:
    """Raises `StepFailed` when the evaluation fails, `InputError` when what it wrote is wrong."""
    ws = context.ws
    tell_if_written(context, ws.eval_script)
    job = ws.job(f"{version}-evaluate")
    begun = _begun(context, version, job)
    used = evaluator_sha256(ws.root)
    started, variables = hooks.evaluator(ws, version)
    state = context.run_script(
        job.path.name,
        [*started, "--version", version],
        # one of the user's own need not import what the version's script does
        begins_as=ws.script(version) if hooks.is_ours(ws) else None,
        writes=ws.version(version).path,
        variables=variables,
    )
    # it may have been killed and started again
    since = datetime.fromtimestamp(begun["at_ns"] / 1e9, UTC) if begun else state.started_at
    left_behind.take_away(context, version, min(since, state.started_at), scored=True)
    output = tail(context.executor.log(job))
    # its result is taken over once; the next evaluation is a new job
    for path in (job.claimed, job.state, job.submitted, job.intent):
        path.unlink(missing_ok=True)
    changed = watched.tell(ws, begun, context.journal) if begun else []
    watched.forget(ws, job.path.name)
    if state.exit_code != 0 or state.ended_by:
        raise _failed(context, job, state, last_line(output))
    if evaluator_sha256(ws.root) != used:
        # else it would be taken over the next time
        ws.version(version).eval_score.unlink(missing_ok=True)
        fix = "look at what the script does when it is imported; then start again"
        raise StepFailed("it changed, or a module of its own did, while it evaluated", file=ws.eval_script, fix=fix)
    _see_that_it_is_one(context, version, changed)
    score = check_score(context, version)
    for line in list(dict.fromkeys(re.findall(r"^warning: (.+)$", output, re.MULTILINE)))[:_MOST_WARNINGS]:
        context.journal.warn(f"{version}: {clean_line(line)}")
    doubts.tell(context, version, score)
    _tell_of_samples(context, version, score)
    inputs = {"evaluator": evaluator_sha256(ws.root), "checkpoint": digests.of(ws, ws.version(version).best_checkpoint)}
    inputs |= samples_of(ws, version)
    marks.write(
        ws, version, "evaluate", _outputs(ws, version), clock=context.clock, seconds=state.seconds, inputs=inputs
    )
    found = ((m.name, metrics.finite(m.value)) for m in score.metrics)
    return ", ".join(f"{name} {'–' if value is None else values.metric(value)}" for name, value in found)


def _begun(context: Context, version: str, job: JobFolder) -> dict[str, Any] | None:
    """How all was when the evaluation began; before a new one, what an earlier one wrote is set aside."""
    ws = context.ws
    if watched.under_way(context, job):
        return watched.kept(ws, job.path.name)
    marks.remove(ws, version, "evaluate")
    _set_aside(ws, version)
    taken = watched.before(ws, version, context.dataset_id, step="evaluate")
    watched.keep(ws, job.path.name, taken)
    return taken


def _set_aside(ws: Workspace, version: str) -> None:
    """What lies there of an earlier evaluation must not pass for this one's: the last such is kept."""
    folder, kept = ws.version(version), ws.set_aside(version)
    there = [path for path in (folder.eval_score, folder.infer_samples, folder.evaluation) if path.exists()]
    if not there:
        return
    with storage_errors(kept):
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for path in there:
            shutil.move(path, kept / path.name)


def _see_that_it_is_one(context: Context, version: str, changed: Collection[str]) -> None:
    """Raises `StepFailed` where nothing was written, or nobody can say what was evaluated."""
    ws, folder = context.ws, context.ws.version(version)
    if not folder.eval_score.is_file():
        log = ws.relative(ws.job(f"{version}-evaluate").log)
        fix = f"let {ws.eval_script.name} write it; the whole output is in {log}"
        raise StepFailed("the evaluation ended without an error and did not write it", file=folder.eval_score, fix=fix)
    mine = [name for name in changed if (ws.root / name) in (folder.best_checkpoint, ws.script(version))]
    if mine:
        reason = f"{', '.join(mine)} was changed while {version} was evaluated: nobody can say what was scored"
        raise StepFailed(reason, file=folder.eval_score, fix="start again: it is evaluated anew")


def mark_what_was_scored_again(context: Context, job: JobState) -> None:
    """The report scores versions again whose protocol is not the present one: these scores are the loop's own too."""
    ws = context.ws
    for version in ws.versions():
        mark, folder = marks.read(ws, version, "evaluate"), ws.version(version)
        made = object_in(folder.protocol).get("created_at")
        if mark is None or not _is_within(made, job) or not marks.why_not_done(ws, version, "evaluate"):
            continue
        inputs = {"evaluator": evaluator_sha256(ws.root), "checkpoint": digests.of(ws, folder.best_checkpoint)}
        outputs, inputs = _outputs(ws, version), inputs | samples_of(ws, version)
        marks.write(ws, version, "evaluate", outputs, clock=context.clock, seconds=mark.seconds, inputs=inputs)


def _is_within(made: Any, job: JobState) -> bool:
    """Whether a time of a protocol lies within that of a job, in whole seconds."""
    try:
        at = datetime.fromisoformat(str(made)).timestamp()
    except ValueError:
        return False
    ended = job.ended_at.timestamp() if job.ended_at else at
    return int(job.started_at.timestamp()) <= at <= ended + 1


def samples_of(ws: Workspace, version: str) -> dict[str, str]:
    """For the mark: which samples were scored, as their number and a digest of their ids; nothing where none are."""
    found = comparable.samples_in(ws.version(version).per_sample)
    return {"samples": found} if found else {}


def _tell_of_samples(context: Context, version: str, score: EvalScore) -> None:
    """Warns where another number of samples was scored than stats.json has."""
    stated = prepared_data.counts_in(prepared_data.read_stats(context.ws.stats(context.dataset_id))).get("valid")
    if stated and score.num_samples and score.num_samples != stated:
        stats = context.ws.relative(context.ws.stats(context.dataset_id))
        context.journal.warn(
            f"{version} was scored on {score.num_samples} samples, {stats} has {stated} to validate on"
        )


def _outputs(ws: Workspace, version: str) -> list[Path]:
    folder = ws.version(version)
    outputs = (folder.eval_score, folder.per_sample, folder.protocol, folder.infer_samples)
    return [path for path in outputs if path.exists()]


def check_score(context: Context, version: str) -> EvalScore:
    """Reads and checks `eval_score.json`; warns where it can be lived with. Raises `InputError`."""
    path = context.ws.version(version).eval_score
    score = load(path, EvalScore)
    if score.dataset_id != context.dataset_id:
        raise InputError(
            f"the score is about dataset {score.dataset_id!r}, the loop runs on {context.dataset_id!r}",
            file=path,
            place="key dataset_id",
            fix="correct 03_eval.py, or evaluate again",
        )
    context.rules.check_directions(score, path)
    primary = context.rules.primary_metric
    found = score.metric(primary)
    if found is None:
        names = ", ".join(m.name for m in score.metrics)
        context.journal.warn(
            f"{context.ws.relative(path)}: the primary metric {primary!r} is not among its metrics ({names}): "
            f"{version} ranks last; let 03_eval.py write it, or change eval_config.primary_metric"
        )
    elif metrics.finite(found.value) is None:
        context.journal.warn(f"{version}: {primary} is not a number: the version ranks last")
    return score


def _failed(context: Context, job: JobFolder, state: JobState, last: str) -> StepFailed:
    reason = {
        "time limit": "the evaluation ran past step_timeout_minutes and was ended",
        "could not start": f"the interpreter could not be started: {last}",
    }.get(state.ended_by or "", f"the evaluation failed: {last}")
    if how := killed(state.exit_code, state.ended_by):
        reason = f"the evaluation was started three times, and each time {how}"
    fix = f"the whole output is in {context.ws.relative(job.log)}; start again when it is fixed"
    return StepFailed(reason, file=context.ws.eval_script, fix=fix)


def _adopt(context: Context, version: str) -> bool:
    """Takes over a score without a mark: its protocol names the checkpoint that lies there, or it is from elsewhere."""
    ws = context.ws
    folder = ws.version(version)
    try:
        check_score(context, version)
        protocol = load(folder.protocol, Protocol) if folder.protocol.is_file() else None
    except InputError:
        return False
    if protocol is None:
        if not elsewhere.is_taken_over(context, version):
            return False
        inputs = {}
    elif folder.best_checkpoint.is_file() and protocol.checkpoint_sha256 == digests.of(ws, folder.best_checkpoint):
        inputs = {"evaluator": protocol.evaluator_sha256, "checkpoint": protocol.checkpoint_sha256}
        inputs |= samples_of(ws, version)
    else:
        return False
    if not context.dry_run:
        outputs = _outputs(ws, version)
        marks.write(ws, version, "evaluate", outputs, clock=context.clock, inputs=inputs, adopted=True)
        if experiment := elsewhere.experiment_of(ws, version):
            text = f"{version}: its score was taken over, not measured again: that of experiment {experiment}"
            context.journal.write("note", text=text)
    return True
