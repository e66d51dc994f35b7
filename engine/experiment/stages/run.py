"""Starts the runner, or says what it would do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase

from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import state
from progtrain.engine.experiment.carry import refuse_unready
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.opening import busy
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.stages.pieces import pieces
from progtrain.engine.experiment.state import Part
from progtrain.engine.experiment.view import look
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import storage_errors, write_json
from progtrain.engine.jobs.detached import spawn
from progtrain.engine.workspace import Workspace


def start(ws: Workspace, name: str, options: Options) -> subprocess.Popen[bytes]:
    """A detached runner: it survives this process, its terminal and the line. Raises `Busy`, `InputError`."""
    folder = folders.existing(ws, name)
    if lock.held(folder.lock):
        raise busy(folder)
    with storage_errors(folder.path):
        arguments = [str(ws.root), name, options.as_json()]
        return spawn("progtrain.engine.experiment.runner", arguments, folder.runner_log)


def reasons(part: Part) -> list[str]:
    """Why there is something to do about a training or an evaluation; empty where it is done, or has come to an end."""
    if part.phase == "scaffolded":
        return [part.reason or ("it has not been evaluated yet" if part.cell else "it has not been trained yet")]
    if part.phase in state.AT_WORK:
        return [f"it is {part.phase}{f': {part.reason}' if part.reason else ''}"]
    return [] if part.phase in state.SETTLED else [part.reason or part.phase]


def planned(experiment: Experiment, options: Options) -> list[tuple[Part, list[str]]]:
    """What a runner would have to do, and why. Raises `InputError` where something is not scaffolded."""
    its = {
        (piece.run.name, piece.cell.name if piece.cell else state.TRAIN)
        for piece in pieces(experiment, options.runs, options.tool)
    }
    view = look(experiment.folder)
    parts = [part for held in view.states for part in held.parts if (part.run.name, part.what) in its]
    refuse_unready(parts, experiment.folder)
    return [(part, why) for part in parts if (why := reasons(part))]


def resume(folder: ExperimentFolder, names: Sequence[str], cause: str | None, at: str) -> list[Part]:
    """Has failed, lost and cancelled work done again: those parts. Raises `InputError` where none matches.

    It is for the runner to begin: what is written here is a word to it.
    """
    view = look(folder)
    runs = _chosen([held.run.name for held in view.states], names, folder)
    found = [
        part
        for held in view.states
        if held.run.name in runs
        for part in held.parts
        if part.phase in ("failed", "lost", "cancelled") and cause in (None, part.cause)
    ]
    if not found:
        causes = sorted({part.cause for held in view.states for part in held.parts if part.cause})
        looked = f"cause {cause}" if cause else "failed, lost or cancelled runs"
        there = f"causes are {', '.join(causes)}" if causes else "none has failed"
        raise InputError(f"nothing to resume: looked for {looked}; {there}", file=folder.path, fix="see its status")
    for part in found:
        run = folder.run(part.run.name)
        folder.cancelled(part.run.name).unlink(missing_ok=True)
        if part.attempt and part.failure is not None:
            write_json(run.again(part.what, part.attempt), {"at": at})
    return found


def cancel(folder: ExperimentFolder, names: Sequence[str], at: str) -> list[str]:
    """Asks for the end of runs: those that were not done. Raises `InputError` where none matches."""
    view = look(folder)
    runs = _chosen([held.run.name for held in view.states], names, folder)
    over = ("done", "failed", "lost", "cancelled")
    found = [held.run.name for held in view.states if held.run.name in runs and held.phase not in over]
    if not found:
        raise InputError("nothing to cancel: all of it has ended", file=folder.path, fix="see its status")
    for name in found:
        write_json(folder.cancelled(name), {"at": at})
    return found


def _chosen(known: Sequence[str], names: Sequence[str], folder: ExperimentFolder) -> set[str]:
    for pattern in names:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise InputError(f"no run matches {pattern!r}", file=folder.path, fix=f"runs are {', '.join(known[:8])}")
    return {name for name in known if not names or any(fnmatchcase(name, pattern) for pattern in names)}
