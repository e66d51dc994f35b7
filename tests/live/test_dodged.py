"""Ways to dodge a lock while the training runs: the rules look kept in the script, and the run uses something else."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.measure.signs import signs
from progtrain.engine.control.context import Context
from progtrain.engine.control.journal import Journal
from progtrain.engine.errors import StepFailed
from progtrain.engine.loop import spec
from progtrain.engine.rules.rules import load
from progtrain.engine.workspace import Workspace
from tests.live.conftest import LIVE, Run

KEPT = """
import lightning as L, torch
from pathlib import Path
from torch.utils.data import DataLoader, TensorDataset

SEED = 3
LEARNING_RATE = 0.01
WEIGHT_DECAY = 0.1
BATCH_SIZE = 4
EPOCHS = 2
HIDDEN = 8
DROPOUT = 0.2
PRECISION = "32-true"

class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        drop = torch.nn.Dropout(DROPOUT)
        self.net = torch.nn.Sequential(torch.nn.Linear(2, HIDDEN), drop, torch.nn.Linear(HIDDEN, 2))

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("val/loss", torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

class Late(L.Callback):
    def change(self, trainer): pass
    def on_train_epoch_end(self, trainer, module):
        self.change(trainer)

L.seed_everything(SEED)
data = TensorDataset(torch.randn(22, 2), torch.arange(22) % 2)
model = Net()
def fit(epochs=EPOCHS, **more):
    trainer = L.Trainer(max_epochs=epochs, precision=PRECISION, accelerator="cpu", logger=False, callbacks=[Late()],
                        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **more)
    trainer.fit(model, DataLoader(data, BATCH_SIZE, shuffle=True), DataLoader(data, 11))
fit()
"""

PLAIN = """
import torch
from torch.utils.data import DataLoader, TensorDataset

SEED = 3
LEARNING_RATE = 0.01
WEIGHT_DECAY = 0.1
BATCH_SIZE = 4
EPOCHS = 2

torch.manual_seed(SEED)
data = TensorDataset(torch.randn(22, 2), torch.arange(22) % 2)
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
loader = DataLoader(data, batch_size=BATCH_SIZE, shuffle=True)
for epoch in range(EPOCHS):
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    for x, y in DataLoader(data, batch_size=11):
        torch.nn.functional.cross_entropy(model(x), y)
"""

#: for programs that a script starts; scripts of these tests are run in a process that has it already
_PATH = {"PYTHONPATH": str(LIVE)}

LOCKED = {
    "seed": 3,
    "learning_rate": 0.01,
    "weight_decay": 0.1,
    "batch_size": 4,
    "epochs": 2,
    "hidden": 8,
    "dropout": 0.2,
    "precision": "32-true",
}

OF_A_LOOP = ("seed", "learning_rate", "weight_decay", "batch_size", "epochs")

#: what is changed in KEPT, and what is said then: "!" before what fails the training
LIGHTNING = {
    "another literal in the optimizer": (
        "lr=LEARNING_RATE", "lr=0.1", "!learning_rate was 0.1 at the first step of AdamW, the rules say 0.01"),
    "another literal in the Trainer": ("max_epochs=epochs", "max_epochs=3", "!max_epochs was 3 in the training"),
    "another literal in the loader": (
        "DataLoader(data, BATCH_SIZE", "DataLoader(data, 8", "!batch_size was 8 in the training"),
    "assigned again": ("class Net", "globals()['LEARNING_' + 'RATE'] = 0.2\nclass Net", "!learning_rate was 0.2"),
    "from the environment": (
        "lr=LEARNING_RATE", "lr=float(__import__('os').environ.get('MY_LR', 0.3))", "!learning_rate was 0.3"),
    "another default of argparse": (
        "class Net", "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', default=LEARNING_RATE)\n"
        "p.set_defaults(lr=0.4)\nLEARNING_RATE = p.parse_args([]).lr\nclass Net", "!learning_rate was 0.4"),
    "multiplied": ("lr=LEARNING_RATE", "lr=10 * LEARNING_RATE", "!learning_rate was 0.1"),
    "groups that were made otherwise": (
        "self.parameters(), lr", "[{'params': self.parameters(), 'lr': 0.5}], lr", "!learning_rate was 0.5"),
    "raised by a callback": (
        "trainer): pass", "trainer): trainer.optimizers[0].param_groups[0]['lr'] = 0.5",
        "!learning_rate was 0.5 at its highest, set by hand during the training"),
    "lowered by a callback": (
        "trainer): pass", "trainer): trainer.optimizers[0].param_groups[0]['lr'] = 1e-6",
        "learning_rate was 1e-6 at the end, changed by hand during the training, the rules say 0.01"),
    "weight decay taken away by a callback": (
        "trainer): pass", "trainer): trainer.optimizers[0].param_groups[0]['weight_decay'] = 0.0",
        "!weight_decay was 0.0 at the end, changed by hand"),
    "a schedule that multiplies": (
        "return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)",
        "o = torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)\n"
        "        return [o], [torch.optim.lr_scheduler.LambdaLR(o, lambda epoch: 30)]",
        "learning_rate was 0.3 at its highest, by a schedule, the rules say 0.01"),
    "another literal below a warm-up": (
        "return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)",
        "o = torch.optim.AdamW(self.parameters(), lr=0.05, weight_decay=WEIGHT_DECAY)\n"
        "        return [o], [torch.optim.lr_scheduler.LambdaLR(o, lambda epoch: epoch / 1)]",
        "!learning_rate was 0.05 at its highest in AdamW, the rules say 0.01"),
    "more epochs while it trains": (
        "trainer): pass", "trainer): trainer.fit_loop.max_epochs = 4", "!epochs was 4 in the Trainer when"),
    "a second fit with another rate": (
        "\nfit()", "\nfit()\nLEARNING_RATE = 0.6\nfit()", "learning_rate was 0.6"),
    "a second fit": ("\nfit()", "\nfit()\nfit()", "epochs was 4.0 passes over the data, the rules say 2"),
    "a first fit with more epochs": ("\nfit()", "\nfit(4)\nfit()", "epochs was 4.0 passes over the data"),
    "fewer epochs in each of two fits": ("\nfit()", "\nfit(1)\nfit(1)", "!max_epochs was 1 in the training"),
    "a batch sampler": (
        "DataLoader(data, BATCH_SIZE, shuffle=True)",
        "DataLoader(data, batch_sampler=[list(range(n, n + 11)) for n in (0, 11)])",
        "!batch_size was 11 in most batches of the training"),
    "accumulated batches": (
        "\nfit()", "\nfit(accumulate_grad_batches=3)", "batch_size was 12 for each step, made from 3 batches"),
    "seeded again": ("\nfit()", "\nL.seed_everything(9)\nfit()", "!seed was 9 by seed_everything"),
    "another precision": ("precision=PRECISION", "precision='bf16-mixed'", "!precision was bf16-mixed in the Trainer"),
    "dropout set in the model": (
        "\nfit()", "\nmodel.net[1].p = 0.7\nfit()", "!dropout was 0.7 in the model when the training began"),
    "dropout set while it trains": (
        "trainer): pass", "trainer): model.net[1].p = 0.0", "!dropout was 0.0 in the model when the training ended"),
    "another hidden size": (
        "Linear(2, HIDDEN), drop, torch.nn.Linear(HIDDEN, 2)", "Linear(2, 16), drop, torch.nn.Linear(16, 2)",
        "hidden_size was not 8 in any weight of the model"),
    "a second file of settings": (
        "class Net", "Path('b.txt').write_text('0.7')\nLEARNING_RATE = float(Path('b.txt').read_text())\nclass Net",
        "!learning_rate was 0.7"),
    "another Adam": (
        "class Net", "real = torch.optim.AdamW\n"
        "torch.optim.AdamW = lambda p, lr, weight_decay: real(p, lr=lr * 9, weight_decay=weight_decay)\nclass Net",
        "!learning_rate was 0.09"),
}  # fmt: skip

IN_A_LOOP = {
    "a loop with another rate": ("lr=LEARNING_RATE", "lr=0.1", "!learning_rate was 0.1 at the first step of SGD"),
    "a loop with a rate by hand": (
        "    for x, y in loader", "    optimizer.param_groups[0]['lr'] = 0.1\n    for x, y in loader",
        "!learning_rate was 0.1 at the first step"),
    "a loop with another batch": ("batch_size=BATCH_SIZE", "batch_size=2", "!batch_size was 2 in most batches"),
    "a loop with more epochs": ("range(EPOCHS)", "range(5)", "!epochs was 5.0 passes over the data"),
    "a loop with another seed": ("model = torch", "torch.manual_seed(8)\nmodel = torch", "seed was 8 by torch.manual"),
    "a program without hooks": (
        "SEED = 3", "import subprocess, sys\nif len(sys.argv) == 1:\n"
        "    raise SystemExit(subprocess.call([sys.executable, '-E', __file__, 'x']))\nSEED = 3",
        "no step of an optimizer was seen in the training: nothing says whether it kept to batch_size, epochs"),
    "a loop that makes a step of two batches": (
        "        optimizer.step()", "        n = globals().get('n', 0) + 1\n        if n % 2 == 0: optimizer.step()",
        "batch_size was 8 for each step, made from 2 batches"),
}  # fmt: skip


@pytest.fixture
def told(run: Run, ws: Workspace, tmp_path: Path) -> Callable[..., list[str]]:
    """Trains by a script, and gives what is said of it where each of these are locked: "!" before what fails it."""

    def of(text: str, *locked: dict[str, Any], written: dict[str, Any] | None = None) -> list[str]:
        code, found, log = run(text, RECORD="record.json", more=_PATH) if "lightning" in text else _loop(run, text)
        assert (code, found.get("faults")) == (0, []), log
        for name in ("record.json", "used.json", *(path.name for path in (tmp_path / "out").glob("used_*.json"))):
            if (path := tmp_path / "out" / name).exists():
                ws.record("v001").parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, ws.record("v001").with_name(name))
        ws.script("v001").write_text(text)
        ws.version("v001").path.mkdir(parents=True, exist_ok=True)
        ws.version("v001").spec.write_text(json.dumps(written or {}))
        found: list[str] = []
        for locks in locked:
            ws.rules.write_text(json.dumps({"training_config": locks}))
            found += _check(ws)
        return found

    return of


def _loop(run: Run, text: str) -> tuple[int, dict[str, Any], str]:
    """A loop of the script's own has no record, only what was used."""
    return run(text, RECORD="used.json", more=_PATH)


def _check(ws: Workspace) -> list[str]:
    journal = Journal(ws.journal, lambda: datetime.now(UTC))
    context = Context(
        ws=ws, rules=load(ws), dataset_id="d", python=sys.executable, journal=journal, clock=lambda: datetime.now(UTC)
    )
    try:
        spec.check_locks(context, "v001")
    except StepFailed as error:
        return [f"!{error.reason}"]
    told = json.loads(ws.version("v001").spec.read_text()).get("contradicted", [])
    lines = ws.journal.read_text().splitlines() if ws.journal.exists() else []
    assert [json.loads(line)["text"] for line in lines] == [f"v001: {text}" for text in told]
    return list(told)


def changed(text: str, *changes: str) -> str:
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    return text


WAYS = {
    **{name: (KEPT, *way) for name, way in LIGHTNING.items()},
    **{name: (PLAIN, *way) for name, way in IN_A_LOOP.items()},
}


#: seen as others are: by `make test-all`
LIKE_OTHERS = {
    "another literal in the Trainer",
    "another literal in the loader",
    "from the environment",
    "another default of argparse",
    "multiplied",
    "a second file of settings",
    "another Adam",
    "fewer epochs in each of two fits",
    "another hidden size",
    "a second fit",
    "a cosine",
    "an early end",
    "a part of the data",
    "several rates",
    "a loss that is multiplied",
    "samples that are left out of each batch",
}


def often(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in LIKE_OTHERS else ()) for name in names]


@pytest.mark.parametrize("way", often(WAYS))
def test_a_lock_that_is_dodged_at_run_time_is_told(told: Callable[..., list[str]], way: str) -> None:
    text, old, new, said = WAYS[way]
    found = told(changed(text, old, new), LOCKED)
    assert any(line.startswith(said) for line in found), found


#: what is not seen, as docs/reliability.md says
NOT_SEEN = {
    "an optimizer that steps with another rate than it shows": (
        "optimizer = torch.optim.SGD(",
        "class Own(torch.optim.SGD):\n    def step(self, closure=None):\n"
        "        for g in self.param_groups: g['lr'] *= 10\n        super().step(closure)\n"
        "        for g in self.param_groups: g['lr'] /= 10\noptimizer = Own("),
    "a loss that is multiplied": ("cross_entropy(model(x), y).backward", "cross_entropy(model(x), y).mul(10).backward"),
    "samples that are left out of each batch": (
        "        optimizer.zero_grad()", "        x, y = x[:2], y[:2]\n        optimizer.zero_grad()"),
    "a loop with fewer epochs": ("range(EPOCHS)", "range(1)"),
    "what was seen is overwritten": (
        "for epoch in", "for group in optimizer.param_groups: group['lr'] = 0.5\nfor epoch in", "\nfor epoch in",
        "\nimport atexit, os, pathlib\n"
        "used = pathlib.Path(os.environ['PROGTRAIN_RECORD_FILE']).with_name('used.json')\n"
        "lie = lambda: (used.write_text('{\"steps\": 1, \"faults\": []}'), os._exit(0))\n"
        "atexit.register(lie)\nfor epoch in"),
}  # fmt: skip


@pytest.mark.parametrize("way", often(NOT_SEEN))
def test_what_is_said_not_to_be_seen_is_not_seen(told: Callable[..., list[str]], way: str) -> None:
    """Where one is seen after all, docs/reliability.md is to say so."""
    assert told(changed(PLAIN, *NOT_SEEN[way]), {name: LOCKED[name] for name in OF_A_LOOP}) == []


def test_another_program_that_trains_is_seen_too(told: Callable[..., list[str]]) -> None:
    """It has hooks of its own, and the script itself makes no step."""
    start = (
        "import subprocess, sys\nif len(sys.argv) == 1:\n"
        "    raise SystemExit(subprocess.call([sys.executable, __file__, 'x']))"
    )
    text = changed(PLAIN, "SEED = 3", f"{start}\nSEED = 3", "lr=LEARNING_RATE", "lr=0.1")
    [found] = told(text, LOCKED)
    said = "!learning_rate was 0.1 at the first step of SGD, in a program that the script started, the rules say 0.01"
    assert found == said


OPTIMIZER = "return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)"


def schedule(made: str, rate: str = "lr=LEARNING_RATE, ") -> tuple[str, str]:
    optimizer = f"o = torch.optim.AdamW(self.parameters(), {rate}weight_decay=WEIGHT_DECAY)"
    return OPTIMIZER, f"{optimizer}\n        return [o], [{{'scheduler': {made}, 'interval': 'step'}}]"


#: what is changed in KEPT by people who mean what they write
HONEST: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "a warm-up": schedule("torch.optim.lr_scheduler.LambdaLR(o, lambda step: min(1, (step + 1) / 5))"),
    "one cycle": schedule("torch.optim.lr_scheduler.OneCycleLR(o, LEARNING_RATE, total_steps=20)", ""),
    "a cosine": schedule("torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)"),
    "a warm-up, then a decay": schedule(
        "torch.optim.lr_scheduler.SequentialLR(o, [torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 3), "
        "torch.optim.lr_scheduler.ExponentialLR(o, 0.9)], [3])"
    ),
    "a warm-up by hand": (
        "    def configure_optimizers(self):",
        "    def optimizer_step(self, epoch, index, optimizer, closure):\n"
        "        optimizer.step(closure=closure)\n"
        "        for group in optimizer.param_groups:\n"
        "            group['lr'] = min(1.0, (self.trainer.global_step + 1) / 5) * LEARNING_RATE\n\n"
        "    def configure_optimizers(self):",
    ),
    "several rates": (
        OPTIMIZER,
        "return torch.optim.AdamW([{'params': self.net[0].parameters(), 'lr': LEARNING_RATE / 10}, {'params': "
        "self.net[2].parameters(), 'lr': LEARNING_RATE * 10}], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)",
    ),
    "biases that do not decay": (
        OPTIMIZER,
        "return torch.optim.AdamW([{'params': [p for p in self.parameters() if p.ndim > 1]}, {'params': [p for p in "
        "self.parameters() if p.ndim < 2], 'weight_decay': 0.0}], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)",
    ),
    "declared accumulation": ("EPOCHS = 2", "EPOCHS = 2\nACCUMULATE = 2", "\nfit()",
                              "\nfit(accumulate_grad_batches=ACCUMULATE)"),
    "an early end": ("trainer): pass", "trainer): trainer.should_stop = True"),
    "data of less than a batch": ("BATCH_SIZE = 4", "BATCH_SIZE = 64"),
    "workers that stay": (
        "BATCH_SIZE, shuffle=True", "BATCH_SIZE, shuffle=True, num_workers=1, persistent_workers=True, drop_last=True"),
    "a search for a rate": ("callbacks=[Late()]", "callbacks=[L.pytorch.callbacks.LearningRateFinder(1e-6, 2.0, 20)]",
                            "super().__init__()\n        d", "super().__init__()\n        self.lr = 1e-3\n        d",
                            "lr=LEARNING_RATE", "lr=self.lr"),
    "a part of the data": ("\nfit()", "\nfit(limit_train_batches=0.5, overfit_batches=0.0)"),
}  # fmt: skip


@pytest.mark.parametrize("way", often(HONEST))
def test_nothing_is_said_of_what_is_meant(told: Callable[..., list[str]], way: str) -> None:
    text = changed(KEPT, *HONEST[way])
    searched = "learning_rate" if "search" in way else ""
    locked = {name: value for name, value in LOCKED.items() if name != searched}
    if "less than" in way:
        locked["batch_size"] = 64
    assert told(text, locked, {}) == []


def test_a_loop_of_its_own_that_keeps_its_settings_is_left_alone(told: Callable[..., list[str]]) -> None:
    locked = {name: LOCKED[name] for name in OF_A_LOOP}
    assert told(PLAIN, locked, {}) == []
    second = "other = torch.nn.Linear(2, 2)\nsecond = torch.optim.Adam(other.parameters(), lr=0.3)\nloader = "
    step = "        optimizer.step()"
    networks = changed(PLAIN, "loader = ", second, step, f"{step}\n        second.step()")
    assert told(networks, locked, {}) == []


def test_settings_that_are_not_locked_are_told_where_the_run_contradicts_them(told: Callable[..., list[str]]) -> None:
    text = changed(KEPT, "lr=LEARNING_RATE", "lr=0.1", "max_epochs=epochs", "max_epochs=1")
    assert told(text, {}, written={"settings": {"learning_rate": 0.05}, "epochs": 2}) == [
        "learning_rate was 0.1 at the first step of AdamW, not 0.01 as in the script",
        "learning_rate was 0.1 at the first step of AdamW, not 0.05 as in spec.json",
        "epochs was 1 in the Trainer, not 2 as in the script and spec.json",
    ]


def test_logs_that_lie_do_not_count(told: Callable[..., list[str]]) -> None:
    lies = (
        "\nfolder = Path('logs/version_0'); folder.mkdir(parents=True)\n"
        "(folder / 'hparams.yaml').write_text('learning_rate: 0.01')\n"
        "Path('spec.json').write_text('{\"learning_rate\": 0.01}')\n"
    )
    text = changed(KEPT, "lr=LEARNING_RATE", "lr=0.1") + lies
    said = told(text, {"learning_rate": 0.01}, written={"learning_rate": 0.01, "settings": {"lr": 0.01}})
    assert said == ["!learning_rate was 0.1 at the first step of AdamW, the rules say 0.01"]
    shortened = "\nPath('logs/version_0/metrics.csv').write_text('epoch,step,val/loss\\n0,5,1.0\\n1,11,0.9\\n')"
    text = (
        changed(KEPT, "max_epochs=epochs", "max_epochs=4")
        + lies.replace("parents", "exist_ok=True, parents")
        + shortened
    )
    assert told(text, {"epochs": 2}, written={"epochs": 2}) == ["!max_epochs was 4 in the training, the rules say 2"]


def test_the_analysis_says_what_was_used_otherwise(ws: Workspace) -> None:
    ws.version("v001").path.mkdir(parents=True)
    ws.version("v001").spec.write_text(json.dumps({"contradicted": ["batch_size was 8\x1b[2J", 7]}))
    [said] = signs(ws, "v001", {}, None, None)
    assert said.startswith("batch_size was 8") and "\x1b" not in said
