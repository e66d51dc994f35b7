"""`progtrain baseline`: a few steps of a training, the batches that fit, and nothing left but a report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import smoke_test
from progtrain.engine.script import probe as probing
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain
from tests.cli.test_json import check

LOOP = """\
import torch
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 8
torch.manual_seed(1)
whole = TensorDataset(torch.randn(400, 3), torch.arange(400) % 2)
loader = DataLoader(whole, batch_size=BATCH_SIZE, shuffle=True)
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
for epoch in range({epochs}):
    for x, y in loader:
        {extra}
        loss = torch.nn.functional.cross_entropy(model(x), y){more}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(model.state_dict(), "best.pt")
    with open("metrics.csv", "a") as file:
        print(epoch, loss.item(), sep=",", file=file)
print("trained to its end")
"""


def written(ws: Workspace, **parts: Any) -> Workspace:
    values = {"rate": 0.1, "epochs": 50, "extra": "pass", "more": "", **parts}
    ws.baseline_script.write_text(LOOP.format(**values))
    return ws


def files(ws: Workspace) -> set[str]:
    return {path.relative_to(ws.root).as_posix() for path in ws.root.rglob("*") if path.is_file()}


def test_the_largest_batch_is_found_and_only_the_report_stays(ws: Workspace) -> None:
    written(ws)
    ws.version("baseline").path.mkdir(parents=True)
    ws.version("baseline").spec.write_text('{"mine": 1}')
    (ws.root / "metrics.csv").write_text("epoch,loss\n")
    before = files(ws)
    done = progtrain(ws, "baseline", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["batch_size"], told["largest_batch_size"], told["optimal_batch_size"]) == (8, 256, 8)
    assert told["why"] == "the script's own: 256 would leave 2 steps an epoch"
    assert told["status"] == "PASS" and told["samples"] == 400 and told["epoch_seconds"] > 0
    assert check(told)
    assert files(ws) - before == {"Models/Artifacts/baseline/_tests/baseline_smoke_test_report.md"}
    assert (ws.root / "metrics.csv").read_text() == "epoch,loss\n"
    spec = json.loads(ws.version("baseline").spec.read_text())
    assert spec["mine"] == 1 and spec["optimal_batch_size"] == 8
    report = ws.version("baseline").baseline_smoke_report.read_text()
    assert "- optimal_batch_size: 8 " in report and "- batches of 256: " in report


@pytest.mark.slow
def test_sizes_that_do_not_fit_are_passed_over(ws: Workspace) -> None:
    refuse = 'if len(x) > 40: raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")'
    done = progtrain(written(ws, extra=refuse), "baseline")
    assert done.returncode == 0, done.stderr
    assert "batches of 64: it does not fit into the memory" in done.stdout
    assert "the largest that fits is 32" in done.stdout


@pytest.mark.slow
def test_a_batch_of_its_own_that_does_not_fit_is_replaced(ws: Workspace) -> None:
    refuse = 'if len(x) > 2: raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")'
    done = progtrain(written(ws, extra=refuse), "baseline")
    assert done.returncode == 0, done.stderr
    assert "batch size: 2, the script's own does not fit; the largest that fits is 2" in done.stdout


@pytest.mark.parametrize(
    ("parts", "code", "expected"),
    [
        ({"extra": "x.nowhere"}, 2, "AttributeError: 'Tensor' object has no attribute 'nowhere'"),
        pytest.param(
            {"epochs": 0},
            2,
            "02_train_baseline.py ends without training; the last that it printed: trained to its end",
            marks=pytest.mark.slow,
        ),
        ({"more": " * float('nan')"}, 1, "failed: the loss is not finite"),
    ],
    ids=["error", "no training", "nan"],
)
def test_what_does_not_train_is_one_message(ws: Workspace, parts: dict[str, Any], code: int, expected: str) -> None:
    done = progtrain(written(ws, **parts), "baseline")
    assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert expected in done.stdout + done.stderr
    assert files(ws) >= {"02_train_baseline.py"} and not (ws.root / "best.pt").exists()


def test_a_process_that_would_fill_the_memory_is_ended(ws: Workspace) -> None:
    written(ws, extra="held = [torch.ones(2**20) for _ in range(10000)]")
    how = {"steps": 10, "batch_size": None, "every_loader": False, "memory": 2**30, "seconds": 20.0}
    found = probing.run(sys.executable, ws.baseline_script, root=ws.root, measure=how)
    assert found["reached"] == "memory" and found["held"] > 2**30


@pytest.mark.slow
def test_a_short_training_has_fewer_steps(ws: Workspace) -> None:
    written(ws, epochs=1)
    ws.baseline_script.write_text(
        ws.baseline_script.read_text().replace("randn(400", "randn(40").replace("400)", "40)")
    )
    said: list[str] = []
    outcome = smoke_test.run(ws, ws.baseline_script, sys.executable, (), said.append)
    assert outcome.passed and outcome.own.measured["steps"] <= 5
    assert said[0].startswith("batches of 8: ")


def test_without_a_script_it_says_what_to_do(tmp_path: Path) -> None:
    done = progtrain(Workspace(tmp_path), "baseline")
    assert done.returncode == 2 and "there is no such script" in done.stderr and "adopt" in done.stderr
