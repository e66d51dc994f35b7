"""The end of a growing log, read by offset: what is new costs what is new."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from progtrain.engine.files import opened
from progtrain.tui.look.sanitize import last_overwrite

#: the first look at a long log starts this far from its end
_FIRST_BYTES = 256 * 1024
#: a flood is shown by its end: more than this in one second nobody reads
_MOST_BYTES = 512 * 1024
_LONGEST_LINE = 4000


class LogRows(NamedTuple):
    """New lines of a log. `fresh`: forget what was shown before (another log, or it was written anew)."""

    path: Path
    lines: tuple[str, ...]
    #: the line that has no end yet: a progress bar, mostly
    open_line: str
    fresh: bool
    #: bytes before these lines that were left out
    skipped: int = 0


class LogTail:
    def __init__(self) -> None:
        self._path: Path | None = None
        self._offset = 0
        self._inode = -1
        self._open = b""

    def read(self, path: Path | None) -> LogRows | None:
        """None when nothing is new."""
        if path is None:
            return None
        try:
            with opened(path) as file:
                return self._read(path, file.fileno())
        except OSError:
            return None

    def _read(self, path: Path, handle: int) -> LogRows | None:
        stat = os.fstat(handle)
        fresh = path != self._path or stat.st_ino != self._inode or stat.st_size < self._offset
        if fresh:
            self._path, self._inode, self._open = path, stat.st_ino, b""
            self._offset = max(0, stat.st_size - _FIRST_BYTES)
        elif stat.st_size == self._offset:
            return None
        skipped = self._offset if fresh else 0
        if stat.st_size - self._offset > _MOST_BYTES:
            skipped += stat.st_size - self._offset - _MOST_BYTES
            self._offset, self._open = stat.st_size - _MOST_BYTES, b""
        data = self._open + os.pread(handle, stat.st_size - self._offset, self._offset)
        self._offset = stat.st_size
        whole, _, rest = data.rpartition(b"\n") if b"\n" in data else (b"", b"", data)
        self._open = rest[-_LONGEST_LINE:]
        lines = whole.split(b"\n") if whole else []
        if skipped and lines:
            lines = lines[1:]  # the first one is torn
        return LogRows(path, tuple(map(_shown, lines)), _shown(self._open), fresh, skipped)


def _shown(line: bytes) -> str:
    text = last_overwrite(line[-_LONGEST_LINE:])
    return f"… {text}" if len(line) > _LONGEST_LINE else text
