# ruff: noqa
# fmt: off
# a student's script: os.path.join everywhere, the default Trainer, main() called at the end
import os

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

DATA_DIR = "data/points"
BATCH_SIZE = 16
LR = 0.01


def load(split):
    arrays = np.load(os.path.join(DATA_DIR, split, "points.npz"))
    return TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]))


class Net(pl.LightningModule):
    def __init__(self, hidden):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 2)
        )

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", torch.nn.functional.cross_entropy(self(x), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=LR)


def main():
    train = DataLoader(load("train"), batch_size=BATCH_SIZE, shuffle=True)
    valid = DataLoader(load("valid"), batch_size=BATCH_SIZE)
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    trainer.fit(Net(8), train, valid)


main()
