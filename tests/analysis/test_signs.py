"""What a run gives away about its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.analysis.measure.signs import signs
from progtrain.engine.workspace import Workspace


def table(truth: list[str], prediction: list[str], *, classes: bool) -> PerSample:
    correct = [t == p if classes else None for t, p in zip(truth, prediction, strict=True)]
    nothing: list[float | None] = [None] * len(truth)
    return PerSample([str(i) for i in range(len(truth))], truth, prediction, correct, nothing, nothing)


def found(
    tmp_path: Path, record: dict[str, Any] | None = None, samples: PerSample | None = None, output: str = ""
) -> list[str]:
    ws = Workspace(tmp_path)
    log = ws.job("v001-train-1").path / "output.log"
    log.parent.mkdir(parents=True)
    log.write_text(output)
    return list(signs(ws, "v001", record or {}, 8, samples))


def checkpoint(**values: Any) -> dict[str, Any]:
    return {"framework": "lightning", "checkpoints": [{"monitor": "val_acc", "mode": "max", "best_epoch": 7, **values}]}


def test_a_checkpoint_of_another_epoch_than_the_logs_best_is_told(tmp_path: Path) -> None:
    (sign,) = found(tmp_path, checkpoint(best_epoch=2, best_model_score=0.65))
    assert sign == (
        "what was evaluated is the checkpoint of epoch 3 (val_acc 0.65); "
        "by the validation loss epoch 8 is the best of the log"
    )


def test_a_checkpoint_that_kept_the_worst_is_told(tmp_path: Path) -> None:
    (sign,) = found(tmp_path, checkpoint(mode="min"))
    assert sign == "the checkpoint kept the worst val_acc, not the best: mode=min"


@pytest.mark.parametrize("record", [{}, checkpoint(), {"checkpoints": [{"monitor": None, "best_epoch": 1}]}])
def test_nothing_is_told_where_nothing_is_wrong(tmp_path: Path, record: dict[str, Any]) -> None:
    assert found(tmp_path, record, table(["a", "b"] * 50, ["a", "b"] * 50, classes=True), "Epoch 1\n") == []


@pytest.mark.parametrize(
    ("output", "part"),
    [
        (
            "UserWarning: Using a target size (torch.Size([8])) that is different to the input size "
            "(torch.Size([8, 1])). This will likely lead to incorrect results",
            "a target of size torch.Size([8]) to an output of size torch.Size([8, 1])",
        ),
        (
            "The number of training batches (19) is smaller than the logging interval Trainer(log_every_n_steps=50). "
            "Set a lower value",
            "an epoch has 19 batches and the training is logged each 50",
        ),
        (
            "`ModelCheckpoint(monitor='val_los')` could not find the monitored key in the returned metrics: ['loss']",
            "the checkpoint monitors val_los, which is not logged",
        ),
    ],
)
def test_warnings_in_the_output_are_told_in_plain_words(tmp_path: Path, output: str, part: str) -> None:
    (sign,) = found(tmp_path, output=output)
    assert part in sign


def test_predictions_that_hardly_vary_are_told(tmp_path: Path) -> None:
    truth = [str(i / 10) for i in range(100)]
    (sign,) = found(tmp_path, samples=table(truth, ["4.9", "5.0"] * 50, classes=False))
    assert sign.startswith("the predictions hardly vary: standard deviation 0.05, of the targets 2.89")


def test_one_class_for_all_is_told(tmp_path: Path) -> None:
    (sign,) = found(tmp_path, samples=table(["a", "b"] * 50, ["a"] * 100, classes=True))
    assert sign == "100% of the predictions are a; of the targets the largest class has 50%"
