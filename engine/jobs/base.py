"""A place to run scripts: on this machine (`local`), later a cluster. Everything else knows only what stands here."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from progtrain.engine.errors import StorageError
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder

#: `JobState.ended_by` of a job that ended without a word: killed from outside, or its machine restarted.
LOST = "lost"
_START_SECONDS = 30.0


class Executor(ABC):
    """Runs jobs. It keeps nothing in memory: a runner that is started again finds its jobs by their folders.

    A job is a folder of the workspace, which the executor may fill with whatever it needs besides `job.json` and the
    output's log.
    """

    @abstractmethod
    def submit(self, folder: JobFolder, request: JobRequest) -> None:
        """Starts a job and returns at once; an earlier one in the same folder is forgotten.

        The job outlives this process. It ends at its time limit, and nothing of its tree is left. Raises
        `StorageError` when the folder cannot be written.
        """

    @abstractmethod
    def look(self, folder: JobFolder) -> JobState | None:
        """How the job is; None when there is none, or none that has begun to tell.

        "pending" before the script runs, "running", "ended" with exit code and who ended it, "unreachable" while
        nobody can say. A job that will never say more has "ended", by `LOST`.
        """

    @abstractmethod
    def cancel(self, folder: JobFolder) -> None:
        """Asks for its end and returns at once; `look` then comes to say "ended", by "cancelled"."""

    def close(self) -> None:  # noqa: B027 - most keep nothing
        """What it keeps for further jobs is let go; a job that runs goes on."""

    def log(self, folder: JobFolder) -> Path:
        """Where the output of script and interpreter lies, growing while it runs."""
        return folder.log

    def wait(self, folder: JobFolder, tick: Callable[[], None], poll_seconds: float = 0.1) -> JobState:
        """Until the job has ended; `tick` is called between looks.

        Raises `StorageError` when it does not even begin to tell of itself.
        """
        begun = time.monotonic()
        while True:
            state = self.look(folder)
            if state is not None and state.status == "ended":
                return state
            if state is None and time.monotonic() - begun > _START_SECONDS:
                raise StorageError(
                    "the guard of the script did not start",
                    file=folder.guard_log,
                    fix="read that log; is the disk full?",
                )
            tick()
            time.sleep(poll_seconds)
