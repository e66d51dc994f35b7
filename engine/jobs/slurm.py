"""Jobs on a Slurm cluster: by sbatch, squeue and scancel alone, without accounting.

All that is known of a job lies in its folder, which the nodes must see too. `intent.json` is written before sbatch is
asked and `submit.json` once it is known what came of that: sbatch may well fail, or be killed with its runner, after
Slurm has taken the job. So a job is looked for under its name before it is submitted a second time. Where there are
two all the same, the guard of the second leaves at once.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from progtrain.engine import clock, metrics
from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in, storage_errors, write_json, write_text
from progtrain.engine.jobs import alive, batch, commands
from progtrain.engine.jobs.base import GO_ON_LATER, LOST, Executor, Seen, as_guard_says, state_in
from progtrain.engine.jobs.detached import send
from progtrain.engine.jobs.listen import BEAT_SECONDS
from progtrain.engine.jobs.local import Local
from progtrain.engine.jobs.verdict import FRESH_SECONDS, is_over, verdict
from progtrain.engine.schema import JobRequest, JobState, Resources
from progtrain.engine.text import tail
from progtrain.engine.workspace import JobFolder

Clock = Callable[[], float]
#: between two questions, while nothing changes
_MOST_SECONDS = 120.0
_TIMED_OUT = f"sbatch timed out after {commands.ANSWER_SECONDS:.0f} s"
#: a beat that is older is late: Slurm may have killed guard and script at once
_LATE_SECONDS = 2.5 * BEAT_SECONDS
#: answers without the job before sbatch is asked again
_LOOKS = 2


class Slurm(Executor):
    """Asks Slurm at most every `poll_seconds`, and more seldom while nothing changes: many users share a controller."""

    def __init__(
        self, poll_seconds: float = 30.0, fresh_seconds: float = FRESH_SECONDS, clock: Clock = time.monotonic
    ) -> None:
        self._poll, self._fresh, self._now = poll_seconds, fresh_seconds, clock
        self._wait = poll_seconds
        self._age = alive.ages()
        self._rows: dict[str, dict[str, str]] = {}
        #: when the question was asked that Slurm answered last, and when it was asked at all
        self._answered = self._asked = -math.inf
        #: since when it has not answered; None while it does
        self._silent: float | None = None
        #: of each job: when it was submitted from here, since when it is over for Slurm, what its files said last,
        #: when Slurm was told to end it, and the answers in which a submission left open was not found
        self._submitted: dict[JobFolder, float] = {}
        self._over: dict[JobFolder, float] = {}
        self._files_said: dict[JobFolder, tuple[object, ...]] = {}
        self._told: dict[JobFolder, float] = {}
        self._missing: dict[JobFolder, set[float]] = {}

    def submit(self, folder: JobFolder, request: JobRequest) -> None:
        """Raises `InputError` where there is no Slurm."""
        self._forget(folder)
        name = batch.new_name(folder)
        with storage_errors(folder.path):
            for number in takewhile(lambda n: folder.restarted(n).path.exists(), count()):
                shutil.rmtree(folder.restarted(number).path)
            if request.resources.logs:
                Path(request.resources.logs).mkdir(parents=True, exist_ok=True)
            write_json(folder.job, request.model_dump())
            write_text(folder.batch, batch.script(folder, request, name))
            write_json(folder.intent, {"name": name, "at": clock.now().isoformat(), "tries": 0, "answer": None})
        self._sbatch(folder)

    def look(self, folder: JobFolder) -> JobState | None:
        return _as_state(folder, self.look_all([folder])[folder])

    def look_all(self, folders: Iterable[JobFolder]) -> dict[JobFolder, Seen]:
        found = {folder: self._read(folder) for folder in folders}
        unclear = [folder for folder, (_, guard, beat) in found.items() if self._unclear(guard, beat)]
        for folder in unclear:
            start, guard, _ = found[folder]
            said = (start, guard and guard.status)
            if self._files_said.get(folder) != said:
                self._files_said[folder], self._wait = said, self._poll
        late = (folder for folder, (_, guard, beat) in found.items() if self._unclear(guard, beat, _LATE_SECONDS))
        if any(folder.submitted.exists() for folder in late):
            self._ask()
        return {folder: self._see(folder, *files) for folder, files in found.items()}

    def settle(self, folders: Iterable[JobFolder]) -> None:
        for folder in folders:
            if folder.intent.exists() and not folder.submitted.exists():
                self._carry_on(folder)
            elif folder.cancel.exists() and not self.look_all([folder])[folder].ended:
                self._scancel(folder)

    def check(self, request: JobRequest) -> str:
        text = batch.script(JobFolder(Path.cwd() / "check"), request, "pt-check")
        try:
            done = commands.run(["sbatch", "--test-only"], request.resources, Path.cwd(), text)
        except subprocess.TimeoutExpired:
            return _TIMED_OUT
        said = commands.plain(done.stderr)
        if done.returncode == 0 or commands.is_no_answer(said):
            return said
        if commands.is_unfit(said) and (away := commands.nodes_away()):
            # Slurm says the same of nodes that it has not got and of nodes that are not there now
            return f"no node that is up has what it asks for, and these are away: {away}"
        raise InputError(f"Slurm would refuse the job: {said}", fix="ask for what the cluster has: sinfo shows it")

    def cancel(self, folder: JobFolder) -> None:
        with storage_errors(folder.cancel):
            for one in (folder, self._latest(folder)):
                one.cancel.touch()
        self._scancel(folder)

    def log(self, folder: JobFolder) -> Path:
        return self._latest(folder).log

    # ---- what files say

    def _latest(self, folder: JobFolder) -> JobFolder:
        """The folder of the latest start of the job."""
        row = self._rows.get(_job_of(folder) or "")
        most = int(row["restarts"]) if row else 0
        numbers = takewhile(lambda n: n <= most or folder.restarted(n).path.is_dir(), count(1))
        return next((one for n in [*numbers][::-1] if (one := folder.restarted(n)).path.is_dir()), folder)

    def _read(self, folder: JobFolder) -> tuple[JobFolder, JobState | None, float | None]:
        start = self._latest(folder)
        return start, state_in(start), self._age(start.beat)

    def _unclear(self, guard: JobState | None, beat: float | None, fresh: float = math.inf) -> bool:
        """Whether the guard's files leave it open how the job is: one with a beat that is not fresh may have ended."""
        if guard is not None and guard.status == "ended":
            return guard.ended_by in ("cancelled", "time limit") or guard.exit_code == -9
        return beat is None or beat >= min(fresh, self._fresh)

    def _see(self, folder: JobFolder, start: JobFolder, guard: JobState | None, beat: float | None) -> Seen:
        submitted, asked = object_in(folder.submitted), folder.cancel.exists()
        stale = None if self._silent is None or not self._unclear(guard, beat) else self._now() - self._silent
        if guard is None and not submitted.get("job"):
            return replace(_not_taken(folder, submitted), stale=stale)
        job = (guard and guard.job) or submitted.get("job")
        if job is None:
            # it was begun on this machine, before the plan named a cluster
            local = Local().look(folder)
            return as_guard_says(local) if local else Seen("none")
        row = self._rows.get(job)
        answered = self._answered > self._submitted.get(folder, -math.inf)
        if answered and is_over(row):
            gone = self._now() - self._over.setdefault(folder, self._now())
            output = tail(batch.output_of(folder, _resources(folder), job), 4000)
        else:
            gone, output = 0.0, ""
            self._over.pop(folder, None)
        seen = verdict(
            guard,
            row,
            beat=beat,
            answered=answered,
            gone=gone,
            asked=asked,
            output=output,
            fresh_seconds=self._fresh,
        )
        return replace(seen, job=job, stale=None if seen.ended else stale)

    # ---- asking Slurm

    def _ask(self) -> None:
        """One question for all jobs of this user, unless the last one is too young."""
        now = self._now()
        if now - self._asked < self._wait:
            return
        self._asked = now
        rows = commands.squeue()
        if rows is None:
            if self._silent is None:
                self._silent = self._answered if self._answered > -math.inf else now
        else:
            changed = rows != self._rows
            self._rows, self._answered, self._silent = rows, now, None
            if changed:
                self._wait = self._poll
                return
        self._wait = min(2 * self._wait, 4 * self._poll, max(self._poll, _MOST_SECONDS))

    def _sbatch(self, folder: JobFolder) -> None:
        intent, asked = object_in(folder.intent), _resources(folder)
        intent = {**intent, "tries": (metrics.count(intent.get("tries")) or 0) + 1}
        write_json(folder.intent, {**intent, "answer": None})
        try:
            output = batch.output_option(folder, asked)
            done = commands.run(["sbatch", "--parsable", output, folder.batch.name], asked, folder.path)
            said = commands.plain(done.stderr)
        except subprocess.TimeoutExpired:
            done, said = None, _TIMED_OUT
        self._submitted[folder], self._wait = self._now(), self._poll
        self._missing.pop(folder, None)
        if done is not None and done.returncode == 0:
            write_json(folder.submitted, {"job": done.stdout.strip().split(";")[0], "at": clock.now().isoformat()})
        elif done is None or commands.is_no_answer(said) or commands.is_limit(said):
            write_json(folder.intent, {**intent, "answer": said})
        else:
            write_json(folder.submitted, {"refused": said, "at": clock.now().isoformat()})
            write_text(folder.log, f"Slurm refused the job: {said}\n")

    def _carry_on(self, folder: JobFolder) -> None:
        """A submission whose outcome is not known, or that was one too many for the moment."""
        _, guard, _ = self._read(folder)
        said = str(object_in(folder.intent).get("answer") or "")
        if guard is not None:
            write_json(folder.submitted, {"job": guard.job, "at": guard.started_at.isoformat()})
        elif commands.is_limit(said):
            if self._now() - self._submitted.get(folder, -math.inf) >= self._poll:
                self._again(folder)
        else:
            self._find(folder)

    def _find(self, folder: JobFolder) -> None:
        self._ask()
        if self._answered <= self._submitted.get(folder, -math.inf):
            return
        name = object_in(folder.intent).get("name")
        job = next((row["job"] for row in self._rows.values() if row["name"] == name), None)
        if job is not None:
            write_json(folder.submitted, {"job": job, "at": clock.now().isoformat()})
            return
        answers = self._missing.setdefault(folder, set())
        answers.add(self._answered)
        if len(answers) >= _LOOKS:
            self._again(folder)

    def _again(self, folder: JobFolder) -> None:
        if folder.cancel.exists():
            write_json(folder.submitted, {"cancelled": True, "at": clock.now().isoformat()})
        else:
            self._sbatch(folder)

    def _scancel(self, folder: JobFolder) -> None:
        if self._now() - self._told.get(folder, -math.inf) < self._poll:
            return
        self._told[folder] = self._now()
        if (job := _job_of(folder)) and shutil.which("scancel"):
            send(["scancel", job], batch.environment())

    def _forget(self, folder: JobFolder) -> None:
        """An earlier job of the same folder must not go on beside the new one."""
        for known in (self._submitted, self._over, self._files_said, self._told, self._missing):
            known.pop(folder, None)
        state = object_in(self._latest(folder).state)
        if state.get("status") != "ended":
            self._scancel(folder)


def _resources(folder: JobFolder) -> Resources:
    """What it asked for; nothing where `job.json` is damaged."""
    try:
        return JobRequest.model_validate(object_in(folder.job)).resources
    except ValueError:
        return Resources()


def _job_of(folder: JobFolder) -> str | None:
    for path in (folder.state, folder.submitted):
        if job := object_in(path).get("job"):
            return str(job)
    return None


def _not_taken(folder: JobFolder, submitted: dict[str, Any]) -> Seen:
    if "refused" in submitted:
        return Seen("failed", f"Slurm refused it: {submitted['refused']}", "refused")
    if "cancelled" in submitted:
        return Seen("cancelled", "", "cancelled before start")
    intent = object_in(folder.intent)
    if not intent:
        return Seen("none")
    said = str(intent.get("answer") or "")
    reason = f"Slurm takes no more jobs of yours for now: {said}" if commands.is_limit(said) else said
    return Seen("submitting", reason)


def _begun(folder: JobFolder) -> datetime:
    try:
        return datetime.fromisoformat(str(object_in(folder.intent).get("at")))
    except ValueError:
        return clock.now()


def _as_state(folder: JobFolder, seen: Seen) -> JobState | None:
    """What the loop goes by: a state whether or not the guard has written one."""
    if seen.phase == "none":
        return None
    state = seen.state or JobState(status="pending", host="", pid=0, create_time=0.0, started_at=_begun(folder))
    if not seen.ended:
        if seen.phase == "running" and seen.state is not None:
            return state
        status = "pending" if seen.stale is None else "unreachable"
        told: dict[str, Any] = {"status": status, "exit_code": None, "ended_by": None, "ended_at": None}
    else:
        by_itself = seen.state is not None and seen.cause in ("", "exit code", "signal")
        causes = {"refused": "could not start", "cancelled before start": "cancelled"}
        cause = GO_ON_LATER if seen.phase == "paused" else causes.get(seen.cause, seen.cause)
        known = ("time limit", "cancelled", "could not start", GO_ON_LATER)
        ended_by = None if by_itself else cause if cause in known else LOST
        told = {"status": "ended", "ended_by": ended_by, "ended_at": state.ended_at or clock.now()}
    return state.model_copy(update={**told, "job": seen.job, "node": seen.node})
