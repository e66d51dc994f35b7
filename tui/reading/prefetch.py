"""A forked child reads history and newest curves while the app still imports Textual.

It is forked before there is any thread, and imports by itself what only it needs.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.curves import CurveFeed, CurveRows

if TYPE_CHECKING:
    from progtrain.engine.status.snapshot import Snapshot

_SIZE = 8


class Prefetch:
    """The child writes to a file, and to a pipe only how much: reading a pipe bit by bit would wait for the
    interpreter's lock each time while Textual is imported.
    """

    def __init__(self, root: Path) -> None:
        self._file = tempfile.TemporaryFile(prefix="progtrain-")  # noqa: SIM115 - closed by `close`
        self._sizes, told = os.pipe()
        self._offset = 0
        self._child: int | None = None
        #: nothing more will come
        self.ended = False
        with contextlib.suppress(OSError):
            self._child = os.fork()
            if self._child == 0:
                _live(root, self._file.fileno(), told)
        os.close(told)

    def history(self) -> Snapshot | None:
        """Comes first; None while it is not there, or where nothing was ever started."""
        found: Snapshot | None = self._next()
        return found

    def curves(self) -> tuple[CurveFeed, list[CurveRows]] | None:
        """The next part of the newest version's curves, and who goes on reading after it; None while none is there."""
        found: tuple[CurveFeed, list[CurveRows]] | None = self._next()
        return found

    def _next(self) -> Any:
        if self.ended or not select.select([self._sizes], [], [], 0)[0]:
            return None
        told = os.read(self._sizes, _SIZE)
        if len(told) < _SIZE:
            self.close()
            return None
        size = int.from_bytes(told, "little")
        data = os.pread(self._file.fileno(), size, self._offset)
        self._offset += size
        try:
            return pickle.loads(data)
        except (pickle.UnpicklingError, EOFError):
            self.close()
            return None

    def close(self) -> None:
        if self.ended:
            return
        self.ended = True
        if self._child is not None:
            with contextlib.suppress(OSError):
                os.kill(self._child, signal.SIGKILL)
                # one that hangs on a dead network folder is not waited for
                os.waitpid(self._child, os.WNOHANG)
        os.close(self._sizes)
        self._file.close()


def _live(root: Path, handle: int, told: int) -> None:
    """The child's life, from which it does not return."""
    try:
        # the terminal is the app's alone: a child that hangs must not keep a line open
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)

        def give(found: object) -> None:
            data = memoryview(pickle.dumps(found, pickle.HIGHEST_PROTOCOL))
            size, at = len(data), 0
            while at < size:
                at += os.write(handle, data[at:])
            os.write(told, size.to_bytes(_SIZE, "little"))

        _read(Workspace(root), give)
    finally:
        # an interrupt too ends here
        os._exit(0)


def _read(workspace: Workspace, give: Callable[[object], None]) -> None:
    from progtrain.engine.status.rows import glance

    seen = glance(workspace)
    if seen is None or seen.version is None:
        return
    give(seen)
    feed = CurveFeed(workspace, seen.version)
    give((feed, feed.read()))
    if feed.share < 1:
        os.nice(10)  # the rest of a long log must not hold up the first frame
    while feed.share < 1:
        give((feed, feed.read()))
