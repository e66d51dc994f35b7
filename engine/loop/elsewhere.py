"""Work that was begun elsewhere: a version that was finished by hand or by another tool is taken over as it is.

Finished means that a checkpoint, logs and a valid `eval_score.json` are there: a training under the engine leaves no
score, so such a folder is never the half of one.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from progtrain.engine.analysis.action_file import parse_action
from progtrain.engine.control import marks
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import next_script
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, object_in, read_text, sha256
from progtrain.engine.loop import attempts
from progtrain.engine.loop.steps import check
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import VersionFolder, Workspace

NOT_DECIDED = "its documents and their mark are there, and the journal knows of nobody who accepted them"
#: Documents may be edited by hand at any time: they must be there, whatever they say.
BY_HAND = frozenset({"result-analysis.md", "action-extract.md"})


def is_finished(context: Context, version: str) -> bool:
    """Whether a version that the engine did not train is trained and scored, on the dataset of this loop."""
    ws, folder = context.ws, context.ws.version(version)
    found = checkpoint(folder)
    last = attempts.last(ws, version)
    job = ws.job(f"{version}-train-{last.number + 1 if last else 1}")
    if found is None or not _has_logs(folder) or context.executor.look(job) is not None:
        return False
    if (stated := stated_digest(folder)) and stated != sha256(found):
        return False
    try:
        return load(folder.eval_score, EvalScore).dataset_id == context.dataset_id
    except InputError:
        return False


def stated_digest(folder: VersionFolder) -> str | None:
    """The hash of `best.ckpt` by `spec.json`, which the engine writes there."""
    stated = object_in(folder.spec).get("checkpoint")
    digest = stated.get("best_sha256") if isinstance(stated, dict) else None
    return digest if isinstance(digest, str) else None


def experiment_of(ws: Workspace, version: str) -> str | None:
    """The run of an experiment that trained and perhaps scored a version, as EXPERIMENT/RUN. None: none did.

    Empty where what it left lies there, and the version has come to another script than the one that it trained.
    """
    spec = object_in(ws.version(version).spec)
    taken = spec.get("taken_over")
    if not isinstance(taken, dict):
        return None
    same = ws.script(version).is_file() and spec.get("script_sha256") == sha256(ws.script(version))
    return f"{taken.get('experiment')}/{taken.get('run')}" if same else ""


def checkpoint(folder: VersionFolder) -> Path | None:
    paths = (folder.best_checkpoint, folder.last_checkpoint)
    return next((path for path in paths if path.is_file() and path.stat().st_size), None)


def described(ws: Workspace, version: str) -> str:
    """Where what is taken over lies, and of when it is."""
    folder = ws.version(version)
    found = checkpoint(folder) or folder.path
    made = datetime.fromtimestamp(found.stat().st_mtime).astimezone()
    return f"{found.name} and {folder.eval_score.name} in {ws.relative(folder.path)}/, of {made:%Y-%m-%d %H:%M}"


def is_taken_over(context: Context, version: str) -> bool:
    """Whether neither training nor evaluation of what lies there are this workspace's own."""
    found = [marks.read(context.ws, version, step) for step in ("train", "evaluate")]
    if found[0] is None:
        return is_finished(context, version)
    return all(mark is None or mark.adopted for mark in found)


def why_not_accepted(context: Context, version: str) -> list[str]:
    """Reasons why the documents still have to be drafted and accepted; those from elsewhere are taken over."""
    ws = context.ws
    outputs = _documents(context, version)
    if not outputs:
        reasons = marks.why_not_done(ws, version, "extract", by_hand=BY_HAND)
        return reasons or ([] if _decided(context, version) else [NOT_DECIDED])
    if problem := why_not_carried_out(context, version):
        return [problem]
    if not context.dry_run and marks.read(ws, version, "extract") is None:
        marks.write(ws, version, "extract", outputs, clock=context.clock, adopted=True)
        names = " and ".join(path.name for path in outputs)
        context.journal.write("note", text=f"{version}: {names} were there already and are taken over as they are")
    return []


def _decided(context: Context, version: str) -> bool:
    """A mark alone says nothing: whoever accepted has left a decision in the journal, which the runner writes."""
    mark = marks.read(context.ws, version, "extract")
    if mark is None or mark.adopted:
        return True
    events = LineReader(context.ws.journal).read()
    return any(
        event.get("event") == "decision" and event.get("version") == version and event.get("answer") == "accept"
        for event in events
    )


def why_not_carried_out(context: Context, version: str) -> str:
    """What keeps an action that somebody wrote elsewhere from making the next version; empty where nothing does."""
    path = context.ws.version(version).action
    if not _documents(context, version) or check.is_last(context, version):
        return ""
    try:
        parsed = parse_action(read_text(path), path)
        next_script.plan(context.ws, context.rules, version, parsed.operation, base=parsed.base, reason=parsed.goal)
    except InputError as error:
        return f"{context.ws.relative(path)} cannot be carried out as it stands: {error.reason}"
    return ""


def _documents(context: Context, version: str) -> list[Path]:
    """Analysis and action from elsewhere, which nobody has accepted here; empty where one is missing."""
    folder = context.ws.version(version)
    found = [folder.analysis, folder.action]
    mark = marks.read(context.ws, version, "extract")
    if not all(path.is_file() for path in found) or (mark is not None and not mark.adopted):
        return []
    return found if is_taken_over(context, version) else []


def _has_logs(folder: VersionFolder) -> bool:
    return folder.logs.is_dir() and any(path.is_file() for path in folder.logs.rglob("*"))
