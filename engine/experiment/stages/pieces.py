"""What a stage goes through: the trainings and evaluations of a plan, each with the worker that does it."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.opening import tool_of
from progtrain.engine.experiment.workers import base
from progtrain.engine.experiment.workers.base import Experiment, Piece


def pieces(experiment: Experiment, names: Sequence[str] = (), tool: str = "") -> list[Piece]:
    """In the order of the plan, each run's training before its evaluations. `names`: patterns of runs; empty: all.

    Raises `InputError` where a name matches nothing, or the tool has nothing to do.
    """
    plan, folder = experiment.plan, experiment.folder
    runs = expand.runs(plan, folder)
    chosen = wanted(runs, names, experiment)
    cells = expand.by_run(runs, expand.cells(plan, runs, folder))
    found = []
    for run in chosen:
        found.append(Piece(experiment, run))
        found += [Piece(experiment, run, cell) for cell in cells[run.name]]
    its = [piece for piece in found if tool in ("", tool_of(piece))]
    if not its and (names or tool or plan.search is None):
        tools = sorted({tool_of(piece) for piece in found} - {""})
        reason = f"nothing to do: looked for work of {tool}, found that of {', '.join(tools) or 'none'}"
        raise InputError(reason, file=folder.plan, fix="name a tool of the plan")
    return its


def wanted(runs: Sequence[Run], names: Sequence[str], experiment: Experiment) -> list[Run]:
    """Those whose name or point matches one of the patterns. Raises `InputError` for one that matches nothing."""
    for pattern in names:
        if not any(is_named(run, pattern) for run in runs):
            told = ", ".join(run.name for run in runs[:8])
            raise InputError(f"no run matches {pattern!r}", file=experiment.folder.path, fix=f"runs are {told}")
    return [run for run in runs if not names or any(is_named(run, pattern) for pattern in names)]


def is_named(run: Run, pattern: str) -> bool:
    return fnmatchcase(run.name, pattern) or fnmatchcase(run.point, pattern)


def trains(piece: Piece) -> bool:
    """Whether anything is trained for its run."""
    tool = piece.experiment.plan.tools.training
    return bool(tool) and base.training(tool or "").trains(piece.run)
