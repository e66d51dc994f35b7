"""Versions that were validated on other samples, or trained on data that changed, are not compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import comparable, hooks, prepared_data
from progtrain.engine.control.launch import Options, name_python
from progtrain.engine.loop.runner import prepare
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain

DRAW = """\
import torch
from torch.utils.data import TensorDataset, random_split

whole = TensorDataset(torch.arange(60.0))
"""
LOOP = """\
import torch
from torch.utils.data import DataLoader, TensorDataset, random_split

whole = TensorDataset(torch.randn(60, 3), torch.arange(60) % 2)
train, valid = random_split(whole, [40, 20]{generator})
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    for x, y in DataLoader(train, batch_size=8):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    with open("metrics.csv", "a") as file:
        print(epoch, loss.item(), sep=",", file=file)
torch.save(model.state_dict(), "best.pt")
"""


def drawn(ws: Workspace, version: str, code: str) -> dict[str, Any]:
    """What is kept of the split that the code draws in a training of this version."""
    ws.record(version).parent.mkdir(parents=True, exist_ok=True)
    script = ws.script(version)
    script.write_text(DRAW + code)
    environment = os.environ | hooks.of_training(ws, version)
    done = subprocess.run([sys.executable, script.name], cwd=ws.root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = comparable.split_of(ws, version)
    assert found is not None
    return dict(found)


def scored(ws: Workspace, version: str, data: str = "d") -> None:
    protocol = {
        "evaluator_sha256": "e",
        "data_sha256": data,
        "checkpoint_sha256": "c",
        "script_sha256": "s",
        "seed": 42,
        "split": "valid",
        "num_samples": 12,
        "created_at": "2026-01-01T00:00:00+00:00",
        "task": "classification",
    }
    ws.version(version).protocol.parent.mkdir(parents=True, exist_ok=True)
    ws.version(version).protocol.write_text(json.dumps(protocol))


def test_a_split_of_the_scripts_own_is_recorded_and_must_not_change(ws: Workspace) -> None:
    split = "a, b = random_split(whole, [40, 20], torch.Generator().manual_seed({seed}))\nprint(sorted(b.indices))\n"
    one, other = drawn(ws, "v001", split.format(seed=1)), drawn(ws, "v003", split.format(seed=2))
    ws.script("v002").write_text(ws.script("v001").read_text())
    ws.split_record("v002").parent.mkdir()
    ws.split_record("v002").write_text(json.dumps(one))
    assert one["by"] == "random_split" and one["count"] == 20
    assert one["sha256"] != other["sha256"]
    for version in ("v001", "v002", "v003"):
        scored(ws, version)
    assert comparable.why_not(ws, "v001", "v002") == ""
    why = comparable.why_not(ws, "v001", "v003")
    assert why.startswith("was validated on other samples (split changed: ")
    assert why.endswith(" of 20 validation samples are other ones; give random_split a generator with a fixed seed)")
    # what is scored does not hang on it
    for version in ("v001", "v003"):
        ws.script(version).write_text("def load_split(split): ...\n")
    assert comparable.why_not(ws, "v001", "v003") == ""


def test_the_newest_version_is_read_once_for_all_before_it(ws: Workspace) -> None:
    versions = [f"v00{number}" for number in range(1, 6)]
    for version in versions:
        scored(ws, version, "d" if version != "v002" else "other")
        ws.script(version).write_text("LR = 0.1\n")
        score = {
            "dataset_id": "d",
            "created_at": "2026-01-01T00:00:00+00:00",
            "num_samples": 12,
            "metrics": [{"name": "accuracy", "value": 0.5, "higher_is_better": True}],
            "latency_ms": None,
        }
        ws.version(version).eval_score.write_text(json.dumps(score))
    code = (
        "import sys; from pathlib import Path; from progtrain.engine.drafting import history\n"
        "from progtrain.engine.rules.rules import load; from progtrain.engine.workspace import Workspace\n"
        "ws, opened = Workspace(Path(sys.argv[1])), []\n"
        "rules = load(ws)\n"
        "sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0])))\n"
        "found = history.records(ws, rules, until='v005')\n"
        "print([r.version for r in found if not r.comparable], opened.count(str(ws.version('v005').protocol)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ws.root)], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "['v002'] 1", done.stderr


@pytest.mark.slow
def test_scikit_learns_split_is_told_by_the_numbers_of_the_whole(ws: Workspace) -> None:
    code = (
        "from sklearn.model_selection import train_test_split\n"
        "rest, test, kept, gone = train_test_split(list(range(50)), list('abcde' * 10), random_state=3)\n"
        "assert len(rest) == len(kept) == 37 and len(gone) == 13\n"
        "train, valid = train_test_split(rest, test_size=7, random_state=4)\n"
        "print(sorted(valid))\n"
    )
    found = drawn(ws, "v001", code)
    done = subprocess.run([sys.executable, ws.script("v001").name], cwd=ws.root, capture_output=True, text=True)
    expected = {"by": "train_test_split", "count": 7, "ids": json.loads(done.stdout)}
    assert (found["by"], found["count"]) == (expected["by"], expected["count"])
    assert comparable._ids(found) == {str(number) for number in expected["ids"]}


SAMPLED = """\
from torch.utils.data import DataLoader, SubsetRandomSampler
order = torch.randperm(60, generator=torch.Generator().manual_seed({seed})).tolist()
train = DataLoader(whole, batch_size=8, sampler=SubsetRandomSampler(order[:40]))
valid = DataLoader(whole, batch_size=8, sampler=SubsetRandomSampler(order[40:]))
next(iter(train)), next(iter(valid))
print(sorted(order[40:]))
"""


@pytest.mark.slow
def test_numbers_that_samplers_are_bound_to_are_a_split(ws: Workspace) -> None:
    one, again, other = (drawn(ws, f"v00{n}", SAMPLED.format(seed=seed)) for n, seed in enumerate((1, 1, 2), start=1))
    assert (one["by"], one["count"]) == ("SubsetRandomSampler", 20)
    assert comparable.split_change(one, again) == ""
    told = comparable.split_change(one, other)
    assert told.endswith("draw the numbers that SubsetRandomSampler gets with a fixed seed")


@pytest.mark.slow
def test_a_validation_loader_tells_the_numbers_of_its_sampler(ws: Workspace) -> None:
    code = (
        "from torch.utils.data import DataLoader, Subset, SubsetRandomSampler\n"
        "import progtrain_split as split\n"
        "parts = random_split(whole, [40, 20], torch.Generator().manual_seed(0))\n"
        "SubsetRandomSampler([9]); SubsetRandomSampler([8])\n"
        "assert split._drawn['by'] == ['random_split']\n"
        "part = Subset(whole, range(10, 30))\n"
        "split.keep(DataLoader(part, sampler=SubsetRandomSampler([1, 3])))\n"
    )
    found = drawn(ws, "v001", code)
    assert comparable._ids(found) == {"11", "13"}


def test_what_a_loader_holds_is_told_by_numbers_or_by_content(ws: Workspace) -> None:
    code = (
        "from torch.utils.data import DataLoader, Subset\n"
        "import progtrain_split as split\n"
        "part = Subset(Subset(whole, range(10, 30)), [1, 3])\n"
        "assert split._ids_of(part) == ('Subset', [11, 13])\n"
        "same = [split.facts(DataLoader(TensorDataset(torch.arange(n, n + 5.0)))) for n in (0, 0, 1)]\n"
        "assert same[0] == same[1] != same[2] and same[0]['by'] == 'content'\n"
        "assert split.facts(DataLoader(['a', 'b'])) is None\n"
        "split.keep({'a': DataLoader(part), 'b': DataLoader(part)})\n"
    )
    found = drawn(ws, "v001", code)
    assert (found["by"], found["count"]) == ("Subset", 4)
    assert comparable._ids(found) == {"0/11", "0/13", "1/11", "1/13"}


def test_data_that_changed_are_told_from_the_first_version_on(ws: Workspace) -> None:
    data = ws.root / "points.csv"
    data.write_text("a\n1\n")
    seen = data.stat()
    entry = {"path": "points.csv", "size": seen.st_size, "mtime_ns": seen.st_mtime_ns}
    ws.source("own").parent.mkdir(parents=True)
    ws.source("own").write_text(json.dumps({"files": [entry]}))
    data.write_text("a\n1\n2\n")
    assert prepared_data.told_of_change(ws, "own") == ""  # no version yet
    prepared_data.see_anew(ws, "own")
    ws.script("v001").write_text("")
    assert prepared_data.told_of_change(ws, "own") == ""
    data.write_text("a\n1\n2\n3\n")
    told = prepared_data.told_of_change(ws, "own")
    assert told.startswith(
        "one of the data's files is not as dataset/prepdata/own/source.json has it, such as points.csv"
    )
    for version, digest in (("v001", "old"), ("v002", "new")):
        scored(ws, version)
        ws.version(version).spec.write_text(json.dumps({"dataset_id": "own", "data_sha256": digest}))
    assert "data that have changed since" in comparable.why_not(ws, "v001", "v002")


@pytest.mark.parametrize(
    ("generator", "warned"),
    [
        pytest.param("", True, id="unseeded"),
        pytest.param(", torch.Generator().manual_seed(1)", False, id="seeded"),
    ],
)
@pytest.mark.slow
def test_check_warns_of_a_split_that_is_drawn_anew(ws: Workspace, generator: str, warned: bool) -> None:
    ws.baseline_script.write_text(LOOP.format(generator=generator))
    ws.data("own").mkdir(parents=True)
    done = progtrain(ws, "check", "--dataset-id", "own")
    assert ("parts its data anew each time" in done.stdout) == warned, done.stdout
    assert ("give random_split a generator with a fixed seed" in done.stdout) == warned


def test_the_interpreter_named_at_the_beginning_is_kept_for_the_loop(plain: Workspace, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    assert prepare(plain, Options(), dry_run=True).python == sys.executable
    name_python(plain, str(python))
    assert prepare(plain, Options(), dry_run=True).python == str(python)
    assert prepare(plain, Options(python="/other"), dry_run=True).python == "/other"
