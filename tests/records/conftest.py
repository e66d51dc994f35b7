"""A copy of a finished loop for the tests of the records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    """Its marks know nothing of scores: tests put some there that no evaluation wrote."""
    ws = Workspace(Path(shutil.copytree(finished.root, tmp_path / "copy")))
    for version in ws.versions():
        mark = ws.mark(version, "evaluate")
        mark.write_text(json.dumps({**json.loads(mark.read_text()), "outputs": {}}))
    return ws
