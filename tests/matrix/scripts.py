"""Training scripts as people write them: nothing in them knows of progtrain."""

from __future__ import annotations

BASE = """
import argparse
import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 3
RATE = 0.05


def points(seed, count):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=g)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def loader(seed, count, **more):
    return DataLoader(TensorDataset(*points(seed, count)), batch_size=32, **more)


class Net(L.LightningModule):
    def __init__(self, width, rate):
        super().__init__()
        self.rate = rate
        self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, i):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, i):
        out = self(batch[0])
        self.log("val/loss", F.cross_entropy(out, batch[1]))
        self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    width = parser.parse_args().width
    L.seed_everything(1, verbose=False)
    best = ModelCheckpoint("outputs/run", "{epoch}-best", monitor="val/loss")
    trainer = L.Trainer(max_epochs=EPOCHS, accelerator="cpu", logger=False, callbacks=[best],
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Net(width, RATE), loader(1, 256, shuffle=True), loader(2, 96))


if __name__ == "__main__":
    main()
"""

_NO_ARGUMENTS = ('''    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    width = parser.parse_args().width
''', "    width = 8\n")  # fmt: skip

_DATA = """class Data(L.LightningDataModule):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def setup(self, stage):
        if stage == "fit":
            self.valid = loader(2, 96)

    def train_dataloader(self):
        return loader(1, self.size, shuffle=True)

    def val_dataloader(self):
        return self.valid


def main():"""

_STREAM = """class Stream(torch.utils.data.IterableDataset):
    def __init__(self, *what):
        self.what = what

    def __iter__(self):
        return iter(zip(*points(*self.what)))


def main():"""

_MANUAL = """    def training_step(self, batch, i):
        for optimizer in self.optimizers():
            loss = F.cross_entropy(self(batch[0]), batch[1])
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.log("train/loss", loss)
"""

_PLAIN = """
import csv
import os

import torch
from torch import nn

EPOCHS = 4
LEARNING_RATE = 0.1


def points(seed, count):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=g)
    return x, (x[:, 0] > 0).long()


def main():
    torch.manual_seed(0)
    net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE)
    (x, y), (vx, vy) = points(1, 200), points(2, 80)
    os.makedirs("runs/a", exist_ok=True)
    lowest, rows = 9.0, [("epoch", "train_loss", "val_loss", "val_acc")]
    for epoch in range(EPOCHS):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            out = net(vx)
            val = nn.functional.cross_entropy(out, vy).item()
            acc = (out.argmax(1) == vy).float().mean().item()
        rows.append((epoch, loss.item(), val, acc))
        if val < lowest:
            lowest = val
            torch.save(net.state_dict(), "runs/a/best_model.pt")
    torch.save(net.state_dict(), "runs/a/final.pt")
    with open("runs/a/history.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
"""

#: name -> (what it stands for, script, pieces that are replaced, rules besides)
SCRIPTS: dict[str, tuple[str, str, list[tuple[str, str]], dict[str, object]]] = {
    "argparse": (
        "argparse with an argument that must be given, loaders made in `main()`, no logger, results elsewhere",
        BASE,
        [],
        {"training_args": ["--width", "8"]},
    ),
    "datamodule": (
        "LightningDataModule with arguments, Lightning's default logger",
        BASE,
        [_NO_ARGUMENTS, ("def main():", _DATA), ("logger=False, ", ""),
         ("loader(1, 256, shuffle=True), loader(2, 96))", "datamodule=Data(256))")],
        {},
    ),
    "stream": (
        "IterableDataset",
        BASE,
        [_NO_ARGUMENTS, ("def main():", _STREAM),
         ("loader(1, 256, shuffle=True), loader(2, 96))",
          "DataLoader(Stream(1, 256), batch_size=32), DataLoader(Stream(2, 96), batch_size=32))")],
        {},
    ),
    "dataclass": (
        "settings in a dataclass, training at the top level without a main guard",
        BASE,
        [_NO_ARGUMENTS,
         ("EPOCHS = 3\nRATE = 0.05", "from dataclasses import dataclass\n\n\n@dataclass\nclass Config:\n"
          "    epochs: int = 3\n    learning_rate: float = 0.05\n\n\nCFG = Config()"),
         ("max_epochs=EPOCHS", "max_epochs=CFG.epochs"), ("Net(width, RATE)", "Net(width, CFG.learning_rate)"),
         ('if __name__ == "__main__":\n    main()', "main()")],
        {},
    ),
    "manual": (
        "manual optimization with two optimizers",
        BASE,
        [_NO_ARGUMENTS,
         ("        self.rate = rate", "        self.rate = rate\n        self.automatic_optimization = False"),
         (BASE[BASE.index("    def training_step"):BASE.index("    def validation_step")], _MANUAL + "\n"),
         ("return torch.optim.SGD(self.parameters(), lr=self.rate)",
          "return [torch.optim.SGD(self.net[i].parameters(), lr=self.rate) for i in (0, 2)]")],
        {},
    ),
    "pytorch_lightning": (
        "`pytorch_lightning`, the older name",
        BASE,
        [_NO_ARGUMENTS, ("import lightning as L", "import pytorch_lightning as L"),
         ("lightning.pytorch.callbacks", "pytorch_lightning.callbacks")],
        {},
    ),
    "no_checkpoint_named": (
        "no callbacks at all: Lightning's own checkpoint, in its own folder",
        BASE,
        [_NO_ARGUMENTS, ("logger=False, callbacks=[best],", "")],
        {},
    ),
    "plain": ("a loop of its own that offers nothing", _PLAIN, [], {}),
    "two_processes": (
        "DDP on two CPU processes",
        BASE,
        [_NO_ARGUMENTS, ('accelerator="cpu"', 'accelerator="cpu", devices=2, strategy="ddp"')],
        {},
    ),
    "masks": (
        "segmentation: a class for each pixel",
        BASE,
        [_NO_ARGUMENTS,
         ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "x = torch.randn(count, 1, 8, 8, generator=g)\n    return x, (x[:, 0] > 0).long()"),
         ("nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))",
          "nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2, 1))")],
        {"eval_config": {"primary_metric": "iou", "metrics": ["iou", "accuracy"]}},
    ),
    "regression": (
        "regression with three targets and an L1 loss",
        BASE,
        [_NO_ARGUMENTS,
         ("return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()", "return x, x[:, :3] * 2 + 0.5"),
         ("F.cross_entropy", "F.l1_loss"),
         ('self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())',
          'self.log("val/bias", (out - batch[1]).mean())')],
        {"eval_config": {"primary_metric": "mae", "metrics": ["mae", "r2"]}},
    ),
    "labels": (
        "several labels at once",
        BASE,
        [_NO_ARGUMENTS,
         ("return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()", "return x, (x[:, :3] > 0).float()"),
         ("F.cross_entropy", "F.binary_cross_entropy_with_logits"),
         ("(out.argmax(1) == batch[1]).float().mean()", "((out > 0) == batch[1]).float().mean()")],
        {"eval_config": {"primary_metric": "f1", "metrics": ["f1", "accuracy"]}},
    ),
    "language": (
        "a language model: the next token at each place",
        BASE,
        [_NO_ARGUMENTS,
         ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "x = (torch.randint(0, 5, (count, 1), generator=g) + torch.arange(9)) % 5\n    return x[:, :-1], x[:, 1:]"),
         ("nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))",
          "nn.Sequential(nn.Embedding(5, width), nn.ReLU(), nn.Linear(width, 5))"),
         ("F.cross_entropy(self(batch[0]), batch[1])",
          "F.cross_entropy(self(batch[0]).flatten(0, 1), batch[1].flatten())"),
         ("F.cross_entropy(out, batch[1])", "F.cross_entropy(out.flatten(0, 1), batch[1].flatten())"),
         ("out.argmax(1) == batch[1]", "out.argmax(2) == batch[1]")],
        {"eval_config": {"primary_metric": "perplexity", "metrics": ["perplexity"]}},
    ),
}  # fmt: skip


def source(name: str) -> str:
    _, text, pieces, _ = SCRIPTS[name]
    for old, new in pieces:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return text
