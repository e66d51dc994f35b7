"""Reading `metrics.csv` and what its shape says."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from progtrain.engine.analysis.measure.curves import read_metrics
from progtrain.engine.analysis.measure.shape import summarise
from progtrain.engine.errors import InputError

LIGHTNING = """epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_loss
0,0.01,0,,1.2,
,0.01,9,,0.9,
0,,19,,,0.8
0,,19,1.0,,
1,,29,,0.6,
1,,39,,,0.7
1,,39,0.65,,
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_of_training_and_validation_are_told_apart(tmp_path: Path) -> None:
    curves = read_metrics(write(tmp_path / "metrics.csv", LIGHTNING))
    assert curves.epochs == 2
    assert curves.series("train_loss_step") == ([0, 9, 29], [1.2, 0.9, 0.6])
    assert curves.per_epoch("val_loss") == [(1, 0.8), (2, 0.7)]
    assert (curves.train_loss, curves.train_loss_steps) == ("train_loss_epoch", "train_loss_step")
    assert curves.val_loss == "val_loss"


@pytest.mark.parametrize(
    ("header", "train", "val"),
    [
        ("epoch,step,loss,valid_loss", "loss", "valid_loss"),
        ("epoch,train/loss,val/loss", "train/loss", "val/loss"),
        ("epoch,Loss/training,Loss/validation", "Loss/training", "Loss/validation"),
        ("epoch,train_acc,val_acc", None, None),
        ("epoch,test_loss,acc", None, None),
    ],
)
def test_losses_are_found_by_their_usual_names(tmp_path: Path, header: str, train: str | None, val: str | None) -> None:
    row = ",".join("0.5" for _ in header.split(","))
    curves = read_metrics(write(tmp_path / "metrics.csv", f"{header}\n{row}\n"))
    assert (curves.train_loss, curves.val_loss) == (train, val)


def test_a_torn_last_line_a_header_again_and_nan_are_survived(tmp_path: Path) -> None:
    text = "epoch,step,train_loss\n0,1,nan\nepoch,step,train_loss\n1,2,0.5\n2,3,oops\n3,4,0.4\n4,5,0.3"
    curves = read_metrics(write(tmp_path / "metrics.csv", text))
    assert curves.series("train_loss") == ([2, 4], [0.5, 0.4])
    assert summarise(curves).nonfinite == 1
    assert curves.torn


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"", "no logged value"),
        (b"epoch,step\n0,1\n", "no logged value"),
        (b"\0\xff\n", "no"),
    ],
)
def test_a_file_without_any_value_is_one_clear_error(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_metrics(path)
    assert caught.value.file == str(path)
    assert caught.value.fix


def test_a_hundred_thousand_rows_take_less_than_a_second(tmp_path: Path) -> None:
    rows = (f"{i // 100},0.001,{i},,{1 / (i + 1)},\n" for i in range(100_000))
    path = write(tmp_path / "metrics.csv", "epoch,lr,step,train_loss_epoch,train_loss_step,val_loss\n" + "".join(rows))
    started = time.process_time()
    curves = read_metrics(path)
    assert time.process_time() - started < 1.0
    assert len(curves.series("train_loss_step")[0]) == 100_000


def test_best_epoch_gap_and_rise_come_from_the_curves(tmp_path: Path) -> None:
    text = "epoch,step,train_loss,val_loss\n0,1,1.0,1.0\n1,2,0.6,0.8\n2,3,0.3,1.0\n"
    shape = summarise(read_metrics(write(tmp_path / "metrics.csv", text)))
    assert (shape.best_epoch, shape.epochs) == (2, 3)
    assert shape.gap == pytest.approx(0.25)
    assert shape.rise == pytest.approx(0.25)
    assert shape.total_drop == pytest.approx(0.7)


def test_one_epoch_and_missing_columns_leave_the_rest_unknown(tmp_path: Path) -> None:
    shape = summarise(read_metrics(write(tmp_path / "metrics.csv", "epoch,val_loss\n0,0.5\n")))
    assert (shape.best_epoch, shape.epochs, shape.rise) == (1, 1, 0.0)
    assert shape.gap is shape.late_slope is shape.first_drop is shape.roughness is None


def test_a_loss_that_ends_not_finite_is_seen(tmp_path: Path) -> None:
    shape = summarise(read_metrics(write(tmp_path / "metrics.csv", "epoch,train_loss\n0,0.5\n1,inf\n2,nan\n")))
    assert (shape.nonfinite, shape.ends_nonfinite, shape.final_train_loss) == (2, True, 0.5)
    assert not any(isinstance(v, float) and not math.isfinite(v) for v in vars(shape).values())
