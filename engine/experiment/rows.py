"""What `results.jsonl` says of a finished evaluation, or of a run that failed for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.experiment import results, state
from progtrain.engine.experiment.folder import RunFolder
from progtrain.engine.experiment.opening import tool_of
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.state import TRAIN, Part
from progtrain.engine.experiment.workers.base import Piece, Score
from progtrain.engine.files import object_in, sha256
from progtrain.engine.script.names import canonical
from progtrain.engine.workspace import VersionFolder


def row(piece: Piece, part: Part, outcome: str, *, scores: Sequence[Score] = (), cause: str = "") -> Row:
    """`outcome`: "done", "failed" or "cancelled"."""
    experiment, run, folder = piece.experiment, piece.run, piece.folder
    number = part.attempt if part.cell is None else int(part.trained_by or 0)
    changes = object_in(folder.changes(TRAIN, number)).get("settings", {}) if number else {}
    spec = _mapping(VersionFolder(folder.artifacts).spec)
    told: dict[str, Any] = {
        "experiment": experiment.folder.name,
        "run": run.name,
        "point": run.point,
        "type": run.type,
        "seed": run.seed,
        "parameters": dict(run.parameters),
        "settings": _effective({**run.settings, **changes}, spec.get("settings")),
        "changes": changes,
        "state": outcome,
        "cause": cause,
        "metrics": results.measured(scores),
        "estimate": experiment.plan.estimates,
        "executor": experiment.plan.resources.executor,
        "device": str(spec.get("device") or ""),
        "plan_sha256": sha256(experiment.folder.plan),
        **_trained(folder, number),
    }
    return Row.model_validate(told | (_evaluated(piece, scores) if piece.cell else {}))


def _effective(planned: Mapping[str, Any], used: Any) -> dict[str, Any]:
    """What the training had: as it told itself, and as it was planned where it told nothing of a setting."""
    told: dict[str, Any] = used if isinstance(used, dict) else {}
    return {name: value for name, value in planned.items() if canonical(name) not in told} | told


def _mapping(path: Any) -> dict[str, Any]:
    return object_in(path)


def _trained(folder: RunFolder, last: int) -> dict[str, Any]:
    """Of the training: all attempts together."""
    numbers = [number for number in folder.attempts_at(TRAIN) if number <= last]
    states = [_mapping(folder.attempt(TRAIN, number).state) for number in numbers]
    begun = [held["started_at"] for held in states if held.get("started_at")]
    ended = [held["ended_at"] for held in states if held.get("ended_at")]
    steps = state.progress(folder.attempt(TRAIN, last)).get("step") if last else None
    return {
        "attempts": len(numbers),
        "pruned": object_in(folder.pruned(last)).get("epoch") if last else None,
        "seconds": sum(_seconds(held) for held in states) if states else None,
        "started_at": begun[0] if begun else None,
        "ended_at": ended[-1] if ended else None,
        "steps": steps,
        "memory": max((held["memory"] for held in states if held.get("memory")), default=None),
    }


def _seconds(told: dict[str, Any]) -> float:
    if (took := metrics.finite(told.get("took"))) is not None:
        return took
    try:
        ends = [datetime.fromisoformat(told[key]) for key in ("started_at", "ended_at")]
    except (KeyError, TypeError, ValueError):
        return 0.0
    return (ends[1] - ends[0]).total_seconds()


def _evaluated(piece: Piece, scores: Sequence[Score]) -> dict[str, Any]:
    assert piece.cell is not None
    folder = piece.cell_folder
    protocol = _mapping(folder.protocol) if scores else {}
    has_samples = bool(scores) and folder.per_sample.is_file()
    return {
        "task": piece.cell.task.name,
        "tool": tool_of(piece),
        "epoch": piece.cell.epoch,
        "evaluator_sha256": str(protocol.get("evaluator_sha256") or ""),
        "data_sha256": str(protocol.get("data_sha256") or ""),
        "per_sample": folder.per_sample.relative_to(piece.experiment.folder.path).as_posix() if has_samples else "",
    }
