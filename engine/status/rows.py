"""The rows that a workspace shows, for the app, the command line and the first frame alike.

Light: plain JSON and the journal. What needs rules, locks or processes adds it afterwards (`status.view`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.compare import serving
from progtrain.engine.clock import Clock, now
from progtrain.engine.files import LineReader, is_there, try_read_json
from progtrain.engine.rules import goal
from progtrain.engine.status.snapshot import (
    EXTERNAL,
    NOT_MEASURED,
    STEP_NAMES,
    WORKING,
    Snapshot,
    Status,
    StepState,
    StepView,
    VersionView,
)
from progtrain.engine.status.state import LoopState
from progtrain.engine.workspace import VersionFolder, Workspace

#: Gives a JSON file through a function, or some of its keys; None where it is missing or holds something else.
Reader = Callable[[Path, Callable[[Any], Any], Sequence[str]], Any]
#: of an insight, which is long
_OF_INSIGHT = ("primary_metric", "metrics", "against_previous")

#: What a version is called while the loop is in a status of another name.
_VERSION_STATES = {"orphan training": "training", "analyzing": "drafting", "runner gone": "stopped"}


def glance(ws: Workspace, clock: Clock = now) -> Snapshot | None:
    """What the first frame shows; None where nothing was ever started.

    A moment later a whole view replaces it, so it decides nothing: no review, no locks, and a runner that the journal
    calls alive is believed.
    """
    state = LoopState()
    for event in LineReader(ws.journal).look():
        state.add(event)
    if state.version is None:
        return None
    status: Status = state.activity() if state.runner_open else state.outcome or "not started"
    return basis(ws, state, status, goal.read(ws), clock=clock)._replace(
        reason=state.reason,
        fix=state.fix,
        running=state.runner_open,
    )


def read_once(path: Path, convert: Callable[[Any], Any], keys: Sequence[str] = ()) -> Any:
    data = try_read_json(path, keys)
    try:
        return None if data is None else convert(data)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def basis(
    ws: Workspace, state: LoopState, status: Status, rules: Any, *, read: Reader = read_once, clock: Clock = now
) -> Snapshot:
    """All that journal, scores and the rules' plain JSON (None: damaged) tell."""
    primary = goal.primary_metric(rules)
    higher = goal.higher_is_better(rules, primary) is not False
    rows = [_version(ws, version, state, status, primary, read) for version in ws.versions()]
    best = metrics.best(rows, lambda row: row.value, higher)
    damaged = state.max_versions if rules is None else None
    return Snapshot(
        root=ws.root,
        status=status,
        version=state.version or (rows[-1].version if rows else None),
        step=state.step,
        since_seconds=_age(state.since, clock),
        max_versions=damaged or goal.max_versions(rules, state.max_versions_asked),
        dataset_id=state.dataset_id,
        primary_metric=primary,
        higher_is_better=higher,
        steps=_steps(state, status),
        versions=tuple(row._replace(is_best=True) if row is best else row for row in rows),
    )


def _age(since: str | None, clock: Clock) -> float | None:
    try:
        return None if since is None else (clock() - datetime.fromisoformat(since)).total_seconds()
    except (ValueError, TypeError):  # edited by hand: no time, or one without its zone
        return None


def _steps(state: LoopState, status: Status) -> tuple[StepView, ...]:
    ends: dict[str, StepState] = {"waiting": "waiting", "failed": "failed", "not ready": "failed"}
    rows = []
    for number, name in enumerate(STEP_NAMES):
        seconds, done = state.steps.get(name, (None, False))
        # a later step comes only after it: it was done for the first version, or taken over
        is_past = status == "finished" or (state.step in STEP_NAMES and number < STEP_NAMES.index(state.step))
        done = done or (name in ("initialize", "train", "evaluate") and is_past)
        shown: StepState = "done" if done else "pending"
        if name == state.step and not done:
            shown = "running" if status in WORKING else ends.get(status, "pending")
        rows.append(StepView(number, name, shown, seconds))
    return tuple(rows)


def _version(ws: Workspace, version: str, state: LoopState, status: Status, primary: str, read: Reader) -> VersionView:
    made = state.authored.get(version, {})
    score = read(ws.version(version).eval_score, _score_in, ()) or {}
    done = is_there(ws.mark(version, "extract"))
    shown: str = "done" if done else "pending"
    if version == state.version and not done:
        shown = _VERSION_STATES.get(status, status)
    return VersionView(
        version=version,
        state=shown,
        value=metrics.value_of(primary, score.get("metrics", {})),
        **score,
        # what was said of a score that is gone says nothing any more
        **((read(ws.insight(version), _verdicts_in, _OF_INSIGHT) if score else None) or {}),
        **(read(ws.repeats_table(version), partial(_spread_in, primary), ()) or {}),
        action=str(made.get("action") or ""),
        reason=str(made.get("reason") or ""),
        base=made.get("base"),
        attempts=state.attempts.get(version, 0),
        train_seconds=state.train_seconds.get(version),
    )


def read_external(ws: Workspace, primary: str | None = None) -> tuple[VersionView, ...]:
    """Models from elsewhere by name, with their last scores; those that nobody has scored yet have no metrics."""
    folders = sorted(path for path in ws.external.glob("*") if path.is_dir())
    scores = [(VersionFolder(path), read_once(VersionFolder(path).eval_score, _score_in) or {}) for path in folders]
    return tuple(
        VersionView(
            folder.path.name,
            EXTERNAL,
            metrics.value_of(primary or "", score.get("metrics", {})),
            **score,
            served_by=serving.read(folder.protocol),
        )
        for folder, score in scores
    )


def called(row: VersionView) -> str:
    """How a row is named where versions and models from elsewhere stand together: `progtrain compare` takes it."""
    return f"{EXTERNAL}/{row.version}" if row.state == EXTERNAL else row.version


def told_of_external(row: VersionView) -> str:
    """What a reader of its rank should know: `external model, mixed, not ranked: router 90 %, fallback 10 %`."""
    if serving.is_mixed(row.served_by):
        return f"external model, mixed, not ranked: {serving.told(row.served_by)}"
    answered = row.metrics.get(serving.ANSWERED)
    if answered is not None and answered < 1:
        return f"external model, answered {serving.percent(answered)}"
    return "external model"


def _score_in(data: Any) -> dict[str, Any]:
    """Metrics, time and latency of an `eval_score.json`; what is no metric is left out."""
    listed = data.get("metrics")
    named = [m for m in (listed if isinstance(listed, list) else ()) if isinstance(m, dict) and "name" in m]
    return {
        "metrics": {str(metric["name"]): metrics.finite(metric.get("value")) for metric in named},
        "created_at": str(data.get("created_at") or ""),
        "latency_ms": metrics.finite(data.get("latency_ms")),
    }


def _verdicts_in(data: Any) -> dict[str, Any]:
    row: dict[str, Any] = metrics.value_of(data["primary_metric"], {r["name"]: r for r in data["metrics"]}) or {}
    deltas: dict[str, Any] = {key: metrics.finite(row.get(key)) for key in ("delta_previous", "delta_best")}
    verdicts = {key: row.get(key) for key in ("verdict_previous", "verdict_best")}
    compared = data.get("against_previous")
    if isinstance(compared, dict) and isinstance(compared.get("verdict"), str):
        deltas |= {"seed_noise": _noise_in(compared)}
    return deltas | {key: value if isinstance(value, str) else None for key, value in verdicts.items()}


def _noise_in(compared: Any) -> str:
    """As `Comparison.seed_noise` says it: the first frame does not load what that is made with."""
    spread, freedom = metrics.finite(compared.get("noise_sd")), metrics.count(compared.get("noise_freedom"))
    if spread is None or freedom is None:
        return NOT_MEASURED
    return f"seed noise {spread:.2g} from {freedom + 1} runs of {compared.get('noise_from')}"


def _spread_in(primary: str, data: Any) -> dict[str, Any]:
    """Of `repeats.json`: what counts, over the version's own run and those with other seeds."""
    found = metrics.value_of(primary, data["spread"]) or {}
    runs = metrics.count(found.get("n")) or 1
    return {"runs": runs, "mean": metrics.finite(found.get("mean")), "spread": metrics.finite(found.get("sd"))}
