"""One workspace of several people: in a folder of their group, and in one that somebody keeps to himself."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace
from tests.line.conftest import progtrain

_SOMEBODY = 4001
needs_two = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="it takes root and setpriv to be two people"
)


def _as(
    ws: Workspace, *words: str, umask: int = 0o022, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    command = [*before, *progtrain(ws, *words)]
    return subprocess.run(command, capture_output=True, text=True, umask=umask, timeout=120, check=False)


def _as_another(ws: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    """Without what root may do with the files of others."""
    return _as(ws, *words, before=("setpriv", "--inh-caps=-all", "--bounding-set=-all"))


def _modes(ws: Workspace) -> dict[str, int]:
    """Of what the loop has made, and what its scripts have."""
    made = [ws.own, *ws.own.rglob("*"), ws.artifacts, *ws.artifacts.rglob("*"), ws.script("v001")]
    return {str(path.relative_to(ws.root)): stat.S_IMODE(path.stat().st_mode) for path in made}


@pytest.mark.parametrize("umask", [0o077, pytest.param(0o022, marks=pytest.mark.slow)])
def test_in_a_folder_of_a_group_all_can_go_on_whatever_ones_umask_is(plain: Workspace, umask: int) -> None:
    plain.root.chmod(0o2775)
    done = _as(plain, "run", "--yes", "--until", "evaluate", umask=umask)
    assert done.returncode == 0, done.stderr
    others = 0o005 & ~umask
    for name, mode in _modes(plain).items():
        wanted = 0o070 if (plain.root / name).is_dir() else 0o060
        assert mode & wanted == wanted and mode & 0o007 in (0, others, others & 0o004), f"{name} {mode:o}"


@pytest.mark.slow
def test_a_folder_that_is_nobody_elses_stays_so(plain: Workspace) -> None:
    plain.root.chmod(0o755)
    assert _as(plain, "run", "--yes", "--until", "train", umask=0o077).returncode == 0
    assert {mode & 0o077 for mode in _modes(plain).values()} == {0}


@pytest.mark.slow
@needs_two
def test_what_somebody_keeps_to_himself_is_told_and_hides_nothing_else(waiting: Workspace) -> None:
    for path in (waiting.root, *waiting.root.rglob("*")):
        os.chown(path, _SOMEBODY, _SOMEBODY)
    said = _as_another(waiting, "status")
    assert said.returncode == 0 and "your decision" in said.stdout
    for words in (["review", "accept"], ["run"]):
        refused = _as_another(waiting, *words)
        assert refused.returncode == 5 and "no permission to write" in refused.stderr, refused
    assert not list(waiting.inbox.glob("v001-review-*")), "nobody has answered"

    for private in (waiting.version("v001").path, waiting.drafts("v001").path):
        private.chmod(0o700)
        said = _as_another(waiting, "status")
        assert said.returncode == 0 and "no permission to read" in said.stdout + said.stderr, said
    assert "Traceback" not in said.stdout + said.stderr


@pytest.mark.slow
def test_the_group_of_somebody_elses_files_gets_nothing(tmp_path: Path) -> None:
    """The folder is open to its group, but what is made there belongs to another one."""
    ws = Workspace(tmp_path / "work")
    ws.root.mkdir()
    ws.root.chmod(0o775)
    if os.geteuid() != 0:
        pytest.skip("it takes root to give a folder away")
    os.chown(ws.root, -1, _SOMEBODY)
    assert _as(ws, "init", "--example", "digits", str(ws.root / "made"), umask=0o077).returncode == 0
    assert {stat.S_IMODE(path.stat().st_mode) & 0o070 for path in (ws.root / "made").rglob("*")} == {0}
