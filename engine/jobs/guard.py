"""The parent of one script: `python -P -m progtrain.engine.jobs.guard FOLDER`.

It outlives the runner and the terminal, never leaves a process of the script's tree behind, and writes what became of
it to `state.json`. Only the standard library and psutil, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from progtrain.engine.jobs.detached import began

#: Seconds between asking a process to end and ending it.
GRACE_SECONDS = 3.0
_POLL_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def run(folder: Path, request: dict[str, Any]) -> None:
    """Runs the script of a job to its end, whatever that is, and records it."""
    cancelled = threading.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: cancelled.set())
    _adopt_orphans()
    state: dict[str, Any] = {
        "status": "pending",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "create_time": began(psutil.Process()),
        "started_at": _now(),
    }
    _write(folder, state)
    leftovers: dict[int, int] = {}
    ended_by: str | None = "could not start"
    with (folder / "output.log").open("ab", buffering=0) as log:
        try:
            process = _start(request, log)
        except OSError as error:
            log.write(f"could not start {request['command'][0]}: {error.strerror}\n".encode())
            exit_code = 127
        else:
            state |= {"status": "running", "script_pid": process.pid}
            _write(folder, state)
            cancel = folder / "cancel"
            limit = request.get("timeout_seconds")
            exit_code, ended_by = _watch(process, limit, lambda: cancelled.is_set() or cancel.exists())
            leftovers = end_tree(_descendants())
    end = {"ended_at": _now(), "exit_code": exit_code, "ended_by": ended_by, "leftovers": len(leftovers)}
    _write(folder, state | {"status": "ended"} | end)


def _start(request: dict[str, Any], log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        request["command"],
        cwd=request["cwd"],
        env={**os.environ, **request.get("environment", {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def _watch(
    process: subprocess.Popen[bytes], limit: float | None, cancelled: Callable[[], bool]
) -> tuple[int, str | None]:
    """Waits for the script. Returns its exit code, and why it was ended: None when it ended by itself."""
    deadline = math.inf if limit is None else time.monotonic() + limit
    while True:
        try:
            return process.wait(timeout=_POLL_SECONDS), None
        except subprocess.TimeoutExpired:
            reason = "cancelled" if cancelled() else "time limit" if time.monotonic() > deadline else None
        if reason:
            # whoever waits for a child takes its exit code: here that is psutil
            return end_tree(_descendants()).get(process.pid, -signal.SIGKILL), reason


def _write(folder: Path, state: dict[str, Any]) -> None:
    temporary = folder / ".state.json.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "state.json")


def end_tree(processes: list[psutil.Process]) -> dict[int, int]:
    """Asks all to end, then ends what is still there. Returns the exit code of each, by pid."""
    for process in processes:
        _signal(process, "terminate")
    ended, alive = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    # a dying process may have started others meanwhile
    late = list({*alive, *_descendants()})
    for process in late:
        _signal(process, "kill")
    killed, _ = psutil.wait_procs(late, timeout=GRACE_SECONDS)
    # wait_procs sets `returncode`; None where the process was not a child of ours
    return {process.pid: getattr(process, "returncode", None) or 0 for process in [*ended, *killed]}


def _signal(process: psutil.Process, how: str) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        getattr(process, how)()


def _descendants() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def _adopt_orphans() -> None:
    """Makes processes whose parent ends the guard's own, double forks included. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent() -> None:
    """In the script's process, before it begins: end with the guard, even when that is killed. Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat()


def _claim(folder: Path) -> bool:
    """Whether this guard is the first of its job.

    A runner that is killed before its guard has written a word leaves it starting; the next runner knows nothing of
    it and starts another. The script must run once all the same.
    """
    try:
        os.close(os.open(folder / "claimed", os.O_CREAT | os.O_EXCL))
    except (FileExistsError, FileNotFoundError):
        return False
    return True


def main() -> None:
    folder = Path(sys.argv[1])
    # read before the claim: the folder may be in the middle of being made anew
    request = json.loads((folder / "job.json").read_bytes())
    if _claim(folder):
        run(folder, request)


if __name__ == "__main__":
    main()
