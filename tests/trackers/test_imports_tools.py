"""Runs as the trackers themselves write them, read without them; event files against TensorBoard's own reader."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.trackers import imports
from progtrain.engine.workspace import Workspace
from tests.trackers.test_imports import curve, told
from tests.trackers.writers import BEGAN, POINTS

PYTHON = Path(sys.prefix) / "trackers" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PYTHON.parents[1] / "ready").exists(), reason=f"{PYTHON} is not set up: make test-all does it"
    ),
]


def by_its_own(what: str, folder: Path) -> str:
    words = [str(PYTHON), str(Path(__file__).with_name("writers.py")), what, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("source", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_what_a_tracker_writes_is_read_point_by_point(ws: Workspace, tmp_path: Path, source: str) -> None:
    folder = tmp_path / "written"
    folder.mkdir()
    by_its_own(source, folder)
    outcomes, problems = imports.take_in(ws, source, folder)
    assert ([outcome.name for outcome in outcomes], problems) == (["calm", "late"], [])
    for name in ("calm", "late"):
        run = told(ws, name)
        assert (run["params"]["learning_rate"], run["params"]["optimizer"]) == (0.003, "adam")
        assert run["notes"] == []
        found = curve(ws, name, "val_loss")
        assert [step for step, _, _ in found] == list(range(POINTS))
        assert [at for _, at, _ in found] == pytest.approx([BEGAN + step for step in range(POINTS)], abs=1e-3)
        exact = 1e-6 if source == "tensorboard" else 0
        assert [value for *_, value in found] == pytest.approx([1 / (step + 1) for step in range(POINTS)], rel=exact)
        if source != "tensorboard":
            assert math.isnan(curve(ws, name, "odd")[0][2]) and run["final"]["odd"] is None
    if source == "wandb":
        assert run["final"]["eval/accuracy"] == 0.91 and run["params"]["nested.width"] == 8


def by_tensorboard(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(by_its_own("read", folder).splitlines()[-1])
    return found


def test_event_files_are_read_as_by_tensorboard_also_where_they_are_cut_off(ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "written"
    folder.mkdir()
    by_its_own("tensorboard", folder)
    first = min((folder / "late").iterdir())
    first.write_bytes(first.read_bytes()[:40_000])
    theirs = by_tensorboard(folder)
    imports.take_in(ws, "tensorboard", folder)
    for name in ("calm", "late"):
        for tag, points in theirs[name].items():
            assert curve(ws, name, tag) == [(step, round(at, 6), value) for step, at, value in points]
    assert 0 < len(theirs["late"]["val_loss"]) < POINTS and "cut off" in told(ws, "late")["notes"][0]
