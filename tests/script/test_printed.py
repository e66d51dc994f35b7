"""Numbers that a script prints of its validation are known by their names, however the line is written."""

from __future__ import annotations

import ast
import math

import pytest

from progtrain.engine.script.printed import announced, epochs, numbers

LINES: list[tuple[str, list[tuple[str, str, float]]]] = [
    ("Test set: Average loss: 0.05, Accuracy: 390/400 (98%)", [("test", "loss", 0.05), ("test", "accuracy", 0.975)]),
    ("  end of round | epoch 7 | time: 12.30s | valid loss  5.25 | valid ppl 190.5",
     [("val", "loss", 5.25), ("val", "perplexity", 190.5)]),
    ("Epoch: 0007 loss_train: 1.5 acc_train: 0.3 loss_val: 1.9 acc_val: 0.35 time: 0.01s",
     [("train", "loss", 1.5), ("train", "accuracy", 0.3), ("val", "loss", 1.9), ("val", "accuracy", 0.35)]),
    ("iter 250: train loss 2.10, val loss 2.20", [("train", "loss", 2.1), ("val", "loss", 2.2)]),
    ("2026-05-04 12:00:00,123 - INFO - Validation Dice score: tensor(0.8123)", [("val", "dice", 0.8123)]),
    ("Val. Loss: 0.351 |  Val. Acc: 89.25%", [("val", "loss", 0.351), ("val", "accuracy", 0.8925)]),
    ("INFO: Validation Dice score: 7.5e-09", [("val", "dice", 7.5e-09)]),
    ("INFO:root:eval loss: 1", [("val", "loss", 1.0)]),
    ("valLoss=1.5e-3", [("val", "loss", 0.0015)]),
    ("val Acc@1 0.5 Acc@5 0.9", [("val", "accuracy", 0.5)]),
    ("test final tally: 450/500 = 90.00% correct", [("test", "accuracy", 0.9)]),
    ("val set: 9/10 correct, 12 correct in a row, 5% correctly named", [("val", "accuracy", 0.9)]),
    ("best val acc: 0.9, val kl loss: 3", []),
    ("saved to run-3/val_loss/0.31.pt after 14 s", []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "told"), LINES)
def test_what_a_line_tells(line: str, told: list[tuple[str, str, float]]) -> None:
    assert [tuple(number) for number in numbers(line)] == told


def test_a_number_that_is_none_is_told_too() -> None:
    [(_, _, value)] = numbers("Validation loss: nan")
    assert math.isnan(value)


def test_each_epoch_is_a_row_and_its_last_number_counts() -> None:
    output = (
        "Epoch 1 [10/100] Loss: 3.0\rEpoch 1 [20/100] Loss: 2.5\n"
        "\x1b[32mTest loss: 2.25, accuracy: 9/10\x1b[0m\n"
        "Epoch 2 [10/100]\tLoss: 2.0\nTest loss: 1.75, accuracy: 10/10\nbest test accuracy: 1.0\n"
    )
    assert epochs(output) == [
        {"epoch": 0, "train_loss": 2.5, "val_loss": 2.25, "val_accuracy": 0.9},
        {"epoch": 1, "train_loss": 2.0, "val_loss": 1.75, "val_accuracy": 1.0},
    ]


def test_without_epochs_a_number_that_comes_again_begins_a_row() -> None:
    output = "val loss 3\nval acc 0.1\nval loss 2\nval acc 0.2\ntest loss 9\n"
    assert [row["val_loss"] for row in epochs(output)] == [3, 2]
    assert [row["val_accuracy"] for row in epochs(output)] == [0.1, 0.2]


def test_an_output_without_such_numbers_has_no_rows() -> None:
    assert epochs("Loss: 0.5 | Acc: 12%\n" + "x" * 5000 + " val loss 1\n") == []


SOURCES = [
    ('print(f"Val loss {v:.3f}, val acc: {100 * a:.1f}%")', ["loss", "accuracy"]),
    ('logging.info("Validation Dice score: {}".format(score))', ["dice"]),
    ('print("Test: loss=%.4f auc=%.4f" % (v, a))', ["loss", "auroc"]),
    ('print("train loss:", t, "valid ppl:", p)', ["perplexity"]),
    ('log.write("dev loss " + str(v))', ["loss"]),
    ('print("train loss", t)', []),
    ('raise ValueError(f"val loss {v}")', []),
]


@pytest.mark.parametrize(("source", "names"), SOURCES)
def test_what_the_source_says_it_will_print(source: str, names: list[str]) -> None:
    assert announced([ast.parse(source)]) == names
