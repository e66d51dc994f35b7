"""Jobs on this machine, each under a guard. One guard is kept for those that a warm interpreter may serve."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import uuid
from contextlib import suppress

import psutil

from progtrain.engine.files import storage_errors, try_read_json, write_json
from progtrain.engine.jobs.base import LOST, Executor, beat_age
from progtrain.engine.jobs.detached import began, spawn
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder

#: after so long without a beat a guard on another machine is gone
_FRESH_SECONDS = 60.0
_GUARD = "progtrain.engine.jobs.guard"


class Local(Executor):
    def __init__(self) -> None:
        self._keeper: subprocess.Popen[bytes] | None = None

    def submit(self, folder: JobFolder, request: JobRequest) -> None:
        with storage_errors(folder.path):
            if folder.path.exists():
                _clear(folder)
            write_json(folder.job, request.model_dump())
            if not request.imports or not self._hand_over(folder):
                spawn(_GUARD, [str(folder.path)], folder.guard_log)

    def _hand_over(self, folder: JobFolder) -> bool:
        """Whether the guard that keeps an interpreter has taken it."""
        if self._keeper is None or self._keeper.poll() is not None:
            self.close()
            self._keeper = spawn(_GUARD, ["--keep"], folder.guard_log, listens=True)
        assert self._keeper.stdin is not None
        try:
            self._keeper.stdin.write(json.dumps(str(folder.path.absolute())).encode() + b"\n")
            self._keeper.stdin.flush()
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._keeper is not None and self._keeper.stdin is not None:
            with suppress(OSError):
                self._keeper.stdin.close()
        self._keeper = None

    def __del__(self) -> None:
        self.close()

    def look(self, folder: JobFolder) -> JobState | None:
        state = _read(folder)
        if state is None or state.status == "ended" or guard_alive(state):
            return state
        if state.host != socket.gethostname() and _beats(folder):
            # seen over a network folder from another machine
            return state
        # it may have written its last word between the two looks
        state = _read(folder) or state
        return state if state.status == "ended" else state.model_copy(update={"status": "ended", "ended_by": LOST})

    def cancel(self, folder: JobFolder) -> None:
        with storage_errors(folder.cancel):
            folder.cancel.touch()


def _clear(folder: JobFolder) -> None:
    """All at once: a guard that is only about to begin in it finds that the job is not its own any more."""
    aside = folder.path.with_name(f".{folder.path.name}.{uuid.uuid4().hex[:8]}.old")
    folder.path.rename(aside)
    shutil.rmtree(aside)


def _read(folder: JobFolder) -> JobState | None:
    """What the guard wrote last."""
    data = try_read_json(folder.state)
    return JobState.model_validate(data) if data is not None else None


def _beats(folder: JobFolder) -> bool:
    age = beat_age(folder)
    return age is not None and age < _FRESH_SECONDS


def guard_alive(state: JobState) -> bool:
    """Whether the guard of this job still runs on this machine."""
    if state.host != socket.gethostname():
        return False
    try:
        process = psutil.Process(state.pid)
        # the same number may belong to another process by now
        return abs(began(process) - state.create_time) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
