"""The insight of a training that really ran: the wine example's baseline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Limits
from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]


def run(folder: Path, *command: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.mark.slow
def test_a_baseline_on_raw_measurements_is_told_to_standardise_them(tmp_path: Path) -> None:
    """On the files of a real training and evaluation."""
    folder = tmp_path / "wine"
    shutil.copytree(REPOSITORY / "examples" / "wine", folder)
    ensure_script(folder / "03_eval.py")
    baseline = (folder / "02_train_baseline.py").read_text()
    (folder / "02_train_v001.py").write_text(baseline.replace('VERSION = "baseline"', 'VERSION = "v001"'))
    run(folder, "01_data_pipeline.py")
    run(folder, "02_train_v001.py")
    run(folder, "03_eval.py", "--version", "v001")
    limits = Limits(primary_metric="accuracy", higher_is_better=True, locked=frozenset({"epochs", "batch_size"}))
    insight = gather(Workspace(folder), "v001", limits, [])
    assert insight.warnings == ()
    assert "unscaled_inputs" in {finding.id for finding in insight.findings}
    first = insight.candidates[0]
    assert first.id == "add_input_standardisation"
    assert len(insight.candidates) >= 8
    assert not {"epochs_up", "batch_size_down"} & {candidate.id for candidate in insight.candidates}
    assert parse_operation(first.operation)
    assert insight.log.endswith("logs/version_0/metrics.csv")
