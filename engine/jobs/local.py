"""Jobs on this machine, each under a guard. One guard is kept for those that a warm interpreter may serve."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from contextlib import suppress
from typing import Any

from progtrain.engine import clock
from progtrain.engine.files import storage_errors, write_json
from progtrain.engine.jobs import alive, leftovers
from progtrain.engine.jobs.base import LOST, Executor, state_in
from progtrain.engine.jobs.detached import spawn
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder

#: after so long without a beat a guard on another machine is gone
_FRESH_SECONDS = 60.0
_GUARD = "progtrain.engine.jobs.guard"


class Local(Executor):
    def __init__(self) -> None:
        self._keeper: subprocess.Popen[bytes] | None = None
        #: who was started from here for a job
        self._started: dict[JobFolder, subprocess.Popen[bytes]] = {}
        self._age = alive.ages()

    def submit(self, folder: JobFolder, request: JobRequest) -> None:
        with storage_errors(folder.path):
            if folder.path.exists():
                leftovers.end(folder.path)
                _clear(folder)
            write_json(folder.job, request.model_dump())
            if not request.imports or not self._hand_over(folder):
                self._started[folder] = spawn(_GUARD, [str(folder.path)], folder.guard_log)

    def _hand_over(self, folder: JobFolder) -> bool:
        """Whether the guard that keeps an interpreter has taken it; one that has just ended has a successor."""
        for _ in range(2):
            if self._keeper is None or self._keeper.poll() is not None:
                self.close()
                self._keeper = spawn(_GUARD, ["--keep"], folder.guard_log, listens=True)
            assert self._keeper.stdin is not None
            try:
                self._keeper.stdin.write(json.dumps(str(folder.path.absolute())).encode() + b"\n")
                self._keeper.stdin.flush()
            except OSError:
                self.close()
            else:
                self._started[folder] = self._keeper
                return True
        return False

    def close(self) -> None:
        if self._keeper is not None and self._keeper.stdin is not None:
            with suppress(OSError):
                self._keeper.stdin.close()
        self._keeper = None

    def __del__(self) -> None:
        self.close()

    def look(self, folder: JobFolder) -> JobState | None:
        # before its files: whoever has ended by now has written all that he ever will
        started = self._started.get(folder)
        gone = started is not None and started.poll() is not None
        state = state_in(folder)
        if state is None:
            return self._untold(folder, gone)
        if state.status == "ended" or self._may_be_at_work(folder, state.model_dump()):
            return state
        # it may have written its last word between the two looks
        state = state_in(folder) or state
        return state if state.status == "ended" else state.model_copy(update={"status": "ended", "ended_by": LOST})

    def _may_be_at_work(self, folder: JobFolder, told: dict[str, Any]) -> bool:
        if not alive.is_its(told, folder.path):
            return False
        lives = alive.lives(told)
        if lives is None:
            # on another machine, or before this one was started anew
            age = self._age(folder.beat)
            lives = age is not None and age < _FRESH_SECONDS
        return lives

    def _untold(self, folder: JobFolder, gone: bool) -> JobState | None:
        """A job without a readable state: its guard starts, has died at that, or is at work all the same."""
        told = alive.told_in(folder.path)
        at_work = bool(told) and self._may_be_at_work(folder, told)
        # a guard that is kept for further jobs has perhaps done with this one
        at_work = at_work and (self._age(folder.beat) or 0.0) < _FRESH_SECONDS
        if not at_work and not told and not gone:
            return None
        who = {"host": "", "pid": 0, "create_time": 0.0, **told}
        known = {name: who.get(name) for name in ("host", "pid", "create_time", "boot", "id", "place") if name in who}
        how = {"status": "pending"} if at_work else {"status": "ended", "ended_by": LOST}
        return JobState.model_validate({**known, **how, "started_at": clock.now()})

    def end_left(self, state: JobState) -> None:
        leftovers.end_told(state.model_dump())

    def cancel(self, folder: JobFolder) -> None:
        with storage_errors(folder.cancel):
            folder.cancel.touch()


def _clear(folder: JobFolder) -> None:
    """All at once: a guard that is only about to begin in it finds that the job is not its own any more."""
    aside = folder.path.with_name(f".{folder.path.name}.{uuid.uuid4().hex[:8]}.old")
    folder.path.rename(aside)
    shutil.rmtree(aside)
