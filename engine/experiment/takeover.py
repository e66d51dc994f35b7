"""What a run's training and evaluation left, taken over for the version that its script becomes, not done again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from progtrain.engine import prepared_data
from progtrain.engine.control.context import Context
from progtrain.engine.drafting.next_script import Planned
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, run_workspace
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.folder import CellFolder
from progtrain.engine.experiment.state import TRAIN
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import read_text, sha256, sha256_text, storage_errors, try_read_json, write_json
from progtrain.engine.loop import elsewhere
from progtrain.engine.loop.steps import train
from progtrain.engine.modes import copy_file
from progtrain.engine.rules import rules
from progtrain.engine.schema import EvalScore, Protocol, load
from progtrain.engine.script import version_files
from progtrain.engine.script.header import without_header
from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256
from progtrain.engine.workspace import Workspace


class Takeover(NamedTuple):
    #: why training, or evaluation, is done again all the same; empty where it is taken over
    not_trained: str
    not_evaluated: str
    #: where the evaluation lies
    cell: CellFolder | None


def possible(context: Context, experiment: Experiment, run: Run, base: str, planned: Planned) -> Takeover:
    """Whether what the run left is what the next version would come to. Writes nothing."""
    why = _why_not_trained(context, experiment, run, planned)
    if why:
        return Takeover(why, "it is trained again", None)
    found = {
        _why_not_evaluated(context, experiment, run, base, planned, cell): cell for cell in _cells(experiment, run)
    }
    if "" in found:
        return Takeover("", "", found[""])
    return Takeover("", next(iter(found), "it was not evaluated"), None)


def _why_not_trained(context: Context, experiment: Experiment, run: Run, planned: Planned) -> str:
    ws, target, folder = context.ws, planned.version, experiment.folder.run(run.name)
    own = run_workspace.of(folder)
    if not folder.mark(TRAIN).is_file():
        return "its training has not ended well"
    for path, text in version_files.lying(ws, target, planned.files).items():
        there = own.root / path.relative_to(ws.root)
        is_script = path == ws.script(target)
        if not there.is_file() or _plain(read_text(there), is_script) != _plain(text, is_script):
            return f"{there.name} of the run is not what {target} would have"
    made = own.version(target)
    if not made.best_checkpoint.is_file() or elsewhere.stated_digest(made) != sha256(made.best_checkpoint):
        return "its best.ckpt is gone, or is not the one that its training left"
    if rules.load(own).training_args != context.rules.training_args:
        return "training_args of the rules have changed since"
    spec = try_read_json(made.spec)
    prints = prepared_data.fingerprint, lambda *of: prepared_data.fingerprints_before(*of)["data"]
    if all(spec.get("data_sha256") != taken(ws, context.dataset_id) for taken in prints):
        return "the data have changed since"
    return ""


def _plain(text: str, is_script: bool) -> str:
    """A script without its summary, which tells why it was made."""
    return without_header(text) if is_script else text


def _cells(experiment: Experiment, run: Run) -> list[CellFolder]:
    folder = experiment.folder.run(run.name)
    cells = expand.cells(experiment.plan, [run], experiment.folder)
    return [folder.cell(cell.name) for cell in cells if cell.epoch == "best" and folder.mark(cell.name).is_file()]


def _why_not_evaluated(
    context: Context, experiment: Experiment, run: Run, base: str, planned: Planned, cell: CellFolder
) -> str:
    ws, own = context.ws, run_workspace.of(experiment.folder.run(run.name))
    try:
        score = load(cell.score, EvalScore)
        protocol = load(cell.protocol, Protocol) if cell.protocol.is_file() else None
    except InputError:
        return "it was evaluated with another tool"
    if score.dataset_id != context.dataset_id:
        return f"it was evaluated on {score.dataset_id}"
    if evaluator_sha256(own.root) != evaluator_sha256(ws.root):
        return "03_eval.py has changed since"
    if protocol is None:
        return ""
    if protocol.checkpoint_sha256 != sha256(own.version(planned.version).best_checkpoint):
        return "another checkpoint was evaluated"
    before = _protocol(ws, base)
    if before is not None and not protocol.comparable(before):
        return f"it was evaluated in another way than {base}"
    return ""


def _protocol(ws: Workspace, version: str) -> Protocol | None:
    try:
        return load(ws.version(version).protocol, Protocol)
    except InputError:
        return None


def take_over(ws: Workspace, experiment: Experiment, run: Run, planned: Planned, what: Takeover) -> None:
    """Copies it to where the version's own would lie. The loop looks whether its script is the one that was trained.

    Raises `StorageError`.
    """
    if what.not_trained:
        return
    target, own = planned.version, run_workspace.of(experiment.folder.run(run.name))
    made = ws.version(target)
    train.make_room(ws, target)
    by_evaluation = {made.eval_score.name, made.infer_samples.name, made.evaluation.name}
    with storage_errors(made.path):
        shutil.copytree(
            own.version(target).path,
            made.path,
            dirs_exist_ok=True,
            copy_function=copy_file,
            ignore=lambda folder, names: by_evaluation & set(names) if Path(folder) == own.version(target).path else [],
        )
        _copy_told(own, ws, target)
        if what.cell is not None:
            _copy_evaluation(ws, target, what.cell)
    spec = try_read_json(made.spec)
    script = sha256_text(planned.files[ws.script(target)])
    told = {"experiment": experiment.folder.name, "run": run.name, "script_sha256": spec.get("script_sha256")}
    # last: with it the training counts as this script's
    write_json(made.spec, {**spec, "script_sha256": script, "taken_over": told})


def _copy_told(own: Workspace, ws: Workspace, version: str) -> None:
    """What the hooks in the training told: its record, the split, its curve."""
    if own.live(version).is_file():
        ws.live(version).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own.live(version), ws.live(version))
    source, target = own.record(version).parent, ws.record(version).parent
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=copy_file)


def _copy_evaluation(ws: Workspace, version: str, cell: CellFolder) -> None:
    made = ws.version(version)
    made.evaluation.mkdir(parents=True, exist_ok=True)
    pairs = {cell.score: made.eval_score, cell.per_sample: made.per_sample, cell.protocol: made.protocol}
    for source, target in pairs.items():
        if source.is_file():
            shutil.copyfile(source, target)
    samples = cell.path / made.infer_samples.name
    if samples.is_dir():
        shutil.copytree(samples, made.infer_samples, copy_function=copy_file)
