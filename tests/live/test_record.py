"""The record of a training and its curve, whatever the script logs to."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.live.conftest import LIVE, Run
from tests.live.scripts import NET

FILES = {"RECORD": "record.json", "CURVE": "curve.csv", "LIVE": "live.jsonl"}

LOGGED = (
    NET
    + """
class Late(Net):
    def on_validation_epoch_end(self):
        if self.current_epoch == 1:
            self.log("val/late", float("nan"))

stopping = EarlyStopping("val/loss/dataloader_idx_0", patience=5)
best = ModelCheckpoint("out", "best", monitor="val/acc/dataloader_idx_0", mode="max", save_last=True)
trainer = L.Trainer(max_epochs=3, log_every_n_steps=2, logger=LOGGER, default_root_dir="root",
                    callbacks=[stopping, best, *MORE], **QUIET)
val = [DataLoader(data(50), batch_size=25), DataLoader(data(20), batch_size=25)]
model = Late(8)
L.seed_everything(1)
trainer.fit(model, DataLoader(data(100), batch_size=10, shuffle=True), val)
trainer.validate(model, val)
"""
)


CSV_LOGGER = 'CSVLogger("logs", name="n", version="v")'


def logged(logger: str, more: str = "[]") -> str:
    return LOGGED.replace("LOGGER", logger).replace("MORE", more)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_curve_is_what_a_csv_logger_writes(run: Run, tmp_path: Path) -> None:
    text = logged(CSV_LOGGER, "[LearningRateMonitor()]")
    code, found, log = run(text, **FILES)
    assert (code, found["faults"]) == (0, []), log
    theirs, ours = rows(tmp_path / "here/logs/n/v/metrics.csv"), rows(tmp_path / "out/curve.csv")
    assert ours == theirs and len(ours) > 20
    assert list(ours[0]) == list(theirs[0]) and {"lr-AdamW", "val/late", "train/loss_step"} <= set(ours[0])
    assert any(row["val/late"] == "nan" for row in ours)


def test_without_a_logger_the_curve_is_the_same(run: Run, tmp_path: Path) -> None:
    assert run(logged(CSV_LOGGER), **FILES)[0] == 0
    assert run(logged("False"), **FILES)[0] == 0
    assert rows(tmp_path / "out/curve.csv") == rows(tmp_path / "here/logs/n/v/metrics.csv")


def test_the_record_says_what_was_used_and_what_came_of_it(run: Run, tmp_path: Path) -> None:
    code, found, log = run(logged(CSV_LOGGER), **FILES)
    assert (code, found["faults"]) == (0, []), log
    assert (found["framework"], found["fit"], found["model"]["class"]) == ("lightning", 1, "Late")
    assert found["ended"] == {"by": "max_epochs", "epochs": 3, "steps": 30}
    used = {name: found["trainer"][name] for name in ("max_epochs", "precision", "device", "devices", "strategy")}
    assert used == {
        "max_epochs": 3,
        "precision": "32-true",
        "device": "cpu",
        "devices": 1,
        "strategy": "SingleDeviceStrategy",
    }
    [checkpoint], [stopping], [logger] = found["checkpoints"], found["early_stopping"], found["loggers"]
    best = Path(checkpoint["best_model_path"])
    assert best.is_file() and Path(checkpoint["last_model_path"]).name == "last.ckpt"
    scores = [row["val/acc/dataloader_idx_0"] for row in rows(tmp_path / "out/curve.csv")]
    accuracies = [float(score) for score in scores if score]
    assert checkpoint["best_model_score"] == pytest.approx(max(accuracies[:3]))
    assert checkpoint["best_epoch"] == accuracies.index(max(accuracies[:3]))
    assert stopping["wait"] >= 0 and stopping["stopped_epoch"] == 0
    assert (logger["save_dir"], logger["log_dir"]) == ("logs", "logs/n/v")
    assert found["optimizers"][0]["groups"][0]["lr"] == 0.05
    assert [loader["samples"] for loader in found["loaders"]["val"]] == [50, 20]
    assert found["callbacks"] == [
        "lightning.pytorch.callbacks.early_stopping.EarlyStopping",
        "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint",
    ]
    assert '"setup"' in (tmp_path / "out/live.jsonl").read_text()


ENDS = [
    ("max_steps=4, callbacks=[]", "max_steps", 4),
    ('max_epochs=50, callbacks=[EarlyStopping("val/loss", patience=1, min_delta=9)]', "early stopping", 20),
    ("max_epochs=50, callbacks=[Asked()]", "stop request", None),
    ("max_epochs=50, callbacks=[Failing()]", "exception", 0),
]

ENDING = (
    NET
    + """
import os, pathlib, time

class Asked(L.Callback):
    def on_train_start(self, trainer, module):
        pathlib.Path(os.environ["PROGTRAIN_STOP_FILE"]).touch()
        time.sleep(0.4)

class Failing(L.Callback):
    def on_train_batch_end(self, *args):
        raise ValueError("not like this")

class Shy(Net):
    def validation_step(self, batch, index):
        self.step(batch, "val", logger=False)

trainer = L.Trainer(TRAINER, logger=False, enable_checkpointing=False, **QUIET)
trainer.fit(Shy(8), DataLoader(data(100), batch_size=10), DataLoader(data(50), batch_size=25))
"""
)


@pytest.mark.parametrize("trainer, by, steps", ENDS)
def test_how_a_training_ended(run: Run, trainer: str, by: str, steps: int | None) -> None:
    code, found, log = run(ENDING.replace("TRAINER", trainer), STOP="stop", **FILES)
    assert (found["ended"]["by"], found["faults"]) == (by, []), log
    assert steps is None or found["ended"]["steps"] in (steps, steps + 1)
    if by == "exception":
        assert (found["ended"]["type"], found["ended"]["message"]) == ("ValueError", "not like this")
    assert (code != 0) == (by == "exception")


def test_metrics_that_no_logger_gets_are_in_the_curve(run: Run, tmp_path: Path) -> None:
    run(ENDING.replace("TRAINER", "max_epochs=3"), **FILES)
    found = [row for row in rows(tmp_path / "out/curve.csv") if row["val/loss"]]
    assert [row["epoch"] for row in found] == ["0", "1", "2"] and [row["step"] for row in found] == ["9", "19", "29"]


def test_two_trainings_of_one_script_have_a_record_each(run: Run, tmp_path: Path) -> None:
    text = (
        NET
        + """
for epochs in (1, 2):
    trainer = L.Trainer(max_epochs=epochs, log_every_n_steps=1, logger=False, enable_checkpointing=False, **QUIET)
    trainer.fit(Net(8), DataLoader(data(20), batch_size=10), DataLoader(data(20), batch_size=10))
"""
    )
    found = run(text, **FILES)[1]
    first = json.loads((tmp_path / "out/record_fit1.json").read_text())
    assert [(part["fit"], part["ended"]["epochs"]) for part in (first, found)] == [(1, 1), (2, 2)]
    steps = [len(rows(tmp_path / "out" / name)) for name in ("curve_fit1.csv", "curve.csv")]
    assert steps == [4, 8]


SAVELESS = """
import torch
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
OWN
"""


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("", "out/weights/last.ckpt"),
        pytest.param("torch.save(model, open('m.pt', 'wb'))", "here/m.pt", marks=pytest.mark.slow),
    ],
)
def test_weights_are_kept_where_the_script_saves_none(tmp_path: Path, own: str, kept: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "script.py").write_text(SAVELESS.replace("OWN", own))
    saves, weights = tmp_path / "saves.jsonl", tmp_path / "out" / "weights"
    files = {
        "PROGTRAIN_LIVE_FILE": tmp_path / "l",
        "PROGTRAIN_RECORD_FILE": tmp_path / "r",
        "PROGTRAIN_SAVES_FILE": saves,
    }
    environment = {**os.environ, "PYTHONPATH": str(LIVE), "PROGTRAIN_WEIGHTS_DIR": str(weights), "OMP_NUM_THREADS": "1"}
    environment |= {name: str(path) for name, path in files.items()}
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path / "here", env=environment, check=True)
    [line] = [json.loads(line) for line in saves.read_text().splitlines()]
    assert line["kind"] == "weights" and tmp_path / kept == Path(line["path"]).resolve()
    assert weights.exists() == (not own)
    if not own:
        state = torch.load(weights / "last.ckpt", weights_only=True)["state_dict"]
        assert {name: tuple(value.shape) for name, value in state.items()} == {"weight": (2, 4), "bias": (2,)}
