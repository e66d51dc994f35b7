"""Real terminals for tests of what the shell sees, before, while and after a program runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
import time

import psutil

from progtrain.engine.workspace import Workspace

_RAW = termios.ECHO | termios.ICANON | termios.ISIG


class Terminal:
    """A pseudo-terminal with a shell in it, which has started a program."""

    def __init__(self, command: list[str], size: tuple[int, int] = (80, 24)) -> None:
        self.written = bytearray()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color")
            script = '"$@"; echo "ended with $?"; exec cat'
            os.execv("/bin/sh", ["sh", "-c", script, "sh", *command])
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

    def until(self, shown: bytes, seconds: float = 90.0, since: int = 0) -> None:
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


def app(ws: Workspace, *more: str) -> list[str]:
    return [sys.executable, "-P", "-m", "progtrain.tui.start", str(ws.root), *more]


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
