"""Room on the disk: checkpoints of runs that lost go, and nothing else.

Never of a control, of a run that is not done, or of a point that has such a run, and nothing that a link leads to.
Results, logs and scripts stay; what is pruned can be compared as before, and evaluated again only after a training.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from progtrain.engine import metrics
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import compare, report, results
from progtrain.engine.experiment.folder import ExperimentFolder, RunFolder
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import busy
from progtrain.engine.experiment.view import look
from progtrain.engine.files import storage_errors
from progtrain.engine.rules import goal
from progtrain.engine.workspace import Workspace

_WEIGHTS = frozenset({".ckpt", ".pt", ".pth", ".safetensors", ".bin", ".gguf"})


class Pruning(NamedTuple):
    #: by which metric, in words
    by: str
    #: points whose checkpoints stay, the best first
    kept: Sequence[str]
    #: run -> its checkpoints
    files: dict[str, list[Path]]
    #: bytes
    size: int


def planned(ws: Workspace, folder: ExperimentFolder, keep: int = 1) -> Pruning:
    """What would go, where the best `keep` points stay. Raises `InputError` where nothing tells which are the best."""
    view = look(folder)
    rows = compare.ordered(view.plan, results.read(folder))
    found = compare.measures(folder, rows)
    if not found:
        fix = f"progtrain experiment run {folder.name}"
        raise InputError("nothing tells which runs are the best: none was evaluated", file=folder.results, fix=fix)
    measure = report.chief(view.plan, found, goal.primary_metric(goal.read(ws)))
    unfinished = {held.run.point for held in view.states if held.phase != "done"}
    trained = {held.run.point for held in view.states if held.run.type == "trained"}
    means = {point: float(measure.values_of(runs).mean()) for point, runs in measure.points.items()}
    ranked = metrics.ranked([point for point in means if point in trained], means.get, measure.higher_is_better)
    lost = set(ranked[keep:]) - unfinished
    files: dict[str, list[Path]] = {}
    used = [(ws.root / held.run.checkpoint).resolve() for held in view.states if held.run.checkpoint]
    for held in view.states:
        if held.run.point in lost and held.run.type == "trained":
            made = [p for p in checkpoints(folder.run(held.run.name)) if not any(p.is_relative_to(u) for u in used)]
            files |= {held.run.name: made} if made else {}
    size = sum(path.stat().st_size for made in files.values() for path in made)
    return Pruning(f"{measure.metric} ({measure.task})", ranked[:keep], files, size)


def checkpoints(run: RunFolder) -> Iterator[Path]:
    """Files of weights that the run's own trainings wrote; nothing that lies elsewhere, whatever leads there."""
    own = run.path.resolve()
    seen: set[Path] = set()
    for place in (run.artifacts.resolve(), run.attempts.resolve(), (run.workspace / "Models").resolve()):
        for folder, _, names in os.walk(place) if place.is_relative_to(own) else ():
            for path in (Path(folder) / name for name in sorted(names)):
                if path.suffix in _WEIGHTS and not path.is_symlink() and path not in seen:
                    seen.add(path)
                    yield path


def prune(folder: ExperimentFolder, pruning: Pruning, clock: Clock = now) -> None:
    """Raises `Busy` where a runner is at work, `StorageError` where they cannot be removed."""
    with lock.hold_file(folder.lock, busy(folder)):
        _remove(pruning)
        names = ", ".join(pruning.files)
        text = (
            f"checkpoints of {names} removed, {pruning.size} bytes: by {pruning.by} {', '.join(pruning.kept)} is kept"
        )
        Logbook(folder, "prune", clock).write("note", text)


def _remove(pruning: Pruning) -> None:
    for path in (path for held in pruning.files.values() for path in held):
        with storage_errors(path):
            path.unlink(missing_ok=True)
