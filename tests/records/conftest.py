"""A finished loop for the tests of the records."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two versions and a report; the tests that use it only look."""
    ws = Workspace(tmp_path_factory.mktemp("records") / "a workspace é")
    ws.root.mkdir()
    prepare_plain(ws)
    assert runner.run(ws, Options(autopilot=True, max_versions=2)) == 0
    return ws


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(finished.root, tmp_path / "copy")))
