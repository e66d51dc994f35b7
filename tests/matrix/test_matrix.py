"""Ways of writing and tasks: each script goes through a whole loop of two versions, untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import Workspace
from tests.matrix.scripts import PACKAGES, SCRIPTS, source

DOCS = Path(__file__).parents[2] / "docs" / "training_script.md"
#: the rest runs by `make test-all`: each takes half a minute
IN_EVERY_RUN = {"argparse"}
#: `make test-all` makes it; it has ours and the packages of the extra `scripts-test`
OTHER_PYTHON = Path(sys.prefix) / "scripts" / "bin" / "python"
#: scored by what they say of themselves
REPORTED = {"plain", "printing", "by_hand"}
NAMES = [pytest.param(n, marks=() if n in IN_EVERY_RUN else pytest.mark.slow) for n in SCRIPTS]


def run(ws: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "progtrain", "-C", str(ws.root), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_script_goes_through_a_loop_of_two_versions(tmp_path: Path, name: str) -> None:
    python: tuple[str, ...] = ()
    if name in PACKAGES:
        if not OTHER_PYTHON.exists():
            pytest.skip(f"{OTHER_PYTHON} with {PACKAGES[name]} is not there: make test-all makes it")
        python = ("--python", str(OTHER_PYTHON))
    ws = Workspace(tmp_path)
    ws.baseline_script.write_text(source(name))
    # the data are the script's own business
    ws.data("own").mkdir(parents=True)
    rules: dict[str, Any] = {
        "dataset_config": {"dataset_id": "own"},
        "eval_config": {"primary_metric": "accuracy", "metrics": ["accuracy"]},
        **SCRIPTS[name][3],
    }
    ws.rules.write_text(json.dumps(rules))
    checked = run(ws, "check", *python)
    assert checked.returncode == 0, checked.stdout
    done = run(ws, "run", "--yes", "--max-versions", "2", *python)
    assert done.returncode == 0, done.stdout + done.stderr
    primary = rules["eval_config"]["primary_metric"]
    for version in ("v001", "v002"):
        folder = ws.version(version)
        score = load(folder.eval_score, EvalScore).metric(primary)
        assert score is not None and score.value is not None
        assert folder.best_checkpoint.is_file()
        assert (folder.logs / "version_0" / "metrics.csv").is_file()
        # people mean what they write: nothing is to be said of settings that the run would contradict
        assert "contradicted" not in json.loads(folder.spec.read_text())
        if name not in REPORTED:
            assert len(read_per_sample(folder.per_sample)) == 96
    assert ws.script("v001").read_text() != ws.script("v002").read_text()
    assert list(ws.reports.glob("*/leaderboard.csv"))


def test_the_page_lists_what_is_tried() -> None:
    page = DOCS.read_text()
    for what, _, _, _ in SCRIPTS.values():
        assert f"| {what} |" in page
