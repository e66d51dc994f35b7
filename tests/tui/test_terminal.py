"""The real program in tmux."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from progtrain.engine.repeats import found
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from tests.tui.fakes import fill
from tests.tui.terminal import app

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")


class Tmux:
    """A terminal multiplexer of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")

    def run(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def open(self, command: list[str], size: tuple[int, int] = (80, 24)) -> None:
        # the shell stays when the program has ended: its last words can be read
        line = f"env -u COLUMNS -u LINES {shlex.join(command)}; echo ended with $?; exec cat"
        self.run("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), line)

    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def until(self, shown: Callable[[str], bool], seconds: float = 90.0) -> str:
        deadline = time.monotonic() + seconds
        while not shown(screen := self.screen()):
            assert time.monotonic() < deadline, screen
            time.sleep(0.1)
        return screen


@pytest.fixture
def tmux() -> Iterator[Tmux]:
    # the path of a socket has to be short
    with tempfile.TemporaryDirectory(prefix="pt-", dir="/tmp") as folder:
        made = Tmux(Path(folder))
        yield made
        subprocess.run(
            ["tmux", "-S", str(Path(folder) / "tmux"), "kill-server"], capture_output=True, timeout=60, check=False
        )


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    # a size in the environment would win over the terminal's own
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@needs_tmux
def test_in_tmux_every_screen_opens_and_the_terminal_is_left_as_it_was(ws: Workspace, tmux: Tmux) -> None:
    fill(ws)
    tmux.open(app(ws))
    tmux.until(lambda screen: "v004" in screen)
    for key, told in (("2", "leaderboard"), ("3", "sample"), ("4", "epochs"), ("5", "journal"), ("6", "2026-11-20")):
        tmux.press(key)
        tmux.until(lambda screen, told=told: told in screen)  # type: ignore[misc]
    tmux.press("5")
    tmux.press("t")
    tmux.until(lambda screen: "attempts" in screen)
    tmux.press("?")
    tmux.until(lambda screen: "keys of this screen" in screen and "ledger of jobs" in screen)
    tmux.press("Escape")
    tmux.until(lambda screen: "keys of this screen" not in screen)
    tmux.press("q")
    screen = tmux.until(lambda screen: "ended with 0" in screen)
    assert "leaderboard" not in screen


@needs_tmux
@pytest.mark.parametrize("variable", ["NO_COLOR=1", "TERM=screen", "LC_ALL=C"])
def test_it_is_readable_without_colours_with_few_and_in_ascii(ws: Workspace, tmux: Tmux, variable: str) -> None:
    fill(ws)
    tmux.open(["env", "-u", "COLORTERM", variable, *app(ws)])
    screen = tmux.until(lambda screen: "v004" in screen)
    assert "Traceback" not in screen
    if variable == "NO_COLOR=1":
        assert "\x1b[38;2" not in tmux.run("capture-pane", "-p", "-e")


@needs_tmux
def test_a_terminal_made_tiny_and_large_again_shows_all_again(ws: Workspace, tmux: Tmux) -> None:
    fill(ws)
    tmux.open(app(ws), (120, 40))
    tmux.until(lambda screen: "v004" in screen and "output" in screen)
    tmux.run("resize-window", "-x", "20", "-y", "5")
    time.sleep(0.5)
    for key in ("2", "3", "1", "Tab"):
        tmux.press(key)
        time.sleep(0.2)
    tmux.run("resize-window", "-x", "120", "-y", "40")
    tmux.until(lambda screen: "v001" in screen and "output" in screen and "loss" in screen)


@needs_tmux
def test_a_kill_leaves_the_training_alone_and_the_next_look_shows_it(plain: Workspace, tmux: Tmux) -> None:
    tmux.open(["env", "SECONDS_PER_EPOCH=0.4", *app(plain)])
    tmux.until(lambda screen: "enter starts the loop" in screen)
    tmux.press("Enter")
    _until(lambda: status(plain) in {"training", "waiting"})
    if status(plain) == "waiting":
        _accept_audit(plain, tmux)
    tmux.run("kill-server")
    _until(lambda: status(plain) == "waiting" and plain.version("v001").eval_score.exists())


@pytest.mark.slow
@needs_tmux
def test_the_palette_repeats_a_version_and_the_question_is_open_again_afterwards(
    waiting: Workspace, tmux: Tmux
) -> None:
    """In 80 by 24."""
    tmux.open(["env", "SECONDS_PER_EPOCH=0.1", *app(waiting)])
    tmux.until(lambda screen: "press enter or r" in screen)
    tmux.press("C-p")
    tmux.until(lambda screen: "adopt a script" in screen)
    tmux.press("-l", "repeat v001")
    tmux.until(lambda screen: "repeat v001" in screen and "three times with other seeds" in screen)
    tmux.press("Enter")
    tmux.until(lambda screen: "v001, repeat 1 of 3" in screen)
    tmux.until(lambda screen: "press enter or r" in screen)
    assert [one.seed for one in found.of(waiting, "v001")] == [43, 44, 45]
    assert WorkspaceView(waiting.root).snapshot().versions[0].runs == 4


def _accept_audit(ws: Workspace, tmux: Tmux) -> None:
    tmux.press("r")
    tmux.until(lambda screen: "accept" in screen.casefold())
    time.sleep(1)
    tmux.press("a")
    _until(lambda: status(ws) == "training")


def status(ws: Workspace) -> str:
    return WorkspaceView(ws.root).snapshot().status


def _until(there: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)
