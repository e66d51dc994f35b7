"""The parent of a script: `python -P -m progtrain.engine.jobs.guard FOLDER`.

With `--keep` it takes one job after the other, a folder on each line of its input, and keeps a warm interpreter for
them (`warm.py`) until whoever sends them is gone.

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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from progtrain.engine.jobs.detached import began, die_with_parent
from progtrain.engine.jobs.warm import Warm

#: Seconds between asking a process to end and ending it.
GRACE_SECONDS = 3.0
_POLL_SECONDS = 0.1
_PR_SET_CHILD_SUBREAPER = 36


def run(folder: Path, request: dict[str, Any], asked: Callable[[], bool], warm: Warm | None = None) -> None:
    """Runs the script of a job to its end, whatever that is, and records it."""
    begun = time.monotonic()
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
            process, started = _start(request, log, warm, asked)
        except OSError as error:
            log.write(f"could not start {request['command'][0]}: {error.strerror}\n".encode())
            exit_code = 127
        else:
            state |= {"status": "running", "script_pid": process.pid, "started": started}
            _write(folder, state)
            limit = request.get("timeout_seconds")
            deadline = math.inf if limit is None else begun + limit
            spared = warm.pid if warm else None
            exit_code, ended_by = _watch(process, deadline, asked, spared)
            leftovers = end_tree(spared)
    end = {"ended_at": _now(), "exit_code": exit_code, "ended_by": ended_by, "leftovers": len(leftovers)}
    _write(folder, state | {"status": "ended"} | end)


@contextlib.contextmanager
def _asked_to_end(folder: Path) -> Iterator[Callable[[], bool]]:
    """Whether somebody wants the job to end: by the file `cancel`, or by a signal to this process."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    cancel = folder / "cancel"
    yield lambda: told.is_set() or cancel.exists()
    for number, handler in before.items():
        signal.signal(number, handler)


def _start(
    request: dict[str, Any], log: BinaryIO, warm: Warm | None, asked: Callable[[], bool]
) -> tuple[psutil.Process, str]:
    """The script's process, a child of this one, and how it was started: "warm", or why not where that was wanted."""
    process, why_not = warm.start(request, log, asked) if warm else (None, "")
    return process or _start_cold(request, log), why_not or ("warm" if process else "")


def _start_cold(request: dict[str, Any], log: BinaryIO) -> psutil.Process:
    return psutil.Popen(
        request["command"],
        cwd=request["cwd"],
        env={**os.environ, **request.get("environment", {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )


def _watch(
    process: psutil.Process, deadline: float, asked: Callable[[], bool], spared: int | None
) -> tuple[int, str | None]:
    """Waits for the script. Returns its exit code, and why it was ended: None when it ended by itself."""
    while True:
        try:
            return int(process.wait(timeout=_POLL_SECONDS) or 0), None
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            reason = "cancelled" if asked() else "time limit" if time.monotonic() > deadline else None
        if reason:
            # whoever waits for a child takes its exit code: here that is psutil
            return end_tree(spared).get(process.pid, -signal.SIGKILL), reason


def _write(folder: Path, state: dict[str, Any]) -> None:
    temporary = folder / ".state.json.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "state.json")


def end_tree(spared: int | None = None) -> dict[int, int]:
    """Asks all descendants but one to end, then ends what is still there. Returns the exit code of each, by pid."""
    processes = _descendants(spared)
    for process in processes:
        _signal(process, "terminate")
    ended, alive = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    # a dying process may have started others meanwhile
    late = list({*alive, *_descendants(spared)})
    for process in late:
        _signal(process, "kill")
    killed, _ = psutil.wait_procs(late, timeout=GRACE_SECONDS)
    # wait_procs sets `returncode`; None where the process was not a child of ours
    return {process.pid: getattr(process, "returncode", None) or 0 for process in [*ended, *killed]}


def _signal(process: psutil.Process, how: str) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        getattr(process, how)()


def _descendants(spared: int | None) -> list[psutil.Process]:
    found = [process for process in psutil.Process().children(recursive=True) if process.pid != spared]
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def _adopt_orphans() -> None:
    """Makes processes whose parent ends the guard's own, double forks included. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


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


def take(folder: Path, warm: Warm | None = None) -> None:
    # read before the claim: the folder may be in the middle of being made anew
    request = json.loads((folder / "job.json").read_bytes())
    if _claim(folder):
        with _asked_to_end(folder) as asked:
            run(folder, request, asked, warm)


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.argv[1] != "--keep":
        take(Path(sys.argv[1]))
        return
    with Warm() as warm:
        for line in sys.stdin:
            take(Path(json.loads(line)), warm)


if __name__ == "__main__":
    main()
