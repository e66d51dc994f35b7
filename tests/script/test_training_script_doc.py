"""The example of docs/training_script.md does what the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.script.baseline.audit import audit
from progtrain.engine.workspace import Workspace
from tests.templates.conftest import evaluated, evaluated_in, imported, run_here

__all__ = ["evaluated", "evaluated_in", "imported", "run_here"]

ROOT = Path(__file__).parents[2]


@pytest.mark.filterwarnings("ignore")
def test_the_smallest_example_is_audited_trained_and_evaluated(
    ws: Workspace,
    run_here: Callable[..., None],
    evaluated: Callable[..., Any],
) -> None:
    page = (ROOT / "docs" / "training_script.md").read_text(encoding="utf-8")
    match = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert match is not None
    ws.baseline_script.write_text(match[1])
    for split, count in (("train", 64), ("valid", 32)):
        folder = ws.split("points_v1", split)
        folder.mkdir(parents=True)
        x = np.random.default_rng(count).normal(size=(count, 4)).astype("float32")
        np.savez(folder / "points.npz", x=x, y=(x.sum(axis=1) > 0).astype("int64"))
    found = audit(ws, dataset_id="points_v1", settings={"epochs": 3})
    assert (found.findings, found.notes) == ((), [])
    ws.script("v001").write_text(match[1].replace('"baseline"', '"v001"'))
    ensure_script(ws.eval_script)
    run_here(ws.script("v001"))
    done = evaluated("--version", "v001")
    assert done.code == 0, done.err
    score = json.loads(ws.version("v001").eval_score.read_text())
    assert score["num_samples"] == 32
