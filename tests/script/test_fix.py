"""The fix of a baseline: minimal, once, and a copy needs only its VERSION changed."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark.structures import ParameterSet

from progtrain.engine import hooks
from progtrain.engine.errors import InputError
from progtrain.engine.files import sha256
from progtrain.engine.loop.collect import collect
from progtrain.engine.script.baseline.audit import audit, patch_report
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.header import set_version
from progtrain.engine.text import unified_diff
from progtrain.engine.workspace import Workspace

STRANGERS = Path(__file__).parent / "strangers"
EXAMPLES = Path(__file__).parents[2] / "examples"


def slow(name: str) -> ParameterSet:
    """Run by `make test-all`: others of its kind are run each time."""
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """With data of four numbers and two classes, where these scripts look for them."""
    workspace = Workspace(tmp_path)
    for place in ("data/points", "dataset/prepdata/points_old"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to(workspace.data("points_v1"))
    for split, count in (("train", 64), ("valid", 32)):
        folder = workspace.split("points_v1", split)
        folder.mkdir(parents=True)
        x = np.random.default_rng(count).normal(size=(count, 4)).astype("float32")
        np.savez(folder / "points.npz", x=x, y=(x.sum(axis=1) > 0).astype("int64"))
    return workspace


def bring(ws: Workspace, name: str) -> None:
    if (STRANGERS / name).is_dir():
        shutil.copy(STRANGERS / name / "script.py", ws.baseline_script)
        shutil.copy(STRANGERS / name / "config.py", ws.root / "config.py")
    else:
        shutil.copy(STRANGERS / f"{name}.py", ws.baseline_script)


def look(ws: Workspace) -> Desk:
    return audit(ws, dataset_id="points_v1", settings={})


def apply(found: Desk) -> None:
    assert found.errors == ()
    for path, text in found.changed.items():
        path.write_text(text)


def train(ws: Workspace, version: str) -> list[str]:
    """A copy with nothing changed but its VERSION. Gives what such a training does not make."""
    ws.script(version).write_text(set_version(ws.baseline_script.read_text(), version))
    ws.record(version).parent.mkdir(parents=True)
    environment = {**os.environ, **hooks.of_training(ws, version), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ws.script(version).name]
    done = subprocess.run(command, cwd=ws.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, spared = collect(ws, version, ws.root / "output.log")
    return spared


@pytest.mark.parametrize("name", ["plain", *map(slow, ["joined", "options", "configured", "classy"])])
def test_a_strangers_script_runs_version_by_version(ws: Workspace, name: str) -> None:
    """Wherever it writes: each version has a folder with all that is wanted, and the next one does not touch it."""
    bring(ws, name)
    apply(look(ws))
    spared = train(ws, "v001")
    folder = ws.version("v001")
    assert folder.last_checkpoint.is_file() or spared == ["last.ckpt"]
    assert sorted(path.name for path in (folder.logs / "version_0").iterdir()) == ["hparams.yaml", "metrics.csv"]
    assert "loss" in (folder.logs / "version_0" / "metrics.csv").read_text().splitlines()[0]
    files = (folder.best_checkpoint, folder.logs / "version_0" / "metrics.csv")
    before = [sha256(path) for path in files]
    train(ws, "v002")
    assert [sha256(path) for path in files] == before
    assert ws.version("v002").best_checkpoint.is_file()


@pytest.mark.parametrize("name", ["joined", "options", "configured", "plain", "classy"])
def test_a_fixed_script_needs_no_second_fix(ws: Workspace, name: str) -> None:
    bring(ws, name)
    apply(look(ws))
    again = look(ws)
    assert (again.findings, again.changed) == ((), {})


@pytest.mark.parametrize("name", ["joined", "options", "configured", "plain", "classy"])
def test_the_fix_leaves_everything_else_to_the_letter(ws: Workspace, name: str) -> None:
    bring(ws, name)
    found = look(ws)
    for path, text in found.changed.items():
        old = found.sources[path].splitlines()
        gone = [line for line in old if line not in text.splitlines()]
        assert len(gone) <= 6, gone
        assert [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)] == [
            n.name for n in ast.walk(ast.parse(found.sources[path])) if isinstance(n, ast.FunctionDef)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "wine", "diabetes"])
def test_the_examples_need_little_and_their_copies_run(tmp_path: Path, name: str) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns("dataset", "Models", ".progtrain"))
    ws = Workspace(tmp_path / name)
    subprocess.run([sys.executable, "01_data_pipeline.py"], cwd=ws.root, check=True, capture_output=True)
    found = audit(ws, dataset_id=f"{name}_v1", settings={"epochs": 1})
    apply(found)
    assert len(found.summary) <= 3
    assert train(ws, "v001") == []
    assert ws.version("v001").best_checkpoint.is_file()
    assert audit(ws, dataset_id=f"{name}_v1", settings={"epochs": 1}).findings == ()


def test_the_report_says_what_was_found_and_changed(ws: Workspace) -> None:
    bring(ws, "configured")
    found = look(ws)
    diff = "".join(unified_diff(found.sources[p], text, ws.relative(p)) for p, text in found.changed.items())
    report = patch_report(found, diff)
    headings = [line for line in report.splitlines() if line.startswith("## ")]
    assert headings == [
        "## issues_found",
        "## patch_summary",
        "## files_changed",
        "## compatibility_notes",
        "## diff",
    ]
    assert "- 02_train_baseline.py: the constant VERSION is missing" in report
    assert "\n- 02_train_baseline.py\n" in report
    assert '+VERSION = "baseline"' in report


def test_the_report_of_a_script_without_findings(ws: Workspace) -> None:
    bring(ws, "plain")
    apply(look(ws))
    report = patch_report(look(ws), "")
    assert report.count("none") == 5


def test_a_broken_imported_module_is_named(ws: Workspace) -> None:
    bring(ws, "configured")
    (ws.root / "config.py").write_text("x = (\n")
    with pytest.raises(InputError, match=r"config\.py, line 1"):
        look(ws)
