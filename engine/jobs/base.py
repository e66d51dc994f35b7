"""A place to run scripts: on this machine (`local`), later a cluster. Everything else knows only what stands here."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from progtrain.engine.errors import StorageError
from progtrain.engine.files import try_read_json
from progtrain.engine.workspace import JobFolder

if TYPE_CHECKING:
    # `status` need not wait for it
    from progtrain.engine.schema import JobRequest, JobState

#: `JobState.ended_by` of a job that ended without a word: killed from outside, or its machine restarted.
LOST = "lost"
#: of a job that wrote what it had because its time was nearly over: the next attempt goes on from there
GO_ON_LATER = "go on later"
_START_SECONDS = 30.0

#: "none": nobody submitted it, or its folder is gone. "submitting": not known to have been taken yet. "queued": will
#: start by itself. "waiting": in the queue, and stays there until somebody does something. "ending": who watches over
#: it has had to go, and why is not known yet. "done": exit code 0; whether its outputs are whole is for the caller to
#: say. "paused": it saved and stopped at its time limit. "lost": ended without a word.
Alive = Literal["none", "submitting", "queued", "waiting", "running", "ending"]
Over = Literal["done", "paused", "failed", "cancelled", "lost"]
Phase = Alive | Over


@dataclass(frozen=True)
class Seen:
    """How a job is, put together from its guard's files and what a cluster says of it."""

    phase: Phase
    #: in words, for a screen; empty where the phase says it all
    reason: str = ""
    #: why it ended, empty for "done": "exit code" (the script's own: its log tells), "signal", "time limit",
    #: "host memory", "node failure", "preempted", "cancelled", "cancelled before start", "refused", "could not start",
    #: "replaced", "lost"
    cause: str = ""
    #: as the guard tells of it
    state: JobState | None = None
    #: the cluster's id of the job, and its node
    job: str | None = None
    node: str | None = None
    #: seconds since its guard's last sign
    beat_age: float | None = None
    #: seconds since the cluster answered last, while it does not answer: the rest is as it was known then
    stale: float | None = None

    @property
    def ended(self) -> bool:
        return self.phase in get_args(Over)


def as_guard_says(state: JobState) -> Seen:
    """For a guard whose word is the last one: its job has ended, or it is at work."""
    by = state.ended_by
    if state.status != "ended":
        phase: Phase = "running" if state.status == "running" else "queued"
        return Seen(phase, state=state, job=state.job, node=state.node)
    cause = by or ""
    if by == GO_ON_LATER:
        phase, reason, cause = "paused", "its time was nearly over: it saved what it had", "time limit"
    elif by == LOST:
        phase, reason = "lost", "it ended without a word: killed from outside, or its machine restarted"
    elif by == "cancelled":
        phase, reason = "cancelled", ""
    elif by:
        phase, reason = "failed", {"replaced": "a newer attempt took its place"}.get(by, by)
    elif state.exit_code == 0:
        phase, reason = "done", ""
    elif (state.exit_code or 0) < 0:
        phase, reason, cause = "failed", f"ended by signal {-(state.exit_code or 0)}", "signal"
    else:
        phase, reason, cause = "failed", f"the script ended with exit code {state.exit_code}", "exit code"
    return Seen(phase, reason, cause, state, state.job, state.node)


def state_in(folder: JobFolder) -> JobState | None:
    """What the guard wrote last; None where there is nothing, or nothing that a guard writes."""
    data = try_read_json(folder.state)
    if data is None:
        return None
    from progtrain.engine.schema import JobState

    try:
        return JobState.model_validate(data)
    except ValueError:
        return None


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

    def look_all(self, folders: Iterable[JobFolder]) -> dict[JobFolder, Seen]:
        """How each of them is, with one question for all where there is somebody to ask.

        Changes nothing. Never raises for a cluster that does not answer: `Seen.stale` says for how long.
        """
        states = {folder: self.look(folder) for folder in folders}
        return {folder: as_guard_says(state) if state else Seen("none") for folder, state in states.items()}

    def settle(self, folders: Iterable[JobFolder]) -> None:  # noqa: B027 - most have nothing left open
        """Carries on what was left open: a submission or a cancellation that the cluster did not answer.

        For whoever owns the jobs, again and again until they have ended; `wait` does it too. Raises `StorageError`.
        """

    def check(self, request: JobRequest) -> str:
        """What would become of it if it were submitted now, in words; empty where there is nothing to say.

        Submits nothing. Raises `InputError` with the cluster's reason where it would be refused.
        """
        return ""

    @abstractmethod
    def cancel(self, folder: JobFolder) -> None:
        """Asks for its end and returns at once; `look` then comes to say "ended", by "cancelled"."""

    def close(self) -> None:  # noqa: B027 - most keep nothing
        """What it keeps for further jobs is let go; a job that runs goes on."""

    def end_left(self, state: JobState) -> None:  # noqa: B027 - a cluster does so by itself
        """Ends what is left of a job whose folder is gone, guard and script, and returns when it has ended."""

    def log(self, folder: JobFolder) -> Path:
        """Where the output of script and interpreter lies, growing while it runs."""
        return folder.log

    def wait(self, folder: JobFolder, tick: Callable[[], None], poll_seconds: float = 0.1) -> JobState:
        """Until the job has ended; `tick` is called between looks.

        A job that was there and is not any more, because somebody has removed its folder, has ended by `LOST`. Raises
        `StorageError` when it does not even begin to tell of itself.
        """
        begun, last = time.monotonic(), None
        while True:
            state = self.look(folder)
            if state is not None and state.status == "ended":
                return state
            if state is None and last is not None:
                # whoever waits may know better what became of the folder
                tick()
                self.end_left(last)
                return last.model_copy(update={"status": "ended", "ended_by": LOST})
            last = state
            if state is None and time.monotonic() - begun > _START_SECONDS:
                raise StorageError(
                    "the guard of the script did not start",
                    file=folder.guard_log,
                    fix="read that log; is the disk full?",
                )
            tick()
            self.settle([folder])
            time.sleep(poll_seconds)
