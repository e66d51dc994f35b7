"""A copy of a finished loop for the tests of the records."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(finished.root, tmp_path / "copy")))
