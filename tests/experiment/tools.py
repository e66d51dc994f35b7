"""A worker carried through one run, as stages and runner do: problems, files, job under a real guard, end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, folder, plan
from progtrain.engine.experiment.workers.base import Ended, EvaluationWorker, Experiment, Piece, TrainingWorker, Worker
from progtrain.engine.files import write_text
from progtrain.engine.jobs.local import Local
from progtrain.engine.rules import rules
from progtrain.engine.schema import JobState
from progtrain.engine.workspace import Workspace

#: interpreters with tools that progtrain does not need
OTHER_PYTHON, INSPECT_PYTHON, TUNE_PYTHON = (
    Path(sys.prefix) / name / "bin" / "python" for name in ("scripts", "inspect", "torchtune")
)
needs_peft, needs_inspect, needs_tune = (
    pytest.mark.skipif(not (p.parents[1] / "ready").exists(), reason=f"{p} is not set up: make test-all does it")
    for p in (OTHER_PYTHON, INSPECT_PYTHON, TUNE_PYTHON)
)


def experiment(ws: Workspace, text: str, python: str = sys.executable) -> Experiment:
    """The plan is called cap."""
    there = folder.folder(ws, "cap")
    write_text(there.plan, text)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Experiment(ws, rules.load(ws), "", there, plan.read(there), lambda: moment, python)


def runs(of: Experiment) -> dict[str, expand.Run]:
    return {run.name: run for run in expand.runs(of.plan, of.folder)}


def piece(of: Experiment, run: str, *, cell: str | None = None, changes: Mapping[str, Any] | None = None) -> Piece:
    cells = {(c.run, c.name): c for c in expand.cells(of.plan, list(runs(of).values()), of.folder)}
    return Piece(of, runs(of)[run], cells[run, cell] if cell else None, changes or {})


def scaffold(worker: Worker, what: Piece) -> None:
    for path, text in worker.files(what).items():
        write_text(path, text)


def ended_well(worker: Worker, what: Piece) -> Ended:
    """What a worker makes of what lies there, of a job that ended well."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    told = {"status": "ended", "host": "n", "pid": 1, "create_time": 1.0, "exit_code": 0}
    state = JobState.model_validate({**told, "started_at": moment, "ended_at": moment})
    return worker.ended(what, what.folder.attempt(what.cell.name if what.cell else "train", 1), state)


def lock(of: Experiment, **settings: Any) -> Experiment:
    """With rules that lock these."""
    of.ws.rules.write_text(json.dumps({"training_config": settings}))
    return replace(of, rules=rules.load(of.ws))


def carry_out(worker: Worker, what: Piece, number: int = 1, *, resume: bool = False) -> tuple[Ended, JobState, str]:
    """What came of an attempt, how its job ended, and its output."""
    attempt = what.folder.attempt(what.cell.name if what.cell else "train", number)
    request = worker.request(what, attempt, resume=resume)
    executor = Local()
    executor.submit(attempt, request)
    state = executor.wait(attempt, lambda: None)
    return worker.ended(what, attempt, state), state, attempt.log.read_text("utf-8", "replace")


def complaints(worker: TrainingWorker | EvaluationWorker, of: Experiment) -> list[str]:
    found: Sequence[InputError] = worker.problems(of)
    if isinstance(worker, EvaluationWorker):
        found = [*found, *(problem for task in of.plan.tasks for problem in worker.for_task(of, task))]
    return [str(problem) for problem in found]
