"""Workspaces for tests: real files, real scripts, in a folder with a space and an accent in its name."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.jobs import detached
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace

PLAIN = Path(__file__).parent / "plain"

#: several tests go side by side, and models are tiny: more threads would wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")
#: hundreds of children import progtrain: where none may keep what it compiles, each compiles it again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """What is imported by now stays: looking through it for garbage again and again is a fifth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """Guards and runners that tests started have ended before the tests do."""
    yield
    for child in detached.children():
        child.wait(timeout=60)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    root = tmp_path / "mein Größen projet é"
    root.mkdir()
    return Workspace(root)


@pytest.fixture
def plain(ws: Workspace) -> Workspace:
    """A whole workspace whose scripts need only the standard library, so that a training takes a tenth of a second."""
    prepare_plain(ws)
    return ws


@pytest.fixture
def go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Until this file is there, a training of `plain` stands before the end of its second epoch."""
    path = tmp_path / "go on"
    monkeypatch.setenv("GO_ON", str(path))
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two versions and a report; the tests that use it only look."""
    ws = Workspace(tmp_path_factory.mktemp("finished") / "a workspace é")
    ws.root.mkdir()
    prepare_plain(ws)
    assert runner.run(ws, Options(autopilot=True, max_versions=2)) == 0
    return ws


@pytest.fixture(scope="session")
def _at_first_review(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = Workspace(tmp_path_factory.mktemp("waiting") / "a workspace é")
    ws.root.mkdir()
    prepare_plain(ws)
    assert runner.run(ws, Options(autopilot=True, until="analyze")) == 0
    assert runner.run(ws, Options()) == 3
    return ws


@pytest.fixture
def waiting(ws: Workspace, _at_first_review: Workspace) -> Workspace:
    """A workspace whose first draft waits for the user: trained and drafted once, and copied."""
    shutil.copytree(_at_first_review.root, ws.root, symlinks=True, dirs_exist_ok=True)
    return ws


def prepare_plain(ws: Workspace) -> None:
    for path in PLAIN.iterdir():
        if path.is_file():
            shutil.copy(path, ws.root / path.name)
    ws.rules.write_text(
        json.dumps(
            {
                "loop_config": {"max_versions": 3},
                "dataset_config": {"dataset_id": "toy_v1"},
                "training_config": {"batch_size": 16},
                "eval_config": {"primary_metric": "accuracy", "metrics": ["accuracy"], "infer_samples": 3},
            }
        )
    )
    make_data(ws)


def make_data(ws: Workspace, dataset_id: str = "toy_v1") -> None:
    """Two classes on both sides of a line, with some noise; the same each time."""
    state = 7
    for split, count in (("train", 160), ("valid", 120)):
        folder = ws.split(dataset_id, split)
        folder.mkdir(parents=True)
        rows = []
        for index in range(count):
            values = []
            for _ in range(3):
                state = (state * 1103515245 + 12345) % 2**31
                values.append(state / 2**30 - 1)
            label = int(values[0] + 0.5 * values[1] + 0.35 * values[2] > 0)
            rows.append(f"{split}-{index:04d},{values[0]:.5f},{values[1]:.5f},{label}")
        (folder / "data.csv").write_text("id,x,y,label\n" + "\n".join(rows) + "\n")
    ws.stats(dataset_id).write_text(json.dumps({"task_type": "classification", "splits": {"train": 160, "valid": 120}}))


@pytest.fixture
def edit_rules() -> Callable[..., None]:
    """Changes keys of a workspace's rules: `edit_rules(ws, loop_config={"max_versions": 2})`."""

    def edit(ws: Workspace, **changes: Any) -> None:
        rules = json.loads(ws.rules.read_text())
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(rules.get(key), dict):
                rules[key].update(value)
            else:
                rules[key] = value
        ws.rules.write_text(json.dumps(rules))

    return edit


@pytest.fixture
def extra_model() -> Path:
    """A model of whoever runs the tests."""
    path = os.environ.get("PROGTRAIN_TEST_GGUF")
    if not path or not Path(path).is_file():
        pytest.skip("PROGTRAIN_TEST_GGUF names no file")
    return Path(path)
