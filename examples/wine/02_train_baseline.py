"""A first baseline for the wines: a small MLP over the 13 measurements as they are.

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

DATASET_ID = "wine_v1"
VERSION = "baseline"
DATA = Path("dataset/prepdata") / DATASET_ID
ARTIFACTS = Path("Models/Artifacts") / VERSION

SEED = 42
EPOCHS = 40
BATCH_SIZE = 16
LEARNING_RATE = 0.001
HIDDEN_SIZE = 32

CLASS_NAMES = ["cultivar 0", "cultivar 1", "cultivar 2"]


def load_split(split):
    """The wines of a split as (id, measurements by name, cultivar)."""
    frame = pd.read_csv(DATA / split / "wine.csv")
    measurements = frame.drop(columns=["id", "cultivar"]).to_dict("records")
    return list(zip(frame["id"], measurements, frame["cultivar"].tolist(), strict=True))


def feature_names():
    return json.loads((DATA / "common" / "features.json").read_text())


def preprocess(wine):
    """The measurements of one wine as the network takes them, in a fixed order."""
    return torch.tensor([wine[name] for name in feature_names()], dtype=torch.float32)


def make_loader(split, shuffle=False):
    _, wines, cultivars = zip(*load_split(split), strict=True)
    dataset = TensorDataset(torch.stack([preprocess(wine) for wine in wines]), torch.tensor(cultivars))
    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=shuffle)


class WineClassifier(L.LightningModule):
    def __init__(self, hidden_size=HIDDEN_SIZE, learning_rate=LEARNING_RATE):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(13, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, len(CLASS_NAMES)),
        )
        self.loss_fn = nn.CrossEntropyLoss()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss_fn(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        # the plain loss, whatever the training uses: runs stay comparable
        self.log("val_loss", F.cross_entropy(logits, y), prog_bar=True)
        self.log("val_accuracy", (logits.argmax(dim=1) == y).float().mean(), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)


def main():
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    torch.set_num_threads(1)  # the network is tiny: more threads only cost time
    L.seed_everything(SEED, workers=True)
    logger = CSVLogger(save_dir=ARTIFACTS, name="logs", version=0)
    logger.log_hyperparams({"seed": SEED, "epochs": EPOCHS, "batch_size": BATCH_SIZE})
    checkpoint = ModelCheckpoint(
        dirpath=ARTIFACTS, filename="best", monitor="val_loss", save_last=True, enable_version_counter=False
    )
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        deterministic=True,
        logger=logger,
        callbacks=[checkpoint],
        log_every_n_steps=1,
    )
    trainer.fit(WineClassifier(), make_loader("train", shuffle=True), make_loader("valid"))
    print(f"best val_loss {checkpoint.best_model_score:.4f} in {checkpoint.best_model_path}")


if __name__ == "__main__":
    main()
