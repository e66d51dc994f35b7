"""A workspace with versions as a training and an evaluation leave them behind, made of real files."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.types import Limits, VersionRecord
from progtrain.engine.workspace import Workspace

SCRIPT = '''"""A small training."""

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

DATASET_ID = "toy_v1"
VERSION = "{version}"
SEED = 42
EPOCHS = {epochs}
BATCH_SIZE = {batch_size}
LEARNING_RATE = {learning_rate}
HIDDEN_SIZE = 32


class Net(L.LightningModule):
    def __init__(self, hidden_size=HIDDEN_SIZE, learning_rate=LEARNING_RATE):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 3))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)


def main():
    L.seed_everything(SEED)
    x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
    loader = DataLoader(TensorDataset(x, y), batch_size=BATCH_SIZE)
    checkpoint = ModelCheckpoint(dirpath=f"Models/Artifacts/{{VERSION}}", filename="best", monitor="val_loss")
    logger = CSVLogger(save_dir=f"Models/Artifacts/{{VERSION}}", name="logs", version=0)
    trainer = L.Trainer(max_epochs=EPOCHS, accelerator="cpu", logger=logger, callbacks=[checkpoint])
    trainer.fit(Net(), loader, loader)


if __name__ == "__main__":
    main()
'''


@dataclass
class Lab:
    """Writes versions into a workspace."""

    ws: Workspace
    records: list[VersionRecord] = field(default_factory=list)

    @staticmethod
    def script(version: str = "v001", epochs: int = 20, batch_size: int = 32, learning_rate: float = 0.01) -> str:
        return SCRIPT.format(version=version, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)

    @staticmethod
    def decay(epochs: int, start: float = 1.0, end: float = 0.3, rate: float = 0.4) -> list[float]:
        """A healthy curve: falls fast, then levels off."""
        return [end + (start - end) * math.exp(-rate * i) for i in range(epochs)]

    def curves(
        self,
        train: Sequence[float],
        val: Sequence[float] | None = None,
        steps: Sequence[Sequence[float]] | None = None,
        *,
        version: str = "v001",
        log: str = "version_0",
    ) -> Path:
        """As CSVLogger writes it: `steps` are the losses within each epoch."""
        path = self.ws.version(version).logs / log / "metrics.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["epoch", "step", "train_loss_epoch", "train_loss_step", "val_loss"])
            step = 0
            for epoch, loss in enumerate(train):
                for value in steps[epoch] if steps else ():
                    writer.writerow([epoch, step, "", value, ""])
                    step += 1
                step += 0 if steps else 10
                if val is not None:
                    writer.writerow([epoch, step, "", "", val[epoch]])
                writer.writerow([epoch, step, loss, "", ""])
        return path

    def samples(self, rows: Sequence[dict[str, Any]], version: str = "v001") -> Path:
        path = self.ws.version(version).per_sample
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    def score(self, metrics: dict[str, float | None], version: str = "v001", samples: int = 200) -> None:
        path = self.ws.version(version).eval_score
        path.parent.mkdir(parents=True, exist_ok=True)
        value = {
            "dataset_id": "toy_v1",
            "created_at": "2026-01-01T12:00:00+00:00",
            "num_samples": samples,
            "metrics": [
                {"name": name, "value": number, "higher_is_better": name not in ("loss", "rmse", "mae")}
                for name, number in metrics.items()
            ],
            "latency_ms": 0.5,
        }
        path.write_text(json.dumps(value))

    def version(
        self,
        version: str = "v001",
        *,
        accuracy: float | None = 0.9,
        source: str | None = None,
        train: Sequence[float] | None = None,
        val: Sequence[float] | None = None,
        base: str | None = None,
        operation: dict[str, Any] | None = None,
        action_text: str = "",
        **record: Any,
    ) -> VersionRecord:
        """A classification with the first samples wrong, so that versions differ where they should."""
        text = source or self.script(version)
        self.ws.script(version).write_text(text)
        epochs = self.decay(20) if train is None else train
        self.curves(epochs, [value * 1.1 for value in epochs] if val is None else val, version=version)
        rows = classified(accuracy or 0.0)
        self.samples(rows, version)
        losses = [row["loss"] for row in rows]
        metrics = {"accuracy": accuracy, "loss": sum(losses) / len(losses)}
        self.score(metrics, version)
        made = VersionRecord(
            version=version,
            source=text,
            metrics=metrics,
            primary=accuracy,
            base=base,
            operation=operation,
            action_text=action_text,
            latency_ms=0.5,
            **record,
        )
        self.records.append(made)
        return made


def classified(accuracy: float, count: int = 200, classes: int = 3) -> list[dict[str, Any]]:
    generator = random.Random(5)
    rows = []
    for i in range(count):
        truth, right = i % classes, i >= round((1 - accuracy) * count)
        rows.append(
            {
                "sample_id": f"s{i:04d}",
                "truth": truth,
                "prediction": truth if right else (truth + 1) % classes,
                "correct": str(right),
                "loss": generator.uniform(0.01, 0.2) + (0.0 if right else 1.5),
                "confidence": round(generator.uniform(0.5, 0.99), 3) if right else 0.6,
                "part__accuracy": int(right),
            }
        )
    return rows


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Workspace(tmp_path))


@pytest.fixture
def limits() -> Limits:
    return Limits(primary_metric="accuracy", higher_is_better=True)
