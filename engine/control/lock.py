"""The runner's lock: whoever holds it walks the loop. However its process ends, the system lets go of it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from progtrain.engine.control import temporary
from progtrain.engine.errors import Busy
from progtrain.engine.files import storage_errors
from progtrain.engine.workspace import Workspace

#: a look at the lock takes it for an instant, so the first refusal need not be a runner
_SECONDS = 2.0


@contextmanager
def hold(ws: Workspace) -> Iterator[None]:
    """Raises `Busy` when another runner has this workspace, `StorageError` when it cannot be written."""
    reason, fix = "another runner is at work in this workspace", "progtrain status shows it, progtrain stop ends it"
    with hold_file(ws.lock, Busy(reason, file=ws.lock, fix=fix)):
        temporary.sweep(ws)
        try:
            yield
        finally:
            # what was too young before
            temporary.sweep(ws)


@contextmanager
def hold_file(path: Path, busy: Busy) -> Iterator[None]:
    """Raises `busy` when somebody else holds the lock on this file, `StorageError` when it cannot be written."""
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        _take(file, busy)
        yield


def _take(file: IO[bytes], busy: Busy) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise busy from None
        time.sleep(0.05)


def running(ws: Workspace) -> bool:
    """Whether a runner holds the lock of this workspace. Needs no permission to write."""
    return held(ws.lock)


def held(path: Path) -> bool:
    """Whether somebody holds the lock on this file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, PermissionError):
        pass
    return False
