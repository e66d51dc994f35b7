"""A script that can write to its own folders alone: by Landlock, or in bubblewrap where the kernel has none.

Only the standard library, as for the guard.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from progtrain.engine.live import progtrain_confine as landlock

#: what is no file: devices, and memory that processes share
_DEVICES = "/dev"


def why_not() -> str:
    """What this machine lacks; empty where it can be done."""
    try:
        landlock.version()
    except OSError as error:
        if shutil.which("bwrap") is None:
            return f"{error.strerror}, and bubblewrap is not installed"
    return ""


@contextmanager
def in_place(folder: Path, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The request of a job with a folder for temporary files of its own, where it is to run in a sandbox."""
    if request.get("writable") is None:
        yield request
        return
    temporary = folder.resolve() / "tmp"
    try:
        temporary.mkdir(exist_ok=True)
        environment = {**request.get("environment", {}), "TMPDIR": str(temporary)}
        yield request | {"writable": [*request["writable"], str(temporary)], "environment": environment}
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def around(command: Sequence[str], writable: Sequence[str]) -> tuple[list[str], Callable[[], None] | None]:
    """The command to start instead, and what its process must call before it begins, if anything.

    `writable`: folders and files that are there, as absolute paths. Raises `OSError` where nothing can do it: then the
    script must not start.
    """
    if reason := why_not():
        raise OSError(errno.ENOTSUP, f"no sandbox here: {reason}")
    open_ = [_DEVICES, *writable]
    try:
        landlock.version()
    except OSError:
        return in_bubblewrap(command, writable), None
    return list(command), lambda: landlock.restrict(open_)


def in_bubblewrap(command: Sequence[str], writable: Sequence[str]) -> list[str]:
    """All else is there, read-only: https://github.com/containers/bubblewrap."""
    bound = [word for path in writable for word in ("--bind", path, path)]
    read_only = ["bwrap", "--die-with-parent", "--ro-bind", "/", "/", "--dev-bind", _DEVICES, _DEVICES]
    return [*read_only, *bound, "--", *command]
