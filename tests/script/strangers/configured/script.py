# ruff: noqa
# fmt: off
import config
import lightning.pytorch as pl
import numpy as np
import torch
from config import EPOCHS, LEARNING_RATE
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(x)

    def training_step(self, batch, batch_idx):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE)


def loader(path):
    arrays = np.load(path)
    return DataLoader(TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])), batch_size=16)


if __name__ == "__main__":
    checkpoint = ModelCheckpoint(dirpath=config.RUN_DIR, filename="best", monitor="val_loss", save_last=True)
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        enable_progress_bar=False,
        callbacks=[checkpoint],
        logger=CSVLogger(config.RUN_DIR, name="logs", version=0),
    )
    trainer.fit(Net(), loader(config.TRAIN_FILE), loader(config.VALID_FILE))
