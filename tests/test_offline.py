"""Nothing is asked of a network: the loop, its commands and the app open no socket that reaches further than files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace
from tests.tui.test_terminal import Tmux, needs_tmux

STRACE = shutil.which("strace")
#: `socket(AF_INET, ...) = 3`: of a family that reaches further than this machine
_SOCKET = re.compile(r"socket\((?!AF_UNIX|AF_NETLINK)AF_\w+.*\) = \d+")
_APP = "import sys; from progtrain.tui.start import main; sys.argv = ['progtrain-tui', sys.argv[1]]; sys.exit(main())"


@pytest.fixture
def finished(tmp_path: Path) -> Workspace:
    """Two versions, as a loop left them."""
    with tarfile.open(Path(__file__).with_name("workspaces") / "finished.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return Workspace(tmp_path / "finished")


def _may_trace() -> bool:
    if STRACE is None:
        return False
    return subprocess.run([STRACE, "-f", "-e", "trace=network", "true"], capture_output=True).returncode == 0


needs_strace = pytest.mark.skipif(not _may_trace(), reason="there is no strace here, or it may not trace")


def _traced(log: Path, *words: str) -> list[str]:
    return [str(STRACE), "-f", "-qq", "-e", "trace=network", "-o", str(log), sys.executable, "-P", *words]


def _opened(log: Path) -> list[str]:
    return [line for line in log.read_text(errors="replace").splitlines() if _SOCKET.search(line)]


@needs_strace
def test_a_socket_would_be_seen(tmp_path: Path) -> None:
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)"
    subprocess.run(_traced(tmp_path / "log", "-c", code), check=True)
    assert len(_opened(tmp_path / "log")) == 1


@needs_strace
@pytest.mark.slow
def test_a_loop_and_its_exports_open_no_socket(plain: Workspace, tmp_path: Path) -> None:
    for words in (("run", "--yes", "--max-versions", "2"), ("status",), ("export", "csv"), ("export", "tensorboard")):
        command = _traced(tmp_path / "log", "-m", "progtrain", "-C", str(plain.root), *words)
        subprocess.run(command, check=True, capture_output=True, timeout=280)
        assert _opened(tmp_path / "log") == []
    assert plain.version("v002").eval_score.exists()


@needs_strace
@needs_tmux
@pytest.mark.slow
def test_the_app_opens_no_socket(finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    with tempfile.TemporaryDirectory(prefix="pt-", dir="/tmp") as folder:
        tmux = Tmux(Path(folder))
        tmux.open(_traced(tmp_path / "log", "-c", _APP, str(finished.root)))
        try:
            tmux.until(lambda screen: "v002" in screen, 120)
            tmux.press("5")
            tmux.press("q")
            tmux.until(lambda screen: "ended with 0" in screen, 60)
        finally:
            tmux.run("kill-server")
    assert _opened(tmp_path / "log") == []
