"""A probe says what a script would train with; nothing is trained, and nothing stays behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.script import probe as probing
from tests.live.conftest import Run
from tests.live.scripts import BARE, NET
from tests.live.test_sitecustomize import python


def test_bare_loaders_and_arguments(probe: Run, tmp_path: Path) -> None:
    code, found, log = probe(BARE, "--width", "8")
    assert (code, found["reached"], found["fits"], found["faults"]) == (0, "fit", 1, [])
    assert "width is 8" in log and "never said" not in log
    assert found["argv"] == ["script.py", "--width", "8"]
    assert found["model"] == {
        "class": "Net",
        "parameters": 67,
        "trainable_parameters": 67,
        "forward": True,
        "validation_step": True,
        "automatic_optimization": True,
    }
    assert found["hparams"] == {"width": 8, "lr": 0.01}
    assert found["given"]["devices"] == 2 and found["given"]["max_epochs"] == 7
    asked = {name: found["trainer"][name] for name in ("max_epochs", "devices", "strategy", "precision", "accelerator")}
    assert asked == {"max_epochs": 7, "devices": 2, "strategy": "ddp", "precision": "bf16-mixed", "accelerator": "auto"}
    assert found["trainer"]["gradient_clip_val"] == 0.5
    arguments = {argument["dest"]: argument for argument in found["arguments"][0]}
    assert arguments["width"]["value"] == 8 and arguments["width"]["required"]
    assert arguments["scheduler"]["choices"] == ["none", "step"] and arguments["scheduler"]["options"] == [
        "--scheduler"
    ]
    [optimizer], [schedule] = found["optimizers"], found["schedulers"]
    assert (optimizer["class"], optimizer["groups"][0]["lr"]) == ("torch.optim.adamw.AdamW", 0.01)
    assert optimizer["groups"][0]["parameters"] == 67 and optimizer["defaults"]["weight_decay"] == 0.02
    assert (schedule["class"], schedule["interval"]) == ("torch.optim.lr_scheduler.StepLR", "epoch")
    assert schedule["settings"]["gamma"] == 0.5
    assert left(tmp_path) == ["script.py"]


def test_the_loaders_and_a_batch_of_each(probe: Run) -> None:
    found = probe(BARE, "--width", "8")[1]
    [train], [val] = found["loaders"]["train"], found["loaders"]["val"]
    assert (train["samples"], train["batch_size"], train["shuffle"], train["num_workers"]) == (100, 32, True, 2)
    assert (val["samples"], val["batches"], val["shuffle"], val["iterable"]) == (50, 2, False, False)
    features, labels = train["batch"]["structure"]
    assert (features["shape"], features["dtype"]) == ([32, 4], "float32") and features["min"] < 0 < features["max"]
    assert (labels["shape"], labels["dtype"], labels["distinct"]) == ([32], "int64", 3)


def test_a_monitor_in_the_wrong_direction_is_told(probe: Run, tmp_path: Path) -> None:
    found = probe(BARE, "--width", "8")[1]
    [checkpoint], [stopping] = found["checkpoints"], found["early_stopping"]
    assert (checkpoint["monitor"], checkpoint["mode"], checkpoint["filename"]) == ("val/acc", "min", "best")
    assert checkpoint["folder"] == str(tmp_path / "here" / "out")
    assert (stopping["monitor"], stopping["patience"]) == ("val/loss", 3)
    names = [name.rsplit(".", 1)[-1] for name in found["callbacks"]]
    assert names == ["EarlyStopping", "ModelCheckpoint"]


DATA_MODULE = (
    NET
    + """
import csv
from pathlib import Path

class Points(L.LightningDataModule):
    def __init__(self, folder="data", batch_size=16):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage):
        rows = list(csv.reader(open(Path(self.hparams.folder) / "points.csv")))
        x = torch.tensor([[float(v) for v in row[:4]] for row in rows])
        y = torch.tensor([int(row[4]) for row in rows])
        self.train, self.val = torch.utils.data.random_split(TensorDataset(x, y), [24, 6])

    def train_dataloader(self):
        return DataLoader(self.train, self.hparams.batch_size, drop_last=True)

    def val_dataloader(self):
        return [DataLoader(self.val, 3), DataLoader(self.val, 2)]

# no guard: it trains as it is read
Path("results/logs").mkdir(parents=True)
Path("results/notes.txt").write_text("begun")
open("journal.txt", "a").write("one more line")
Path("old.txt").write_text("new")
logger = CSVLogger("results", name="points", version=3)
trainer = L.Trainer(max_epochs=2, check_val_every_n_epoch=2, logger=logger, callbacks=[LearningRateMonitor()])
Path(trainer.logger.log_dir).mkdir(parents=True)
torch.save({}, "state.pt")
assert Path(trainer.log_dir) == Path("results/points/version_3")
trainer.fit(Net(5), datamodule=Points())
"""
)


def test_a_data_module_and_what_is_written_before(probe: Run, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "data").mkdir(parents=True)
    points = "".join(f"{i},{i + 1},{-i},0.5,{i % 3}\n" for i in range(30))
    (here / "data" / "points.csv").write_text(points)
    (here / "journal.txt").write_text("first line\n")
    (here / "old.txt").write_text("old")
    code, found, log = probe(DATA_MODULE)
    assert (code, found["reached"], found["faults"]) == (0, "fit", []), log
    assert found["data"] == {"class": "Points", "hparams": {"folder": "data", "batch_size": 16}}
    [train] = found["loaders"]["train"]
    assert (train["samples"], train["batches"], train["drop_last"]) == (24, 1, True)
    assert train["dataset"] == "torch.utils.data.dataset.Subset(torch.utils.data.dataset.TensorDataset)"
    assert [loader["batch_size"] for loader in found["loaders"]["val"]] == [3, 2]
    [logger] = found["loggers"]
    assert (logger["log_dir"], logger["version"]) == ("results/points/version_3", 3)
    files = found["files"]
    assert "data/points.csv" in files["read"]
    assert files["restored"] == ["journal.txt", "old.txt"] and "results" in files["removed"]
    assert left(tmp_path) == ["data", "data/points.csv", "journal.txt", "old.txt", "script.py"]
    assert (here / "journal.txt").read_text() == "first line\n" and (here / "old.txt").read_text() == "old"
    assert found["checkpoints"][0]["folder"] == "results/points/version_3/checkpoints"


SEARCH = (
    NET
    + """
from lightning.pytorch.tuner import Tuner
loader = DataLoader(data(60), batch_size=20)
trainer = L.Trainer(max_epochs=3, **QUIET)
model = Net(6)
tuner = Tuner(trainer)
finder = tuner.lr_find(model, loader)
finder.plot(suggest=True).savefig("lr.png")
model.hparams.lr = finder.suggestion() or 1.0
before = trainer.validate(model, loader)[0]["val/loss"]
print("before", before)
trainer.fit(model, loader, loader)
"""
)


def test_a_search_for_the_learning_rate_is_noted_and_left_out(probe: Run, tmp_path: Path) -> None:
    code, found, log = probe(SEARCH)
    assert (code, found["reached"], found["faults"]) == (0, "fit", []), log
    assert found["decided_at_run_time"] == ["lr"] and found["skipped"] == ["validate"]
    assert found["optimizers"][0]["groups"][0]["lr"] == 0.05
    assert "before nan" in log and left(tmp_path) == ["script.py"]


MANUAL = (
    NET
    + """
class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        for index in range(10**9):
            yield {"x": torch.randn(4), "name": f"sample {index}", "pair": (torch.tensor(index), 1.5)}

class Two(L.LightningModule):
    automatic_optimization = False
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)
        self.a.requires_grad_(False)
    def training_step(self, batch, index): raise AssertionError("trained")
    def configure_optimizers(self):
        return torch.optim.SGD(self.a.parameters(), 0.1, momentum=0.9), torch.optim.Adam(self.b.parameters(), 1e-4)

L.Trainer(max_steps=5, **QUIET).fit(Two(), DataLoader(Stream(), batch_size=3, num_workers=2))
"""
)


def test_two_optimizers_and_an_endless_stream(probe: Run) -> None:
    code, found, log = probe(MANUAL)
    assert (code, found["reached"], found["faults"]) == (0, "fit", []), log
    assert [optimizer["groups"][0]["lr"] for optimizer in found["optimizers"]] == [0.1, 1e-4]
    model = found["model"]
    assert (model["parameters"], model["trainable_parameters"], model["automatic_optimization"]) == (25, 5, False)
    assert not model["forward"] and not model["validation_step"]
    [train] = found["loaders"]["train"]
    assert (train["iterable"], train["samples"], train["shuffle"], found["loaders"]["val"]) == (True, None, False, [])
    batch = train["batch"]["structure"]
    assert batch["x"]["shape"] == [3, 4] and batch["name"] == ["str"] * 3 and batch["pair"][1]["dtype"] == "float64"
    assert found["trainer"]["max_steps"] == 5


def test_no_epochs_means_that_nothing_would_be_trained(probe: Run) -> None:
    text = NET + "L.Trainer(max_epochs=0, **QUIET).fit(Net(4), DataLoader(data(9)), DataLoader(data(9)))\n"
    found = probe(text)[1]
    assert (found["reached"], found["trains"], found["model"]["class"]) == ("fit", False, "Net")


LOOP = """
import torch
from torch.utils.data import DataLoader, TensorDataset
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
for x, y in DataLoader(TensorDataset(torch.randn(40, 4), torch.randn(40, 1)), batch_size=10, shuffle=True):
    loss = (model(x) - y).pow(2).mean()
    loss.backward()
    optimizer.step()
    print("stepped")
"""


def test_a_loop_of_its_own_ends_at_its_first_step(probe: Run) -> None:
    code, found, log = probe(LOOP)
    assert (code, found["reached"], found["framework"], found["faults"]) == (0, "step", "torch", []), log
    assert "stepped" not in log
    assert found["model"]["class"] == "torch.nn.modules.container.Sequential" and found["model"]["parameters"] == 49
    assert found["optimizers"][0]["groups"][0]["lr"] == 0.3
    [loader] = found["loaders"]["train"]
    assert (loader["samples"], loader["batch_size"], loader["shuffle"]) == (40, 10, True)


FORKED = """
import os, torch
open("before.txt", "w").close()
if os.fork():
    os.wait()
    print("the parent goes on")
    raise SystemExit(0)
open("in_the_child.txt", "w").close()
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
model(torch.zeros(1, 2)).sum().backward()
optimizer.step()
print("stepped")
"""


def test_a_training_in_a_child_that_the_script_forks_is_told_and_not_begun(probe: Run, tmp_path: Path) -> None:
    code, found, log = probe(FORKED)
    assert (code, found["reached"], found["faults"]) == (0, "step", []), log
    assert found["optimizers"][0]["groups"][0]["lr"] == 0.2
    assert "stepped" not in log and "the parent goes on" in log
    assert not {"before.txt", "in_the_child.txt"} & set(left(tmp_path))


WRITING = """
import multiprocessing, os, subprocess, sys, torch
def write(name):
    with open(name, "a") as file:
        file.write("more")
    os.replace("kept.txt", "moved.txt") if name == "c.txt" else None
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(write, ["a.txt", "b.txt", "old.txt"])
if not os.fork():
    write("c.txt")
    os.remove("gone.txt")
    sys.exit()
os.wait()
write("a.txt")
subprocess.run(["touch", "notes.txt", "plan.md"], check=True)
"""


def test_what_children_of_the_script_write_is_taken_back(probe: Run, tmp_path: Path) -> None:
    before = {"old.txt": "old", "kept.txt": "kept", "gone.txt": "gone"}
    (tmp_path / "here").mkdir()
    for name, text in before.items():
        (tmp_path / "here" / name).write_text(text)
    code, found, log = probe(WRITING + LOOP)
    assert (code, found["reached"], found["faults"]) == (0, "step", []), log
    files = {path.name: path.read_text() for path in (tmp_path / "here").glob("*.txt")}
    assert files == before
    told = [text for _, text, _ in probing.remarks(found, "train.py", {})]
    assert "train.py starts other programs before its training (touch): what is not taken back is plan.md" in told


SPAWNED = """
import multiprocessing, torch
def worker(rank):
    open(f"rank{rank}.txt", "w").close()
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    model(torch.zeros(1, 2)).sum().backward()
    optimizer.step()
    print("stepped")
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=worker, args=(rank,)) for rank in range(1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("the parent goes on")
"""


@pytest.mark.slow
def test_a_training_in_interpreters_that_the_script_starts_is_told_and_not_begun(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    done = python(tmp_path / "here", SPAWNED, PROGTRAIN_PROBE_FILE=str(tmp_path / "probe.json"), OMP_NUM_THREADS="1")
    found = json.loads((tmp_path / "probe.json").read_text())
    assert (done.returncode, found["reached"], found["faults"]) == (0, "step", []), done.stderr
    assert found["optimizers"][0]["groups"][0]["lr"] == 0.3
    assert done.stdout == "the parent goes on\n" and left(tmp_path) == ["script.py"]
    assert "rank0.txt" in found["files"]["removed"]


def test_weights_updated_by_hand_end_it_at_the_second_gradients(probe: Run) -> None:
    by_hand = "    for p in model.parameters():\n        p.data -= 0.1 * p.grad\n"
    text = LOOP.replace("    optimizer.step()\n", by_hand)
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("optimizer"))
    code, found, log = probe(text)
    assert (code, found["reached"], found["faults"], found["optimizers"]) == (0, "step", [], []), log
    assert log.count("stepped") == 1 and found["model"]["parameters"] == 49


def test_a_progress_bar_in_a_list_of_another_kind_is_no_contradiction(probe: Run) -> None:
    more = "from omegaconf import OmegaConf\nfrom lightning.pytorch.callbacks import TQDMProgressBar\n"
    text = (
        NET
        + more
        + (
            "bars = OmegaConf.create([TQDMProgressBar()], flags={'allow_objects': True})\n"
            "trainer = L.Trainer(max_epochs=1, callbacks=bars, logger=False, enable_checkpointing=False)\n"
            "trainer.fit(Net(8), DataLoader(data(20)), DataLoader(data(20)))\n"
        )
    )
    code, found, log = probe(text)
    assert (code, found["reached"], found["faults"]) == (0, "fit", []), log


POOLED = """
import multiprocessing
import torch
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, 2]))
print("the pool is gone")
"""


def test_a_pool_of_the_script_ends_before_the_training(probe: Run) -> None:
    code, found, log = probe(POOLED + LOOP)
    assert (code, found["reached"], found["faults"]) == (0, "step", []), log
    assert "the pool is gone" in log


ENDS: list[tuple[str, int, str, dict[str, Any]]] = [
    ("print('done')", 0, "ended", {}),
    ("import sys\nsys.exit('no data here')", 1, "ended", {"exit_code": 1, "exit_message": "no data here"}),
    ("name = input('Which model? ')", 1, "exception", {"asked": "Which model? "}),
]


@pytest.mark.parametrize("text, code, reached, facts", ENDS)
def test_scripts_that_end_before(probe: Run, text: str, code: int, reached: str, facts: dict[str, Any]) -> None:
    ended, found, _ = probe(text)
    assert (ended, found["reached"], found["fits"]) == (code, reached, 0)
    assert {name: found[name] for name in facts} == facts


def test_an_error_is_told_with_its_own_line(probe: Run, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "shapes.py").write_text("import json\ndef load(text):\n    return json.loads(text)\n")
    code, found, log = probe("from shapes import load\nload('{')\n")
    assert (code, found["reached"]) == (1, "exception")
    error = found["exception"]
    assert (error["type"], error["file"], error["line"]) == ("JSONDecodeError", "shapes.py", 3)
    assert "Traceback" in log and found["modules"] == {"shapes": "shapes.py"}
    assert left(tmp_path) == ["script.py", "shapes.py"]


def test_an_error_of_the_set_up_is_that_of_the_script(probe: Run) -> None:
    text = NET + "class No(Net):\n    configure_optimizers = lambda self: 1\n"
    text += "L.Trainer(max_epochs=1, **QUIET).fit(No(4), DataLoader(data(9)))\n"
    code, found, _ = probe(text)
    assert (code, found["reached"], found["exception"]["type"]) == (1, "exception", "MisconfigurationException")
    assert (found["exception"]["file"], found["exception"]["line"]) == ("script.py", len(text.splitlines()))


def test_a_script_that_needs_a_terminal_is_told_so(probe: Run) -> None:
    found = probe("import os\n_, width = os.popen('stty size').read().split()\n")[1]
    [(state, text, fix)] = probing.remarks(found, "train.py", {})
    assert (state, found["exception"]["line"]) == ("error", 2) and "ValueError" in text and "get_terminal_size" in fix


def test_a_missing_module_is_named(probe: Run) -> None:
    found = probe("import surely_not_there.part")[1]
    assert found["exception"]["module"] == "surely_not_there" and found["exception"]["line"] == 1


def test_wrong_arguments_are_told(probe: Run) -> None:
    code, found, log = probe(BARE)
    assert (code, found["reached"], found["exit_code"]) == (2, "ended", 2)
    assert "--width" in found["argument_error"] and "usage:" in log


PLAIN = """
import pytorch_lightning as pl, torch
from pytorch_lightning.callbacks import LearningRateFinder
from torch.utils.data import DataLoader, TensorDataset

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.lr, self.layer = 0.1, torch.nn.Linear(4, 1)
    def training_step(self, batch, index): raise AssertionError("trained")
    def configure_optimizers(self): return torch.optim.Adam(self.parameters(), self.lr)

print("begun")
pl.Trainer(max_epochs=3, callbacks=[LearningRateFinder()]).fit(Net(), DataLoader(TensorDataset(torch.zeros(8, 4)), 2))
"""


@pytest.mark.slow
def test_the_other_name_of_lightning_in_a_process_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    (tmp_path / "here").mkdir()
    done = python(tmp_path / "here", PLAIN, PROGTRAIN_PROBE_FILE=str(tmp_path / "probe.json"), OMP_NUM_THREADS="1")
    found = json.loads((tmp_path / "probe.json").read_text())
    assert (done.returncode, done.stdout, found["reached"], found["faults"]) == (0, "begun\n", "fit", [])
    assert (found["framework"], found["decided_at_run_time"]) == ("pytorch_lightning", ["lr"])
    assert found["optimizers"][0]["groups"][0]["lr"] == 0.1 and found["loaders"]["train"][0]["batches"] == 4
    assert left(tmp_path) == ["script.py"]


def left(tmp_path: Path) -> list[str]:
    here = tmp_path / "here"
    return sorted(path.relative_to(here).as_posix() for path in here.rglob("*"))
