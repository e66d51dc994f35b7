# ruff: noqa
# fmt: off
"""Settings in a dataclass, a logger list, callbacks in a variable, an absolute-looking base from __file__."""
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch import callbacks as cb
from lightning.pytorch import loggers
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(__file__).resolve().parent


@dataclass
class Config:
    data_dir: Path = HERE / "dataset" / "prepdata" / "points_v1"
    ckpt_dir: Path = HERE / "Models" / "Artifacts" / "baseline"
    epochs: int = 2
    learning_rate: float = 1e-2
    batch_size: int = 16


cfg = Config()


def make_loader(split):
    arrays = np.load(cfg.data_dir / split / "points.npz")
    data = TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]))
    return DataLoader(data, batch_size=cfg.batch_size, shuffle=split == "train")


class Net(L.LightningModule):
    def __init__(self, width: int = 8):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log_dict({"train_loss": loss})
        return loss

    def validation_step(self, batch, batch_idx):
        self.log_dict({"val_loss": nn.functional.cross_entropy(self(batch[0]), batch[1])})

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=cfg.learning_rate)


def train():
    L.seed_everything(7)
    hooks = [cb.LearningRateMonitor("epoch")]
    trainer = L.Trainer(
        max_epochs=cfg.epochs,
        accelerator="cpu",
        enable_progress_bar=False,
        logger=[loggers.CSVLogger(str(cfg.ckpt_dir), version="first")],  # one folder a run
        callbacks=hooks,
    )
    trainer.fit(Net(), make_loader("train"), make_loader("valid"))


if __name__ == "__main__":
    train()
