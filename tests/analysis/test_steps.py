"""How many optimizer steps a training took."""

from __future__ import annotations

import json

import pytest

from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.measure.reading import read_version
from progtrain.engine.analysis.measure.shape import Shape
from progtrain.engine.analysis.types import Limits
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace


@pytest.mark.parametrize(
    ("recorded", "logged", "steps"),
    [(435, 430, 435), (None, 430, 430), (None, 15, 435), (None, 0, 435)],
    ids=["the record counts", "else the log", "a log that counts epochs does not", "a last batch is a step"],
)
def test_steps_are_those_that_were_trained(recorded: int | None, logged: int, steps: int) -> None:
    shape = Shape(epochs=15, logged_steps=logged)
    settings = {"batch_size": 32}
    found = Measurements("v001", "loss", False, "v001", "v001", shape=shape, settings=settings, train_samples=899)
    assert Measurements(**{**vars(found), "trained_steps": recorded}).steps == steps


def test_steps_are_read_from_the_record_of_the_training(plain: Workspace) -> None:
    assert runner.run(plain, Options(autopilot=True, until="evaluate")) == 0
    record = plain.record("v001")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"ended": {"by": "epochs", "steps": 57}}))
    limits = Limits(primary_metric="accuracy", higher_is_better=True)
    assert read_version(plain, "v001", None, limits, [])[-1].steps == 57
