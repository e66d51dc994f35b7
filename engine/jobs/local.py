"""Jobs on this machine: submit, poll, cancel, log. Another place to run (a cluster) offers the same four."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable

import psutil

from progtrain.engine.errors import StorageError
from progtrain.engine.files import storage_errors, try_read_json, write_json
from progtrain.engine.jobs.began import began
from progtrain.engine.jobs.detached import spawn
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder

_START_SECONDS = 30.0


def submit(folder: JobFolder, request: JobRequest) -> None:
    """Starts a guard that is independent of this process and of the terminal."""
    with storage_errors(folder.path):
        if folder.path.exists():
            shutil.rmtree(folder.path)
        write_json(folder.job, request.model_dump())
        spawn("progtrain.engine.jobs.guard", [str(folder.path)], folder.guard_log)


def poll(folder: JobFolder) -> JobState | None:
    """What the guard wrote last; None when there is no such job."""
    data = try_read_json(folder.state)
    return JobState.model_validate(data) if data is not None else None


def alive(state: JobState) -> bool:
    """Whether the guard of this job still runs on this machine."""
    if state.status == "ended" or state.host != socket.gethostname():
        return False
    try:
        process = psutil.Process(state.pid)
        # the same number may belong to another process by now
        return abs(began(process) - state.create_time) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def cancel(folder: JobFolder) -> None:
    with storage_errors(folder.cancel):
        folder.cancel.touch()


def wait(folder: JobFolder, tick: Callable[[], None], poll_seconds: float = 0.1) -> JobState | None:
    """Until the job has ended. None when its guard went away without a word (killed, or the machine restarted).

    `tick` is called between polls. Raises `StorageError` when the guard cannot even begin to write.
    """
    begun = time.monotonic()
    while True:
        state = poll(folder)
        if state is not None and state.status == "ended":
            return state
        if state is not None and not alive(state):
            # it may have written its last word between the two looks
            state = poll(folder)
            return state if state is not None and state.status == "ended" else None
        if state is None and time.monotonic() - begun > _START_SECONDS:
            raise StorageError(
                "the guard of the script did not start",
                file=folder.guard_log,
                fix="read that log; is the disk full?",
            )
        tick()
        time.sleep(poll_seconds)
