"""Whatever ends the app, the shell has its terminal back."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from progtrain.engine.workspace import Workspace
from tests.tui.fakes import fill
from tests.tui.terminal import Terminal, app, left_on


@pytest.fixture
def terminal(ws: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Terminal]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    fill(ws)
    made = Terminal(app(ws))
    made.until(b"v004")
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_crash_leaves_the_terminal_as_it_was(terminal: Terminal, number: signal.Signals) -> None:
    assert terminal.modes() == 0 and b"1049" in left_on(bytes(terminal.written))
    terminal.child.send_signal(number)
    assert terminal.ended() == 128 + number
    assert terminal.modes() == terminal.before and left_on(bytes(terminal.written)) == set()
    assert len(re.findall(rb"\x1b\[>\d+u", terminal.written)) == terminal.written.count(b"\x1b[<u")
    last = terminal.written.rpartition(b"\x1b[?1004l")[2]
    assert last.startswith(f"progtrain-tui: ended by {number.name}. The loop goes on by itself.".encode())


def test_who_ends_the_process_that_the_shell_knows_ends_both(terminal: Terminal) -> None:
    child = terminal.child
    terminal.guard.terminate()
    assert terminal.ended() == 128 + signal.SIGTERM
    assert not child.is_running()
    assert terminal.modes() == terminal.before


def test_a_child_whose_parent_is_killed_gives_the_terminal_back(terminal: Terminal) -> None:
    child = terminal.child
    terminal.guard.kill()
    terminal.until(b"\x1b[?1004l")
    child.wait(60)
    assert terminal.modes() == terminal.before and left_on(bytes(terminal.written)) == set()


def test_a_terminal_that_cannot_place_text_is_left_alone(ws: Workspace) -> None:
    fill(ws)
    pid, master = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execv(sys.executable, [sys.executable, "-P", "-m", "progtrain.tui.start", str(ws.root)])
    said = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while part := os.read(master, 65536):
            said += part
    os.close(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert b"TERM=dumb" in said and b"progtrain status" in said and b"\x1b" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell it")
def test_a_terminal_that_goes_without_a_signal_ends_both(ws: Workspace, tmp_path: Path) -> None:
    fill(ws)
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "progtrain.tui.start", str(ws.root)]
    # a session of its own that has no terminal to be hung up
    shell = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment, cwd=tmp_path
    )
    os.close(slave)
    seen = b""
    while b"v004" not in seen:
        seen += os.read(master, 65536)
    family = [psutil.Process(shell.pid), *psutil.Process(shell.pid).children(recursive=True)]
    os.close(master)
    assert shell.wait(60) == 1
    assert psutil.wait_procs(family, 60)[1] == []


def test_leaving_by_key_is_as_if_there_were_no_parent(terminal: Terminal) -> None:
    os.write(terminal.master, b"q")
    assert terminal.ended() == 0
    assert terminal.modes() == terminal.before and left_on(bytes(terminal.written)) == set()
    assert b"ended by" not in terminal.written


def test_a_shell_sees_it_stop_and_go_on(terminal: Terminal) -> None:
    terminal.child.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 60
    while terminal.guard.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < until
        time.sleep(0.05)
    terminal.guard.send_signal(signal.SIGCONT)
    os.write(terminal.master, b"4")
    terminal.until(b"batch_size")
