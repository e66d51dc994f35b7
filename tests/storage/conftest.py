"""A disk that fails as it is told to, for real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace

#: (workspace, what fails, words of the command) -> what came of it
Faulty = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer of `faulty.c`, for LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("it takes Linux and a C compiler")
    made = tmp_path_factory.mktemp("layer") / "faulty.so"
    source = Path(__file__).with_name("faulty.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(source), "-ldl"], check=True)
    return made


@pytest.fixture
def faulty(layer: Path, tmp_path: Path) -> Faulty:
    def progtrain(
        ws: Workspace, faults: str, *words: str, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        count = tmp_path / "count"
        count.unlink(missing_ok=True)
        told = {"FAULTY": faults, "FAULTY_FOLDER": str(folder or ws.root), "FAULTY_COUNT": str(count)}
        environment = {**os.environ, **told, "LD_PRELOAD": str(layer)}
        command = [sys.executable, "-m", "progtrain", "-C", str(ws.root), *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180, check=False)

    return progtrain
