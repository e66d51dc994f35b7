"""Workspaces with tiny scripts for 03_eval.py and 04_final_report.py, copied there as the engine does."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.workspace import Workspace

#: A script that needs no training: its model is a plain function of the raw sample.
PLAIN_SCRIPT = """
import torch

DATASET_ID = "toy_v1"


def load_split(split):
    return [(f"s{i:02d}", [float(i % 3), 1.0], i % 3) for i in range(12)]


class Net(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.one_hot(x[:, 0].long(), 3).float() * 4


def load_model(checkpoint_path):
    return Net()
"""


@dataclass
class Finished:
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture
def evaluated(ws: Workspace, evaluated_in: Run) -> Run:
    return partial(evaluated_in, ws)


def _log_where_somebody_reads() -> None:
    """Lightning and others log to the stderr of their first import, which may have been that of one test alone."""
    for logger in (logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))):
        for handler in list(logger.handlers):
            if isinstance(handler, logging.StreamHandler) and getattr(handler.stream, "closed", False):
                logger.removeHandler(handler)


@pytest.fixture
def evaluated_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a workspace's 03_eval.py here, since a process of its own would import torch each time."""

    def run(ws: Workspace, *arguments: str) -> Finished:
        monkeypatch.setattr(sys, "path", [str(ws.root), *sys.path[1:]])
        module = _import(ws.eval_script)
        monkeypatch.setattr(sys, "argv", [str(ws.eval_script), *arguments])
        monkeypatch.chdir(ws.root)
        _log_where_somebody_reads()
        capsys.readouterr()
        code = module.main()
        said = capsys.readouterr()
        return Finished(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def imported() -> None:
    """Lightning logs to the stderr of its first import: that of one test alone would be closed for all after it."""
    pytest.importorskip("lightning.pytorch")


@pytest.fixture
def run_here(imported: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a script as `python SCRIPT` does, but here: a process of its own would import torch each time."""

    def run(path: Path, *arguments: str) -> None:
        _log_where_somebody_reads()
        monkeypatch.chdir(path.parent)
        monkeypatch.setattr(sys, "argv", [path.name, *arguments])
        runpy.run_path(path.name, run_name="__main__")

    return run


def _import(path: Path) -> Any:
    """With the modules that lie beside it, and not those of a workspace before."""
    for name in [name for name in sys.modules if name.split(".")[0] == "progtrain_eval"]:
        del sys.modules[name]
    spec = importlib.util.spec_from_file_location("evaluator_under_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy(ws: Workspace) -> Workspace:
    """A workspace with v001 from `PLAIN_SCRIPT`, its evaluator and its report script."""
    ensure_script(ws.eval_script)
    ensure_script(ws.report_script)
    add_version(ws, "v001")
    ws.split("toy_v1", "valid").mkdir(parents=True)
    (ws.split("toy_v1", "valid") / "data.csv").write_text("id\n")
    ws.stats("toy_v1").write_text("{}")
    write_rules(ws, metrics=["accuracy"], primary_metric="accuracy")
    return ws


@pytest.fixture
def put(toy: Workspace) -> Callable[..., None]:
    """Replaces pieces of v001's script: `put(("old", "new"), ...)`, or the whole of it."""

    def replace(*pieces: tuple[str, str], script: str | None = None, version: str = "v001") -> None:
        text = PLAIN_SCRIPT if script is None else script
        for old, new in pieces:
            assert old in text
            text = text.replace(old, new)
        add_version(toy, version, text)

    return replace


def add_version(ws: Workspace, version: str, script: str = PLAIN_SCRIPT) -> None:
    ws.script(version).write_text(script, encoding="utf-8")
    folder = ws.version(version)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.best_checkpoint.write_bytes(f"weights of {version}".encode())


def write_rules(ws: Workspace, **evaluation: Any) -> None:
    ws.rules.write_text(json.dumps({"seed": 42, "eval_config": evaluation}), encoding="utf-8")


@pytest.fixture
def rules(toy: Workspace) -> Callable[..., None]:
    def write(**evaluation: Any) -> None:
        write_rules(toy, **evaluation)

    return write


@pytest.fixture
def more_versions(toy: Workspace) -> Callable[..., None]:
    def add(*versions: str) -> None:
        for version in versions:
            add_version(toy, version)

    return add


def run_script(path: Path, *arguments: str) -> Finished:
    """As the user would: in a process of its own, in the workspace."""
    done = subprocess.run(
        [sys.executable, path.name, *arguments],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def script() -> Callable[..., Finished]:
    return run_script
