"""An experiment as workers are given it, where its jobs run, and what they ask for there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from progtrain.engine import prepared_data
from progtrain.engine.clock import Clock, now
from progtrain.engine.control.launch import named_python
from progtrain.engine.errors import Busy
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.workers import base
from progtrain.engine.experiment.workers.base import Experiment, Piece, Worker
from progtrain.engine.jobs import sizes
from progtrain.engine.jobs.base import Executor
from progtrain.engine.jobs.local import Local
from progtrain.engine.jobs.slurm import Slurm
from progtrain.engine.rules import rules
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import Resources
from progtrain.engine.workspace import Workspace


def opened(ws: Workspace, name: str, clock: Clock = now, plan: Plan | None = None) -> Experiment:
    """Raises `InputError` where there is no such experiment, or plan or rules are broken. Writes nothing."""
    folder = folders.folder(ws, name) if plan else folders.existing(ws, name)
    plan, present = plan or plans.read(folder), rules.load(ws)
    stated = plan.resources.python
    # a bare name is looked for on PATH, as a shell does
    python = str(ws.root / stated) if stated and "/" in stated else stated
    return Experiment(
        ws, present, _dataset(ws, present), folder, plan, clock, python or named_python(ws) or sys.executable
    )


def _dataset(ws: Workspace, present: Rules) -> str:
    """Empty where nothing names one: some tools need none."""
    there = prepared_data.available(ws)
    return present.dataset_id or (there[0] if len(there) == 1 else "")


def executor_of(experiment: Experiment) -> Executor:
    if experiment.plan.resources.executor == "local":
        return Local()
    return Slurm(experiment.plan.resources.poll)


def worker_of(piece: Piece) -> Worker:
    """Raises `InputError` for a tool that nobody works with."""
    plan = piece.experiment.plan
    if piece.cell is not None:
        return base.evaluation(plan.tool_of(piece.cell.task))
    return base.training(plan.tools.training or "")


def tool_of(piece: Piece) -> str:
    plan = piece.experiment.plan
    return plan.tool_of(piece.cell.task) if piece.cell else plan.tools.training or ""


def resources_of(plan: Plan, changes: Mapping[str, Any]) -> Resources:
    """What a job asks for; `changes`: what an attempt has otherwise than the plan, as `retry` has it."""
    asked = plan.resources
    return Resources(
        partition=asked.partition,
        account=asked.account,
        gpus=asked.gpus,
        cpus=asked.cpus,
        memory_mb=changes.get("memory_mb") or memory_mb(plan),
        minutes=minutes(plan),
        setup=asked.setup,
        exclude=changes.get("exclude", []),
        mail=plan.notify.mail,
        preemptible=asked.preemptible,
        options=asked.sbatch,
    )


def memory_mb(plan: Plan) -> int | None:
    """As the plan states it, or else as it was estimated; None: as the partition gives it."""
    stated = plan.resources.memory
    if stated == "auto":
        stated = str(estimated(plan, "memory") or "")
    return sizes.megabytes(stated)


def minutes(plan: Plan) -> int | None:
    """As the plan states it, or else as it was estimated; None: without end, or as the partition has it."""
    stated = plan.resources.time
    if stated == "auto":
        stated = str(estimated(plan, "time") or "")
    return sizes.minutes(stated)


def estimated(plan: Plan, what: str) -> Any:
    """`what`: "time" or "memory"."""
    found = plan.estimates.get(what)
    return found.get("value") if isinstance(found, dict) else found


def busy(folder: ExperimentFolder) -> Busy:
    fix = f"progtrain experiment status {folder.name} --watch shows it"
    return Busy("another runner is at work in this experiment", file=folder.lock, fix=fix)
