"""Which process is which, and whose job is whose. Nobody else compares process numbers.

A process is known by the start of its machine, its number and when it began; the host's name changes while it runs, and
is for people. Of a process on another machine only the age of its beat is known. Light: the guard imports it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from progtrain.engine.files import object_in

#: in the environment of everything that a guard has started: the id by which it is found
MARK = "PROGTRAIN_JOB"
#: what began within so many seconds is the same process: clocks of earlier versions told it less exactly
_SAME_SECONDS = 1.0


@cache
def boot() -> str:
    """This start of this machine, with the numbering of processes that counts here (a container has its own)."""
    if sys.platform == "darwin":
        held, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", held, ctypes.byref(size), None, 0)
        return held.value.decode()
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{started} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def began(pid: int) -> float | None:
    """Seconds from the machine's start to the process's: they stay the same when somebody sets the clock.

    None where there is no such process, or it has ended and was not waited for.
    """
    try:
        if sys.platform == "linux":
            # its name stands in brackets and may have any character
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            return None if fields[0] in (b"Z", b"X") else int(fields[19]) / os.sysconf("SC_CLK_TCK")
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time() - psutil.boot_time()
    except (OSError, OverflowError, ValueError, IndexError, psutil.Error):
        return None


def began_at(told: object, now: float) -> bool:
    """Whether what a file says of a process's begin is that of a process that began `now`."""
    return isinstance(told, int | float) and now - _SAME_SECONDS < told < now + _SAME_SECONDS


def has_terminal(pid: int) -> bool:
    """Whether it belongs to somebody's terminal."""
    try:
        if sys.platform == "linux":
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[4] != b"0"
        return psutil.Process(pid).terminal() is not None
    except (OSError, IndexError, psutil.Error):
        return False


def myself() -> dict[str, Any]:
    """What another process needs in order to know this one again."""
    return {"boot": boot(), "pid": os.getpid(), "create_time": began(os.getpid())}


def lives(told: Mapping[str, Any]) -> bool | None:
    """Whether a process still runs that has told this of itself; None where that cannot be seen from here."""
    started, place = told.get("create_time"), told.get("boot")
    if place and place != boot():
        return None
    now = began(told["pid"]) if isinstance(told.get("pid"), int) and told["pid"] > 0 else None
    if now is not None and began_at(started, now):
        return True
    return False if place else None


def place_of(folder: Path) -> str:
    """A folder that was moved is still the same one, a copy of it is not."""
    found = folder.stat()
    return f"{found.st_dev} {found.st_ino} {folder.resolve()}"


def is_its(told: Mapping[str, Any], folder: Path) -> bool:
    """Whether a job that has told this of itself was begun in this folder, rather than in one that it was copied from.

    Jobs of earlier versions have not told it, and count as its own.
    """
    parts = str(told.get("place") or "").split(" ", 2)
    if len(parts) < 3:
        return True
    try:
        device, inode, path = place_of(folder).split(" ", 2)
    except OSError:
        return False
    if told.get("boot") == boot():
        # numbers of devices change when a network folder is mounted anew
        return parts[1] == inode and (parts[0] == device or parts[2] == path)
    return parts[1] == inode or parts[2] == path


def told_in(folder: Path) -> dict[str, Any]:
    """What a guard has told of itself there: `state.json`, else `claimed`, which it writes first."""
    for name in ("state.json", "claimed"):
        found = object_in(folder / name)
        if isinstance(found.get("pid"), int):
            return found
    return {}


def ages() -> Callable[[Path], float | None]:
    """How many seconds ago a file was written; None where it is not there. One who waits keeps what this returns.

    The first look can only go by the clocks of two machines. From then on it is this machine's time since the file
    changed that counts: whoever sets a clock ends no job.
    """
    known: dict[Path, tuple[int, float, float]] = {}

    def age(path: Path) -> float | None:
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return None
        if path not in known or known[path][0] != written:
            known[path] = written, max(0.0, time.time() - written / 1e9), time.monotonic()
        _, first, since = known[path]
        return first + time.monotonic() - since

    return age
