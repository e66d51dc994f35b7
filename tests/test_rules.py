"""Rules are law: what is read, refused, warned of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.rules import rules
from progtrain.engine.schema import EvalScore
from progtrain.engine.workspace import Workspace


def _write(ws: Workspace, value: Any) -> None:
    ws.rules.write_text(value if isinstance(value, str) else json.dumps(value))


def test_no_files_means_defaults_and_says_so(ws: Workspace) -> None:
    loaded = rules.load(ws)
    assert (loaded.seed, loaded.max_versions, loaded.value("eval_config.infer_samples")) == (
        42,
        10,
        10,
    )
    assert loaded.branch_from == "latest"
    assert loaded.max_train_attempts == 3
    assert loaded.primary_metric == "loss"
    assert any("no user_defined_rules.json" in note for note in loaded.notes())
    assert any("no user_instruction.md" in note for note in loaded.notes())


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        ('{"seed": 1,}', "line 1", "not valid JSON"),
        ("[]", "line 1", "one JSON object"),
        ({"seed": "42"}, "key seed", 'found "42"'),
        ({"loop_config": {"max_versions": 0}}, "key loop_config.max_versions", "found 0"),
        ({"loop_config": {"branch_from": "first"}}, "key loop_config.branch_from", 'found "first"'),
        ({"loop_config": {"executor": "pbs"}}, "key loop_config.executor", 'found "pbs"'),
        ({"loop_config": {"resources": {"memory": "much"}}}, "key loop_config.resources.memory", 'found "much"'),
        ({"loop_config": {"resources": {"time": "1:2:3:4"}}}, "key loop_config.resources.time", 'found "1:2:3:4"'),
        ({"loop_config": {"resources": {"partition": "a b"}}}, "key loop_config.resources.partition", 'found "a b"'),
        ({"loop_config": {"resources": {"setup": "module load"}}}, "key loop_config.resources.setup", "found"),
        ({"loop_config": {"resources": {"gpus": -1}}}, "key loop_config.resources.gpus", "found -1"),
        ({"loop_config": {"step_timeout_minutes": -1}}, "key loop_config.step_timeout_minutes", "found -1"),
        ({"dataset_config": {"dataset_id": "a/b"}}, "key dataset_config.dataset_id", "one folder"),
        ({"eval_config": {"infer_samples": 1.5}}, "key eval_config.infer_samples", "found 1.5"),
        ({"eval_config": {"metrics": "accuracy"}}, "key eval_config.metrics", "accuracy"),
        ({"training_config": {"epochs": 3, "max_epochs": 4}}, "key training_config.max_epochs", "both mean epochs"),
        ({"training_config": {"optimizer": {"lr": 1}}}, "key training_config.optimizer", "not an object"),
        ('{"seed": 1, "seed": 2}', "key seed", "twice"),
        ({"eval_config": {"primary_metric": "zorkness"}}, "key eval_config.metrics", "which way"),
        ({"eval_config": {"primary_metric": 3}}, "key eval_config.primary_metric", "a text in quotes belongs here"),
        ({"eval_config": {"metrics": [{"nam": "x"}]}}, "key eval_config.metrics[0].name", "this key is missing"),
        ({"eval_config": {"final_test": "yes"}}, "key eval_config.final_test", "true or false belongs here"),
        ({"loop_config": []}, "key loop_config", "an object in { } belongs here"),
        ({"loop_config": {"max_train_attempts": 0}}, "key loop_config.max_train", "at least 1"),
        (
            {"loop_config": {"branch_from": "bset"}},
            "key loop_config.branch_from",
            "one of 'latest', 'best' or 'proven' belongs",
        ),
    ],
)
def test_broken_rules_name_file_key_and_fix(ws: Workspace, content: Any, place: str, reason: str) -> None:
    _write(ws, content)
    with pytest.raises(InputError) as caught:
        rules.load(ws)
    assert caught.value.file == str(ws.rules)
    assert caught.value.place is not None and caught.value.place.startswith(place)
    assert reason in caught.value.reason
    assert caught.value.fix


def test_unknown_keys_are_kept_and_the_nearest_is_named(ws: Workspace) -> None:
    _write(ws, {"loop_config": {"max_version": 3}, "note": "ours"})
    loaded = rules.load(ws)
    assert any("loop_config.max_version " in w and "loop_config.max_versions?" in w for w in loaded.warnings)
    assert any("unknown key note" in w for w in loaded.warnings)
    assert loaded.stated["loop_config"]["max_version"] == 3


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("max_versions", "loop_config.max_versions"),
        ("lr", "training_config.lr"),
        ("allow_code_edits", "advisor_config.allow_code_edits"),
        ("zorkness", ""),
    ],
)
def test_a_key_in_the_wrong_place_is_told_its_own(ws: Workspace, key: str, meant: str) -> None:
    _write(ws, {key: 3})
    (warning,) = rules.load(ws).warnings
    assert warning.endswith(f"did you mean {meant}?" if meant else "has no effect")


def test_prepdata_version_is_an_alias_of_dataset_id(ws: Workspace) -> None:
    _write(ws, {"dataset_config": {"prepdata_version": "digits_v2"}})
    loaded = rules.load(ws)
    assert loaded.dataset_id == "digits_v2"
    assert loaded.warnings == ()


def test_training_config_locks_under_canonical_names(ws: Workspace) -> None:
    _write(ws, {"seed": 7, "training_config": {"Max_Epochs": 12, "lr": 0.1, "train_batch_size": 8}})
    assert rules.load(ws).locked == {"epochs": 12, "learning_rate": 0.1, "batch_size": 8, "seed": 7}


def test_direction_from_rules_before_the_table(ws: Workspace) -> None:
    metrics = [{"name": "accuracy", "higher_is_better": False}, "f1", {"name": "cost", "higher_is_better": False}]
    _write(ws, {"eval_config": {"primary_metric": "cost", "metrics": metrics}})
    loaded = rules.load(ws)
    assert [loaded.higher_is_better(name) for name in ("accuracy", "f1", "cost", "val_loss")] == [
        False,
        True,
        False,
        False,
    ]


def test_a_score_that_says_the_opposite_is_an_error(ws: Workspace) -> None:
    score = EvalScore.model_validate(
        {
            "dataset_id": "d",
            "created_at": "2026-01-01T00:00:00+00:00",
            "num_samples": 3,
            "metrics": [{"name": "accuracy", "value": 0.5, "higher_is_better": False}],
            "latency_ms": 1.0,
        }
    )
    with pytest.raises(InputError, match="accuracy says higher_is_better false"):
        rules.load(ws).check_directions(score, ws.version("v001").eval_score)
