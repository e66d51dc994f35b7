"""03_eval.py on what Lightning really trains and saves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import Workspace

Script = Callable[..., Any]

#: what Lightning warns of is the scripts' business
pytestmark = pytest.mark.filterwarnings("ignore")

#: Configuration objects in the checkpoint, data from a LightningDataModule, no stats.json, regression.
TRAINING = """
import argparse
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

DATASET_ID = "lines_v1"
VERSION = "v001"
ARTIFACTS = Path("Models/Artifacts") / VERSION

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
ARGS = parser.parse_args()


@dataclass
class Config:
    width: int = 8


class Lines(L.LightningDataModule):
    def setup(self, stage):
        x = torch.linspace(-1, 1, 64)[:, None]
        self.train, self.valid = (TensorDataset(part, 3 * part[:, 0] + 0.25) for part in (x[::2], x[1::2]))

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=8)

    def val_dataloader(self):
        return DataLoader(self.valid, batch_size=8)


class Base(L.LightningModule):
    def training_step(self, batch, batch_idx):
        x, y = batch
        return torch.nn.functional.mse_loss(self(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


class Net(Base):
    def __init__(self, config=None):
        super().__init__()
        self.save_hyperparameters()
        width = (config or Config()).width
        self.net = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


def main():
    checkpoint = ModelCheckpoint(ARTIFACTS, "best", save_last=True, enable_version_counter=False)
    trainer = L.Trainer(max_epochs=ARGS.epochs, accelerator="cpu", logger=False, callbacks=[checkpoint])
    trainer.fit(Net(Config()), Lines())


if __name__ == "__main__":
    torch.set_num_threads(1)
    L.seed_everything(1)
    main()
"""


@pytest.fixture
def trained(ws: Workspace, run_here: Callable[..., None]) -> Workspace:
    ensure_script(ws.eval_script)
    ws.script("v001").write_text(TRAINING, encoding="utf-8")
    ws.rules.write_text(json.dumps({"eval_config": {"metrics": ["rmse", "r2"]}}))
    run_here(ws.script("v001"))
    return ws


def test_a_lightning_script_is_evaluated_untouched(trained: Workspace, script: Script) -> None:
    """By path, alone, without any change to the script, in a process of its own."""
    done = script(trained.eval_script, "--version", "v001")
    assert done.code == 0, done.err
    score = load(trained.version("v001").eval_score, EvalScore)
    assert score.num_samples == 32
    values = {metric.name: metric.value or 0 for metric in score.metrics}
    assert values["rmse"] ** 2 == pytest.approx(values["loss"], rel=1e-4)
    assert values["r2"] < 1


def test_a_checkpoint_of_another_architecture_is_named(trained: Workspace, evaluated: Script) -> None:
    trained.script("v002").write_text(TRAINING.replace("(1, width)", "(1, 2 * width)"), encoding="utf-8")
    trained.version("v002").path.mkdir(parents=True)
    shutil.copy(trained.version("v001").best_checkpoint, trained.version("v002").best_checkpoint)
    done = evaluated("--version", "v002")
    assert done.code == 1
    assert "Models/Artifacts/v002/best.ckpt does not fit the model of 02_train_v002.py" in done.err
    assert "size mismatch" in done.err
    assert "Traceback" not in done.err
