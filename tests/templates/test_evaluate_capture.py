"""03_eval.py on scripts that offer nothing: it runs them up to Trainer.fit and evaluates what they have built there."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.loop.steps.evaluate import ensure_script
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
    ensure_script(ws.eval_script)
    wanted(ws, "accuracy", "f1")
    return ws


def wanted(ws: Workspace, *metrics: str) -> None:
    rules = {"dataset_config": {"dataset_id": "points"}, "eval_config": {"metrics": metrics}}
    ws.rules.write_text(json.dumps(rules))


@pytest.fixture
def trained(run_here: Callable[..., None], lab: Workspace) -> Callable[..., dict[str, float]]:
    """Writes v001 with pieces replaced, and trains it here. Returns what the training logged last."""

    def train(*pieces: tuple[str, str], script: str = SCRIPT, arguments: tuple[str, ...] = ()) -> dict[str, float]:
        for old, new in pieces:
            assert old in script, old
            script = script.replace(old, new)
        lab.script("v001").write_text(script)
        run_here(lab.script("v001"), *arguments)
        seen = lab.root / "seen.json"
        found: dict[str, float] = json.loads(seen.read_text()) if seen.exists() else {}
        seen.unlink(missing_ok=True)
        return found

    return train


def values(ws: Workspace) -> dict[str, float]:
    return {m.name: m.value for m in load(ws.version("v001").eval_score, EvalScore).metrics if m.value is not None}


def files(root: Path) -> dict[str, bytes]:
    """All but what Python compiles beside its modules."""
    there = (p for p in sorted(root.rglob("*")) if p.is_file() and p.parent.name != "__pycache__")
    return {str(p.relative_to(root)): p.read_bytes() for p in there}


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


def test_a_checkpoint_that_is_a_link_survives_a_script_that_clears_its_folder(
    lab: Workspace, evaluated: Run, trained: Run
) -> None:
    trained(("    t = trainer()", "    import shutil; shutil.rmtree(OUT, ignore_errors=True)\n    t = trainer()"))
    best = lab.version("v001").best_checkpoint
    (lab.root / "kept").mkdir()
    best.rename(lab.root / "kept/best.ckpt")
    best.symlink_to("../../../kept/best.ckpt")
    checked(lab, evaluated)
    assert str(best.readlink()) == "../../../kept/best.ckpt" and best.is_file()


def test_each_validation_loader_is_scored_under_ids_of_its_own(lab: Workspace, evaluated: Run, trained: Run) -> None:
    """The loss is that of all samples, as the metrics are."""
    seen = trained(("def validation_step(self, batch, i):", "def validation_step(self, batch, i, dataloader_idx=0):"),
                   ("loader(2, 50))", "[loader(2, 50), loader(3, 20)])"))  # fmt: skip
    found = checked(lab, evaluated)
    table = read_per_sample(lab.version("v001").per_sample)
    assert len(table.ids) == 70
    assert len(set(table.ids)) == 70
    parts = [seen[f"val/loss/dataloader_idx_{n}"] for n in range(2)]
    assert found["loss"] == pytest.approx((50 * parts[0] + 20 * parts[1]) / 70, rel=1e-5)
    assert sum(loss or 0 for loss in table.loss) / 70 == pytest.approx(found["loss"], rel=1e-4)


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


@pytest.mark.parametrize(("factor", "told"), [("1", False), ("2", True)])
def test_another_number_of_the_script_under_the_same_name_is_told(
    lab: Workspace, evaluated: Run, trained: Run, factor: str, told: bool
) -> None:
    trained(('self.log("val/acc", (', f'self.log("val/acc", {factor} * ('))
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    assert ("warning: accuracy is " in done.out and "the rules may rank by val/acc" in done.out) == told


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
        ([("loader(2, 50))", "loader(2, 0))")], "the validation data hold no sample"),
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


TWO_CLASSES = [
    ("(x[:, 0] > 0).long() + (x[:, 1] > 0).long()", "(x[:, 0] > 1).long()"),
    ("torch.nn.Linear(width, 3))", "torch.nn.Linear(width, 2))\n        self.f1 = torchmetrics.F1Score(task=TASK)"),
    ("import torch\n", "import torch, torchmetrics\n"),
    (
        '        self.log("val/acc"',
        '        self.f1(out.argmax(1), batch[1]); self.log("eval_f1", self.f1)\n        self.log("val/acc"',
    ),
    ("max_epochs=1", "max_epochs=12"),
]


def test_where_a_script_means_class_one_by_f1_it_is_said_how_to_rank_by_that(
    lab: Workspace, evaluated: Run, trained: Run
) -> None:
    wanted(lab, "f1", "binary_f1", "binary_precision", "binary_recall")
    seen = trained(*[(old, new.replace("TASK", "'binary'")) for old, new in TWO_CLASSES])
    done = evaluated("--version", "v001")
    found = values(lab)
    assert found["binary_f1"] == pytest.approx(seen["eval_f1"], rel=1e-5)
    assert abs(found["f1"] - found["binary_f1"]) > 0.02
    assert f"eval_f1 {seen['eval_f1']:.4g} by the script itself: ours is the mean of both classes" in done.out
    assert "name binary_f1 in the rules to rank by that" in done.out
    assert done.out.count("warning") == 1


def test_where_both_mean_the_same_f1_nothing_is_said(lab: Workspace, evaluated: Run, trained: Run) -> None:
    wanted(lab, "f1")
    same = "'multiclass', num_classes=2, average='macro'"
    seen = trained(*[(old, new.replace("TASK", same)) for old, new in TWO_CLASSES])
    done = evaluated("--version", "v001")
    assert values(lab)["f1"] == pytest.approx(seen["eval_f1"], rel=1e-5)
    assert "warning" not in done.out


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
    assert protocol["sources"]["accuracy"] == (
        "reported by the script, not measured: val_acc, epoch 1 (the best by val_acc)"
    )


KEPT = 'torch.save({"epoch": 3, "weights": net.state_dict(), "accuracy": 0.8}, OUT + "/best.ckpt")'
SAVED = 'torch.save(net.state_dict(), OUT + "/best.ckpt")'
ROWS = "[0.7, 0.5, 0.6][epoch], [0.5, 0.9, 0.8][epoch]"
APART = "[0.7, 0.5, 0.6][epoch], [0.5, 0.8, 0.9][epoch]"


@pytest.mark.parametrize(
    ("pieces", "metrics", "epoch", "accuracy"),
    [
        ([(ROWS, APART)], ("accuracy",), "2 (the best by val_acc)", 0.9),
        ([(ROWS, APART)], ("loss", "accuracy"), "1 (the best by val_loss)", 0.8),
        ([(ROWS, APART)], ("f1", "accuracy"), "1 (the best by val_loss)", 0.8),
        # it counts from 1, the log from 0
        ([(SAVED, KEPT)], ("accuracy",), "2 (that of best.ckpt)", 0.8),
        ([(SAVED, KEPT.replace("0.8", "0.7"))], ("accuracy",), "1 (the best by val_acc)", 0.9),
        (
            [(SAVED, KEPT.replace("3", "1").replace('"accuracy"', '"best"'))],
            ("accuracy",),
            "2 (that of best.ckpt)",
            0.8,
        ),
    ],
)
def test_what_it_reported_is_of_the_best_epoch_by_the_primary_metric_or_of_the_checkpoint(
    lab: Workspace,
    evaluated: Run,
    trained: Run,
    pieces: list[tuple[str, str]],
    metrics: tuple[str, ...],
    epoch: str,
    accuracy: float,
) -> None:
    wanted(lab, *metrics)
    trained(*pieces, script=PLAIN)
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    assert values(lab)["accuracy"] == accuracy
    sources = json.loads(lab.version("v001").protocol.read_text())["sources"]
    assert sources["accuracy"].partition(", epoch ")[2].startswith(epoch)
    assert f"the numbers are those of epoch {epoch[0]}" in done.out


STEP = """        out = self(batch[0])
        self.log("val/loss", F.cross_entropy(out, batch[1]))
        self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())
"""
DATA = """    x = torch.randn(count, 4, generator=g)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
"""
OPTIMIZERS = "        return torch.optim.Adam(self.parameters(), lr=self.rate)\n"
TRAINS = "        return F.cross_entropy(self(batch[0]), batch[1])\n"
ACC = "(out.argmax(1) == batch[1]).float().mean()"

#: Ways of writing, each as pieces of SCRIPT that differ.
WAYS: dict[str, list[tuple[str, str]]] = {
    "two optimizers by hand": [
        ("        self.rate = rate\n", "        self.rate = rate\n        self.automatic_optimization = False\n"
         "        self.critic = torch.nn.Linear(3, 1)\n"),
        (TRAINS, "        for optimizer in self.optimizers():\n"
         "            loss = F.cross_entropy(self(batch[0]), batch[1]) - self.critic(self(batch[0])).mean() * 0.01\n"
         "            optimizer.zero_grad()\n            self.manual_backward(loss)\n            optimizer.step()\n"),
        (OPTIMIZERS, "        return [torch.optim.Adam(self.net.parameters(), lr=self.rate),\n"
         "                torch.optim.SGD(self.critic.parameters(), lr=0.1)]\n"),
    ],
    "a list that is logged at the epoch's end": [
        (STEP, "        out = self(batch[0])\n        self.seen.append((out, batch[1]))\n"
         "    def on_validation_epoch_start(self):\n        self.seen = []\n"
         "    def on_validation_epoch_end(self):\n"
         "        out, y = (torch.cat(part) for part in zip(*self.seen))\n"
         "        self.log('val/loss', F.cross_entropy(out, y))\n"
         "        self.log('val/acc', (out.argmax(1) == y).float().mean())\n"),
    ],
    "metric objects that are only updated": [
        ("import torch\n", "import torch, torchmetrics\n"),
        ("        self.rate = rate\n", "        self.rate = rate\n"
         "        self.acc = torchmetrics.Accuracy('multiclass', num_classes=3)\n"),
        ('self.log("val/acc", ' + ACC + ")",
         'self.acc.update(out, batch[1])\n        self.log("val/acc", self.acc, on_epoch=True)'),
    ],
    "a MetricCollection in log_dict": [
        ("import torch\n", "import torch, torchmetrics\n"),
        ("        self.rate = rate\n", "        self.rate = rate\n"
         "        self.scores = torchmetrics.MetricCollection({'acc': torchmetrics.Accuracy('multiclass', "
         "num_classes=3, average='micro')}, prefix='val/')\n"),
        ('self.log("val/acc", ' + ACC + ")", "self.log_dict(self.scores(out, batch[1]))"),
    ],
    "a dict of predictions and targets": [
        (STEP, STEP + "        return {'preds': out, 'target': batch[1]}\n"),
    ],
    "log in a helper": [
        (STEP, "        self.shared(batch, 'val')\n    def shared(self, batch, stage):\n"
         + STEP.replace("val/", "' + stage + '/").replace('"', "'")),
    ],
    "configure_model": [
        ("        self.net = torch.nn.Seq", "        self.width, self.net = width, None\n"
         "    def configure_model(self):\n        if self.net is not None: return\n"
         "        self.net = torch.nn.Seq"),
        ("Linear(4, width)", "Linear(4, self.width)"), ("Linear(width, 3)", "Linear(self.width, 3)"),
    ],
    "a subset of one data set": [
        ("loader(1, 96), loader(2, 50))", "*parts())"),
        ("def main():", "def parts():\n    whole = TensorDataset(*points(1, 146))\n"
         "    g = torch.Generator().manual_seed(3)\n"
         "    return [DataLoader(p, batch_size=16) for p in torch.utils.data.random_split(whole, [96, 50], g)]\n"
         "def main():"),
    ],
    "nested dicts": [
        ("TensorDataset(*points(seed, count))",
         "[{'in': {'x': x, 'n': 1}, 'out': {'y': y}} for x, y in zip(*points(seed, count))]"),
        ("self(batch[0]), batch[1])", "self(batch['in']['x']), batch['out']['y'])"),
        ("out = self(batch[0])", "out = self(batch['in']['x'])"), ("out, batch[1]", "out, batch['out']['y']"),
        ("== batch[1]", "== batch['out']['y']"),
    ],
    "a forward that returns nothing": [
        ("        return self.net(x)", "        self.out = self.net(x)"),
        ("F.cross_entropy(self(batch[0]), batch[1])", "F.cross_entropy(self.net(batch[0]), batch[1])"),
        ("out = self(batch[0])", "self(batch[0])\n        out = self.out"),
    ],
    "example_input_array": [
        ("        self.rate = rate\n",
         "        self.rate = rate\n        self.example_input_array = torch.zeros(2, 4)\n"),
    ],
    "what is not a number in one logged value": [
        (STEP, STEP + "        self.log('val/ratio', out.sum() * float('nan'))\n"),
    ],
    "a script that catches everything": [
        ("    " + FIT, "    try:\n        " + FIT + "\n    except BaseException as e:\n        print(e)\n"
         "    if not t.callback_metrics:\n        raise SystemExit"),
    ],
    "chdir": [
        ("    t = trainer()", "    os.makedirs('work', exist_ok=True)\n    os.chdir('work')\n    t = trainer()"),
        ('OUT = "Models', 'OUT = str(Path.cwd()) + "/Models'), ("Path(\"seen.json\")", "Path(\"../seen.json\")"),
    ],
    "one-hot targets": [
        (DATA, DATA.replace("return x, ", "return x, F.one_hot(").replace(".long()\n", ".long(), 3).float()\n")),
        (ACC, "(out.argmax(1) == batch[1].argmax(1)).float().mean()"),
    ],
    "a package": [
        ("import argparse,", "import sys; sys.path.insert(0, '.')\nimport argparse,"),
        ("import torch.nn.functional as F\n", "import torch.nn.functional as F\n"
         "os.makedirs('src', exist_ok=True); Path('src/__init__.py').touch()\n"
         "Path('src/parts.py').write_text('import torch\\ndef head(n):\\n    return torch.nn.Linear(n, 3)\\n')\n"
         "from src.parts import head\n"),
        ("torch.nn.Linear(width, 3)", "head(width)"),
    ],
    "a compiled model": [
        ("    t.fit(Net", "    import types\n    t.fit(Net"),
        ("    Path(", "    best = OUT + '/best.ckpt'\n    state = torch.load(best, weights_only=False)\n"
         "    state['state_dict'] = {'_orig_mod.' + k: v for k, v in state['state_dict'].items()}\n"
         "    torch.save(state, best)\n    Path("),
    ],
    "EMA": [
        ("callbacks=[checkpoint]", "callbacks=[EMAWeightAveraging(), checkpoint]"),
        ("callbacks import ModelCheckpoint", "callbacks import EMAWeightAveraging, ModelCheckpoint"),
    ],
    "two fits of different models": [
        ("    " + FIT, "    other = L.Trainer(max_epochs=1, logger=False, enable_checkpointing=False,\n"
         "        accelerator='cpu', enable_progress_bar=False, enable_model_summary=False)\n"
         "    other.fit(Net(width + 3, rate=0.01), loader(5, 32), loader(6, 20))\n    " + FIT),
    ],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_writing(lab: Workspace, evaluated: Run, trained: Run, way: str) -> None:
    seen = trained(*WAYS[way])
    found = checked(lab, evaluated)
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(seen["val/acc"], rel=1e-5)
    assert len(read_per_sample(lab.version("v001").per_sample)) == 50


#: Tasks, as pieces of SCRIPT, the metrics of the rules, the task that is found, and what else the training logged.
TASKS: dict[str, tuple[list[tuple[str, str]], list[str], str, dict[str, str]]] = {
    "several labels at once, with pos_weight": (
        [(DATA, "    x = torch.randn(count, 4, generator=g)\n    return x, (x[:, :3] > 0).float()\n"),
         ("F.cross_entropy(", "F.binary_cross_entropy_with_logits("),
         ("(out, batch[1]))", "(out, batch[1], pos_weight=torch.tensor([1., 2., 3.])))"),
         (ACC, "((out > 0) == (batch[1] > 0.5)).float().mean()")],
        ["accuracy", "f1"], "multilabel", {"accuracy": "val/acc"},
    ),
    "token tags": (
        [(DATA, "    x = torch.randint(0, 9, (count, 6), generator=g)\n    y = x % 3\n    y[:, 4:] = -100\n"
          "    return x, y\n"),
         ("torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))",
          "torch.nn.Sequential(torch.nn.Embedding(9, width), torch.nn.Linear(width, 3))"),
         ("self(batch[0]), batch[1])", "self(batch[0]).flatten(0, 1), batch[1].flatten())"),
         ("(out, batch[1]))", "(out.flatten(0, 1), batch[1].flatten()))"),
         (ACC, "(out.argmax(2) == batch[1])[batch[1] >= 0].float().mean()")],
        ["accuracy", "f1"], "tokens", {"accuracy": "val/acc"},
    ),
    "waveforms": (
        [(DATA, "    x = torch.randn(count, 1, 256, generator=g)\n    return x + 0.3, x\n"),
         ("torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))",
          "torch.nn.Conv1d(1, 1, 3, padding=1)"),
         ("F.cross_entropy", "F.l1_loss"), (ACC, "out.mean()")],
        ["si_sdr", "mae"], "regression", {"mae": "val/loss"},
    ),
    "images that are made": (
        [(DATA, "    x = torch.rand(count, 1, 16, 16, generator=g)\n    return x, x.mean((1, 2, 3))\n"),
         ("torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))",
          "torch.nn.Conv2d(1, 1, 3, padding=1)"),
         ("batch[0]), batch[1])", "batch[0]), batch[0])"), ("(out, batch[1])", "(out, batch[0])"),
         ("F.cross_entropy", "F.mse_loss"), (ACC, "out.mean()")],
        ["psnr", "mse"], "regression", {"mse": "val/loss"},
    ),
    "boxes, by what the module logs": (
        [("return DataLoader(TensorDataset(*points(seed, count)), batch_size=16, **more)",
          "data = [(x, {'boxes': torch.tensor([[0., 0., 2., 2.]]), 'labels': y[None]})\n"
          "            for x, y in zip(*points(seed, count))]\n"
          "    return DataLoader(data, batch_size=16, collate_fn=lambda b: tuple(zip(*b)))"),
         ("        return self.net(x)", "        out = self.net(torch.stack(x))\n        if self.training: return out\n"
          "        return [{'boxes': torch.tensor([[0., 0., 2., 2.]]), 'scores': o.softmax(0).max(0, True).values,\n"
          "                 'labels': o.argmax(0, True)} for o in out]"),
         ("self(batch[0]), batch[1])", "self(batch[0]), torch.cat([t['labels'] for t in batch[1]]))"),
         (STEP, "        out = self(batch[0])\n"
          "        hits = [float(o['labels'] == t['labels']) for o, t in zip(out, batch[1])]\n"
          "        self.log('val/hits', sum(hits) / len(hits), batch_size=len(hits))\n"
          "        self.log('val/loss', 1 - sum(hits) / len(hits), batch_size=len(hits))\n")],
        ["hits"], "detection", {"hits": "val/hits"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_tasks(lab: Workspace, evaluated: Run, trained: Run, task: str) -> None:
    pieces, metrics, name, logged = TASKS[task]
    wanted(lab, *metrics)
    seen = trained(*pieces)
    found = checked(lab, evaluated)
    assert load(lab.version("v001").protocol, Protocol).task == name
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-4)
    assert {key: found[key] for key in logged} == pytest.approx({key: seen[n] for key, n in logged.items()}, rel=1e-3)
    assert set(metrics) <= set(found), "none is empty"
    assert len(read_per_sample(lab.version("v001").per_sample)) == 50


def test_of_many_samples_some_go_one_by_one_and_only_these_are_read_again(
    lab: Workspace, evaluated: Run, trained: Run
) -> None:
    """The same ones for each version; each with the loss that it has among all."""
    read = lab.root.parent / "read.txt"
    trained(
        ("def loader(", "class Rows(TensorDataset):\n    def __getitem__(self, n):\n"
         f"        if len(self) == 50:\n            open({str(read)!r}, 'a').write('.')\n"
         "        return super().__getitem__(n)\n\ndef loader("),
        ("TensorDataset(*points(", "Rows(*points("),
    )  # fmt: skip
    checked(lab, evaluated)
    whole = read_per_sample(lab.version("v001").per_sample)
    text = lab.eval_script.read_text()
    assert "\nSINGLES = 2000" in text
    lab.eval_script.write_text(text.replace("\nSINGLES = 2000", "\nSINGLES = 12"))
    read.unlink()
    checked(lab, evaluated)
    table = read_per_sample(lab.version("v001").per_sample)
    told = {i: loss for i, loss in zip(table.ids, table.loss, strict=True) if loss is not None}
    assert len(table) == 50
    assert len(told) == 12
    losses = dict(zip(whole.ids, whole.loss, strict=True))
    assert told == pytest.approx({i: losses[i] for i in told}, rel=1e-4)
    assert len(read.read_text()) == 50 + 12


SUBSETS = (
    ("loader(1, 96), loader(2, 50))", "*parts())"),
    (
        "def main():",
        "class Rows(TensorDataset):\n    classes = ['none', 'one', 'both']\n"
        "def parts():\n    whole = Rows(*points(1, 146))\n"
        "    parts = [torch.utils.data.Subset(whole, r) for r in (range(96), range(96, 146))]\n"
        "    return [DataLoader(part, batch_size=16) for part in parts]\n"
        "def main():",
    ),
)


def test_classes_have_the_names_of_the_data_set(lab: Workspace, evaluated: Run, trained: Run) -> None:
    """For a model from elsewhere as well, which may then answer with them."""
    trained(*SUBSETS)
    checked(lab, evaluated)
    assert load(lab.version("v001").protocol, Protocol).class_names == ["none", "one", "both"]
    assert {"none", "one", "both"} >= set(read_per_sample(lab.version("v001").per_sample).truth)
    theirs = lab.external / "theirs"
    theirs.mkdir(parents=True)
    code = "def predict(x):\n    return ['none', 'ONE', 'both'][int(x[0] > 0) + int(x[1] > 0)]\n"
    (theirs / "inference_sample.py").write_text(code)
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    assert {m.name: m.value for m in load(theirs / "eval_score.json", EvalScore).metrics}["accuracy"] == 1


CLI = SCRIPT.replace("def __init__(self, width, rate):", "def __init__(self, width: int = 8, rate: float = 0.01):")
FIGURES = "Path('seen.json').write_text(json.dumps({k: float(v) for k, v in %s.callback_metrics.items()}))"


def test_a_script_of_LightningCLI(lab: Workspace, evaluated: Run, trained: Run) -> None:
    main = CLI.index("def main():"), CLI.index("if __name__")
    script = CLI[: main[0]] + (
        "class Data(L.LightningDataModule):\n"
        "    def train_dataloader(self): return loader(1, 96)\n    def val_dataloader(self): return loader(2, 50)\n"
        "def main():\n    from lightning.pytorch.cli import LightningCLI\n    L.seed_everything(0, verbose=False)\n"
        "    best = ModelCheckpoint(OUT, 'best', enable_version_counter=False)\n"
        "    cli = LightningCLI(Net, Data, args=['fit'], save_config_callback=None,\n"
        "        trainer_defaults={'logger': False,\n"
        "        'max_epochs': 1, 'accelerator': 'cpu', 'callbacks': [best], 'enable_progress_bar': False})\n"
        "    " + FIGURES % "cli.trainer" + "\n" + CLI[main[1] :]
    )
    seen = trained(script=script)
    found = checked(lab, evaluated)
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(seen["val/acc"], rel=1e-5)


@pytest.mark.parametrize("package", ["hydra", "omegaconf"])
def test_a_script_with_a_configuration(lab: Workspace, evaluated: Run, trained: Run, package: str) -> None:
    (lab.root / "conf").mkdir()
    (lab.root / "conf" / "config.yaml").write_text("width: 12\nrate: 0.02\n")
    head = "import argparse, hydra" if package == "hydra" else "import argparse, omegaconf"
    pieces = [("import argparse", head), (FIT, FIT.replace("rate=0.01", "rate=c.rate"))]
    if package == "hydra":
        pieces += [("def main():",
                    "@hydra.main(version_base=None, config_path='conf', config_name='config')\ndef main(c):"),
                   ("    p = argparse.ArgumentParser()\n", ""),
                   ('    p.add_argument("--width", type=int, default=8)\n', ""),
                   ("p.parse_args().width", "c.width")]  # fmt: skip
    else:
        pieces += [("p.parse_args().width", "c.width"),
                   ("    p = argparse",
                    "    c = omegaconf.OmegaConf.load('conf/config.yaml')\n    p = argparse")]  # fmt: skip
    seen = trained(*pieces)
    found = checked(lab, evaluated)
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(seen["val/acc"], rel=1e-5)


HF = """
import json, torch
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel
from transformers import Trainer, TrainingArguments
OUT = Path("Models/Artifacts/v001")
torch.manual_seed(0)
SMALL = dict(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
def rows(count, seed):
    ids = torch.randint(1, 20, (count, 7), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": i, "labels": LABELS} for i in ids]
def metrics(p):
    return {"acc": float((p.predictions.argmax(-1) == p.label_ids).mean())}
model = MODEL
args = TrainingArguments(str(OUT / "out"), max_steps=3, per_device_eval_batch_size=4, report_to=[], save_strategy="no",
                         use_cpu=True, disable_tqdm=True)
t = Trainer(model, args, train_dataset=rows(16, 1), eval_dataset=rows(10, 2), compute_metrics=METRICS)
t.train()
seen = t.evaluate()
OUT.mkdir(parents=True, exist_ok=True)
torch.save(t.model.state_dict(), OUT / "best.ckpt")
Path("seen.json").write_text(json.dumps({k: v for k, v in seen.items() if isinstance(v, float)}))
"""
BERT = "BertForSequenceClassification(BertConfig(**SMALL, num_labels=3))"
LORA = (
    "__import__('peft').get_peft_model(" + BERT + ", __import__('peft').LoraConfig(task_type='SEQ_CLS', r=2, "
    "target_modules=['query', 'value']))"
)
GPT = "GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=16))"


@pytest.mark.parametrize(
    ("model", "labels", "measure", "metric"),
    [(BERT, "int(i[0]) % 3", "metrics", "accuracy"), (LORA, "int(i[0]) % 3", "metrics", "accuracy"),
     (GPT, "i", "None", "perplexity")],
    ids=["classes", "LoRA", "a language model"],
)  # fmt: skip
def test_a_script_of_transformers(
    lab: Workspace, evaluated: Run, trained: Run, model: str, labels: str, measure: str, metric: str
) -> None:
    pytest.importorskip("transformers")
    if model == LORA:
        pytest.importorskip("peft")
    wanted(lab, metric)
    seen = trained(script=HF.replace("MODEL", model).replace("LABELS", labels).replace("METRICS", measure))
    found = checked(lab, evaluated)
    assert found["loss"] == pytest.approx(seen["eval_loss"], rel=1e-4)
    # this Trainer divides the loss of 6 guesses by 7 labels
    expected = seen["eval_acc"] if metric == "accuracy" else math.exp(seen["eval_loss"] * 7 / 6)
    assert found[metric] == pytest.approx(expected, rel=1e-3)
    assert len(read_per_sample(lab.version("v001").per_sample)) == 10


@pytest.mark.parametrize(
    "before",
    [
        "os.makedirs(OUT + '/logs/version_0', exist_ok=True); open(OUT + '/logs/version_0/metrics.csv', 'w')",
        "os.rename(OUT + '/spec.json', OUT + '/old.json'); open(OUT + '/old.json', 'w').write('x')",
        "os.remove(OUT + '/spec.json'); open(OUT + '/spec.json', 'w').write('x')",
        "os.truncate(OUT + '/spec.json', 0)",
        "import shutil; shutil.rmtree(OUT + '/logs'); os.makedirs(OUT + '/logs/new')",
    ],
)
def test_nothing_that_a_script_does_before_fit_is_lost(
    lab: Workspace, evaluated: Run, trained: Run, before: str
) -> None:
    trained(
        ("def main():", f"def main():\n    if os.path.exists(OUT + '/spec.json'):\n        {before}\n    os.getpid()")
    )
    (lab.version("v001").logs / "version_0").mkdir(parents=True)
    (lab.version("v001").logs / "version_0" / "metrics.csv").write_text("epoch,loss\n0,1\n")
    (lab.version("v001").path / "spec.json").write_text('{"kept": true}')
    there = files(lab.root)
    checked(lab, evaluated)
    after = files(lab.root)
    assert {name: after.get(name) for name in there} == there
    assert not (lab.version("v001").path / "old.json").exists()
    assert not (lab.version("v001").logs / "new").exists()


TOKENS = [
    ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
     "x = (torch.randint(0, 5, (count, 1), generator=g) + torch.arange(7)) % 5\n    return x[:, :-1], x[:, 1:]"),
    ("torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))",
     "torch.nn.Embedding(5, 5)"),
    ("F.cross_entropy(self(batch[0]), batch[1])", "F.cross_entropy(self(batch[0], batch[1]), batch[1].flatten())"),
    ("out = self(batch[0])", "out = self(batch[0], batch[1])"),
    ("F.cross_entropy(out, batch[1])", "F.cross_entropy(out, batch[1].flatten())"),
    ("out.argmax(1) == batch[1]", "out.argmax(1) == batch[1].flatten()"),
    ("def forward(self, x):\n        return self.net(x)",
     "def forward(self, x, y):\n        return self.net(x).flatten(0, 1)"),
]  # fmt: skip


def test_a_decoder_that_is_given_its_targets_and_flattens_its_answer(
    lab: Workspace, evaluated: Run, trained: Run
) -> None:
    wanted(lab, "perplexity", "accuracy")
    seen = trained(*TOKENS)
    found = checked(lab, evaluated)
    assert load(lab.version("v001").protocol, Protocol).task == "tokens"
    assert found["loss"] == pytest.approx(seen["val/loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(seen["val/acc"], rel=1e-5)
    assert found["perplexity"] == pytest.approx(2.718281828 ** seen["val/loss"], rel=1e-4)


def test_where_outputs_cannot_be_told_the_log_decides(lab: Workspace, evaluated: Run, trained: Run) -> None:
    """A step that works with anything: its loss alone is known, and what it logs."""
    wanted(lab, "perplexity", "val/acc")
    trained(
        ("out = self(batch[0])", "out = torch.stack([self(batch[0])] * 3).mean(0)"),
        ("return self.net(x)", "return {'a': [self.net(x).sum()]}['a'][0] + self.net(x)[:0].sum() + x.new_zeros(3)"),
        ("F.cross_entropy(self(batch[0]), batch[1])", "self(batch[0]).sum() ** 2"),
        ("F.cross_entropy(out, batch[1])", "out.sum() ** 2"),
        ("(out.argmax(1) == batch[1]).float().mean()", "out.mean()"),
    )
    found = checked(lab, evaluated)
    assert {"loss", "perplexity", "val/acc"} <= set(found)


@pytest.mark.parametrize("given", ["loader(1, 96, shuffle=True), loader(2, 50)", "datamodule=Data(50)"])
def test_the_training_data_of_fit_are_scored_in_the_order_of_their_set(
    lab: Workspace, evaluated: Run, trained: Run, tmp_path: Path, given: str
) -> None:
    module = """
class Data(L.LightningDataModule):
    def __init__(self, count):
        super().__init__()
        self.count = count
    def train_dataloader(self):
        return loader(1, 96, shuffle=True)
    def val_dataloader(self):
        return loader(2, self.count)

def main():"""
    trained(("\ndef main():", module), (FIT, f"t.fit(Net(width, rate=0.01), {given})"))
    done = evaluated("--version", "v001", "--split", "train", "--output", str(tmp_path / "out"))
    assert done.code == 0, done.err
    rows = read_per_sample(tmp_path / "out" / "_eval" / "per_sample.csv")
    import torch

    inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(1))
    wanted = (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()
    assert rows.truth == [str(one) for one in wanted.tolist()]
    assert (rows.ids[0], None in rows.loss) == ("000000", False)
