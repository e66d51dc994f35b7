"""Whatever ends the app, the shell has its terminal back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from progtrain.engine.workspace import Workspace
from tests.tui.fakes import fill

_RAW = termios.ECHO | termios.ICANON | termios.ISIG


class Terminal:
    """A pseudo-terminal with a shell in it, which has started the real program."""

    def __init__(self, ws: Workspace, size: tuple[int, int] = (80, 24)) -> None:
        self.written = bytearray()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color")
            script = '"$@"; echo "ended with $?"; exec cat'
            os.execv(
                "/bin/sh", ["sh", "-c", script, "sh", sys.executable, "-P", "-m", "progtrain.tui.start", str(ws.root)]
            )
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(self.master)[3] & _RAW

    def read(self, seconds: float = 0.1) -> bool:
        """False once nobody holds the terminal any more."""
        os.set_blocking(self.master, False)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                data = os.read(self.master, 65536)
            except BlockingIOError:
                time.sleep(0.02)
                continue
            except OSError:
                return False
            if not data:
                return False
            self.written += data
        return True

    def until(self, shown: bytes, seconds: float = 30.0, since: int = 0) -> None:
        """`since`: what was written before that many bytes does not count."""
        until = time.monotonic() + seconds
        while shown not in self.written[since:]:
            assert self.read() and time.monotonic() < until, (shown, bytes(self.written[-2000:]))

    def answered(self, since: int, still: float) -> None:
        """Waits until something was drawn after that many bytes, and nothing more for so many seconds. A key may also
        have nothing to draw."""
        until = time.monotonic() + 10
        while len(self.written) == since and time.monotonic() < until and self.read():
            pass
        quiet, length = time.monotonic(), len(self.written)
        while time.monotonic() - quiet < still and time.monotonic() < until + 10 and self.read():
            if len(self.written) != length:
                quiet, length = time.monotonic(), len(self.written)

    @property
    def guard(self) -> psutil.Process:
        """The process that the shell knows."""
        return psutil.Process(self.pid).children()[0]

    @property
    def child(self) -> psutil.Process:
        """The process that draws."""
        return next(p for p in self.guard.children() if "progtrain.tui.start" in p.cmdline())

    def modes(self) -> int:
        flags: int = termios.tcgetattr(self.master)[3]
        return flags & _RAW

    def ended(self) -> int:
        """The exit code that the shell sees."""
        self.until(b"ended with ")
        self.read(0.3)
        return int(self.written.rpartition(b"ended with ")[2].split()[0])

    def close(self) -> None:
        shell = psutil.Process(self.pid)
        for process in [*shell.children(recursive=True), shell]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        os.waitpid(self.pid, 0)
        os.close(self.master)


@pytest.fixture
def terminal(ws: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Terminal]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    fill(ws)
    made = Terminal(ws)
    made.until(b"v004")
    yield made
    made.close()


def left_on(written: bytes) -> set[bytes]:
    """Private modes that were switched on and not off again."""
    found: set[bytes] = set()
    for part in written.split(b"\x1b[?")[1:]:
        digits = part[: len(part) - len(part.lstrip(b"0123456789"))]
        if part[len(digits) : len(digits) + 1] == b"h":
            found.add(digits)
        elif part[len(digits) : len(digits) + 1] == b"l":
            found.discard(digits)
    return found - {b"7", b"25"}  # line wrap and cursor: on is how a shell wants them


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
    child.wait(10)
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
    assert shell.wait(10) == 1
    assert psutil.wait_procs(family, 10)[1] == []


def test_leaving_by_key_is_as_if_there_were_no_parent(terminal: Terminal) -> None:
    os.write(terminal.master, b"q")
    assert terminal.ended() == 0
    assert terminal.modes() == terminal.before and left_on(bytes(terminal.written)) == set()
    assert b"ended by" not in terminal.written


def test_a_shell_sees_it_stop_and_go_on(terminal: Terminal) -> None:
    terminal.child.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 10
    while terminal.guard.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < until
        time.sleep(0.05)
    terminal.guard.send_signal(signal.SIGCONT)
    os.write(terminal.master, b"4")
    terminal.until(b"batch_size")
