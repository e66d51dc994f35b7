"""The runner's lock: whoever holds it walks the loop. However its process ends, the system lets go of it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from progtrain.engine.errors import Busy
from progtrain.engine.files import storage_errors
from progtrain.engine.workspace import Workspace

#: a look at the lock takes it for an instant, so the first refusal need not be a runner
_SECONDS = 2.0


@contextmanager
def hold(ws: Workspace) -> Iterator[None]:
    """Raises `Busy` when another runner has this workspace, `StorageError` when it cannot be written."""
    with storage_errors(ws.own):
        ws.own.mkdir(parents=True, exist_ok=True)
        file = ws.lock.open("ab")
    with file:
        _take(file, ws)
        yield


def _take(file: IO[bytes], ws: Workspace) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise Busy(
                    "another runner is at work in this workspace",
                    file=ws.lock,
                    fix="progtrain status shows it, progtrain stop ends it",
                ) from error
        time.sleep(0.05)


def running(ws: Workspace) -> bool:
    """Whether a runner holds the lock of this workspace. Needs no permission to write."""
    try:
        with ws.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, PermissionError):
        pass
    return False
