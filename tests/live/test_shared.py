"""However a script parts its data, samples on both sides are found, and what it holds out is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.script import probe as probing
from tests.live.conftest import Run

HEAD = """
import os, random
import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, random_split

torch.manual_seed(3)
X, Y = torch.randn(60, 4), torch.arange(60) % 3

class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)
    def training_step(self, batch, number):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
    def validation_step(self, batch, number):
        self.log("val_loss", self.training_step(batch, number))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Rows(Dataset):
    def __init__(self, train, end=50):
        chosen = slice(0, end) if train else slice(50, 60)
        self.x, self.y = X[chosen], Y[chosen]
    def __len__(self):
        return len(self.x)
    def __getitem__(self, number):
        return self.x[number], self.y[number]

class Noisy(Rows):
    def __getitem__(self, number):
        return self.x[number] + torch.randn(4), self.y[number]

class Files(Dataset):
    def __init__(self, names):
        self.names = [os.path.join("rows", name) for name in names]
    def __len__(self):
        return len(self.names)
    def __getitem__(self, number):
        return torch.load(self.names[number]) + torch.randn(4), number % 3

class Stream(IterableDataset):
    def __init__(self, start):
        self.start = start
    def __iter__(self):
        return iter([(X[number], int(Y[number])) for number in range(self.start, 60)])

class Parted(L.LightningDataModule):
    def setup(self, stage):
        self.train, self.val = random_split(Rows(True), [40, 10], torch.Generator().manual_seed(1))
    def train_dataloader(self):
        return DataLoader(self.train, batch_size=10)
    def val_dataloader(self):
        return DataLoader(self.val, batch_size=10)

os.makedirs("rows", exist_ok=True)
for number in range(12):
    torch.save(X[number], f"rows/{number:02}.pt")
NAMES = sorted(os.listdir("rows"))

def fit(train, val):
    trainer = L.Trainer(max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.fit(Net(), DataLoader(train, batch_size=5), DataLoader(val, batch_size=5))

def loop(train, val, wrap=lambda loader: loader):
    net = Net()
    optimizer = net.configure_optimizers()
    train_loader, val_loader = wrap(DataLoader(train, batch_size=5, shuffle=True)), wrap(DataLoader(val, batch_size=5))
    for x, y in train_loader:
        torch.nn.functional.cross_entropy(net.layer(x), y).backward()
        optimizer.step()

"""

#: how the data are parted -> by what it was told, of how many held out, how many are on both sides
PARTED: list[tuple[str, tuple[str, int, int] | None]] = [
    ("fit(Rows(True), Rows(False))", ("content", 10, 0)),
    ("fit(Rows(True, end=53), Rows(False))", ("content", 10, 3)),
    ("loop(Rows(True, end=53), Rows(False))", ("content", 10, 3)),
    (
        "from lightning.fabric import Fabric\n"
        "loop(Rows(True, end=53), Rows(False), Fabric(accelerator='cpu', devices=1).setup_dataloaders)",
        ("content", 10, 3),
    ),
    ("rows = Rows(True); fit(Subset(rows, range(40)), Subset(rows, range(38, 50)))", ("numbers", 12, 2)),
    ("rows = Rows(True); loop(rows, Subset(Subset(rows, range(20, 40)), [0, 3]))", ("numbers", 2, 2)),
    ("L.Trainer(max_epochs=1, logger=False, enable_checkpointing=False).fit(Net(), Parted())", ("numbers", 10, 0)),
    ("fit(Files(NAMES[:9]), Files(NAMES[8:]))", ("paths", 4, 1)),
    ("fit(Stream(0), Stream(57))", ("content", 3, 3)),
    # others at each reading
    ("fit(Noisy(True, end=53), Noisy(False))", None),
]


@pytest.mark.parametrize("parted, expected", PARTED)
def test_samples_on_both_sides_are_found(probe: Run, parted: str, expected: tuple[str, int, int] | None) -> None:
    code, found, log = probe(HEAD + parted)
    assert (code, found["faults"]) == (0, []), log
    told = found["shared"]
    assert (told and (told["by"], told["held_out"], told["shared"])) == expected
    warned = [text for state, text, _ in probing.remarks(found, "train.py", {}) if state == "warning"]
    assert any("trains on samples that it validates on" in text for text in warned) == bool(expected and expected[2])


def test_a_loader_bound_to_some_numbers_has_so_many_samples(probe: Run) -> None:
    some = "sampler=torch.utils.data.SubsetRandomSampler(range(12)))"
    found = probe(HEAD + f"fit = L.Trainer(logger=False).fit\nfit(Net(), DataLoader(Rows(True), {some})")[1]
    assert found["loaders"]["train"][0]["samples"] == 12


LISTED = [
    ("fit(Files(NAMES[:9]), Files(NAMES[9:]))", False),
    ("names = random.sample(NAMES, 12); fit(Files(names[:9]), Files(names[9:]))", True),
    ("names = random.sample(NAMES, 12); loop(Files(names[:9]), Files(names[9:]))", True),
]


@pytest.mark.parametrize(
    "parted, anew", [*(pytest.param(*one, marks=pytest.mark.slow) for one in LISTED[:2]), LISTED[2]]
)
def test_files_that_a_script_parts_by_hand_are_its_split(probe: Run, parted: str, anew: bool) -> None:
    text = HEAD + parted
    found, again = probe(text)[1], probe(text)[1]
    assert (found["split"]["by"], found["split"]["count"]) == ("listed", 3)
    assert probing.draws_split(found, parted) == anew
    unsteady: Any = probing.unsteady_split(found, again, "train.py")
    assert (unsteady is not None and "parts its data anew each time" in unsteady[1]) == anew


def test_a_loop_of_its_own_keeps_what_it_held_out(run: Run, tmp_path: Path) -> None:
    code, _, log = run(HEAD + LISTED[0][0].replace("fit(", "loop("), RECORD="used.json")
    assert code == 0, log
    assert json.loads((tmp_path / "out" / "split.json").read_text())["by"] == "listed"
