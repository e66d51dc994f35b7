"""As many random training rows in place of those that a version was given: did these rows help, or more steps?

Reads the version and the training split; writes below `.progtrain/repeats/v002/control/` alone. Killed at any instant
it goes on where it was.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from progtrain.engine import metrics
from progtrain.engine.additions import folder as folders
from progtrain.engine.additions import own, splits
from progtrain.engine.additions.folder import AdditionFolder
from progtrain.engine.additions.tools.progtrain_additions_rows import chosen, write
from progtrain.engine.analysis.measure.added import CONTROL
from progtrain.engine.control import marks
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import history
from progtrain.engine.errors import InputError
from progtrain.engine.files import storage_errors, try_read_json
from progtrain.engine.repeats import found, run
from progtrain.engine.repeats.seeds import seed_of
from progtrain.engine.script import version_files
from progtrain.engine.script.action.data import DataOperation
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.script.action.parts import additions
from progtrain.engine.workspace import Workspace


def see_to(context: Context, version: str) -> None:
    """Trains and evaluates it, where the version was made by adding rows and its action asks for it, or its training
    is short. What goes wrong is a warning. Raises `Stopped`.
    """
    ws = context.ws
    operation = _operation(ws, version)
    if operation is None or not (_is_short(ws, version) if operation.control is None else operation.control):
        return
    folder = ws.repeat(version, CONTROL)
    begun, now = try_read_json(folder.begun), found.script_sha256(ws, version)
    if isinstance(begun, dict) and begun.get("script_sha256") != now:
        shutil.rmtree(folder.path, ignore_errors=True)  # of a script that has changed since
    if folder.result.is_file():
        return
    context.journal.write("note", text=f"{version}: trained once more with as many random rows, to compare with")
    try:
        seed = seed_of(ws, version)
        if not folder.begun.is_file():
            texts = version_files.lying(ws, version)
            rows = _rows(context, version, operation)
            texts[ws.script(version)] = _with_rows(texts[ws.script(version)], rows)
            run.scaffold(context, version, folder, texts, {"seed": seed, "same_seed": True})
        result = run.carry_out(context, version, folder, seed, same_seed=True)
    except InputError as error:
        context.journal.warn(f"{version}: no training with random rows: {error.reason}")
        return
    if result["reason"]:
        context.journal.warn(f"{version}: the training with random rows failed: {result['reason']}")


def _operation(ws: Workspace, version: str) -> DataOperation | None:
    told = history.authored(ws).get(version, {}).get("operation")
    try:
        found_one = parse_operation(told) if told else None
    except InputError:
        return None
    return found_one if isinstance(found_one, DataOperation) else None


def _is_short(ws: Workspace, version: str) -> bool:
    mark = marks.read(ws, version, "train")
    seconds = metrics.finite(mark.seconds) if mark else None
    return seconds is not None and seconds < run.SHORT


def _rows(context: Context, version: str, operation: DataOperation) -> str:
    """Under which name the version's script finds them."""
    ws, dataset = context.ws, context.dataset_id
    train = splits.train(ws, dataset, context.python)
    count = len(folders.read(ws, dataset, str(operation.addition)))
    places = random.Random(context.rules.seed).sample(range(len(train)), min(count, len(train)))
    target = AdditionFolder(ws.repeat(version, CONTROL).path / "rows")
    with storage_errors(target.path):
        shutil.rmtree(target.path, ignore_errors=True)
        target.path.mkdir(parents=True)
        write(chosen(train, sorted(places)), target.path)
        own.through(ws, dataset, "a000", target.path, train, context.python)
        folders.name_as_split(target, train.file)
    top = Path(*[".."] * len(ws.additions(dataset).relative_to(ws.root).parts))
    return (top / ws.relative(target.path)).as_posix()


def _with_rows(script: str, rows: str) -> str:
    used = additions.used(script) or ()
    return additions.set_to(script, (*used[:-1], rows))
