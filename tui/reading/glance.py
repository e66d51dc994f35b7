"""The history and where the loop stood, from the journal and scores alone: what the first frame shows.

`engine.status.view` needs pydantic and the rules, whose import takes longer than all that is read here. What it says a
moment later replaces this, so nothing is decided by a glance: no review, no locks, and a runner that the journal
calls alive is believed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.clock import Clock, now
from progtrain.engine.files import LineReader, try_read_json
from progtrain.engine.status.snapshot import STEP_NAMES, Snapshot, StepState, StepView, VersionView
from progtrain.engine.status.state import LoopState
from progtrain.engine.workspace import Workspace


def glance(workspace: Workspace, clock: Clock = now) -> Snapshot | None:
    """None where nothing was ever started: what to say then is the engine's to work out."""
    story = LoopState()
    for event in LineReader(workspace.journal).read():
        story.add(event)
    if story.version is None:
        return None
    rules = try_read_json(workspace.rules)
    wanted = _in(rules, "eval_config", "primary_metric")
    primary = wanted if isinstance(wanted, str) else None
    versions = _versions(workspace, story, primary)
    bound = _in(rules, "loop_config", "max_versions")
    status = story.activity() if story.runner_open else story.outcome or "not started"
    return Snapshot(
        root=workspace.root,
        status=status,
        reason=story.reason,
        fix=story.fix,
        version=story.version,
        step=story.step,
        since_seconds=_age(story.since, clock),
        max_versions=bound if isinstance(bound, int) else story.max_versions or 10,
        dataset_id=story.dataset_id,
        primary_metric=primary,
        higher_is_better=_up(primary),
        running=story.runner_open,
        steps=_steps(story),
        versions=versions,
    )


def _in(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _up(primary: str | None) -> bool:
    return metrics.higher_is_better(primary or "loss") is not False if primary else True


def _age(since: str | None, clock: Clock) -> float | None:
    try:
        return None if since is None else (clock() - datetime.fromisoformat(since)).total_seconds()
    except (ValueError, TypeError):
        return None


def _steps(story: LoopState) -> tuple[StepView, ...]:
    rows = []
    for number, name in enumerate(STEP_NAMES):
        seconds, done = story.steps.get(name, (None, False))
        state: StepState = "done" if done else "running" if story.runner_open and name == story.step else "pending"
        rows.append(StepView(number, name, state, seconds))
    return tuple(rows)


def _versions(workspace: Workspace, story: LoopState, primary: str | None) -> tuple[VersionView, ...]:
    rows = [_version(workspace, name, story, primary) for name in workspace.versions()]
    sign = 1 if _up(primary) else -1
    scored = [row for row in rows if row.value is not None]
    best = max(scored, key=lambda row: sign * (row.value or 0.0), default=None)
    return tuple(replace(row, is_best=True) if row is best else row for row in rows)


def _version(workspace: Workspace, name: str, story: LoopState, primary: str | None) -> VersionView:
    score = try_read_json(workspace.version(name).eval_score)
    listed = _in(score, "metrics")
    values: dict[str, float | None] = {
        str(m["name"]): metrics.finite(m.get("value"))
        for m in (listed if isinstance(listed, list) else [])
        if isinstance(m, dict) and "name" in m
    }
    wanted = metrics.canonical(primary or "loss")
    made = story.authored.get(name, {})
    done = workspace.mark(name, "extract").exists()
    state = "done" if done else "pending"
    if name == story.version and not done:
        state = story.activity() if story.runner_open else story.outcome or "pending"
    return VersionView(
        version=name,
        state=state,
        value=next((v for n, v in values.items() if metrics.canonical(n) == wanted), None),
        metrics=values,
        action=str(made.get("action") or ""),
        reason=str(made.get("reason") or ""),
        base=made.get("base"),
        attempts=story.attempts.get(name, 0),
        train_seconds=story.train_seconds.get(name),
        **_verdicts(try_read_json(workspace.insight(name)), wanted),
    )


def _verdicts(insight: Any, wanted: str) -> dict[str, Any]:
    listed = _in(insight, "metrics")
    for row in listed if isinstance(listed, list) else []:
        if isinstance(row, dict) and metrics.canonical(str(row.get("name"))) == wanted:
            deltas = {key: metrics.finite(row.get(key)) for key in ("delta_previous", "delta_best")}
            verdicts = {key: row.get(key) for key in ("verdict_previous", "verdict_best")}
            return deltas | {key: value if isinstance(value, str) else None for key, value in verdicts.items()}
    return {}
