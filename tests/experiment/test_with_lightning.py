"""A script that uses Lightning, trained, cut short, gone on with and evaluated."""

from __future__ import annotations

import csv
import json
import time
from importlib.util import find_spec

import pytest

from progtrain.engine.experiment import run_workspace
from progtrain.engine.experiment.workers import base
from progtrain.engine.files import sha256
from progtrain.engine.workspace import Workspace
from tests.experiment.by_hand import ByHand

SCRIPT = """
import shutil, time, lightning as L, torch
from pathlib import Path
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset
from sizes import WIDTH

DATASET_ID = "toy_v1"
ARTIFACTS = Path(__file__).resolve().parent / "Models/Artifacts/v001"
LEARNING_RATE = 0.05
EPOCHS = 4
BATCH_SIZE = 20
SECONDS = 0.0

def data(split):
    rows = [line.split(",") for line in Path(f"dataset/prepdata/{DATASET_ID}/{split}/data.csv").read_text().split()[1:]]
    x = torch.tensor([[float(row[1]), float(row[2])] for row in rows])
    return TensorDataset(x, torch.tensor([int(row[3]) for row in rows]))

class Net(L.LightningModule):
    def __init__(self, lr=LEARNING_RATE):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(2, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        time.sleep(SECONDS)
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True)
        with open("steps.txt", "a") as file:
            file.write(f"{self.global_step}\\n")
        return loss

    def validation_step(self, batch, index):
        out = self(batch[0])
        self.log("val_loss", torch.nn.functional.cross_entropy(out, batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.hparams.lr)

if __name__ == "__main__":
    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    L.seed_everything(1)
    best = ModelCheckpoint(ARTIFACTS, "best", monitor="val_loss", save_last=True, enable_version_counter=False)
    trainer = L.Trainer(max_epochs=EPOCHS, accelerator="cpu", callbacks=[best], logger=CSVLogger(ARTIFACTS, "logs"),
                        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1)
    trainer.fit(Net(), DataLoader(data("train"), BATCH_SIZE, shuffle=True), DataLoader(data("valid"), 40))
"""

BASE = "base: {script: 02_train_v001.py}\n"
TASKS = """
evaluation:
  tasks: [{name: valid, tool: progtrain}]
  matrix: [{tasks: [valid], epochs: [best, last]}]
"""


@pytest.fixture
def lit(plain: Workspace) -> Workspace:
    if find_spec("lightning") is None:
        pytest.skip("Lightning is not installed")
    plain.eval_script.unlink()
    (plain.root / "sizes.py").write_text("WIDTH = 4\n")
    plain.script("v001").write_text(SCRIPT)
    plain.rules.write_text(plain.rules.read_text().replace('"batch_size": 16', '"optimizer": "adam"'))
    return plain


def steps(piece: base.Piece) -> list[int]:
    path = piece.folder.workspace / "steps.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.slow
def test_a_run_is_trained_and_its_best_and_last_checkpoints_are_evaluated(lit: Workspace) -> None:
    hand = ByHand(lit, f"{BASE}variables: {{lr: [0.1], WIDTH: [6]}}\ncontrols: {{epochs: 1}}{TASKS}")
    worker = base.evaluation("progtrain")
    found = [*hand.worker.problems(hand.experiment), *worker.problems(hand.experiment)]
    assert found + worker.for_task(hand.experiment, hand.experiment.plan.tasks[0]) == []
    piece = hand.piece("lr0.1_WIDTH6")
    hand.scaffold(piece)
    ended = hand.train(piece)
    assert ended.failure is None
    assert hand.worker.check(piece) is None
    for epoch in ("best", "last"):
        cell = hand.cell(piece.run.name, f"valid_{epoch}")
        hand.scaffold(cell, worker)
        hand.submit(cell, worker=worker)
        assert hand.wait(cell, worker=worker).failure is None
        assert [score.samples for score in worker.scores(cell)] == [120, 120]
        protocol = json.loads(cell.cell_folder.protocol.read_text())

        assert protocol["checkpoint_sha256"] == sha256(piece.folder.artifacts / f"{epoch}.ckpt")
    # a disk that was full, say
    best = piece.folder.artifacts / "best.ckpt"
    whole = best.read_bytes()
    best.write_bytes(whole[: len(whole) // 2])
    failure = hand.worker.check(piece)
    assert failure is not None and failure.error_summary.startswith("best.ckpt cannot be loaded: ")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_training_that_was_cut_short_goes_on_at_its_step(lit: Workspace, how: str) -> None:
    hand = ByHand(lit, f"{BASE}variables: {{SECONDS: [0.15]}}")
    piece = hand.piece("SECONDS0.15")
    hand.scaffold(piece)
    attempt = hand.submit(piece)
    ws = run_workspace.of(piece.folder)
    deadline = time.monotonic() + 120
    while len(steps(piece)) < 11:
        assert time.monotonic() < deadline, attempt.log.read_text()
        time.sleep(0.05)
    (ws.live_stop("v001") if how == "stopped" else attempt.cancel).touch()
    hand.wait(piece)
    assert hand.worker.can_resume(piece)
    before = len(steps(piece))
    assert hand.train(piece, 2, resume=True).failure is None
    # the script clears its folder first, and goes on all the same
    assert steps(piece)[before:] == list(range(before if how == "stopped" else 8, 32))
    assert (piece.folder.artifacts / "best.ckpt").is_file()
    with (piece.folder.artifacts / "logs/version_0/metrics.csv").open() as file:
        logged = [int(row["step"]) for row in csv.DictReader(file) if row["train_loss_step"]]
    assert logged == list(range(32))
