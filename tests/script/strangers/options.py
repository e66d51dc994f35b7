# ruff: noqa
# fmt: off
"""An engineer's script: argparse, pathlib, its own naming of checkpoints and runs."""

from __future__ import annotations

import argparse
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, default="./dataset/prepdata/points_old")
    parser.add_argument("--output-dir", type=Path, default="runs/exp1")
    parser.add_argument("--max-epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=1e-2)
    return parser.parse_args()


class Points(L.LightningDataModule):
    def __init__(self, data_dir: Path) -> None:
        super().__init__()
        self.data_dir = Path(data_dir)

    def _dataset(self, split: str) -> TensorDataset:
        arrays = np.load(self.data_dir / split / "points.npz")
        return TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._dataset("train"), batch_size=16, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._dataset("valid"), batch_size=16)


class Classifier(L.LightningModule):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(4, 2)
        self.loss = nn.CrossEntropyLoss()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = self.loss(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val/loss", self.loss(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


def main(args: argparse.Namespace) -> None:
    callbacks = [
        EarlyStopping(monitor="val/loss", patience=5),
        ModelCheckpoint(
            dirpath=args.output_dir / "checkpoints",
            filename="{epoch}-{val/loss:.2f}",
            monitor="val/loss",
            save_top_k=3,
        ),
    ]
    trainer = L.Trainer(
        max_epochs=args.max_epochs,
        accelerator="cpu",
        enable_progress_bar=False,
        default_root_dir=args.output_dir,
        logger=CSVLogger(args.output_dir, "csv"),
        callbacks=callbacks,
    )
    trainer.fit(Classifier(args.lr), Points(args.data_dir))


if __name__ == "__main__":
    main(parse_args())
