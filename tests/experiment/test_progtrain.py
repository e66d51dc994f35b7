"""The worker that evaluates with 03_eval.py: into a folder for each cell, of the run's own checkpoint."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from progtrain.engine.experiment.workers import base
from progtrain.engine.workspace import Workspace
from tests.experiment.by_hand import ByHand

BASE = "base: {script: 02_train_v001.py}\n"
EVALUATION = base.evaluation("progtrain")


@pytest.fixture
def first(plain: Workspace) -> Workspace:
    """At its first version, with an evaluator of the user's own."""
    script = (plain.root / "02_train_baseline.py").read_text().replace('"baseline"', '"v001"')
    plain.script("v001").write_text(script)
    return plain


def trained(ws: Workspace, plan: str, name: str) -> ByHand:
    hand = ByHand(ws, BASE + plan)
    hand.scaffold(hand.piece(name))
    assert hand.train(hand.piece(name)).failure is None
    return hand


def evaluated(hand: ByHand, name: str, cell: str) -> base.Piece:
    piece = hand.cell(name, cell)
    hand.scaffold(piece, EVALUATION)
    hand.submit(piece, worker=EVALUATION)
    ended = hand.wait(piece, worker=EVALUATION)
    assert ended.failure is None, ended.failure
    assert [path.name for path in ended.outputs] == ["eval_score.json", "per_sample.csv", "protocol.json"]
    assert all(path.parent == piece.cell_folder.path for path in ended.outputs)
    return piece


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_users_own_evaluator_writes_beside_the_checkpoint_and_its_results_go_to_the_cell(first: Workspace) -> None:
    hand = trained(first, "variables: {lr: [0.5]}", "lr0.5")
    piece = evaluated(hand, "lr0.5", "progtrain_best")
    assert {score.metric: score.samples for score in EVALUATION.scores(piece)} == {"loss": 120, "accuracy": 120}
    assert len(rows(piece.cell_folder.per_sample)) == 120
    assert (piece.cell_folder.path / "infer_samples/0001/input.json").is_file()
    left = [path.name for path in piece.folder.artifacts.iterdir()]
    assert "eval_score.json" not in left and "_eval" not in left
    # again, as after a failure
    evaluated(hand, "lr0.5", "progtrain_best")
    # and the training may be checked and repeated: nothing of an evaluation is in its way
    assert hand.train(hand.piece("lr0.5"), 2).failure is None


def test_a_checkpoint_of_a_version_is_evaluated_with_that_versions_script(first: Workspace) -> None:
    first.script("v002").write_text(first.script("v001").read_text().replace("v001", "v002"))
    folder = first.version("v002")
    folder.path.mkdir(parents=True)
    folder.best_checkpoint.write_text("[0.1, 2.0, 1.0]")
    folder.spec.write_text('{"device": "cpu"}')
    plan = "runs: {add: [{name: old, type: eval-only, checkpoint: Models/Artifacts/v002/best.ckpt}]}"
    hand = ByHand(first, BASE + plan)
    assert EVALUATION.problems(hand.experiment) == []
    piece = evaluated(hand, "old", "progtrain_best")
    assert piece.folder.script.resolve().name == "02_train_v002.py"
    assert folder.best_checkpoint.read_text() == "[0.1, 2.0, 1.0]" and not folder.eval_score.exists()
    assert EVALUATION.scores(piece)[1].value > 0.8


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (
            "runs: {add: [{name: old, type: eval-only, checkpoint: gone.ckpt}]}",
            "there is no checkpoint gone.ckpt",
        ),
        (
            "variables: {lr: [1]}\nevaluation: {tasks: [{name: t, tool: progtrain}],"
            " matrix: [{tasks: [t], epochs: [last]}]}",
            "it has no option --checkpoint",
        ),
        (
            "variables: {lr: [1]}\nevaluation: {tasks: [{name: a}, {name: b}]}",
            "where a second evaluation of a run would write too",
        ),
        (
            "variables: {lr: [1]}\nevaluation: {tasks: [{name: a, options: {spilt: test}}]}",
            "03_eval.py has no option spilt",
        ),
        (
            "variables: {lr: [1]}\nevaluation: {tasks: [{name: a, scorers: [match]}]}",
            "scorers means nothing to 03_eval.py",
        ),
    ],
)
def test_what_the_evaluator_cannot_do(first: Workspace, plan: str, told: str) -> None:
    hand = ByHand(first, BASE + plan)
    found = EVALUATION.problems(hand.experiment)
    for task in hand.experiment.plan.tasks:
        found += EVALUATION.for_task(hand.experiment, task)
    assert told in str(found[0]) and "experiment.yaml" in str(found[0])


def test_an_evaluation_that_fails_says_why(first: Workspace) -> None:
    hand = trained(first, "variables: {lr: [0.5]}", "lr0.5")
    piece = hand.cell("lr0.5", "progtrain_best")
    hand.scaffold(piece, EVALUATION)
    (piece.folder.artifacts / "best.ckpt").unlink()
    hand.submit(piece, worker=EVALUATION)
    failure = hand.wait(piece, worker=EVALUATION).failure
    assert failure is not None and failure.cause == "missing path"
    score = {"dataset_id": "other", "created_at": "2026-01-01T00:00:00+00:00", "num_samples": 1, "latency_ms": None}
    (piece.cell_folder.score).write_text(
        json.dumps(score | {"metrics": [{"name": "loss", "value": 1, "higher_is_better": False}]})
    )
    attempt = piece.folder.attempt(piece.cell.name if piece.cell else "", 1)
    fine = json.loads(attempt.state.read_text()) | {"exit_code": 0, "ended_by": None}
    attempt.state.write_text(json.dumps(fine))
    failure = hand.wait(piece, worker=EVALUATION).failure
    assert failure is not None and "is about dataset 'other'" in failure.error_summary
