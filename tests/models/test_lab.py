"""Where experience comes from: tasks that come out the same again, real scripts, honest outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lab.bench import Bench, error_of, gain
from benchmarks.lab.collect import explore
from benchmarks.lab.scripts import Start, make_script, random_start, write_workspace
from benchmarks.lab.tasks import FAMILIES, make_task
from benchmarks.lab.warm import WarmPython
from progtrain.engine.script.settings import find_settings


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmPython]:
    with WarmPython() as server:
        yield server


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_gives_the_same_task_again(family: str) -> None:
    one, other = make_task(7, family), make_task(7, family)
    assert one.faults == other.faults
    for name, (inputs, targets) in one.splits.items():
        assert np.array_equal(inputs, other.splits[name][0]) and np.array_equal(targets, other.splits[name][1])
        assert len(inputs) == len(targets) > 0
        assert np.isfinite(inputs).all()


@pytest.mark.parametrize("seed", range(40, 52))
def test_the_engine_finds_the_settings_of_every_script(seed: int) -> None:
    task = make_task(seed)
    start, _ = random_start(task, seed)
    found = {setting.key: setting.value for setting in find_settings(make_script(task, start))}
    for key in ("learning_rate", "batch_size", "epochs", "hidden_size", "dropout", "weight_decay", "momentum"):
        assert found.get(key) == getattr(start, key), key


def test_gains_are_ratios_of_errors_within_bounds() -> None:
    assert error_of(0.75, higher_is_better=True) == pytest.approx(0.25)
    assert error_of(0.75, higher_is_better=False) == 0.75
    assert error_of(float("nan"), higher_is_better=False) == float("inf")
    assert gain(0.4, 0.2) == pytest.approx(np.log(2))
    assert gain(0.4, float("inf")) == -3.0
    assert gain(float("inf"), 0.4) == 3.0
    assert gain(float("inf"), float("inf")) == 0.0


def test_a_script_runs_as_the_main_program_in_its_folder(warm: WarmPython, tmp_path: Path) -> None:
    script = (
        "import sys, os\nif __name__ == '__main__':\n    print(sys.argv, os.getcwd())\n    sys.exit(int(sys.argv[1]))\n"
    )
    (tmp_path / "script.py").write_text(script)
    ended = warm.run(["script.py", "3"], cwd=tmp_path, log=tmp_path / "log")
    assert ended.exit_code == 3 and not ended.timed_out
    assert (tmp_path / "log").read_text() == f"['script.py', '3'] {tmp_path}\n"


def test_what_goes_wrong_is_told_and_the_next_script_runs(warm: WarmPython, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("raise ValueError('no')\n")
    (tmp_path / "hangs.py").write_text("while True: pass\n")
    (tmp_path / "dies.py").write_text("import os\nos.abort()\n")
    (tmp_path / "works.py").write_text("print('fine')\n")
    log = tmp_path / "log"
    assert warm.run(["fails.py"], cwd=tmp_path, log=log).exit_code == 1
    assert "ValueError: no" in log.read_text()
    assert warm.run(["hangs.py"], cwd=tmp_path, log=log, timeout=0.5).timed_out
    assert warm.run(["dies.py"], cwd=tmp_path, log=log).exit_code < 0
    assert warm.run(["works.py"], cwd=tmp_path, log=log).exit_code == 0
    assert log.read_text() == "fine\n"


@pytest.mark.parametrize("plain", [True, False], ids=["own loop", "lightning"])
def test_training_is_repeatable_and_scored_on_samples_of_its_own(warm: WarmPython, tmp_path: Path, plain: bool) -> None:
    task = make_task(11, "clusters")
    start = Start(learning_rate=0.01, batch_size=32, epochs=5, hidden_size=16, plain=plain)
    write_workspace(tmp_path, task, start, metric="accuracy", branch_from="best", lock_epochs=True, versions=3)
    bench = Bench(tmp_path, warm)
    assert bench.train("v001")
    valid, held = bench.score("v001"), bench.score("v001", "test")
    assert valid is not None and held is not None
    rng = max(np.bincount(task.splits["test"][1])) / len(task.splits["test"][1])
    assert held.metric > rng
    counted = json.loads((bench.ws.version("v001").path / "held_out" / "eval_score.json").read_text())
    assert counted["num_samples"] == len(task.splits["test"][1])
    assert bench.train("v001") and bench.score("v001") == valid


@pytest.mark.slow
def test_outcomes_are_measured_against_the_best_version(warm: WarmPython, tmp_path: Path) -> None:
    states = explore(tmp_path / "workspace", 10_010, warm)
    assert states
    for state in states:
        best = state["errors"][state["best"]][1]
        for trial in state["trials"]:
            if trial["held"] is not None:
                assert trial["gain"] == pytest.approx(gain(best, trial["held"]), abs=1e-4)
            else:
                assert trial["verdict"] == "failed"
