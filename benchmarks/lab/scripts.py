"""Training scripts for made-up tasks: plain Lightning code as users write it, with settings that fit or do not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lab.tasks import DATASET_ID, Task


@dataclass(frozen=True)
class Start:
    """How a first version is set up. None: the script does not have that setting."""

    learning_rate: float
    batch_size: int
    epochs: int
    hidden_size: int
    layers: int = 1
    optimizer: str = "Adam"
    dropout: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    label_smoothing: float | None = None
    standardised: bool = False
    #: keep the weights of the best validation loss, or of the last epoch
    keep_best: bool = True
    #: as one dict instead of constants
    as_dict: bool = False
    #: a training loop of its own instead of Lightning's
    plain: bool = False
    seed: int = 42


_LIGHTNING_IMPORTS = """import warnings
from pathlib import Path

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
"""

_PLAIN_IMPORTS = """import csv
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
"""

_HEAD = '''"""A baseline.

python 02_train_baseline.py
"""
{imports}
DATASET_ID = "{dataset}"
VERSION = "baseline"
DATA = Path("dataset/prepdata") / DATASET_ID
ARTIFACTS = Path("Models/Artifacts") / VERSION

{settings}
{names}

def load_split(split):
    """The samples of a split as (id, numbers, target)."""
    data = np.load(DATA / split / "data.npz")
    return [(f"{{split}}-{{i}}", x, {target}(y)) for i, (x, y) in enumerate(zip(data["x"], data["y"]))]

{scaling}
def preprocess(raw):
    return {preprocess}


def make_loader(split, shuffle=False):
    _, raws, targets = zip(*load_split(split))
    inputs = torch.stack([preprocess(raw) for raw in raws])
    dataset = TensorDataset(inputs, torch.tensor(targets{dtype}))
    return DataLoader(dataset, {batch_size} if shuffle else 512, shuffle=shuffle)

'''

_LIGHTNING = """
class Net(L.LightningModule):
    def __init__(self, hidden_size={hidden_size}):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
{net}
        )

    def forward(self, x):
        return {forward}

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = {loss}
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", {val_loss})

    def configure_optimizers(self):
        return torch.optim.{optimizer}(self.parameters(), lr={learning_rate}{optimizer_options})


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    L.seed_everything({seed}, workers=True)
    logger = CSVLogger(save_dir=ARTIFACTS, name="logs", version=0)
    logger.log_hyperparams({{"seed": {seed}, "epochs": {epochs}, "batch_size": {batch_size}}})
    checkpoint = ModelCheckpoint(
        dirpath=ARTIFACTS, filename="best", {monitor}save_last=True, enable_version_counter=False
    )
    trainer = L.Trainer(
        max_epochs={epochs},
        accelerator="cpu",
        logger=logger,
        callbacks=[checkpoint],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(), make_loader("train", shuffle=True), make_loader("valid"))


if __name__ == "__main__":
    main()
"""

_PLAIN = """
class Net(nn.Module):
    def __init__(self, hidden_size={hidden_size}):
        super().__init__()
        self.net = nn.Sequential(
{net}
        )

    def forward(self, x):
        return {forward}


def load_model(checkpoint_path):
    model = Net()
    model.load_state_dict(torch.load(checkpoint_path))
    return model


def main():
    torch.set_num_threads(1)
    random.seed({seed})
    torch.manual_seed({seed})
    logs = ARTIFACTS / "logs" / "version_0"
    logs.mkdir(parents=True, exist_ok=True)
    hparams = {{"seed": {seed}, "epochs": {epochs}, "batch_size": {batch_size}}}
    (logs / "hparams.yaml").write_text("".join(f"{{k}}: {{v}}\\n" for k, v in hparams.items()))
    train, valid = make_loader("train", shuffle=True), make_loader("valid")
    model = Net()
    optimizer = torch.optim.{optimizer}(model.parameters(), lr={learning_rate}{optimizer_options})
    lowest = float("inf")
    with open(logs / "metrics.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", "train_loss", "val_loss"])
        for epoch in range({epochs}):
            model.train()
            total, count = 0.0, 0
            for x, y in train:
                loss = {plain_loss}
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total, count = total + loss.item() * len(y), count + len(y)
            model.eval()
            with torch.no_grad():
                losses = [({plain_val_loss}).item() * len(y) for x, y in valid]
            val_loss = sum(losses) / len(valid.dataset)
            table.writerow([epoch, total / count, val_loss])
            if {keep}:
                lowest = val_loss
                torch.save(model.state_dict(), ARTIFACTS / "best.ckpt")
    torch.save(model.state_dict(), ARTIFACTS / "last.ckpt")
    if not (ARTIFACTS / "best.ckpt").exists():
        torch.save(model.state_dict(), ARTIFACTS / "best.ckpt")


if __name__ == "__main__":
    main()
"""

_SCALING = """
TRAIN = np.load(DATA / "train" / "data.npz")["x"]
MEAN, STD = TRAIN.mean(axis=0), TRAIN.std(axis=0) + 1e-8

"""


def make_script(task: Task, start: Start) -> str:
    settings: dict[str, Any] = {
        "seed": start.seed,
        "epochs": start.epochs,
        "batch_size": start.batch_size,
        "learning_rate": start.learning_rate,
        "hidden_size": start.hidden_size,
    }
    optional = {
        "dropout": start.dropout,
        "weight_decay": start.weight_decay,
        "momentum": start.momentum,
        "label_smoothing": start.label_smoothing if task.classes else None,
    }
    settings |= {key: value for key, value in optional.items() if value is not None}
    if start.as_dict:
        written = "CONFIG = {\n" + "".join(f'    "{k}": {v!r},\n' for k, v in settings.items()) + "}\n"
        name = {key: f'CONFIG["{key}"]' for key in settings}
    else:
        written = "".join(f"{key.upper()} = {value!r}\n" for key, value in settings.items())
        name = {key: key.upper() for key in settings}
    options = "".join(f", {key}={name[key]}" for key in ("weight_decay", "momentum") if key in name)
    smoothing = f", label_smoothing={name['label_smoothing']}" if "label_smoothing" in name else ""
    template = _HEAD + (_PLAIN if start.plain else _LIGHTNING)
    return template.format(
        imports=_PLAIN_IMPORTS if start.plain else _LIGHTNING_IMPORTS,
        dataset=DATASET_ID,
        settings=written,
        names=f"CLASS_NAMES = {[f'class {c}' for c in range(task.classes)]!r}\n" if task.classes else "",
        target="int" if task.classes else "float",
        scaling=_SCALING if start.standardised else "",
        preprocess="torch.as_tensor((raw - MEAN) / STD, dtype=torch.float32)"
        if start.standardised
        else "torch.as_tensor(raw, dtype=torch.float32)",
        dtype="" if task.classes else ", dtype=torch.float32",
        net="\n".join(f"            {line}," for line in _layers(task, start, name)),
        forward="self.net(x)" if task.classes else "self.net(x).squeeze(-1)",
        plain_loss=f"F.cross_entropy(model(x), y{smoothing})" if task.classes else "F.mse_loss(model(x), y)",
        plain_val_loss="F.cross_entropy(model(x), y)" if task.classes else "F.mse_loss(model(x), y)",
        keep="val_loss < lowest" if start.keep_best else "True",
        loss=f"F.cross_entropy(self(x), y{smoothing})" if task.classes else "F.mse_loss(self(x), y)",
        val_loss="F.cross_entropy(self(x), y)" if task.classes else "F.mse_loss(self(x), y)",
        optimizer=start.optimizer,
        optimizer_options=options,
        monitor='monitor="val_loss", ' if start.keep_best else "",
        **{key: name[key] for key in ("seed", "epochs", "batch_size", "learning_rate", "hidden_size")},
    )


def _layers(task: Task, start: Start, name: dict[str, str]) -> list[str]:
    lines, width = [], str(task.features)
    for _ in range(start.layers):
        lines += [f"nn.Linear({width}, hidden_size)", "nn.ReLU()"]
        if "dropout" in name:
            lines.append(f"nn.Dropout({name['dropout']})")
        width = "hidden_size"
    return [*lines, f"nn.Linear({width}, {task.classes or 1})"]


def make_rules(task: Task, start: Start, *, metric: str, branch_from: str, lock_epochs: bool, versions: int) -> str:
    rules: dict[str, Any] = {
        "seed": start.seed,
        "loop_config": {"max_versions": versions, "branch_from": branch_from, "max_train_attempts": 1},
        "dataset_config": {"dataset_id": DATASET_ID},
        "eval_config": {"primary_metric": metric, "metrics": [metric], "infer_samples": 0, "final_test": True},
    }
    if lock_epochs:
        rules["training_config"] = {"epochs": start.epochs}
    return json.dumps(rules, indent=2) + "\n"


def write_workspace(root: Path, task: Task, start: Start, **rules: Any) -> None:
    """A workspace before its first version."""
    task.write(root)
    (root / "02_train_baseline.py").write_text(make_script(task, start))
    (root / "user_defined_rules.json").write_text(make_rules(task, start, **rules))


def random_start(task: Task, seed: int) -> tuple[Start, dict[str, Any]]:
    """Settings around what fits, often far from it; and rules to go with them."""
    rng = np.random.default_rng(seed)
    optimizer = str(rng.choice(["Adam", "Adam", "SGD", "AdamW"]))
    good = 0.05 if optimizer == "SGD" else 0.003
    spread = rng.choice([0.3, 0.8, 1.4])
    rate = float(f"{good * 10 ** (spread * rng.normal()):.0e}")

    def some(values: list[float], share: float) -> float | None:
        return float(rng.choice(values)) if rng.random() < share else None

    batch_size = int(rng.choice([4, 8, 16, 16, 32, 32, 64, 128]))
    epochs = int(rng.choice([5, 10, 15, 20, 30, 40]))
    steps = epochs * len(task.splits["train"][1]) / batch_size
    while steps > 500:  # short trainings: there are to be thousands
        batch_size, steps = batch_size * 2, steps / 2
    start = Start(
        learning_rate=min(3.0, max(1e-6, rate)),
        batch_size=batch_size,
        epochs=epochs,
        hidden_size=int(rng.choice([4, 8, 16, 32, 64, 128, 256])),
        layers=int(rng.choice([1, 1, 2, 2, 3])),
        optimizer=optimizer,
        dropout=some([0.0, 0.0, 0.1, 0.3, 0.5, 0.7], 0.35),
        weight_decay=some([0.0, 0.0, 1e-4, 1e-3, 1e-2, 0.1], 0.5),
        momentum=some([0.0, 0.5, 0.9, 0.9], 0.7) if optimizer == "SGD" else None,
        label_smoothing=some([0.0, 0.1, 0.3], 0.2),
        standardised=bool("unscaled" in task.faults and rng.random() < 0.35),
        keep_best=bool(rng.random() < 0.6),
        as_dict=bool(rng.random() < 0.3),
        plain=bool(rng.random() < 0.3),
    )
    metric = "loss"
    if task.classes and rng.random() < 0.5:
        metric = "f1" if "imbalance" in task.faults or rng.random() < 0.3 else "accuracy"
    elif not task.classes and rng.random() < 0.3:
        metric = "mae"
    rules = {
        "metric": metric,
        "branch_from": str(rng.choice(["best", "best", "latest"])),
        "lock_epochs": bool(rng.random() < 0.6),
        "versions": 10,
    }
    return start, rules
