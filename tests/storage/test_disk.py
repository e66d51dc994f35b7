"""A disk that is full or read-only: one clear error, nothing lost, and it goes on when there is room.

On a small tmpfs, which takes the right to mount: skipped where that is missing.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _progtrain(ws: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "progtrain.engine.cli.main", "-C", str(ws.root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _workspace(disk: Path) -> Workspace:
    ws = Workspace(disk / "work")
    ws.root.mkdir()
    prepare_plain(ws)
    return ws


def test_a_full_disk_is_told_and_nothing_that_was_finished_is_lost(disk: Path) -> None:
    ws = _workspace(disk)
    assert _progtrain(ws, "run", "--yes", "--until", "evaluate").returncode == 0
    checkpoint = ws.version("v001").best_checkpoint.read_bytes()
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    done = _progtrain(ws, "run", "--yes", "--max-versions", "1")
    assert done.returncode == 5
    assert "the disk is full" in done.stdout + done.stderr
    assert "fix: free some space" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert ws.version("v001").best_checkpoint.read_bytes() == checkpoint
    filler.unlink()
    assert _progtrain(ws, "run", "--yes", "--max-versions", "1").returncode == 0
    assert len(list(ws.attempt("v001", 1).parent.glob("*"))) == 0


def test_a_read_only_workspace_can_be_looked_at(disk: Path, finished: Workspace) -> None:
    ws = Workspace(disk / "work")
    shutil.copytree(finished.root, ws.root, symlinks=True)
    shutil.copytree(ws.version("v001").path, ws.external / "copy")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert "finished" in _progtrain(ws, "status").stdout
    assert "accuracy" in _progtrain(ws, "leaderboard").stdout
    for command, said in (("log", "v001"), ("playbook", " samples"), ("compare v001 external/copy", "against v001")):
        done = _progtrain(ws, *command.split())
        assert (done.returncode, done.stdout.count("read-only") + done.stderr.count("read-only")) == (0, 1), done.stderr
        assert said in done.stdout and "written:" not in done.stdout.replace("not written:", "")
    done = _progtrain(ws, "run", "--yes")
    assert done.returncode == 5
    assert "read-only" in done.stderr and "Traceback" not in done.stderr
    assert shutil.disk_usage(disk).total == 16 * 2**20
