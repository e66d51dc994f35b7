"""A workspace with a stale snapshot that waits for its first review, and sources that ask a small server."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.agents import sources
from progtrain.engine.agents.sources import Call, Source
from progtrain.engine.control.launch import Options
from progtrain.engine.files import sha256, write_json
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain

SERVER = Path(__file__).with_name("server.py")


def keep(ws: Workspace, result: Any, at: datetime, max_age_hours: float = 24.0) -> None:
    """A snapshot as a fetch would have left it at that time."""
    folder = sources.folder_of(ws, "tracker")
    source = {"command": ["tracker"], "tools": [{"tool": "status"}], "max_age_hours": max_age_hours}
    write_json(folder.source, source)
    calls = [{"tool": "status", "arguments": {}, "is_error": False, "result": result, "sha256": ""}]
    write_json(folder.snapshot, {"fetched_at": at.isoformat(), "tools": [], "calls": calls})


def files(ws: Workspace) -> dict[str, str]:
    """All but the inbox and the journal, where answers go."""
    return {
        str(path): sha256(path)
        for path in ws.root.rglob("*")
        if path.is_file() and path != ws.journal and not path.is_relative_to(ws.inbox)
    }


@pytest.fixture(scope="package")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = Workspace(tmp_path_factory.mktemp("agents") / "a workspace é")
    ws.root.mkdir()
    prepare_plain(ws)
    keep(ws, {"accuracy": 0.9}, datetime.now(UTC) - timedelta(hours=30))
    assert runner.run(ws, Options(autopilot=True, until="analyze")) == 0
    assert runner.run(ws, Options()) == 3
    return ws


@pytest.fixture
def asked(waiting: Workspace, tmp_path: Path) -> Workspace:
    """A copy of its own for each test."""
    return Workspace(Path(shutil.copytree(waiting.root, tmp_path / "asked é")))


@pytest.fixture
def source(ws: Workspace) -> Callable[..., Workspace]:
    """Names a source `tracker` that asks the small server, which behaves in a way; or in another, when called again."""

    def named(way: str, *arguments: str, **fields: object) -> Workspace:
        given = {"tools": [Call(tool="status")], "max_age_hours": 24.0, **fields}
        made = Source.model_validate({"command": [sys.executable, str(SERVER), way, *arguments], **given})
        write_json(sources.folder_of(ws, "tracker").source, made.model_dump(mode="json"))
        return ws

    return named
