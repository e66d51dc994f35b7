"""What a workspace shows: the first frame, the whole view, the leaderboard and the report agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import metrics
from progtrain.engine.analysis.types import VersionRecord
from progtrain.engine.cli import leaderboard
from progtrain.engine.rules import goal, rules
from progtrain.engine.status.rows import glance
from progtrain.engine.status.snapshot import Snapshot
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace

AT = "2026-01-01T00:00:00+00:00"


def _version(ws: Workspace, version: str, **values: float | None) -> None:
    ws.script(version).write_text(f'VERSION = "{version}"\n')
    ws.version(version).path.mkdir(parents=True)
    listed = [{"name": name, "value": value, "higher_is_better": True} for name, value in values.items()]
    score = {"dataset_id": "d", "created_at": AT, "num_samples": 9, "metrics": listed, "latency_ms": 1.5}
    ws.version(version).eval_score.write_text(json.dumps(score))
    ws.insight(version).parent.mkdir(parents=True, exist_ok=True)
    rows = [{"name": name, "delta_previous": 0.1, "verdict_previous": "better"} for name in values]
    ws.insight(version).write_text(json.dumps({"primary_metric": next(iter(values)), "metrics": rows}))


@pytest.fixture
def scored(ws: Workspace) -> Workspace:
    """Three versions, each the best by another metric; the last has no number for the score."""
    ws.own.mkdir()
    _version(ws, "v001", accuracy=0.7, loss=0.4, cost=9.0, score=None)
    _version(ws, "v002", accuracy=0.9, loss=0.6, cost=5.0, score=0.1)
    _version(ws, "v003", accuracy=0.9, loss=0.5, cost=3.0, score=0.1)
    return ws


def _journal(ws: Workspace, **started: Any) -> None:
    events = [
        {"event": "loop_started", "dataset_id": "d", "max_versions": 7, **started},
        {"event": "runner_started"},
        {"event": "version_authored", "version": "v003", "base": "v002", "action": "learning_rate 0.1 → 0.3"},
        {"event": "step_started", "version": "v003", "step": "train"},
        {"event": "step_done", "version": "v003", "step": "train", "seconds": 3.0},
        {"event": "loop_stopped", "by": "user"},
        {"event": "runner_ended"},
    ]
    ws.journal.write_text("".join(json.dumps({"at": AT, **event}) + "\n" for event in events))


@pytest.mark.parametrize(
    ("evaluation", "best"),
    [
        ({"primary_metric": None, "metrics": ["accuracy"]}, "v002"),
        ({"primary_metric": None, "metrics": []}, "v001"),
        ({"primary_metric": None, "metrics": [{"name": "cost", "higher_is_better": False}]}, "v003"),
        ({"primary_metric": "cost", "metrics": [{"name": "cost", "higher_is_better": False}]}, "v003"),
        ({"primary_metric": "cost", "metrics": [{"name": "cost", "higher_is_better": True}]}, "v001"),
        ({"primary_metric": "val/acc", "metrics": []}, "v002"),
        ({"primary_metric": "score", "metrics": [{"name": "score", "higher_is_better": True}]}, "v002"),
        ({}, "v001"),
    ],
)
@pytest.mark.parametrize(("asked", "bound"), [(None, None), (2, None), (2, 5), (8, 5), (None, 5)])
def test_the_first_frame_shows_what_the_whole_view_shows(
    scored: Workspace, evaluation: dict[str, Any], best: str, asked: int | None, bound: int | None
) -> None:
    limits = {} if bound is None else {"loop_config": {"max_versions": bound}}
    scored.rules.write_text(json.dumps({"eval_config": evaluation, **limits}))
    _journal(scored, max_versions_asked=asked)
    first, whole = glance(scored), WorkspaceView(scored.root).snapshot()
    assert first is not None
    assert [row.version for row in whole.versions if row.is_best] == [best]
    same = set(Snapshot._fields) - {"since_seconds", "rules_notes"}
    assert {name: getattr(first, name) for name in same} == {name: getattr(whole, name) for name in same}
    assert leaderboard.ranked(whole)[0].version == best
    assert whole.max_versions == min(asked or bound or 10, bound or asked or 10)


def test_the_view_and_the_analysis_take_the_same_version_for_the_best(scored: Workspace) -> None:
    scored.rules.write_text(json.dumps({"eval_config": {"primary_metric": "accuracy"}}))
    _journal(scored)
    records = [
        VersionRecord(row.version, "", primary=row.value) for row in WorkspaceView(scored.root).snapshot().versions
    ]
    best = metrics.best(records, lambda record: record.primary, True)
    assert best is not None and best.version == "v002"


@pytest.mark.parametrize(
    ("values", "higher", "best"),
    [
        ([0.1, 0.3, 0.3], True, 1),
        ([0.3, 0.1, 0.1], False, 1),
        ([None, 0.0, None], True, 1),
        ([None, None], True, None),
        ([], False, None),
        ([-1.0, None, -2.0], True, 0),
    ],
)
def test_the_best_is_the_first_of_the_best_and_never_one_without_a_number(
    values: list[float | None], higher: bool, best: int | None
) -> None:
    rows = list(enumerate(values))
    found = metrics.best(rows, lambda row: row[1], higher)
    assert (None if found is None else found[0]) == best
    ordered = metrics.ranked(rows, lambda row: row[1], higher)
    assert (ordered[0] == found) if best is not None else found is None
    assert [value is None for _, value in ordered] == sorted(value is None for value in values)


@pytest.mark.parametrize(
    "wrong", [None, 3, [], {"eval_config": 3}, {"eval_config": {"metrics": 3, "primary_metric": []}}]
)
def test_rules_that_are_none_still_give_a_goal(wrong: Any) -> None:
    assert (goal.primary_metric(wrong), goal.metric_names(wrong), goal.max_versions(wrong)) == ("loss", [], 10)
    assert goal.higher_is_better(wrong, "accuracy") is True and goal.higher_is_better(wrong, "strange") is None


def test_rules_as_read_and_as_plain_json_say_the_same(ws: Workspace, tmp_path: Path) -> None:
    listed = ["f1", {"name": "cost", "higher_is_better": False}, {"name": "accuracy"}]
    text = {"eval_config": {"metrics": listed}, "loop_config": {"branch_from": "best"}}
    ws.rules.write_text(json.dumps(text))
    loaded = rules.load(ws)
    assert loaded.stated == text
    assert (loaded.primary_metric, loaded.metric_names) == ("f1", ["f1", "cost", "accuracy"])
    assert not loaded.higher_is_better("cost") and loaded.higher_is_better("val_accuracy")
