"""What a guard that was killed has left at work, found and ended.

A guard ends what its script started, and a keeper beside it does where it cannot (`guard.py`). Where both were killed,
the next runner comes here.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from progtrain.engine.jobs import alive

#: for what was killed to be gone
_SECONDS = 5.0


def end(folder: Path) -> int:
    """Ends guard and script of a job of this machine and all that they have started. Returns how many there were.

    Nothing where the job is that of another folder, which this one was copied from.
    """
    told = alive.told_in(folder)
    return end_told(told) if alive.is_its(told, folder) else 0


def end_told(told: Mapping[str, Any]) -> int:
    """The same by what the guard has told of itself, whatever became of its folder."""
    if not told or told.get("status") == "ended" or told.get("boot") != alive.boot():
        # one that is kept for further jobs has ended this one itself
        return 0
    found: set[int] = set()
    if alive.lives(told) and told["pid"] != os.getpid():
        # first: it would start or report something yet
        found.add(told["pid"])
        _kill(found)
    deadline = time.monotonic() + _SECONDS
    # what is being killed may have started others meanwhile
    while (left := set(_left_by(told))) and time.monotonic() < deadline:
        _kill(left)
        found |= left
        time.sleep(0.02)
    return len(found)


def end_all(jobs: Path) -> int:
    """Of all jobs that lie in a folder: those that have not ended, and whose guard has."""
    count = 0
    with suppress(OSError):
        for folder in sorted(jobs.iterdir()):
            told = alive.told_in(folder)
            if told and told.get("status") != "ended" and alive.lives(told) is False:
                count += end(folder)
    return count


def _left_by(told: Mapping[str, Any]) -> Iterable[int]:
    mark, session = told.get("id"), told.get("script_pid")
    wanted = f"{alive.MARK}={mark}\0".encode() if isinstance(mark, str) and mark else None
    leader = alive.began(session) if isinstance(session, int) else None
    if leader is not None and not alive.began_at(told.get("script_began"), leader):
        # the number belongs to another process by now
        session = None
    for pid in psutil.pids():
        if pid == os.getpid() or alive.began(pid) is None:
            continue
        if (wanted and _carries(pid, wanted)) or (isinstance(session, int) and _is_in(pid, session)):
            yield pid


def _carries(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - several hundred of them
            return mark in b"\0" + file.read()
    except OSError:
        pass
    if Path("/proc/self/environ").exists():
        return False
    try:
        return psutil.Process(pid).environ().get(alive.MARK) == mark[len(alive.MARK) + 1 : -1].decode()
    except (psutil.Error, OSError, ValueError):
        return False


def _is_in(pid: int, session: int) -> bool:
    """A script's session has no terminal: one of a person that has got the same number does."""
    try:
        return os.getsid(pid) == session and not alive.has_terminal(pid)
    except OSError:
        return False


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
