"""Trains a script of the workspace, as the loop would: Lightning, transformers, or a loop of the script's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from progtrain.engine import hooks
from progtrain.engine.control.context import Context
from progtrain.engine.control.journal import Journal
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import checkpoints, expand, outcome, placing, run_script, run_workspace
from progtrain.engine.experiment.workers.base import Ended, Experiment, Piece, TrainingWorker
from progtrain.engine.jobs.base import GO_ON_LATER
from progtrain.engine.loop.steps import train
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.script import version_files
from progtrain.engine.script.names import canonical
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.script.settings import find_setting
from progtrain.engine.workspace import JobFolder, Workspace

_BATCH, _ACCUMULATION = "batch_size", "gradient_accumulation"


class Lightning(TrainingWorker):
    name = "lightning"
    about = "a training script of the workspace: Lightning, transformers' Trainer, or a loop of its own"

    def problems(self, experiment: Experiment) -> list[InputError]:
        base = experiment.plan.base
        if not base.script:
            reason = "this worker trains scripts, and the plan's base is another one"
            fix = "name `script: 02_train_v001.py`, or another worker in tools.training"
            return [InputError(reason, file=experiment.folder.plan, place="key base", fix=fix)]
        planned = [run for run in expand.runs(experiment.plan, experiment.folder) if self.trains(run)]
        planned += run_script.ends_of_ranges(experiment)
        return [*run_script.problems(experiment, planned), *run_script.reaches_out(experiment)]

    def settings(self, experiment: Experiment) -> dict[str, Any]:
        return run_script.can_vary(experiment)

    def files(self, piece: Piece) -> dict[Path, str]:
        return run_workspace.files(run_script.workspace(piece.experiment), piece.folder, _texts(piece))

    def links(self, piece: Piece) -> dict[Path, Path]:
        # settings change what stands in files, not which there are
        ws, texts = run_script.workspace(piece.experiment), run_script.of(piece.experiment, piece.run, {})
        return run_workspace.links(ws, piece.folder, texts, _version(piece))

    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        experiment, ws, version = piece.experiment, run_workspace.of(piece.folder), _version(piece)
        if piece.changes:
            placing.put(run_script.with_changes(ws, version, piece.changes), {}, ws.root)
        going_on = _prepare(ws, version, attempt.path.name if resume else None)
        words = version_files.arguments(ws, version, experiment.rules.training_args)
        environment = hooks.of_training(ws, version) | hooks.to_go_on(ws, version)
        if going_on is not None:
            environment |= hooks.going_on(going_on)
        return JobRequest(
            name=f"{piece.run.name}-{attempt.path.name}",
            command=[experiment.python, ws.script(version).name, *words],
            cwd=str(ws.root),
            environment=environment,
            timeout_seconds=experiment.rules.timeout_seconds,
        )

    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        ws, version = run_workspace.of(piece.folder), _version(piece)
        if state.ended_by == GO_ON_LATER:
            summary = "it saved what it had and stopped: its time was nearly over"
            return Ended(Failure("time limit", summary, "the training takes longer than it was given"))
        context = Context(
            ws=ws,
            rules=run_script.rules_of(piece.experiment, piece.run),
            dataset_id=piece.experiment.dataset_id,
            python=piece.experiment.python,
            journal=Journal(ws.journal, piece.experiment.clock),
            clock=piece.experiment.clock,
        )
        checkpoints.put_back_best(ws, version)
        failure, notes = train.came_of(context, version, state, attempt.restarted(state.restarts).log)
        failure = failure or _shared(piece, ws, version)
        if failure is not None:
            return Ended(failure, notes=notes)
        if checkpoints.complete_curve(ws, version):
            notes.append("it was cut short and gone on with: metrics.csv has the rows of the starts before too")
        elif not hooks.record_of(ws, version) and len(piece.folder.attempts_at("train")) > 1:
            notes.append("each of its attempts began anew: a loop of the script's own says nothing of what it saves")
        checkpoints.forget(ws, version)
        return Ended(None, train.outputs(ws, version), notes)

    def smaller(self, piece: Piece) -> dict[str, Any] | None:
        source = run_script.source_of(piece.experiment, piece.run, piece.settings)
        held = dict(piece.settings)
        for key in (_BATCH, _ACCUMULATION):
            if key not in map(canonical, held) and (found := _whole_number(source, key)) is not None:
                held[key] = found
        changes = outcome.halved(held)
        if changes is None or _allowed(piece, changes):
            return changes
        # accumulation is locked, say: then the effective batch is another one
        batch = {name: value for name, value in changes.items() if canonical(name) == _BATCH}
        return batch if _allowed(piece, batch) else None

    def can_resume(self, piece: Piece) -> bool:
        ws, version = run_workspace.of(piece.folder), _version(piece)
        return checkpoints.to_go_on_from(ws, version) is not None

    def check(self, piece: Piece) -> Failure | None:
        ws, version = run_workspace.of(piece.folder), _version(piece)
        return checkpoints.load(piece.experiment.python, ws, version)


def _texts(piece: Piece) -> dict[Path, str]:
    return run_script.of(piece.experiment, piece.run, piece.settings)


def _version(piece: Piece) -> str:
    return run_script.version_of(piece.experiment, piece.run)


def _prepare(ws: Workspace, version: str, resuming: str | None) -> Path | None:
    """Makes room for a training, or keeps what the attempt of that name is to go on from, and says where."""
    kept = checkpoints.keep(ws, version, resuming) if resuming is not None else None
    if kept is not None:
        ws.live_stop(version).unlink(missing_ok=True)
        return kept
    checkpoints.forget(ws, version)
    train.make_room(ws, version)
    hooks.forget(ws, version)
    return None


def _shared(piece: Piece, ws: Workspace, version: str) -> Failure | None:
    """A script that saves where every run of the experiment saves: the results may be those of another one."""
    home, user = ws.root.resolve(), run_script.workspace(piece.experiment).root.resolve()
    for path in run_workspace.results_of(ws, version):
        real = path.resolve()
        if real.is_relative_to(user) and not real.is_relative_to(home):
            summary = f"it saved {path.name} in {real.parent}, where all runs save: the results may be another run's"
            fix = "let the script save below Models/Artifacts, or in a folder that is not there before it runs"
            return Failure("outputs", summary, fix)
    return None


def _whole_number(source: str, key: str) -> int | None:
    try:
        setting = find_setting(source, key)
    except InputError:
        return None
    held = setting.value if setting is not None else None
    return held if isinstance(held, int) and not isinstance(held, bool) else None


def _allowed(piece: Piece, changes: Mapping[str, Any]) -> bool:
    try:
        run_script.of(piece.experiment, piece.run, {**piece.settings, **changes})
    except InputError:
        return False
    return True


WORKERS = (Lightning(),)
