"""The parent of a script: `python -P -m progtrain.engine.jobs.guard FOLDER`.

With `--batch` it is the last line of a job on a cluster: it keeps each start that the cluster makes of the same job
in a folder of its own. With `--keep` it takes one job after the other, a folder on each line of its input, and keeps a
warm interpreter for them (`warm.py`) until whoever sends them is gone. Its exit code is the script's.

It outlives the runner and the terminal, never leaves a process of the script's tree behind, and writes what became of
it to `state.json`. Where it is killed itself, its keeper ends what it has started: the process that was begun as the
guard, and did nothing but make the real one. Only the standard library and psutil, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from progtrain.engine.files import object_in, read_bytes
from progtrain.engine.jobs import alive, sandbox
from progtrain.engine.jobs.detached import die_with_parent
from progtrain.engine.jobs.listen import GO_ON_LATER, Asked, cluster, listening, named, replaced, take_back
from progtrain.engine.jobs.warm import Warm
from progtrain.engine.json_text import loaded

#: Seconds between asking a process to end and ending it.
GRACE_SECONDS = 3.0
#: seconds without a beat after which a guard that Slurm has lost sight of counts as gone
LOST_SECONDS = 180.0
#: exit code of a guard whose job another one does
NOT_MINE = 75
_POLL_SECONDS = 0.1
#: seconds between two looks whether the job's folder is still its own
_OWN_SECONDS = 0.5
_PR_SET_CHILD_SUBREAPER = 36
#: found in the environment of all that this guard starts
_ID = os.urandom(16).hex()


def run(folders: list[Path], request: dict[str, Any], warm: Warm | None = None) -> int:
    """Runs the script of a job to its end, whatever that is, and records it in the first folder.

    The other folders are those of earlier starts. Returns the exit code of the script, negative for a signal.
    """
    begun = time.monotonic()
    _adopt_orphans()
    if not _is_mine(folders[0]):
        return NOT_MINE
    state: dict[str, Any] = {
        "status": "pending",
        "host": socket.gethostname(),
        **_who(folders[0]),
        "started_at": _now(),
        **cluster(),
    }
    _write(folders[0], state)
    leftovers: dict[int, int] = {}
    with (folders[0] / "output.log").open("ab", buffering=0) as log, listening(folders, request) as (told, explained):
        asked = _or_taken_away(told, folders[0])
        process, exit_code, ended_by = None, -int(signal.SIGTERM), asked() or None
        try:
            # it may have been asked to end before it began
            process, started = (None, "") if ended_by else _start(request, log, warm, asked)
        except OSError as error:
            log.write(f"could not start {request['command'][0]}: {error.strerror}\n".encode())
            exit_code, ended_by = 127, "could not start"
        if process is not None:
            state |= {"status": "running", "script_pid": process.pid, "started": started}
            state["script_began"] = alive.began(process.pid)
            _write(folders[0], state)
            limit = request.get("timeout_seconds")
            spared = warm.pid if warm else None
            exit_code, ended_by = _watch(process, math.inf if limit is None else begun + limit, asked, spared)
            ended_by = ended_by or explained(exit_code)
            leftovers = end_tree(spared)
        if ended_by == "go on later":
            exit_code = GO_ON_LATER
        end = {"ended_at": _now(), "exit_code": exit_code, "ended_by": ended_by, "leftovers": len(leftovers)}
        end["took"] = round(time.monotonic() - begun, 3)
        # with a process that is kept, children of other jobs are among those that have ended
        memory = _most_memory() if warm is None and process is not None else None
        take_back(request)
        if not _is_mine(folders[0]):
            return NOT_MINE
        # still listening: a request for its end that comes only now must not end this process before its last word
        _write(folders[0], state | {"status": "ended", "memory": memory} | end)
    return exit_code


def _or_taken_away(told: Asked, folder: Path) -> Asked:
    """Says too when the folder was removed, or belongs to a job that was submitted anew: nobody takes its result."""
    due = 0.0

    def asked() -> str:
        nonlocal due
        said = told()
        if said or time.monotonic() < due:
            return said
        due = time.monotonic() + _OWN_SECONDS
        return "" if _is_mine(folder) else "replaced"

    return asked


def _start(request: dict[str, Any], log: BinaryIO, warm: Warm | None, asked: Asked) -> tuple[psutil.Process, str]:
    """The script's process, a child of this one, and how it was started: "warm", or why not where that was wanted."""
    process, why_not = warm.start(request, log, lambda: bool(asked())) if warm else (None, "")
    return process or _start_cold(request, log), why_not or ("warm" if process else "")


def _start_cold(request: dict[str, Any], log: BinaryIO) -> psutil.Process:
    environment = {**os.environ, **request.get("environment", {}), alive.MARK: _ID}
    command, enter = request["command"], None
    if request.get("writable") is not None:
        command, enter = sandbox.around(command, request["writable"])
    try:
        return psutil.Popen(
            command,
            cwd=request["cwd"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(_begin, enter) if sys.platform == "linux" else None,
        )
    except subprocess.SubprocessError as error:
        raise OSError(errno.EPERM, "the sandbox could not be entered") from error


def _begin(enter: Callable[[], None] | None) -> None:
    """In the process that is to be the script's."""
    die_with_parent()
    if enter is not None:
        enter()


def _most_memory() -> int:
    """Bytes that the largest of the processes that have ended held at most. Linux counts in KiB."""
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _watch(process: psutil.Process, deadline: float, asked: Asked, spared: int | None) -> tuple[int, str | None]:
    """Waits for the script. Returns its exit code, and why it was ended: None when it ended by itself."""
    while True:
        try:
            return int(process.wait(timeout=_POLL_SECONDS) or 0), None
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            reason = asked() or ("time limit" if time.monotonic() > deadline else "")
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
        with (folder / "claimed").open("x", encoding="utf-8") as file:
            file.write(json.dumps(_who(folder)))
    except (FileExistsError, FileNotFoundError):
        return False
    return True


def _who(folder: Path) -> dict[str, Any]:
    return {**alive.myself(), "id": _ID, "place": alive.place_of(folder)}


def _is_mine(folder: Path) -> bool:
    """Whether the folder is still the one that was claimed: the job may have been submitted anew meanwhile."""
    try:
        return _ID.encode() in read_bytes(folder / "claimed")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # a network folder that does not answer for a moment
        return True


def take(folder: Path, warm: Warm | None = None, earlier: list[Path] | None = None) -> int:
    """The exit code for a process that is this job, 128 and more for a signal."""
    # read before the claim: the folder may be in the middle of being made anew
    request = loaded(read_bytes(folder / "job.json"))
    os.environ[alive.MARK] = _ID
    # by its name in the folder above, wherever that is moved to meanwhile
    os.chdir(folder)
    folder, *earlier = (Path("..") / path.name for path in (folder, *(earlier or [])))
    folders = [folder, *earlier]
    if replaced(folders) or not _claim(folder):
        sys.stderr.write("another one does this job\n")
        return NOT_MINE
    with sandbox.in_place(folder, request) as placed:
        exit_code = run(folders, placed, warm)
    return exit_code if exit_code >= 0 else 128 - exit_code


def _batch(folder: Path) -> int:
    # Lightning would have the cluster start the job again by itself
    os.environ["SLURM_JOB_NAME"] = "bash"
    count = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    if not count:
        return take(folder)
    starts = [folder, *(folder.with_name(f"{folder.name}.r{number}") for number in range(1, count + 1))]
    *earlier, attempt = (path for path in starts if path.is_dir() or path is starts[-1])
    if any((state := _state(path)).get("exit_code") == 0 and not state.get("ended_by") for path in earlier):
        sys.stderr.write("an earlier start of this job has done it\n")
        return 0
    if named(folder) not in {"", *(path.name for path in starts)}:
        return NOT_MINE
    attempt.mkdir(exist_ok=True)
    shutil.copy(folder / "job.json", attempt / "job.json")
    for path in earlier:
        (path / "fence").write_text(attempt.name, encoding="utf-8")
    age = alive.ages()
    while any(_may_be_at_work(path, age) for path in earlier):
        time.sleep(1.0)
    return take(attempt, earlier=earlier)


def _state(folder: Path) -> dict[str, Any]:
    return object_in(folder / "state.json")


def _may_be_at_work(folder: Path, age: Callable[[Path], float | None]) -> bool:
    """A node that the cluster has lost sight of may well go on, and two must not write to the same checkpoints."""
    beat = age(folder / "beat")
    return _state(folder).get("status") != "ended" and beat is not None and beat < LOST_SECONDS


def _kept(work: Callable[[], int]) -> int:
    """The exit code of `work`, done by a child of this process: when that is killed, all that it started comes to this
    one, double forks and sessions of their own included, and is ended. Linux only; there is no such thing elsewhere.
    """
    if sys.platform != "linux":
        return work()
    _adopt_orphans()
    child = os.fork()
    if child == 0:
        return work()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _: os.kill(child, number))
    # whoever sends jobs must see it when the one who reads them is gone
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    while left := _descendants(None):
        for process in left:
            _signal(process, "kill")
        psutil.wait_procs(left, timeout=_POLL_SECONDS)
    return exit_code if exit_code >= 0 else 128 - exit_code


def _keep() -> int:
    with Warm() as warm:
        for line in sys.stdin:
            take(Path(json.loads(line)), warm)
    return 0


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.argv[1] == "--keep":
        sys.exit(_kept(_keep))
    elif "--batch" in sys.argv:
        # until it listens: it must not end the guard
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        sys.exit(_batch(Path(sys.argv[1])))
    else:
        # a cluster ends all of a job by itself, and sends its signals to the process that it has started
        sys.exit(_kept(lambda: take(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
