"""`progtrain adopt`: scripts of several makes become a workspace that `check` finds ready."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys

import numpy as np
import pexpect
import pytest

from progtrain.engine import adopt as adopting
from progtrain.engine.files import read_json
from progtrain.engine.rules import instruction
from progtrain.engine.script import found
from progtrain.engine.script import probe as probing
from progtrain.engine.script.epoch_table import is_needed, with_table
from progtrain.engine.workspace import Workspace
from tests.cli.commands import PROGTRAIN, as_json, progtrain

LIGHTNING = """\
import argparse

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset


class Points(L.LightningDataModule):
    def __init__(self, path, batch_size):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage=None):
        data = np.load(self.hparams.path)
        x, y = torch.as_tensor(data["x"]), torch.as_tensor(data["y"])
        self.parts = TensorDataset(x[:48], y[:48]), TensorDataset(x[48:], y[48:])

    def train_dataloader(self):
        return DataLoader(self.parts[0], batch_size=self.hparams.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts[1], batch_size=self.hparams.batch_size)


class Net(L.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        self.linear = torch.nn.Linear(4, 3)

    def step(self, batch, stage):
        scores = self.linear(batch[0])
        loss = torch.nn.functional.cross_entropy(scores, batch[1])
        self.log(f"{stage}_loss", loss)
        self.log(f"{stage}_acc", (scores.argmax(1) == batch[1]).float().mean())
        return loss

    def training_step(self, batch, index):
        return self.step(batch, "train")

    def validation_step(self, batch, index):
        self.step(batch, "val")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", required=True)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch-size", type=int, default=16)
    args = parser.parse_args()
    keep = ModelCheckpoint(dirpath="kept", monitor="val_acc", mode="max")
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", logger=False, callbacks=[keep])
    trainer.fit(Net(args.lr), datamodule=Points(args.points, args.batch_size))


if __name__ == "__main__":
    main()
"""
PLAIN = '''\
"""A loop of its own."""
from pathlib import Path

import numpy as np
import torch
from net import make_net

HERE = Path(__file__).parent
LEARNING_RATE = 0.1
EPOCHS = 2

data = np.load("points.npz")
again = np.load(HERE / "points.npz")
x, y = torch.as_tensor(data["x"]), torch.as_tensor(data["y"])
model = make_net()
optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
best = float("inf")
for epoch in range(1, EPOCHS + 1):
    loss = torch.nn.functional.cross_entropy(model(x[:48]), y[:48])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        val_loss = torch.nn.functional.cross_entropy(model(x[48:]), y[48:])
    if val_loss < best:
        best = val_loss
        torch.save(model.state_dict(), "best.pt")
'''


@pytest.fixture
def project(ws: Workspace) -> Workspace:
    """A script in the project folder and its data, and one in a folder below with its own."""
    (ws.root / "train it.py").write_text(LIGHTNING)
    below = ws.root / "src"
    below.mkdir()
    (below / "train.py").write_text(PLAIN)
    (below / "net.py").write_text("import torch\n\n\ndef make_net():\n    return torch.nn.Linear(4, 3)\n")
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    for folder in (ws.root / "data", below):
        folder.mkdir(exist_ok=True)
        np.savez(folder / "points.npz", x=x, y=np.arange(64) % 3)
    return ws


def adopt(ws: Workspace, *words: str, code: int = 0) -> str:
    done = progtrain(ws, "adopt", *words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def files_of(ws: Workspace) -> dict[str, bytes]:
    return {ws.relative(path): path.read_bytes() for path in ws.root.rglob("*") if path.is_file()}


def test_a_script_with_arguments_is_ready_after_adopting(project: Workspace) -> None:
    before = files_of(project)
    said = adopt(
        project, "train it.py", "--lock", "lr=0.05", "--lock", "batch_size", "--", "--points", "data/points.npz"
    )
    assert "48 samples in batches of 16: float32 [16, 4], int64 [16]" in said
    assert "watches      val_acc (higher is better)" in said and "results in   kept" in said
    assert "ranked by accuracy (higher is better; another: --metric NAME)" in said
    rules = read_json(project.rules)
    assert rules["eval_config"] == {
        "primary_metric": "accuracy",
        "metrics": ["accuracy", "loss"],
        "repeats": "auto",
    }
    assert rules["training_config"] == {"lr": 0.05, "batch_size": 16}
    assert rules["training_args"] == ["--points", "data/points.npz"]
    assert rules["dataset_config"] == {"dataset_id": "points"}
    stats = read_json(project.stats("points"))
    assert (stats["task_type"], stats["num_classes"]) == ("classification", 3)
    assert {name: split["num_samples"] for name, split in stats["splits"].items()} == {"train": 48, "valid": 16}
    (source,) = read_json(project.source("points"))["files"]
    data = project.root / "data" / "points.npz"
    assert source == {"path": "data/points.npz", "size": data.stat().st_size, "mtime_ns": data.stat().st_mtime_ns}
    assert project.instruction.read_text() == instruction.TEMPLATE
    assert project.baseline_script.read_text() == LIGHTNING
    after = files_of(project)
    assert {path: after.get(path) for path in before} == before
    assert "ready: progtrain run" in progtrain(project, "check").stdout


@pytest.mark.slow
def test_a_setting_in_a_config_file_is_locked_and_the_file_is_no_data(project: Workspace) -> None:
    script = LIGHTNING.replace(
        "import argparse\n", 'import argparse\nimport yaml\n\nCFG = yaml.safe_load(open("a.yaml"))\n'
    )
    (project.root / "train it.py").write_text(script.replace("Net(args.lr)", 'Net(CFG["lr"])'))
    (project.root / "a.yaml").write_text("lr: 0.1\n")
    adopt(project, "train it.py", "--lock", "lr", "--", "--points", "data/points.npz")
    assert read_json(project.rules)["training_config"] == {"lr": 0.1}
    assert [entry["path"] for entry in read_json(project.source("points"))["files"]] == ["data/points.npz"]


@pytest.mark.slow
def test_the_copy_of_a_script_in_a_folder_below_finds_its_modules_and_files(project: Workspace) -> None:
    said = adopt(project, "src/train.py", "--yes")
    assert '-data = np.load("points.npz")' in said and '+data = np.load("src/points.npz")' in said
    assert '+HERE = Path("src/train.py").parent' in said
    assert (project.root / "src" / "train.py").read_text() == PLAIN
    assert "ready: progtrain run" in progtrain(project, "check").stdout


@pytest.mark.slow
def test_a_loop_of_its_own_that_keeps_no_numbers_is_given_a_table(project: Workspace) -> None:
    adopt(project, "src/train.py")
    project.rules.write_text(project.rules.read_text().replace('"repeats": "auto"', '"repeats": 0'))
    done = progtrain(project, "run", "--yes", "--max-versions", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.root / "metrics.csv").read_text().splitlines()[0] == "epoch,val_loss"
    assert len((project.root / "metrics.csv").read_text().splitlines()) == 3


PRINTING = PLAIN[: PLAIN.index("    if val_loss")].replace("EPOCHS = 2", 'EPOCHS, dataset = 2, "other"').replace(
    "from net import make_net", ""
).replace("make_net()", "torch.nn.Linear(4, 3)").replace("HERE / ", "").replace(
    "points.npz", "../thing/raw/points.npz"
).replace("val_loss =", "last =") + ('    print(f"Test set: average loss: {last:.4f}")\n')


def test_what_a_loop_prints_ranks_it_and_its_data_have_the_name_of_their_folder(project: Workspace) -> None:
    raw = project.root.parent / "thing" / "raw"
    raw.mkdir(parents=True)
    shutil.copy(project.root / "data" / "points.npz", raw)
    (project.root / "train.py").write_text(PRINTING)
    said = adopt(project, "train.py", "--yes", "--", "--note", "a b")
    assert "prints       loss of its validation" in said and "given        --note 'a b'" in said
    # what is stated may be overruled by an argument: here no file is of such a name
    assert "the data are called thing" in said
    assert project.baseline_script.read_text() == PRINTING


@pytest.mark.slow
def test_a_loop_of_which_nothing_will_be_known_is_warned_of(project: Workspace) -> None:
    (project.root / "train.py").write_text(PRINTING.replace("../thing/raw", "data").replace("Test set", "now"))
    said = adopt(project, "train.py", "--yes")
    assert "! nothing in it says what its validation comes to" in said and "fix: let it print them" in said


@pytest.mark.slow
def test_the_copy_of_a_hydra_script_finds_its_configuration(project: Workspace) -> None:
    start = 'import hydra\nimport torch\n\n\n@hydra.main(version_base=None, config_path="conf", config_name="base")\n'
    body = PLAIN[PLAIN.index("data =") : PLAIN.index("again")] + PLAIN[PLAIN.index("x, y") :]
    body = body.replace("make_net()", "torch.nn.Linear(4, cfg.out)").replace("points.npz", "src/points.npz")
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    head = "LEARNING_RATE, EPOCHS = 0.1, 2\nimport numpy as np\n"
    text = head + start + f"def main(cfg):\n{indented}\n\nmain()\n"
    (project.root / "src" / "train.py").write_text(text)
    (project.root / "src" / "conf").mkdir()
    (project.root / "src" / "conf" / "base.yaml").write_text("out: 3\n")
    said = adopt(project, "src/train.py", "--yes", "--", "out=4")
    assert 'config_path="src/conf"' in said and "given        out=4" in said
    assert "Linear with 20 parameters" in said


@pytest.mark.slow
def test_a_module_that_looks_in_its_own_folder_is_named_with_the_way_to_run_it(project: Workspace) -> None:
    below = project.root / "src"
    (below / "net.py").write_text("import torch\nopen('points.npz')\n")
    (below / "train.py").write_text("import torch\nimport net\n")
    said = adopt(project, "src/train.py", "--yes", code=2)
    assert "fix: it finds its files from its own folder: cd src && progtrain adopt train.py" in said


def test_the_decay_of_the_group_that_has_most_is_told() -> None:
    groups = [{"lr": 1e-6, "weight_decay": 0.1, "parameters": 90}, {"lr": 1e-6, "weight_decay": 0, "parameters": 10}]
    optimizer = {"class": "torch.optim.AdamW", "defaults": {"lr": 1e-3, "weight_decay": 0.01}, "groups": groups}
    used = probing.used({"optimizers": [optimizer]})
    assert (used["learning_rate"], used["weight_decay"]) == (1e-3, 0.1)


@pytest.mark.parametrize(("loss", "task"), [("F.mse_loss(x, y)", None), ("F.cross_entropy(x, y)", "classification")])
def test_labels_that_nobody_looks_at_make_no_classification(loss: str, task: str | None) -> None:
    batch = [{"shape": [8, 4], "dtype": "float32"}, {"shape": [8], "dtype": "int64", "min": 0, "max": 2}]
    probe = {"loaders": {"train": [{"samples": 8, "batch": {"structure": batch}}], "val": []}}
    stats = found.statistics(probe, [ast.parse(loss)])
    assert (stats.get("task_type"), stats.get("num_classes")) == (task, task and 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told", "fix"),
    [
        (["train it.py"], "required: --points", "progtrain adopt 'train it.py' -- --points ..."),
        (["none.py"], "there is no such file", "name your training script"),
        (["train it.py", "--", "--points", "gone.npz"], "line 16: FileNotFoundError", "mend it there"),
        (["src/net.py"], "ends without training", "let it train when it is run by itself"),
        (
            ["train it.py", "--lock", "warmup", "--", "--points", "data/points.npz"],
            "no setting 'warmup'",
            "the nearest",
        ),
        (["train it.py", "--metric", "oddness", "--", "--points", "data/points.npz"], "which way", "oddness:max"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_written(
    project: Workspace, words: list[str], told: str, fix: str
) -> None:
    before = files_of(project)
    said = adopt(project, *words, code=2)
    assert told in said and "fix: " in said and fix in said
    assert files_of(project) == before


def test_what_is_there_is_not_overwritten(project: Workspace) -> None:
    project.rules.write_text('{"seed": 1}')
    project.baseline_script.write_text("print('mine')\n")
    before = files_of(project)
    said = adopt(project, "src/train.py", "--yes", code=2)
    assert "02_train_baseline.py: it is there already" in said and "move it away" in said
    assert files_of(project) == before


@pytest.mark.slow
def test_rules_as_init_wrote_them_are_filled_in(project: Workspace) -> None:
    assert progtrain(project, "init", str(project.root)).returncode == 0
    adopt(project, "src/train.py", "--yes", "--dataset-id", "mine", "--metric", "val_oddness:max")
    config = read_json(project.rules)["eval_config"]
    assert config["primary_metric"] == "val_oddness"
    assert config["metrics"][0] == {"name": "val_oddness", "higher_is_better": True}
    assert project.stats("mine").is_file()


def test_on_a_terminal_it_asks(project: Workspace) -> None:
    child = pexpect.spawn(
        sys.executable,
        [*PROGTRAIN[1:], "-C", str(project.root), "adopt", "train it.py", "--", "--points", "data/points.npz"],
        env={**os.environ, "TERM": "dumb"},
        encoding="utf-8",
        timeout=120,
    )
    child.expect("Which one ranks the versions")
    child.sendline("val_loss")
    child.expect("must not change")
    child.sendline("batch, warmup")
    child.expect("no setting 'warmup'")
    child.expect("must not change")
    child.sendline("batch_size")
    child.expect("next: ")
    child.wait()
    rules = read_json(project.rules)
    assert (rules["eval_config"]["primary_metric"], rules["training_config"]) == ("loss", {"batch_size": 16})


def test_a_notebook_becomes_a_script(project: Workspace) -> None:
    code = PLAIN.replace("from net import make_net", "make_net = lambda: torch.nn.Linear(4, 3)")
    code = code.replace("HERE / ", "").replace("HERE = Path(__file__).parent\n", "").replace('"points', '"data/points')
    cells = [
        {"cell_type": "markdown", "source": "# A notebook"},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!pip install torch\n", "import sys\n"]},
        {"cell_type": "code", "source": "%%bash\nls"},
        {"cell_type": "code", "source": "%%time\nif True:\n    %time\n"},
        {"cell_type": "code", "source": code},
    ]
    (project.root / "look.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    adopt(project, "look.ipynb", "--yes")
    script = project.baseline_script.read_text()
    assert "# %matplotlib inline\n# !pip install torch\nimport sys" in script and "# ls" in script
    assert "if True:\n    pass  # %time" in script


@pytest.mark.slow
def test_json_says_what_was_found_and_done(project: Workspace) -> None:
    told = as_json(project, "adopt", "src/train.py", "--json")
    assert told["schema"] == "progtrain.adopt/1" and told["dataset_id"] == "points"
    assert told["wrote"][-1] == "02_train_baseline.py"
    assert {"framework", "model", "settings"} <= {row["label"] for row in told["found"]}


@pytest.mark.parametrize(
    ("loop", "first"),
    [("range(5)", "0"), ("range(1, n + 1)", "1"), ("tqdm(range(start, 9))", "start")],
)
def test_the_table_begins_with_the_first_epoch(loop: str, first: str) -> None:
    source = f"for e in {loop}:\n    val_loss, val_acc = look()\n    val_loss /= 3\n    print(val_loss)\n"
    changed = with_table(source)
    assert changed is not None and f'"w" if e == {first} else "a"' in changed
    assert changed.index("/= 3") < changed.index("open(") < changed.index("print")
    assert "e,{float(val_loss)},{float(val_acc)}" in changed.replace("{e}", "e")
    assert not is_needed(changed)


def test_modules_that_are_imported_by_a_name_in_a_text_are_read_too(project: Workspace) -> None:
    (project.root / "late.py").write_text("loss = F.cross_entropy(x, y)\n")
    probe = {"modules": {"late": "late.py", "gone": "gone.py"}}
    trees = adopting.trees(project, project.root / "train it.py", "import importlib\n", probe)
    assert [ast.unparse(tree) for tree in trees] == ["import importlib", "loss = F.cross_entropy(x, y)"]


def test_what_runs_counts_before_what_the_module_was_given() -> None:
    optimizer = {"class": "torch.optim.adam.Adam", "defaults": {"lr": 0.1}, "groups": []}
    used = probing.used({"optimizers": [optimizer], "hparams": {"optimizer": "functools.partial", "width": 3, "_x": 1}})
    assert used == {"optimizer": "Adam", "learning_rate": 0.1, "width": 3}
