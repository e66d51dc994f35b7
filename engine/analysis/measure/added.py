"""What files tell of training rows that a version was given besides: what for, and what random ones brought."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.additions import folder
from progtrain.engine.analysis.compare.pairs import Runs, compare_runs
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.analysis.types import Comparison
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_loosely, try_read_json
from progtrain.engine.hooks import record_of
from progtrain.engine.script.action.data import meant
from progtrain.engine.values import within
from progtrain.engine.workspace import Workspace

#: of a version, beside its repeats: the training with random rows in place of those that were added
CONTROL = "control"


def told_of(ws: Workspace, dataset_id: str, operation: Mapping[str, Any]) -> tuple[dict[str, Any], str, int] | None:
    """Focus, that in words, and how many rows there are; None where the addition cannot be read any more."""
    try:
        found = folder.read(ws, dataset_id, str(operation.get("addition")))
    except InputError:
        return None
    focus = dict(operation.get("focus") or found.manifest.get("meant") or {})
    return focus, meant(focus), len(found)


def control(
    ws: Workspace, version: str, runs: Runs, metric: str, higher_is_better: bool, seed: int
) -> tuple[Comparison | None, str]:
    """The version against the training with random rows, by their samples; None, and why there is none."""
    place = ws.repeat(version, CONTROL)
    held = try_read_json(place.result)
    if held is None:
        return None, ""
    if held.get("state") != "finished":
        return None, f"the training with random rows instead failed: {held.get('reason')}"
    try:
        other = Runs(({},), (read_per_sample(place.per_sample),))
    except InputError as error:
        return None, f"the training with random rows cannot be compared: {error.reason}"
    own = Runs(({},), runs.samples[:1])
    return compare_runs(other, own, metric, higher_is_better, seed, against="random rows"), ""


def knows_training_split(ws: Workspace) -> bool:
    """Whether the evaluator takes `--split train`; one that is not there yet will."""
    try:
        text = read_loosely(ws.eval_script) if ws.eval_script.is_file() else None
    except OSError:
        return False
    return text is None or re.search(r"[\"']train[\"']", text) is not None


def steps(ws: Workspace, before: str, after: str) -> str:
    """In words, where the trainings took another number of steps."""
    counts = [metrics.count(within(record_of(ws, one), "ended").get("steps")) for one in (before, after)]
    if None in counts or counts[0] == counts[1]:
        return ""
    return f"it trained for {counts[1]} steps, {before} for {counts[0]}: more rows make longer epochs"
