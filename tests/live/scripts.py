"""Small training scripts, in the ways in which people write them."""

NET = """
import lightning as L, torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

class Net(L.LightningModule):
    def __init__(self, width, lr=0.05):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))

    def forward(self, x):
        return self.net(x)

    def step(self, batch, name, **how):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log(f"{name}/loss", loss, **how)
        return loss

    def training_step(self, batch, index):
        return self.step(batch, "train", on_step=True, on_epoch=True)

    def validation_step(self, batch, index, dataloader_idx=0):
        self.step(batch, "val")
        self.log("val/acc", (self(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.hparams.lr, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

def data(n):
    torch.manual_seed(n)
    x = torch.randn(n, 4)
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())

QUIET = dict(accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
"""

BARE = (
    NET
    + """
import argparse

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--scheduler", choices=["none", "step"], default="step")
    args = parser.parse_args()
    print("width is", args.width)
    stopping = EarlyStopping("val/loss", patience=3)
    best = ModelCheckpoint("out", "best", monitor="val/acc")
    trainer = L.Trainer(max_epochs=7, devices=2, strategy="ddp", precision="bf16-mixed", logger=False,
                        callbacks=[stopping, best], gradient_clip_val=0.5)
    assert trainer.checkpoint_callback is best and trainer.logger is None
    trainer.fit(Net(args.width, args.lr), DataLoader(data(100), batch_size=32, shuffle=True, num_workers=2),
                DataLoader(data(50), batch_size=25))
    print("never said")

if __name__ == "__main__":
    main()
"""
)
