"""What a version says of the rows that it was trained with: `03_eval.py --split train`, and the hard rows by it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from progtrain.engine.additions import hard, splits, suspects
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.workspace import Workspace

Run = Callable[..., Any]

#: takes row 4 for class 2 for sure, whatever it is called
SCRIPT = """
import csv
import torch

DATASET_ID = "toy_v1"
CLASS_NAMES = ["a", "b", "c"]


def load_split(split):
    with open(f"dataset/prepdata/toy_v1/{split}/data.csv", newline="") as file:
        return [(row["id"], [float(row["x"]), 1.0], int(row["label"])) for row in csv.DictReader(file)]


class Net(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4


def load_model(checkpoint_path):
    return Net()
"""


@pytest.fixture
def labelled(toy: Workspace) -> Workspace:
    toy.script("v001").write_text(SCRIPT)
    toy.split("toy_v1", "train").mkdir()
    for split in ("train", "valid"):
        labels = [str(at % 3) for at in range(30)]
        lines = [f"{split}-{at},{label},{label}" for at, label in enumerate(labels)]
        if split == "train":
            lines[4] = f"{split}-4,2,1"
        (toy.split("toy_v1", split) / "data.csv").write_text("\n".join(["id,x,label", *lines]) + "\n")
    return toy


@pytest.fixture
def run(evaluated: Run) -> hard.Run:
    def words(given: Sequence[str]) -> tuple[int, str]:
        done = evaluated(*given[1:])
        return done.code, done.out + done.err

    return words


def test_the_train_split_is_scored_where_it_cannot_be_taken_for_the_versions_score(
    labelled: Workspace, evaluated: Run, tmp_path: Path
) -> None:
    assert (
        "scores of the train split need a folder: --output DIR"
        in evaluated("--version", "v001", "--split", "train").err
    )
    assert not labelled.version("v001").eval_score.exists()
    assert evaluated("--version", "v001", "--split", "train", "--output", str(tmp_path / "t")).code == 0
    samples = read_per_sample(tmp_path / "t" / "_eval" / "per_sample.csv")
    assert (samples.ids[4], samples.correct.count(False)) == ("train-4", 1)
    assert not labelled.version("v001").eval_score.exists()


def test_hard_rows_and_doubtful_labels_come_from_one_pass_that_is_kept(labelled: Workspace, run: hard.Run) -> None:
    rows = splits.train(labelled, "toy_v1")
    found = hard.by_training(labelled, "v001", rows, run)
    assert max(range(30), key=lambda at: found.loss[at]) == 4
    assert suspects.listed(found, rows) == [
        {"id": "train-4", "label": "b", "likely": "c", "of_label": 0.0177, "of_likely": 0.9647}
    ]

    def never(words: Sequence[str]) -> tuple[int, str]:
        raise AssertionError

    assert hard.by_training(labelled, "v001", rows, never) == found
    labelled.version("v001").best_checkpoint.write_bytes(b"others")
    with pytest.raises(AssertionError):
        hard.by_training(labelled, "v001", rows, never)


def test_samples_without_ids_are_rows_in_their_order(labelled: Workspace, run: hard.Run) -> None:
    plain = '([float(row["x"]), 1.0], int(row["label"]))'
    text = SCRIPT.replace(plain.replace("(", '(row["id"], ', 1), plain)
    assert text != SCRIPT
    labelled.script("v001").write_text(text)
    rows = splits.train(labelled, "toy_v1")
    assert max(range(30), key=lambda at: hard.by_training(labelled, "v001", rows, run).loss[at]) == 4
    labelled.script("v001").write_text(text.replace("csv.DictReader(file)]", "csv.DictReader(file)][::-1]"))
    labelled.train_scores("v001").protocol.unlink()
    with pytest.raises(InputError, match=r"calls sample 00000\d 'c', the row in train/ has '0'"):
        hard.by_training(labelled, "v001", rows, run)


def test_what_cannot_be_known_of_the_training_rows_is_said(labelled: Workspace, run: hard.Run) -> None:
    rows = splits.train(labelled, "toy_v1")
    labelled.script("v001").write_text(SCRIPT.replace("csv.DictReader(file)]", "csv.DictReader(file)][:20]"))
    with pytest.raises(InputError, match="trains on 20 samples with other ids than the 30 rows"):
        hard.by_training(labelled, "v001", rows, run)
    labelled.script("v001").write_text(SCRIPT.replace("return Net()", "raise ValueError('no such weights')"))
    labelled.train_scores("v001").protocol.unlink()
    with pytest.raises(StepFailed, match="no such weights"):
        hard.by_training(labelled, "v001", rows, run)
    labelled.version("v001").best_checkpoint.unlink()
    with pytest.raises(InputError, match=r"v001 has no best\.ckpt"):
        hard.by_training(labelled, "v001", rows, run)


@pytest.mark.slow
def test_an_older_evaluator_is_refused_by_name(labelled: Workspace) -> None:
    """Its own words, from a process of its own as it is when a user calls it."""
    text = labelled.eval_script.read_text()
    labelled.eval_script.write_text(text.replace('["valid", "test", "train"]', '["valid", "test"]'))
    with pytest.raises(InputError, match=r"this 03_eval\.py is older and knows no --split train"):
        hard.by_training(
            labelled, "v001", splits.train(labelled, "toy_v1"), hard.plainly(labelled, sys.executable, seconds=300)
        )


@pytest.mark.slow
def test_the_evaluator_is_started_as_the_loop_starts_it(labelled: Workspace) -> None:
    """What lies beside the scripts does not come in its way, and it asks the script in processes of their own."""
    (labelled.root / "statistics.py").write_text("raise SystemExit('this is not Python's')\n")
    rows = splits.train(labelled, "toy_v1")
    hard.by_training(labelled, "v001", rows, hard.plainly(labelled, sys.executable, seconds=300))
    assert json.loads(labelled.train_scores("v001").protocol.read_text())["targets"].startswith("apart")


@pytest.mark.slow
def test_what_runs_for_too_long_is_ended_with_all_that_it_has_started(labelled: Workspace) -> None:
    labelled.eval_script.write_text(
        "import subprocess\n"
        "from pathlib import Path\n"
        "with subprocess.Popen(['sleep', '600']) as child:\n"
        "    Path('child').write_text(str(child.pid))\n"
    )
    with pytest.raises(StepFailed, match="ran for more than 10 s and was ended"):
        hard.plainly(labelled, sys.executable, seconds=10)([labelled.eval_script.name])
    child = int((labelled.root / "child").read_text())
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=60)
    assert not psutil.pid_exists(child)
