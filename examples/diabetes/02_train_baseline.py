"""A first baseline for the diabetes data: an MLP over standardised measurements, sized generously.

python 02_train_baseline.py
"""

import json
import warnings
from pathlib import Path

import lightning as L
import pandas as pd
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

DATASET_ID = "diabetes_v1"
VERSION = "baseline"
DATA = Path("dataset/prepdata") / DATASET_ID
ARTIFACTS = Path("Models/Artifacts") / VERSION

CONFIG = {
    "seed": 42,
    "epochs": 40,
    "batch_size": 16,
    "learning_rate": 0.001,
    "weight_decay": 0.0,
    "hidden_size": 256,
}

SCALING = json.loads((DATA / "common" / "scaling.json").read_text())


def load_split(split):
    """The patients of a split as (id, measurements by name, progression)."""
    frame = pd.read_csv(DATA / split / "diabetes.csv")
    measurements = frame.drop(columns=["id", "progression"]).to_dict("records")
    return list(zip(frame["id"], measurements, frame["progression"].tolist(), strict=True))


def preprocess(patient):
    """The measurements of one patient, standardised with the training data's mean and spread."""
    features = SCALING["features"].items()
    return torch.tensor([(patient[name] - scale["mean"]) / scale["std"] for name, scale in features])


def postprocess(output):
    """The network speaks in standard deviations; the answer is in units of disease progression."""
    return float(output) * SCALING["target"]["std"] + SCALING["target"]["mean"]


def make_loader(split, shuffle=False):
    _, patients, progression = zip(*load_split(split), strict=True)
    inputs = torch.stack([preprocess(patient) for patient in patients])
    targets = (torch.tensor(progression) - SCALING["target"]["mean"]) / SCALING["target"]["std"]
    return DataLoader(TensorDataset(inputs, targets), batch_size=CONFIG["batch_size"], shuffle=shuffle)


class ProgressionRegressor(L.LightningModule):
    def __init__(self, hidden_size=CONFIG["hidden_size"]):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(len(SCALING["features"]), hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, 1),
        )

    def forward(self, x):
        return self.net(x).squeeze(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.mse_loss(self(x), y), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=CONFIG["learning_rate"], weight_decay=CONFIG["weight_decay"])


def main():
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    torch.set_num_threads(1)  # the network is small: more threads only cost time
    L.seed_everything(CONFIG["seed"], workers=True)
    logger = CSVLogger(save_dir=ARTIFACTS, name="logs", version=0)
    logger.log_hyperparams(CONFIG)
    # the weights of the last epoch are kept: validation data that chose the epoch would flatter the result
    checkpoint = ModelCheckpoint(dirpath=ARTIFACTS, filename="best", save_last=True, enable_version_counter=False)
    trainer = L.Trainer(
        max_epochs=CONFIG["epochs"],
        accelerator="cpu",
        deterministic=True,
        logger=logger,
        callbacks=[checkpoint],
        log_every_n_steps=1,
    )
    trainer.fit(ProgressionRegressor(), make_loader("train", shuffle=True), make_loader("valid"))
    print(f"val_loss {trainer.callback_metrics['val_loss']:.4f} in {checkpoint.best_model_path}")


if __name__ == "__main__":
    main()
