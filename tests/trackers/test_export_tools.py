"""Exports read back by the trackers themselves, without any network: points, steps, times, settings, origin; twice."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.trackers import export, runs
from progtrain.engine.workspace import Workspace

PYTHON = Path(sys.prefix) / "trackers" / "bin" / "python"
TOOLS = ("tensorboard", "mlflow", "trackio", "wandb")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PYTHON.parents[1] / "ready").exists(), reason=f"{PYTHON} is not set up: make test-all does it"
    ),
]


def _alone() -> list[str]:
    """Runs what follows without any network interface, where this machine lets one do so."""
    words = ["unshare", "-n"]
    there = shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0
    return words if there else []


def _export(ws: Workspace, tool: str) -> list[str]:
    words = [sys.executable, "-m", "progtrain", "-C", str(ws.root), "export", tool, "--python", str(PYTHON), "--json"]
    done = subprocess.run([*_alone(), *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [run["outcome"] for run in json.loads(done.stdout)["runs"]]


def _read(ws: Workspace, tool: str) -> dict[str, dict[str, Any]]:
    place = export.target(ws, tool, None, False, "").to
    words = [str(PYTHON), str(Path(__file__).with_name("readers.py")), tool, place]
    done = subprocess.run([*_alone(), *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    found = {run["id"]: run for run in told}
    assert len(found) == len(told)
    return found


def _curves(run: runs.Run) -> dict[str, list[tuple[int, int, float]]]:
    curves: dict[str, list[tuple[int, int, float]]] = {}
    for step, _, at, numbers in runs.rows(run):
        for name, value in numbers.items():
            curves.setdefault(name, []).append((step, at, value))
    return curves


def _same_points(tool: str, read: Mapping[str, Any], run: runs.Run) -> None:
    wanted = _curves(run)
    assert read["curves"].keys() == wanted.keys()
    for name, points in wanted.items():
        there = sorted(read["curves"][name], key=lambda point: point[:2])
        assert [tuple(point[:2]) for point in there] == [point[:2] for point in points]
        # TensorBoard keeps 32 bits
        near = 1e-6 if tool == "tensorboard" else 0.0
        assert all(math.isclose(a[2], b[2], rel_tol=near) for a, b in zip(there, points, strict=True))


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_read_back_is_what_was_logged_and_twice_is_once(finished: Workspace, tool: str) -> None:
    assert _export(finished, tool) == ["new", "new"]
    first, second = runs.read(finished)
    for _ in range(2):
        read = _read(finished, tool)
        assert read.keys() == {first.id, second.id}
        for run in (first, second):
            told = read[run.id]
            _same_points(tool, told, run)
            assert (told["base_id"], told["lineage"]) == (run.base_id or "", run.lineage)
            assert float(told["params"]["learning_rate"]) == 0.001
            assert told["final"] == pytest.approx(dict(run.final), rel=1e-6)
            if "artifacts" in told:
                assert {"per_sample.csv", "action-extract.md"} <= set(told["artifacts"])
        assert _export(finished, tool) == ["same", "same"]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_version_that_was_scored_anew_is_updated(finished: Workspace, tool: str) -> None:
    _export(finished, tool)
    path = finished.version("v002").eval_score
    score = json.loads(path.read_text())
    score["metrics"][1]["value"] = 0.5
    score["created_at"] = "2026-11-27T09:00:00.125+00:00"
    path.write_text(json.dumps(score))
    assert _export(finished, tool) == ["same", "updated"]
    run = runs.read(finished)[1]
    read = _read(finished, tool)[run.id]
    assert read["final"]["accuracy"] == 0.5
    _same_points(tool, read, run)


def test_numbers_that_are_not_finite_reach_mlflow_as_it_keeps_them(finished: Workspace) -> None:
    log = finished.version("v001").path / "logs/version_0/metrics.csv"
    log.write_text("step,loss\n0,nan\n1,inf\n2,0.25\n")
    assert _export(finished, "mlflow") == ["new", "new"]
    run = runs.read(finished)[0]
    read = _read(finished, "mlflow")[run.id]
    values = [value for _, _, value in sorted(read["curves"]["loss"])]
    assert math.isnan(values[0])
    assert values[1:] == [sys.float_info.max, 0.25]
    assert (read["latest"], read["status"], read["times"]) == ({"loss": 0.25}, "FINISHED", [run.started, run.ended])
