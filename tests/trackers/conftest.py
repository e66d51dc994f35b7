"""A workspace with two versions, as a loop left it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace

ARCHIVE = Path(__file__).parents[1] / "workspaces/finished.tar.gz"


@pytest.fixture
def finished(tmp_path: Path) -> Workspace:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return Workspace(tmp_path / "finished")
