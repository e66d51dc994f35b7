"""Processes that outlive this one, its terminal and the line: starting them, and knowing them again.

Light: the guard imports it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from progtrain.engine.errors import ProgtrainError
from progtrain.engine.files import keep_room, of_storage

_PR_SET_PDEATHSIG = 1
#: Started from here and perhaps still at work: kept so that they can be reaped once they have ended.
_children: list[subprocess.Popen[bytes]] = []


def children() -> list[subprocess.Popen[bytes]]:
    """Those that have not ended yet."""
    _children[:] = [child for child in _children if child.poll() is None]
    return list(_children)


def die_with_parent() -> None:
    """In a process that has just been made: it ends with its parent, even when that is killed. Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


#: `preexec_fn` of a child that nobody needs once this process, and the thread that made it, are gone
with_parent = die_with_parent if sys.platform == "linux" else None


def outliving(work: Callable[[], int]) -> int:
    """In a process that was spawned: its exit code, whatever becomes of the terminal that it was started from."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    told: ProgtrainError
    try:
        return work()
    except ProgtrainError as error:
        told = error
    except OSError as error:
        if (of_disk := of_storage(error)) is None:
            raise
        told = of_disk
    # its log, read by whoever started it
    with suppress(OSError):
        os.write(sys.stderr.fileno(), f"{told}\n".encode())
    return told.exit_code


def spawn(module: str, arguments: list[str], log: Path, *, listens: bool = False) -> subprocess.Popen[bytes]:
    """Starts one of our own modules in a session of its own, with its output in `log`; `listens`: with a pipe to it.

    `-P` keeps the folder that it is started in off the module path, so that the package is found where this process
    found it. Not so for a folder `progtrain` on the user's own PYTHONPATH: Python looks there first, for every program.
    """
    children()
    with log.open("wb") as output:
        # what ends it on a full disk is read there
        keep_room(output.fileno())
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE if listens else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _children.append(child)
    return child


def send(command: list[str], environment: Mapping[str, str]) -> None:
    """Starts another program whose answer nobody waits for."""
    children()
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(command, env=environment, stdin=nothing, stdout=nothing, stderr=nothing)
    _children.append(child)
