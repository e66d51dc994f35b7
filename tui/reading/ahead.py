"""A child process reads history and newest curves while the app still imports Textual.

Run as a script with `-S`: nothing that is not in the standard library or light may be imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.workspace import Workspace
from tui.reading.curves import CurveFeed
from tui.reading.glance import from_json, glance, to_json
from tui.reading.metrics_file import MetricsFile

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

_MOST_HISTORY = 1 << 24


class Ahead:
    """Begun as early as can be. The child writes to a file rather than a pipe: reading a pipe bit by bit would
    wait for the interpreter's lock each time while Textual is imported.
    """

    def __init__(self, root: Path) -> None:
        self._workspace = Workspace(root)
        self._file = tempfile.TemporaryFile(prefix="progtrain-")  # noqa: SIM115 - closed by `close`
        command = [sys.executable, "-I", "-S", __file__, str(root)]
        self._child: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._file, stderr=subprocess.DEVNULL
            )

    def done(self, seconds: float = 0.0) -> bool:
        """Whether all is there within that time."""
        if self._child is None:
            return False
        try:
            return self._child.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False

    def snapshot(self) -> Snapshot | None:
        """The history, from the part that is written so far."""
        data = os.pread(self._file.fileno(), _MOST_HISTORY, 0)
        if b"\n" not in data:
            return None
        try:
            return from_json(self._workspace.root, json.loads(data[: data.index(b"\n")]))
        except (ValueError, TypeError, KeyError):
            return None

    def feed(self, seen: Snapshot) -> CurveFeed | None:
        """The newest version's curves, once `done`."""
        folders = self._workspace.version(seen.version).log_dirs() if seen.version else []
        if seen.version is None or not folders:
            return None
        file = MetricsFile(folders[-1] / "metrics.csv")
        self._file.seek(0)
        self._file.readline()
        try:
            there = file.take_over(self._file)
        except (ValueError, TypeError, KeyError, EOFError):
            return None
        return CurveFeed(self._workspace, seen.version, file) if there else None

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._file.close()


def _hand_over(root: Path, stream: IO[bytes]) -> None:
    workspace = Workspace(root)
    seen = glance(workspace)
    stream.write(json.dumps(to_json(seen) if seen else None).encode() + b"\n")
    stream.flush()
    folders = workspace.version(seen.version).log_dirs() if seen and seen.version else []
    if folders:
        file = MetricsFile(folders[-1] / "metrics.csv")
        file.read_here()
        file.hand_over(stream)


if __name__ == "__main__":
    _hand_over(Path(sys.argv[1]), sys.stdout.buffer)
