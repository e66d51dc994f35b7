"""A loop whose scripts start warm: the numbers are those of a cold one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import examples
from progtrain.engine.control import launch
from progtrain.engine.control.context import forget
from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner, sequence
from progtrain.engine.schema import JobState, load
from progtrain.engine.script import probe
from progtrain.engine.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

WARM = "scripts start with their packages imported already (--cold: each in a new interpreter)"
#: small and quick to import; its results are collected
SCRIPT = """\
import csv, os, random, sys
import numpy as np
import torch
from torch import nn

torch.set_num_threads(2)
if "seed" in sys.argv:
    torch.manual_seed(7)
    np.random.seed(7)
rng = torch.Generator().manual_seed(1)
x = torch.randn(256, 64, generator=rng)
y = x @ torch.randn(64, 1, generator=rng)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 1))
print("drawn", torch.rand(1).item(), np.random.rand(), random.random())
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(x, y), batch_size=32, shuffle=True, num_workers=2,
    multiprocessing_context="spawn" if "spawn" in sys.argv else "fork",
)
optimizer = torch.optim.Adam(model.parameters())
if __name__ == "__main__":
    for epoch in range(2):
        for a, b in loader:
            loss = nn.functional.mse_loss(model(a), b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())
    torch.save(model.state_dict(), "weights.pt")
    print(sorted(n for n in os.environ if n.startswith("OMP")), torch.get_num_threads())
"""


def notes(ws: Workspace) -> list[str]:
    return [e["text"] for e in LineReader(ws.journal).read() if e["event"] == "note"]


def _train(ws: Workspace, *arguments: str, cold: bool) -> tuple[str, bytes, JobState]:
    context = runner.prepare(ws, Options(cold=cold))
    script = ws.script("v001")
    script.write_text(SCRIPT)
    state = context.run_script("one", [script.name, *arguments], begins_as=script)
    log, weights = ws.job("one").log.read_text(), (ws.root / "weights.pt").read_bytes()
    forget(ws.job("one"))
    context.executor.close()
    assert state.exit_code == 0, log
    return log, weights, state


@pytest.mark.parametrize("workers", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_training_gives_the_same_weights_bit_for_bit(plain: Workspace, workers: str) -> None:
    pytest.importorskip("torch")
    (cold, cold_weights, as_cold), (warm, warm_weights, as_warm) = (
        _train(plain, "seed", workers, cold=how) for how in (True, False)
    )
    assert (as_cold.started, as_warm.started) == ("", "warm")
    # that of the standard library has no seed here, and the workers of a spawn draw numbers of their own
    numbers = re.compile(r" [\d.e-]+$", re.MULTILINE)
    assert numbers.sub("", warm.splitlines()[0]) == numbers.sub("", cold.splitlines()[0])
    assert [line for line in warm.splitlines() if "drawn" not in line] == [
        line for line in cold.splitlines() if "drawn" not in line
    ]
    assert warm_weights == cold_weights
    assert notes(plain).count(WARM) == 1


#: as `adopt` begins a script from another folder, and as many others begin
SET_UP = """\
import sys; sys.path.insert(0, "src")  # its modules lie there
import os
import warnings
os.environ["HF_HOME"] = "kept"
warnings.filterwarnings("ignore")
"""


@pytest.mark.slow
def test_what_is_done_before_the_imports_starts_warm_and_gives_the_same(plain: Workspace) -> None:
    """In a probe too, which takes back what is written, and leaves caches alone where the environment names some."""
    pytest.importorskip("torch")
    (plain.root / "src").mkdir()
    (plain.root / "src" / "own.py").write_text("import json\nSIZE = 4\n")
    begins = SCRIPT.replace("import torch\n", "import own, torch\n").partition("x = ")[0]
    script = plain.script("v001")
    script.write_text(
        f"{SET_UP}{begins}"
        # the guard gives each job an id of its own
        "environ = sorted(item for item in os.environ.items() if item[0] != 'PROGTRAIN_JOB')\n"
        "print(sys.path, warnings.filters, environ)\n"
        "os.makedirs('kept')\nopen('kept/x', 'w').close()\n"
        "weight = torch.zeros(3, requires_grad=True)\nweight.sum().backward()\n"
        "torch.optim.SGD([weight], lr=0.1).step()\n"
    )
    found = []
    for cold in (True, False):
        context = runner.prepare(plain, Options(cold=cold))
        state = context.run_script("one", [script.name], begins_as=script)
        assert (state.exit_code, state.started) == (0, "" if cold else "warm")
        found.append(plain.job("one").log.read_text())
        shutil.rmtree(plain.root / "kept")
        forget(plain.job("one"))
        probed = probe.run(sys.executable, script, root=plain.root, executor=None if cold else context.executor)
        assert probed["reached"] == "step"
        assert not (plain.root / "kept").exists()
        context.executor.close()
    drawn = re.compile(r"^drawn.*$", re.MULTILINE)
    assert drawn.sub("", found[0]) == drawn.sub("", found[1])


@pytest.mark.slow
def test_trainings_without_a_seed_differ_as_in_new_interpreters(plain: Workspace) -> None:
    pytest.importorskip("torch")
    context = runner.prepare(plain, Options())
    script = plain.script("v001")
    script.write_text(SCRIPT)
    drawn: list[str] = []
    for _ in range(2):
        state = context.run_script("one", [script.name], begins_as=script)
        assert state.started == "warm"
        drawn += plain.job("one").log.read_text().splitlines()[0].split()[1:]
        forget(plain.job("one"))
    context.executor.close()
    assert len(set(drawn)) == 6


def test_cold_is_kept_for_the_loop_until_warm_is_asked_for(plain: Workspace) -> None:
    """Whoever answers a question later starts the loop with no options."""
    runner.run(plain, Options(autopilot=True, cold=True, until="initialize"))
    assert runner.prepare(plain, Options()).cold
    runner.run(plain, Options(autopilot=True, cold=False, until="initialize"))
    assert not runner.prepare(plain, Options()).cold


def test_why_a_script_starts_cold_is_told_once(plain: Workspace) -> None:
    script = plain.script("v001")
    script.write_text("import os\nos.environ['X'] = os.name\nif os.name != 'posix':\n    import torch\n")
    context = runner.prepare(plain, Options())
    for _ in range(2):
        assert context.run_script("one", [script.name], begins_as=script).started == ""
        forget(plain.job("one"))
    why = "02_train_v001.py, line 2, comes before the imports that take long"
    assert notes(plain) == [f"scripts start in a new interpreter each time: {why}"]


# ---- with Lightning


@pytest.fixture
def digits(tmp_path: Path) -> Workspace:
    pytest.importorskip("lightning")
    ws = Workspace(tmp_path / "digits")
    examples.write("digits", ws.root)
    subprocess.run([sys.executable, ws.pipeline_script.name], cwd=ws.root, check=True, capture_output=True)
    return ws


def _loop(ws: Workspace, until: str = "evaluate", **options: Any) -> None:
    text = ws.baseline_script.read_text()
    ws.baseline_script.write_text(re.sub(r"^EPOCHS = \d+", "EPOCHS = 2", text, flags=re.M))
    assert runner.run(ws, Options.model_validate({"autopilot": True, "until": until, **options})) == 0


@pytest.mark.slow
def test_training_and_evaluation_of_an_example_are_the_same_bit_for_bit(digits: Workspace, tmp_path: Path) -> None:
    import torch

    warm = Workspace(tmp_path / "warm")
    shutil.copytree(digits.root, warm.root)
    _loop(digits, cold=True)
    _loop(warm)
    assert WARM in notes(warm) and WARM not in notes(digits)
    assert load(warm.job("v001-train-1").state, JobState).started == "warm"
    ours, theirs = warm.version("v001"), digits.version("v001")
    for name in ("best.ckpt", "last.ckpt"):
        found, wanted = (torch.load(f.path / name, weights_only=False)["state_dict"] for f in (ours, theirs))
        assert found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in found)
    for path in ("logs/version_0/metrics.csv", "_eval/per_sample.csv"):
        assert (ours.path / path).read_bytes() == (theirs.path / path).read_bytes()
    assert ours.path.joinpath("spec.json").is_file() and warm.record("v001").is_file() and warm.live("v001").is_file()
    scores = [json.loads(f.eval_score.read_text()) for f in (ours, theirs)]
    assert scores[0]["metrics"] == scores[1]["metrics"]


@pytest.mark.slow
def test_two_processes_train_as_they_do_cold(digits: Workspace, tmp_path: Path) -> None:
    """The second one is started by the script itself, by what `sys.argv` says."""
    text = digits.baseline_script.read_text()
    changed = re.sub(r'accelerator="cpu",', 'accelerator="cpu", devices=2, strategy="ddp",', text)
    assert changed != text
    digits.baseline_script.write_text(changed)
    warm = Workspace(tmp_path / "warm")
    shutil.copytree(digits.root, warm.root)
    _loop(digits, until="train", cold=True)
    _loop(warm, until="train")
    assert load(warm.job("v001-train-1").state, JobState).started == "warm"
    tables = [(w.version("v001").log_dirs()[-1] / "metrics.csv").read_text() for w in (warm, digits)]
    assert tables[0] and tables[0] == tables[1]


@pytest.mark.slow
def test_a_stop_ends_a_warm_training_after_its_batch(digits: Workspace) -> None:
    text = digits.baseline_script.read_text()
    digits.baseline_script.write_text(re.sub(r"^EPOCHS = \d+", "EPOCHS = 100000", text, flags=re.M))
    process = launch.start(digits, Options(autopilot=True))
    try:
        while not digits.live("v001").is_file():
            assert process.poll() is None
            process_wait(process)
        launch.stop(digits)
        assert launch.wait_until_stopped(digits, 60)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
    assert sequence.last_loop(digits)[0] is not None


def process_wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return
