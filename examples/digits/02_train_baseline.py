"""A first baseline for the handwritten digits: a small MLP over the pixels, trained with plain SGD.

python 02_train_baseline.py
"""

import warnings
from pathlib import Path

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

DATASET_ID = "digits_v1"
DATA = Path("dataset/prepdata") / DATASET_ID
ARTIFACTS = Path("Models/Artifacts/baseline")

SEED = 42
EPOCHS = 15
BATCH_SIZE = 32
LEARNING_RATE = 0.02
HIDDEN_SIZE = 32

CLASS_NAMES = [str(digit) for digit in range(10)]


def load_split(split):
    """The samples of a split as (id, raw image, label)."""
    data = np.load(DATA / split / "digits.npz")
    return list(zip(data["ids"].tolist(), data["images"], data["labels"].tolist(), strict=True))


def preprocess(image):
    """A raw image (8x8, uint8) as the network takes it: 64 values from 0 to 1."""
    return torch.as_tensor(image, dtype=torch.float32).flatten() / 255


def make_loader(split, shuffle=False):
    _, images, labels = zip(*load_split(split), strict=True)
    dataset = TensorDataset(torch.stack([preprocess(image) for image in images]), torch.tensor(labels))
    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=shuffle)


class DigitClassifier(L.LightningModule):
    def __init__(self, hidden_size=HIDDEN_SIZE, learning_rate=LEARNING_RATE):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(64, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, len(CLASS_NAMES)),
        )

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.log("val_loss", F.cross_entropy(logits, y), prog_bar=True)
        self.log("val_accuracy", (logits.argmax(dim=1) == y).float().mean(), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.learning_rate)


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
        log_every_n_steps=5,
    )
    trainer.fit(DigitClassifier(), make_loader("train", shuffle=True), make_loader("valid"))
    print(f"best val_loss {checkpoint.best_model_score:.4f} in {checkpoint.best_model_path}")


if __name__ == "__main__":
    main()
