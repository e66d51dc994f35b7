"""03_eval.py on scripts that offer nothing: it runs them up to Trainer.fit and evaluates what they have built there."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.schema import EvalScore, Protocol, load
from progtrain.engine.workspace import Workspace

TEMPLATES = Path(__file__).parents[2] / "engine" / "templates"
Run = Callable[..., Any]

#: what Lightning warns of is the scripts' business
pytestmark = pytest.mark.filterwarnings("ignore")

#: Pieces that the scripts below are made of. `{net}`, `{data}` and `{main}` differ.
SCRIPT = """
import argparse, json, os
from pathlib import Path
import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

OUT = "Models/Artifacts/v001"

def points(seed, count):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=g)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()

class Net(L.LightningModule):
    def __init__(self, width, rate):
        super().__init__()
        self.rate = rate
        self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))
    def forward(self, x):
        return self.net(x)
    def training_step(self, batch, i):
        return F.cross_entropy(self(batch[0]), batch[1])
    def validation_step(self, batch, i):
        out = self(batch[0])
        self.log("val/loss", F.cross_entropy(out, batch[1]))
        self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.rate)

def loader(seed, count, **more):
    return DataLoader(TensorDataset(*points(seed, count)), batch_size=16, **more)

def trainer(**more):
    checkpoint = ModelCheckpoint(OUT, "best", enable_version_counter=False)
    how = dict(logger=False, callbacks=[checkpoint]) | more
    return L.Trainer(max_epochs=1, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, **how)

def main():
    p = argparse.ArgumentParser()
    p.add_argument("--width", type=int, default=8)
    width = p.parse_args().width
    L.seed_everything(0, verbose=False)
    t = trainer()
    t.fit(Net(width, rate=0.01), loader(1, 96), loader(2, 50))
    Path("seen.json").write_text(json.dumps({k: float(v) for k, v in t.callback_metrics.items()}))

if __name__ == "__main__":
    main()
"""
FIT = "t.fit(Net(width, rate=0.01), loader(1, 96), loader(2, 50))"


@pytest.fixture
def lab(ws: Workspace) -> Workspace:
    shutil.copy(TEMPLATES / "03_eval.py", ws.eval_script)
    wanted(ws, "accuracy", "f1")
    return ws


def wanted(ws: Workspace, *metrics: str) -> None:
    rules = {"dataset_config": {"dataset_id": "points"}, "eval_config": {"metrics": metrics}}
    ws.rules.write_text(json.dumps(rules))


@pytest.fixture
def trained(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, float]]:
    """Writes v001 with pieces replaced, and trains it here (a process of its own would import torch each time).

    Returns what the training logged last.
    """

    def train(*pieces: tuple[str, str], script: str = SCRIPT, arguments: tuple[str, ...] = ()) -> dict[str, float]:
        for old, new in pieces:
            assert old in script, old
            script = script.replace(old, new)
        lab.script("v001").write_text(script)
        monkeypatch.chdir(lab.root)
        monkeypatch.setattr(sys, "argv", [lab.script("v001").name, *arguments])
        runpy.run_path(lab.script("v001").name, run_name="__main__")
        seen = lab.root / "seen.json"
        found: dict[str, float] = json.loads(seen.read_text()) if seen.exists() else {}
        seen.unlink(missing_ok=True)
        return found

    return train


def values(ws: Workspace) -> dict[str, float]:
    return {m.name: m.value for m in load(ws.version("v001").eval_score, EvalScore).metrics if m.value is not None}


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def checked(lab: Workspace, evaluated: Run) -> dict[str, float]:
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    return values(lab)


def test_a_script_that_offers_nothing_is_scored_as_its_own_validation_did(
    lab: Workspace, evaluated: Run, trained: Run
) -> None:
    """Arguments of the constructor without save_hyperparameters, argparse, loaders made in main()."""
    seen = trained()
    before = files(lab.root)
    found = checked(lab, evaluated)
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(seen["val/acc"], rel=1e-5)
    table = read_per_sample(lab.version("v001").per_sample)
    assert len(table) == 50
    losses = [value for value in table.loss if value is not None]
    assert sum(losses) / 50 == pytest.approx(found["loss"], rel=1e-4)
    assert sum(value is True for value in table.correct) / 50 == pytest.approx(found["accuracy"])
    after = files(lab.root)
    assert {name: after[name] for name in before} == before, "what was there is as it was"
    new = {name for name in after if name not in before}
    assert all(name.startswith("Models/Artifacts/v001/") for name in new), new


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [(FIT, FIT.replace("loader(2, 50)", "loader(2, 50, shuffle=True, drop_last=False)"))], id="shuffled",
        ),
        pytest.param(
            [
                (
                    "def main():",
                    "class Data(L.LightningDataModule):\n"
                    "    def __init__(self, count):\n        super().__init__()\n        self.count = count\n"
                    "    def setup(self, stage):\n"
                    "        if stage == 'fit':\n            self.made = loader(2, self.count)\n"
                    "    def train_dataloader(self):\n        return loader(1, 96)\n"
                    "    def val_dataloader(self):\n        return self.made\n"
                    "def main():",
                ),
                (FIT, "t.fit(Net(width, 0.01), datamodule=Data(50))"),
            ],
            id="DataModule",
        ),
        pytest.param(
            [
                (
                    "def main():",
                    "class Stream(IterableDataset):\n"
                    "    def __iter__(self):\n        return iter(zip(*points(2, 50)))\n"
                    "def main():",
                ),
                ("loader(2, 50))", "DataLoader(Stream(), batch_size=16))"),
            ],
            id="IterableDataset",
        ),
        pytest.param([("import lightning as L", "import pytorch_lightning as L"),
                      ("lightning.pytorch.callbacks", "pytorch_lightning.callbacks"),
                      ("lightning.pytorch.loggers", "pytorch_lightning.loggers")], id="pytorch_lightning"),
        pytest.param([("batch[0]), batch[1])", "batch['x']), batch['y'])"), ("self(batch[0])\n", "self(batch['x'])\n"),
                      ("out, batch[1]", "out, batch['y']"), ("== batch[1]", "== batch['y']"),
                      ("TensorDataset(*points(seed, count))",
                       "[{'x': x, 'y': y} for x, y in zip(*points(seed, count))]")],
                     id="dicts"),
        pytest.param([("out = self(batch[0])", "out = self.net(batch[0])")], id="a part is called, not forward"),
        pytest.param([("t.fit(", "t.logger_is_none = t.logger is None\n    t.fit(")], id="no logger"),
    ],
)  # fmt: skip
def test_styles_of_scripts(lab: Workspace, evaluated: Run, trained: Run, pieces: list[tuple[str, str]]) -> None:
    seen = trained(*pieces)
    found = checked(lab, evaluated)
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(seen["val/acc"], rel=1e-5)
    assert len(read_per_sample(lab.version("v001").per_sample)) == 50


def test_logs_that_a_script_begins_anew_before_fit_are_kept(lab: Workspace, evaluated: Run, trained: Run) -> None:
    """CSVLogger deletes the metrics of the run whose folder it is given, and some scripts clear theirs themselves."""
    trained(
        ("    t = trainer()", "    import shutil; shutil.rmtree(OUT, ignore_errors=True); os.makedirs(OUT)\n"
         "    open(OUT + '/spec.json', 'w').write('{}')\n"
         "    logger = CSVLogger(OUT, name='logs', version=0)\n    logger.log_hyperparams({'a': 1})\n"
         "    t = trainer(logger=logger)"),
    )  # fmt: skip
    (lab.version("v001").path / "spec.json").write_text('{"kept": true}')
    before = files(lab.root)
    assert any(name.endswith("metrics.csv") for name in before)
    checked(lab, evaluated)
    after = files(lab.root)
    assert {name: after[name] for name in before} == before


def test_each_validation_loader_is_scored_under_ids_of_its_own(lab: Workspace, evaluated: Run, trained: Run) -> None:
    trained(("def validation_step(self, batch, i):", "def validation_step(self, batch, i, dataloader_idx=0):"),
            ("loader(2, 50))", "[loader(2, 50), loader(3, 20)])"))  # fmt: skip
    checked(lab, evaluated)
    ids = read_per_sample(lab.version("v001").per_sample).ids
    assert len(ids) == 70
    assert len(set(ids)) == 70


def test_metrics_that_the_module_logs_are_found_with_and_without_prefix(
    lab: Workspace, evaluated: Run, trained: Run
) -> None:
    wanted(lab, "margin", "val_gap_error", "val/acc")
    seen = trained(('self.log("val/acc"', 'self.log("val_gap_error", out.std())\n        self.log("val/margin", '
                    'out.max(1).values.mean())\n        self.log("val/acc"'))  # fmt: skip
    found = checked(lab, evaluated)
    assert found["margin"] == pytest.approx(seen["val/margin"], rel=1e-5)
    assert found["val_gap_error"] == pytest.approx(seen["val_gap_error"], rel=1e-5)
    assert found["val/acc"] == pytest.approx(seen["val/acc"], rel=1e-5)
    better = {m.name: m.higher_is_better for m in load(lab.version("v001").eval_score, EvalScore).metrics}
    assert better == {"loss": False, "margin": True, "val_gap_error": False, "val/acc": True}
    table = read_per_sample(lab.version("v001").per_sample)
    assert set(table.parts) == {"margin", "val/acc"}, "a deviation over samples does not decompose"


def test_a_module_without_validation_step_gets_the_plain_loss(lab: Workspace, evaluated: Run, trained: Run) -> None:
    trained(("def validation_step", "def unused"), ("ModelCheckpoint(OUT, ", "ModelCheckpoint(OUT, filename="))
    best = lab.version("v001").best_checkpoint
    if not best.exists():
        shutil.copy(next(lab.version("v001").path.glob("*.ckpt")), best)
    found = checked(lab, evaluated)
    assert 0 < found["accuracy"] <= 1
    assert found["loss"] > 0


def test_masks_are_scored_by_pixel(lab: Workspace, evaluated: Run, trained: Run) -> None:
    lab.rules.write_text(
        json.dumps({"dataset_config": {"dataset_id": "p"}, "eval_config": {"metrics": ["iou", "accuracy"]}})
    )
    seen = trained(
        ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
         "x = torch.randn(count, 3, 8, 8, generator=g)\n    return x, (x.mean(1) > 0).long()"),
        ("torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))",
         "torch.nn.Conv2d(3, 2, 1)"),
    )  # fmt: skip
    found = checked(lab, evaluated)
    assert load(lab.version("v001").protocol, Protocol).task == "segmentation"
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(seen["val/acc"], rel=1e-5)
    assert 0 < found["iou"] < found["accuracy"]
    shown = {path.name for path in (lab.version("v001").infer_samples / "0001").iterdir()}
    assert {"input.png", "gt.png", "output.png", "viz.png"} <= shown


def test_images_that_are_restored_are_compared_as_images(lab: Workspace, evaluated: Run, trained: Run) -> None:
    lab.rules.write_text(
        json.dumps({"dataset_config": {"dataset_id": "p"}, "eval_config": {"metrics": ["psnr", "ssim", "mae"]}})
    )
    trained(
        ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
         "x = torch.rand(count, 1, 16, 16, generator=g)\n    return (x + 0.1).clamp(0, 1), x"),
        ("torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))",
         "torch.nn.Conv2d(1, 1, 1)"),
        ("F.cross_entropy", "F.l1_loss"), ("(out.argmax(1) == batch[1]).float().mean()", "out.mean()"),
    )  # fmt: skip
    found = checked(lab, evaluated)
    assert found["loss"] == pytest.approx(found["mae"], rel=1e-4), "an L1 loss is not squared error"
    assert 0 < found["psnr"] < 100
    assert -1 <= found["ssim"] <= 1


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([("if __name__", "raise SystemExit('bad input')\nif __name__")],
         "running 02_train_v001.py up to its training failed"),
        ([(", loader(2, 50))", ")")], "no data of the split 'valid': give fit() val_dataloaders"),
        ([("Net(width,", "Net(width + 1,")], "does not fit the model of 02_train_v001.py"),
        ([("self.net(x)", "self.net(x) / int('x')")], "ValueError: invalid literal"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_one_line(
    lab: Workspace, evaluated: Run, trained: Run, pieces: list[tuple[str, str]], message: str
) -> None:
    trained()
    script = lab.script("v001").read_text()
    for old, new in pieces:
        assert old in script
        script = script.replace(old, new)
    lab.script("v001").write_text(script)
    done = evaluated("--version", "v001")
    assert done.code == 1
    assert message in done.err, done.err
    assert "Traceback" not in done.err
    assert not lab.version("v001").eval_score.exists()


PLAIN = """
import os, csv, torch
OUT = "Models/Artifacts/v001"
def main():
    os.makedirs(OUT + "/logs/version_0", exist_ok=True)
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    rows = []
    for epoch in range(3):
        loss = net(torch.ones(4, 2)).square().mean()
        loss.backward(); optimizer.step(); optimizer.zero_grad()
        rows.append((epoch, float(loss), [0.7, 0.5, 0.6][epoch], [0.5, 0.9, 0.8][epoch]))
    torch.save(net.state_dict(), OUT + "/best.ckpt")
    with open(OUT + "/logs/version_0/metrics.csv", "w") as f:
        csv.writer(f).writerows([("epoch", "train_loss", "val_loss", "val_acc"), *rows])
if __name__ == "__main__":
    main()
"""


def test_a_plain_script_gives_what_it_reported(lab: Workspace, evaluated: Run, trained: Run) -> None:
    """It is not trained a second time for it."""
    trained(script=PLAIN)
    stamp = lab.version("v001").best_checkpoint.stat().st_mtime_ns
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    assert "reported by the script, not measured" in done.out
    found = values(lab)
    assert found["loss"] == 0.5
    assert found["accuracy"] == 0.9
    assert lab.version("v001").best_checkpoint.stat().st_mtime_ns == stamp
    assert not lab.version("v001").per_sample.exists()
    protocol = json.loads(lab.version("v001").protocol.read_text())
    assert protocol["reported"] is True
