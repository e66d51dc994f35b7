"""A process in a terminal of its own: what it sends is read, and time is taken when it shows something."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_=>78])")


class Terminal:
    """Use as a context manager; the process is ended with it."""

    def __init__(self, command: Sequence[str], *, size: tuple[int, int] = (120, 40), cwd: Path | None = None) -> None:
        controller, terminal = pty.openpty()
        fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            cwd=cwd,
            env=environment,
        )
        os.close(terminal)
        self._fd = controller
        self.received = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._fd)

    def send(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def read(self, seconds: float) -> str:
        """What comes within that time, at once when something does; "" when nothing does."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, seconds))
        if not ready:
            return ""
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            return ""
        self.received += len(data)
        return data.decode("utf-8", "replace")

    def seconds_until(self, shown: Callable[[str], bool], limit: float = 60.0) -> float:
        """From now until the text that came since satisfies `shown`."""
        begun, text = time.perf_counter(), ""
        while time.perf_counter() - begun < limit:
            if new := self.read(limit):
                text += new
                if shown(_ESCAPES.sub("", text)):
                    return time.perf_counter() - begun
            elif self.process.poll() is not None:
                break
        raise SystemExit(f"this did not show what it should within {limit:g} s:\n{_ESCAPES.sub('', text)[-2000:]}")

    def drain(self, seconds: float) -> int:
        """Bytes that come within that time."""
        before, end = self.received, time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)
        return self.received - before

    def settle(self, quiet: float = 1.5, limit: float = 30.0) -> None:
        """Until nothing has come for a while."""
        end = time.perf_counter() + limit
        while self.read(quiet) and time.perf_counter() < end:
            pass


def first_frame(command: Sequence[str], shown: Callable[[str], bool]) -> float:
    """From the start of a process until its screen shows it."""
    with Terminal(command) as terminal:
        terminal.seconds_until(shown)
        return time.perf_counter() - terminal.begun


def app_command(root: Path, *more: str) -> list[str]:
    return [sys.executable, "-P", "-c", "from progtrain.tui.start import main; main()", str(root), *more]


def empty_command() -> list[str]:
    """An app of nothing but one line, which a key changes."""
    code = (
        "from textual.app import App\nfrom textual.widgets import Static\n"
        "class Empty(App):\n    keys = 0\n    def compose(self):\n        yield Static('first frame')\n"
        "    def on_key(self):\n        self.keys += 1\n        self.query_one(Static).update(f'step {self.keys}')\n"
        "Empty().run()"
    )
    return [sys.executable, "-P", "-c", code]


def has_curve(text: str) -> bool:
    return any("\u2801" <= char <= "\u28ff" for char in text)
