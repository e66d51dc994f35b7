"""A finished workspace for the tests of the command line."""

from __future__ import annotations

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two versions and a report; the tests that use it only look."""
    ws = Workspace(tmp_path_factory.mktemp("cli") / "a workspace é")
    ws.root.mkdir()
    prepare_plain(ws)
    assert runner.run(ws, Options(autopilot=True, max_versions=2)) == 0
    return ws
