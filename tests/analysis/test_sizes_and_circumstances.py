"""What the training itself says of a change, beside the diagnoses: how much it is worth here, and by how much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from progtrain.advisor.interface import Finding
from progtrain.engine.analysis.advise.evidence import circumstances
from progtrain.engine.analysis.advise.tuning import TUNINGS, Situation
from progtrain.engine.analysis.measure.failures import Failures
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.measure.shape import Shape
from progtrain.engine.analysis.types import Limits, VersionRecord

FAILURES = Failures(samples=200, wrong=20, mean_loss=0.9, chance_loss=1.1)
M = Measurements(
    version="v001",
    metric="loss",
    higher_is_better=False,
    best="v001",
    optimizer="Adam",
    settings={"learning_rate": 0.003, "batch_size": 32},
    shape=Shape(train_name="train_loss", val_name="val_loss", epochs=20, best_epoch=5, val_loss=0.5, final_val_loss=0.9,
                rise=0.8, gap=0.1),
    train_samples=1_000,
    failures=FAILURES,
)  # fmt: skip


def size(candidate: str, value: Any, *findings: tuple[str, float], again: str = "", **settings: Any) -> Any:
    measured = replace(M, settings={**M.settings, **settings})
    found = [Finding(id=name, strength=strength, text="", evidence=()) for name, strength in findings]
    setting, _, way = again.rpartition("_")
    helped = {"operation": "set", "setting": setting, "from": 1.0, "to": 2.0 if way == "up" else 0.5} if again else None
    record = VersionRecord("v002", "", operation=helped, verdict_previous="better")
    situation = Situation(record, measured, found, Limits("accuracy", True))
    assert situation.again == again
    return TUNINGS[candidate][-1](value, situation)


@pytest.mark.parametrize(
    ("metric", "evaluated", "rise", "least"),
    [
        ("loss", 0.9, 1.0, 0.95),
        ("loss", 0.9, 0.1, 0.317),
        ("accuracy", 0.9, 1.0, 0.65),
        # the evaluation's loss is on another scale than the log's
        ("loss", 5310.0, 1.0, 0.95),
        # the best epoch's weights were evaluated, or the last epoch is the best one
        ("loss", 0.5, 0.8, 0.0),
        ("loss", 0.9, 0.0, 0.0),
    ],
)
def test_keeping_the_best_epoch_is_worth_what_the_curve_says(
    metric: str, evaluated: float, rise: float, least: float
) -> None:
    m = replace(M, metric=metric, shape=replace(M.shape, rise=rise), failures=replace(FAILURES, mean_loss=evaluated))
    share, found, why = circumstances("keep_best_epoch", m)
    assert found == pytest.approx(least, abs=0.001)
    assert (share == 1.0, why.startswith("for: ")) == (least > 0, least > 0)


def test_what_rules_the_training_is_loosened_before_the_model_grows() -> None:
    m = replace(M, settings={**M.settings, "dropout": 0.8, "weight_decay": 0.1, "hidden_size": 64})
    least = {name: circumstances(name, m)[1] for name in ("weight_decay_down", "dropout_down", "learning_rate_up")}
    assert least["weight_decay_down"] > least["dropout_down"] > 0.8
    assert least["learning_rate_up"] == 0
    share, _, why = circumstances("hidden_size_up", m)
    assert share <= 0.5
    assert "regularisation" in why
    # decay of its own kind: next to nothing at this rate and length
    assert circumstances("weight_decay_down", replace(m, optimizer="AdamW"))[1] == 0
    # a good result does not excuse a training loss far above the validation loss
    good = replace(m, failures=Failures(samples=200, wrong=2, mean_loss=0.05, chance_loss=1.1))
    assert circumstances("dropout_down", good)[1] == 0
    assert circumstances("dropout_down", replace(good, shape=replace(m.shape, gap=-2.0)))[1] > 0.8
    # a large gap says that it is needed
    assert circumstances("weight_decay_down", replace(m, shape=replace(m.shape, gap=0.7)))[1] == 0


def test_a_layer_of_few_units_grows_to_a_usual_width_at_once() -> None:
    assert size("hidden_size_up", 1, ("too_little_capacity", 0.95)) == 32
    assert size("hidden_size_up", 1) == 4
    assert size("hidden_size_up", 32) == 64


def test_a_second_step_in_the_direction_that_helped_is_longer() -> None:
    assert size("learning_rate_down", 0.003) == 0.001
    assert size("learning_rate_down", 0.003, again="learning_rate_down") == 0.0003
    assert size("hidden_size_up", 32, again="hidden_size_up") == 128
    assert size("weight_decay_up", 0.001) == 0.003
    assert size("weight_decay_up", 0.001, again="weight_decay_up") == 0.01
