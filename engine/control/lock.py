"""The runner's lock: whoever holds it walks the loop. However its process ends, the system lets go of it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from progtrain.engine.errors import Busy
from progtrain.engine.files import sha256_text, storage_errors
from progtrain.engine.workspace import Workspace

#: a look at the lock takes it for an instant, so the first refusal need not be a runner
_SECONDS = 2.0
#: what some network folders say to a lock
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
#: for files that cannot be locked where they lie: the same for all processes and people on this machine
_STAND_INS = Path("/tmp/progtrain-locks")


@contextmanager
def hold(ws: Workspace) -> Iterator[None]:
    """Raises `Busy` when another runner has this workspace, `StorageError` when it cannot be written."""
    reason, fix = "another runner is at work in this workspace", "progtrain status shows it, progtrain stop ends it"
    with hold_file(ws.lock, Busy(reason, file=ws.lock, fix=fix)):
        from progtrain.engine.control import temporary  # who only looks need not wait for it

        temporary.sweep(ws)
        try:
            yield
        finally:
            # what was too young before
            temporary.sweep(ws)


@contextmanager
def hold_file(path: Path, busy: Busy) -> Iterator[None]:
    """Raises `busy` when somebody else holds the lock on this file, `StorageError` when it cannot be written.

    Where its file system has no locks, another file of this machine stands in: processes on other machines are not
    kept out then (`has_locks`).
    """
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        held: IO[bytes] = path.open("ab")
    try:
        if not _lock(held.fileno(), path, busy):
            held.close()
            with storage_errors(_STAND_INS):
                held = os.fdopen(_stand_in(path), "rb")
            _lock(held.fileno(), path, busy)
        yield
    finally:
        held.close()


def _lock(descriptor: int, path: Path, busy: Busy) -> bool:
    """False where the file system has no locks. Raises `busy`."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise busy from None
            time.sleep(0.05)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            with storage_errors(path):
                raise
        else:
            return True


def _stand_in(path: Path) -> int:
    """Opens the file that is locked in place of this one. Whoever comes first makes it, for all others too."""
    place = _STAND_INS / f"{sha256_text(str(path.resolve()))[:32]}.lock"
    with suppress(FileExistsError):
        _STAND_INS.mkdir()
        _STAND_INS.chmod(0o1777)
    with suppress(FileExistsError):
        os.close(os.open(place, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
    return os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def has_locks(folder: Path) -> bool:
    """Whether what lies in a folder can be locked, so that processes on all machines know of each other."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _NO_LOCKS
    finally:
        os.close(descriptor)
    return True


def running(ws: Workspace) -> bool:
    """Whether a runner holds the lock of this workspace. Needs no permission to write."""
    return held(ws.lock)


def held(path: Path) -> bool:
    """Whether somebody holds the lock on this file."""
    with suppress(OSError):
        return _is_held(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), lambda: _stand_in(path))
    return False


def _is_held(descriptor: int, stand_in: Callable[[], int] | None = None) -> bool:
    """Closes it. Raises `OSError` where neither it nor what stands in for it can be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if stand_in is None or error.errno not in _NO_LOCKS:
            raise
        return _is_held(stand_in())
    finally:
        os.close(descriptor)
    return False
