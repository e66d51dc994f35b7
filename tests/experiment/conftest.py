"""Experiments of a command: a training or an evaluation takes a tenth of a second."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import runner
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.opening import executor_of, opened
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.stages import scaffold
from progtrain.engine.experiment.view import look
from progtrain.engine.workspace import Workspace
from tests.experiment.tools import OTHER_PYTHON
from tests.jobs.conftest import cluster, running_cluster  # noqa: F401 - fixtures

#: tells of each start in a line of starts.txt; what a run is to do wrong stands in faults.json, by its rank
TRAIN = """
import json, os, signal, sys, time
rank, rate, out = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
batch, steps = int(os.environ.get("PROGTRAIN_PARAM_BATCH_SIZE", 8)), 3
with open("starts.txt", "a") as file:
    file.write(f"{os.environ['PROGTRAIN_RUN']} {batch} {os.environ.get('PROGTRAIN_RESUME', '')}\\n")
fault = json.load(open("faults.json")).get(str(rank), {}) if os.path.exists("faults.json") else {}
if fault.get("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.fork()
    with open("pids.txt", "a") as file:
        file.write(f"{os.getpid()}\\n")
filled = bytearray(os.urandom(1 << 20)) * fault.get("megabytes", 0)
time.sleep(fault.get("seconds", 0))
if fault.get("saves"):
    # as a job whose time is nearly over: it saves, and ends with the exit code that says so
    step = 5 if fault.get("stuck") or not os.environ.get("PROGTRAIN_RESUME") else 10
    with open(os.environ["PROGTRAIN_LIVE_FILE"], "w") as file:
        file.write(json.dumps({"step": step, "steps": 10}) + "\\n")
    open(os.path.join(out, "last.json"), "w").write("{}")
    if step < 10:
        os.kill(os.getppid(), signal.SIGUSR1)
        while not os.path.exists(os.environ["PROGTRAIN_STOP_FILE"]):
            time.sleep(0.05)
        sys.exit(0)
if batch > fault.get("fits", 1000):
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
if fault.get("exit"):
    sys.exit(fault["exit"])
if not fault.get("empty"):
    with open(os.path.join(out, "best.json"), "w") as file:
        json.dump({"score": 1 / rank + rate}, file)
"""
EVALUATE = """
import json, os, sys
made, out = sys.argv[1:]
with open("evaluations.txt", "a") as file:
    file.write(os.environ["PROGTRAIN_RUN"] + "\\n")
score = json.load(open(made))["score"]
rows = "".join(f"s{i},{score}\\n" for i in range(4))
open(os.path.join(out, "per_sample.csv"), "w").write("sample_id,accuracy\\n" + rows)
json.dump({"metrics": {"accuracy": score}, "num_samples": 4}, open(os.path.join(out, "eval_score.json"), "w"))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index of runs: of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "progtrain" / "index.sqlite"


@pytest.fixture
def lab(ws: Workspace) -> Workspace:
    """A workspace with a command that trains and one that evaluates."""
    (ws.root / "train.py").write_text(TRAIN)
    (ws.root / "evaluate.py").write_text(EVALUATE)
    return ws


@pytest.fixture
def planned(lab: Workspace) -> Callable[..., ExperimentFolder]:
    """Writes a plan of two by two runs and a control: `planned(variables={...})` says otherwise."""

    def write(name: str = "cap", **parts: Any) -> ExperimentFolder:
        folder = folders.folder(lab, name)
        plan: dict[str, Any] = {
            "experiment": {"name": name, "question": "Does rank matter?"},
            "tools": {"training": "command", "evaluation": ["command"]},
            "base": {"command": ["python", "train.py", "{rank=4}", "{rate=0.5}", "{artifacts}"]},
            "variables": {"rank": [8, 16], "rate": [0.1, 0.2]},
            "runs": {"add": [{"name": "base", "type": "control"}]},
            "evaluation": {
                "tasks": [{"name": "caps", "command": ["python", "evaluate.py", "{checkpoint}", "{output}"]}]
            },
        }
        plan |= parts
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.plan.write_text(yaml.safe_dump(plan, sort_keys=False))
        return folder

    return write


@pytest.fixture
def faults(lab: Workspace) -> Callable[..., None]:
    """What trainings of a rank do wrong: `faults({8: {"exit": 7}})`."""

    def write(told: dict[int, dict[str, Any]]) -> None:
        (lab.root / "faults.json").write_text(json.dumps(told))

    return write


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def starts(ws: Workspace) -> list[str]:
    """Names of the runs whose script was started, in order."""
    return [line.split()[0] for line in lines(ws.root / "starts.txt")]


def scaffolded(ws: Workspace, name: str = "cap") -> None:
    experiment = opened(ws, name)
    scaffold.run(experiment, executor_of(experiment))


def carried_out(ws: Workspace, name: str = "cap", *runs: str) -> int:
    """Scaffolds and runs, in this process; the exit code."""
    scaffolded(ws, name)
    return runner.run(ws, name, Options(runs))


def phases(folder: ExperimentFolder) -> dict[str, str]:
    return {held.run.name: held.phase for held in look(folder).states}


def reasons(folder: ExperimentFolder) -> dict[str, str]:
    return {held.run.name: f"{held.cause}: {held.reason}" for held in look(folder).states}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model with random weights, made once."""
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([OTHER_PYTHON, Path(__file__).with_name("tiny_model.py"), folder, "chat"], check=True, timeout=300)
    return folder
