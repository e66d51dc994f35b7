"""The example workspaces: real data, really trained."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import examples
from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.rules import rules
from progtrain.engine.rules.keys import KEYS
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.script.settings import find_setting
from progtrain.engine.workspace import Workspace
from tests.templates.conftest import evaluated_in, imported

__all__ = ["evaluated_in", "imported"]

Prepare = Callable[[str], Workspace]
Train = Callable[[str], Workspace]

#: primary metric of the baseline: good enough to be a start, bad enough that one change improves it
ROOM = {"digits": (0.7, 0.9), "wine": (0.7, 0.9), "diabetes": (65.0, 80.0)}

#: the others by `make test-all`
ONE_OFTEN = [pytest.param(name, marks=() if name == "digits" else pytest.mark.slow) for name in examples.NAMES]


def run(ws: Workspace, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, name, *arguments],
        cwd=ws.root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    @cache
    def prepare(name: str) -> Workspace:
        ws = Workspace(tmp_path_factory.mktemp("exämple") / name)
        examples.write(name, ws.root)
        run(ws, ws.pipeline_script.name)
        return ws

    return prepare


@pytest.fixture(scope="module")
def trained(prepared: Prepare) -> Train:
    @cache
    def train(name: str) -> Workspace:
        ws = prepared(name)
        run(ws, ws.baseline_script.name)
        return ws

    return train


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ONE_OFTEN)
def test_the_pipeline_writes_disjoint_splits_with_stats(
    prepared: Prepare, name: str, imported: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = prepared(name)
    dataset_id = rules.load(ws).dataset_id
    assert dataset_id == f"{name}_v1"
    stats = json.loads(ws.stats(dataset_id).read_text())
    assert stats["task_type"] in {"classification", "regression"}
    for split in ("train", "valid", "test", "common"):
        assert any(ws.split(dataset_id, split).iterdir())
    monkeypatch.chdir(ws.root)
    spec = importlib.util.spec_from_file_location("baseline_under_test", ws.baseline_script)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    parts = [{sample for sample, _, _ in script.load_split(split)} for split in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [stats["splits"][s]["num_samples"] for s in ("train", "valid", "test")]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ONE_OFTEN)
def test_the_baseline_trains_alone_and_leaves_room(
    trained: Train, name: str, imported: None, evaluated_in: Callable[..., Any]
) -> None:
    ws = trained(name)
    folder = ws.version("baseline")
    assert folder.best_checkpoint.is_file() and folder.last_checkpoint.is_file()
    assert {p.name for p in (folder.logs / "version_0").iterdir()} == {"metrics.csv", "hparams.yaml"}
    ensure_script(ws.eval_script)
    done = evaluated_in(ws, "--version", "baseline")
    assert done.code == 0, done.err
    score = load(folder.eval_score, EvalScore)
    metric = score.metric(rules.load(ws).primary_metric)
    assert metric is not None and metric.value is not None
    low, high = ROOM[name]
    assert low < metric.value < high


@pytest.mark.slow
def test_training_again_gives_the_same_curves(trained: Train) -> None:
    ws = trained("digits")
    log = ws.version("baseline").logs / "version_0" / "metrics.csv"
    first = log.read_text()
    run(ws, ws.baseline_script.name)
    assert log.read_text() == first
    assert sorted(p.name for p in ws.version("baseline").path.glob("*.ckpt")) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("name", examples.NAMES)
def test_the_baseline_imports_nothing_of_ours_and_holds_the_locked_settings(tmp_path: Path, name: str) -> None:
    """What the rules lock is a setting of the script."""
    ws = Workspace(tmp_path)
    examples.write(name, ws.root)
    source = ws.baseline_script.read_text()
    imported = {
        node.module.split(".")[0] if isinstance(node, ast.ImportFrom) and node.module else alias.name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not imported & {"engine", "advisor", "tui"}
    assert len(source.splitlines()) < 125
    loaded = rules.load(ws)
    assert not loaded.warnings
    for key in loaded.locked:
        assert find_setting(source, key) is not None


def test_the_complete_rules_name_every_key(tmp_path: Path) -> None:
    written = json.loads(examples.complete_rules().read_text())

    sections = {key: value for key, value in written.items() if key.endswith("_config") and key != "training_config"}
    named = [f"{section}.{key}" for section, value in sections.items() for key in value]
    assert sorted([*named, *(written.keys() - sections.keys())]) == sorted(KEYS)
