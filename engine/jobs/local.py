"""Jobs on this machine, each under a guard of its own."""

from __future__ import annotations

import shutil
import socket

import psutil

from progtrain.engine.files import storage_errors, try_read_json, write_json
from progtrain.engine.jobs.base import LOST, Executor
from progtrain.engine.jobs.detached import began, spawn
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder


class Local(Executor):
    def submit(self, folder: JobFolder, request: JobRequest) -> None:
        with storage_errors(folder.path):
            if folder.path.exists():
                shutil.rmtree(folder.path)
            write_json(folder.job, request.model_dump())
            spawn("progtrain.engine.jobs.guard", [str(folder.path)], folder.guard_log)

    def look(self, folder: JobFolder) -> JobState | None:
        state = _read(folder)
        if state is None or state.status == "ended" or guard_alive(state):
            return state
        # it may have written its last word between the two looks
        state = _read(folder) or state
        return state if state.status == "ended" else state.model_copy(update={"status": "ended", "ended_by": LOST})

    def cancel(self, folder: JobFolder) -> None:
        with storage_errors(folder.cancel):
            folder.cancel.touch()


def _read(folder: JobFolder) -> JobState | None:
    """What the guard wrote last."""
    data = try_read_json(folder.state)
    return JobState.model_validate(data) if data is not None else None


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
