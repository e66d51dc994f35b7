"""The ledger of jobs: a row for each attempt at a training, an evaluation or a report, as its files tell of it.

No state is kept here. A guard's word counts, then whether the guard is alive; what the loop has cleared away stands in
its journal (`visits`). A guard that is dead without a last word is "lost", never "running".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from progtrain.engine.control import lock, marks
from progtrain.engine.files import LineReader, object_in, try_read_json
from progtrain.engine.jobs import alive
from progtrain.engine.jobs.base import LOST, Seen, as_guard_says, state_in
from progtrain.engine.jobs.guard import LOST_SECONDS
from progtrain.engine.jobs.local import Local
from progtrain.engine.records.visits import Visit, visits
from progtrain.engine.repeats import found as repeats
from progtrain.engine.text import clean_line, lasting
from progtrain.engine.workspace import JobFolder, Workspace

State = Literal["planned", "running", "failed", "finished", "superseded", "lost"]

_NAME = re.compile(
    r"(?:(?P<version>v\d{3,})-(?P<kind>train|evaluate)(?:-(?P<number>\d+))?|report-(?P<reported>v\d{3,}))"
    r"(?:\.(?P<again>r|lost-|stopped-)(?P<count>\d+))?"
)
#: as an executor sees a job -> as the ledger calls it, and in words what is not the same
_STATES: dict[str, tuple[State, str]] = {
    "done": ("finished", ""),
    "failed": ("failed", ""),
    "cancelled": ("failed", "cancelled"),
    "paused": ("failed", "its time was nearly over"),
    "lost": ("lost", ""),
    "submitting": ("running", "being submitted"),
    "queued": ("running", "in the queue"),
    "waiting": ("running", "waits in the queue"),
    "running": ("running", ""),
    "ending": ("running", "is ending"),
}
#: in the name of a folder: the user stopped this one
_STOPPED = ".stopped-"
#: causes of a failed training for which nothing is wrong with the script
_WITHOUT_A_WORD = {"guard lost", "lost"}


class Job(NamedTuple):
    """One attempt. Times are ISO 8601 with their zone."""

    id: str
    #: "train", "evaluate", "report"
    kind: str
    #: `v002`; of a repeat `v002/r1`; of an experiment `name/run`
    version: str
    state: State
    why: str = ""
    queued_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    #: of the script; negative: ended by that signal
    exit_code: int | None = None
    #: id of the attempt whose place it took
    supersedes: str | None = None
    #: its output, relative to the workspace; None where there is none any more
    log: str | None = None


def jobs(ws: Workspace) -> list[Job]:
    """All attempts of the workspace, of its repeats and experiments, the oldest first."""
    looked_after = lock.running(ws)
    rows = of_workspace(ws, ws, looked_after)
    for folder in (folder for version in ws.versions() for folder in repeats.beside(ws, version)):
        repeat = "/".join(folder.path.parts[-2:])
        rows += [
            job._replace(
                id=f"repeats/{repeat}/{job.id}",
                version=repeat,
                supersedes=job.supersedes and f"repeats/{repeat}/{job.supersedes}",
            )
            for job in of_workspace(Workspace(folder.workspace), ws, looked_after)
        ]
    return sorted(rows, key=began)


def began(job: Job) -> datetime:
    """For sorting: when it was queued, or started where nobody says."""
    return _parsed(job.queued_at) or _parsed(job.started_at) or datetime.max.replace(tzinfo=UTC)


def of_workspace(ws: Workspace, home: Workspace, looked_after: bool) -> list[Job]:
    """Of the jobs of one loop. Logs are named relative to `home`; `looked_after`: a runner is at work."""
    groups: dict[tuple[str, str], list[Job]] = {}
    logs: dict[tuple[str, str], JobFolder] = {}
    for folder in _folders(ws):
        match = _NAME.fullmatch(folder.path.name)
        if match is None:
            continue
        key = (match["version"] or match["reported"], match["kind"] or "report")
        job = _of_folder(folder, key, ws, home, looked_after)
        if job is None:
            logs[key] = folder
        else:
            groups.setdefault(key, []).append(job)
    for key, job in _archived(ws, home):
        held = groups.setdefault(key, [])
        if all(other.id != job.id for other in held):
            held.append(job)
    told: dict[tuple[str, str], list[Visit]] = {}
    for visit in visits(LineReader(ws.journal).read()):
        told.setdefault((visit.version, visit.step), []).append(visit)
    found: list[Job] = []
    for key in {**groups, **told, **logs}:
        known = [_stopped_by(job, told.get(key, [])) for job in groups.get(key, [])]
        if key in logs and not told.get(key):
            # of a repeat, whose steps stand in no journal
            known = [*known, *_of_mark(ws, key, logs[key], home)]
        found += in_turn([*known, *_of_visits(told.get(key, []), known, logs.get(key), home, looked_after)])
    return found


def in_turn(attempts: Iterable[Job]) -> list[Job]:
    """Attempts at one thing: each takes the place of the one before, which is superseded unless it has failed."""
    ordered = sorted(attempts, key=began)
    for at, job in enumerate(ordered[:-1]):
        following = ordered[at + 1]
        ordered[at + 1] = following._replace(supersedes=job.id)
        if job.state != "failed":
            why = job.why or job.state
            ordered[at] = ordered[at]._replace(state="superseded", why=f"{why}; {following.id} took its place")
    return ordered


# ---- what a job's folder says


def _folders(ws: Workspace) -> list[JobFolder]:
    try:
        return [JobFolder(path) for path in sorted(ws.jobs.iterdir()) if path.is_dir() and path.name[0] != "."]
    except OSError:
        return []


def _of_folder(
    folder: JobFolder, key: tuple[str, str], ws: Workspace, home: Workspace, looked_after: bool
) -> Job | None:
    """None where it tells nothing of a job: the loop has taken over what came of it."""
    seen = look(folder, looked_after)
    if seen.phase == "none":
        return None
    version, kind = key
    job = told_of(folder, Job(folder.path.name, kind, version, "running"), seen, home)
    if _STOPPED in job.id:  # however the script took it
        return job._replace(state="failed", why="stopped")
    number = folder.path.name.rpartition("-")[2]
    record = try_read_json(ws.attempt(version, int(number)) / "attempt.json") if number.isdecimal() else None
    return _with_failure(job, record) if kind == "train" and record is not None else job


def look(folder: JobFolder, looked_after: bool) -> Seen:
    """How a job is, by files alone: no cluster is asked. `looked_after`: a runner is there, and writes what it sees."""
    try:
        if not folder.intent.exists() and not folder.submitted.exists() and folder.path.name.count(".r") == 0:
            state = Local().look(folder)
            return as_guard_says(state) if state else Seen("none")
        return _on_cluster(folder, looked_after)
    except ValueError:  # not what a guard writes
        return Seen("lost", "what its guard wrote cannot be read", LOST)


def _on_cluster(folder: JobFolder, looked_after: bool) -> Seen:
    guard, kept = state_in(folder), object_in(folder.seen)
    phase, reason, cause = (str(kept.get(name) or "") for name in ("phase", "reason", "cause"))
    if guard is not None and guard.status == "ended" and guard.ended_by is None:
        return as_guard_says(guard)
    if phase in _STATES and _STATES[phase][0] != "running":
        return Seen(phase, reason, cause, guard)  # type: ignore[arg-type]
    if guard is not None and guard.status == "ended":
        return as_guard_says(guard)
    submitted = object_in(folder.submitted)
    if "refused" in submitted:
        return Seen("failed", f"Slurm refused it: {submitted['refused']}", "refused", guard)
    age = alive.ages()(folder.beat)
    if guard is not None and not looked_after and (age is None or age >= LOST_SECONDS):
        sign = "it never gave a sign" if age is None else f"its last sign was {lasting(age)} ago"
        return Seen("lost", f"{sign}; the cluster was not asked", LOST, guard)
    if guard is None and phase not in _STATES:
        return Seen("queued" if submitted.get("job") else "submitting", "", "", None)
    return Seen("running" if guard is not None else phase, reason, cause, guard)  # type: ignore[arg-type]


def told_of(folder: JobFolder, job: Job, seen: Seen, home: Workspace) -> Job:
    """`job` with what a look at it has found."""
    state, word = _STATES[seen.phase]
    guard = seen.state
    return job._replace(
        state=state,
        why=clean_line(": ".join(part for part in (word, seen.reason) if part)),
        queued_at=_queued(folder, guard.started_at if guard else None),
        started_at=_written(guard.started_at) if guard else None,
        ended_at=_written(guard.ended_at) if guard else None,
        exit_code=guard.exit_code if guard else None,
        log=_log(folder.log, home),
    )


def _queued(folder: JobFolder, started: datetime | None) -> str | None:
    """Its request is written when it is submitted; on a cluster the time stands in the intent."""
    intent = try_read_json(folder.intent)
    if intent is not None and _parsed(intent.get("at")):
        return str(intent["at"])
    try:
        at = datetime.fromtimestamp(folder.job.stat().st_mtime, UTC)
    except OSError:
        return _written(started)
    # in a copy of the workspace files are younger than what they tell of
    return _written(min(at, started) if started else at)


def _log(path: Path, home: Workspace) -> str | None:
    return home.relative(path) if path.is_file() else None


def _archived(ws: Workspace, home: Workspace) -> Iterable[tuple[tuple[str, str], Job]]:
    """Failed trainings that are kept whole, in case their jobs' folders are gone."""
    for path in sorted(ws.attempt("v", 1).parents[1].glob("v*/*/attempt.json")):
        record, version = try_read_json(path), path.parts[-3]
        if not isinstance(record, dict) or not path.parent.name.isdecimal():
            continue
        folder = JobFolder(path.parent)
        seen = Seen("failed", state=state_in(folder))
        job = told_of(folder, Job(f"{version}-train-{path.parent.name}", "train", version, "failed"), seen, home)
        yield (version, "train"), _with_failure(job, record)


def _with_failure(job: Job, record: dict[str, Any]) -> Job:
    """What the loop found when it looked at what came of it: also where the script itself ended without an error."""
    cause, summary = str(record.get("cause") or ""), clean_line(str(record.get("error_summary") or ""))
    state: State = "lost" if cause in _WITHOUT_A_WORD else "failed"
    at = str(record.get("at") or "") or None
    return job._replace(state=state, why=summary or cause, ended_at=job.ended_at or at, queued_at=job.queued_at or at)


# ---- what only marks or the journal say


def _of_mark(ws: Workspace, key: tuple[str, str], cleared: JobFolder, home: Workspace) -> Iterable[Job]:
    version, kind = key
    mark = marks.read(ws, version, "evaluate") if kind == "evaluate" else None
    if mark is not None and not mark.adopted:
        queued, ended = _queued(cleared, mark.finished_at), _written(mark.finished_at)
        name, log = cleared.path.name, _log(cleared.log, home)
        yield Job(name, kind, version, "finished", "", queued, queued, ended, 0, log=log)


def _stopped_by(job: Job, told: Sequence[Visit]) -> Job:
    """Of a job that was stopped: by whom, which the journal of a repeat does not tell."""
    began = job.started_at or job.queued_at
    whys = [one.why for one in told if one.outcome == "stopped" and _within(began, one.began, one.ended)]
    return job._replace(why=clean_line(whys[-1])) if whys and _STOPPED in job.id else job


def _of_visits(
    told: Sequence[Visit], known: Sequence[Job], cleared: JobFolder | None, home: Workspace, looked_after: bool
) -> Iterable[Job]:
    """Rows for those of whose jobs nothing is left but, of the last one, its output in the folder `cleared`."""
    for number, visit in enumerate(told, 1):
        until = told[number].began if number < len(told) else None
        if any(_within(job.started_at or job.queued_at, visit.began, until) for job in known):
            continue
        is_last = number == len(told)
        name = f"report-{visit.version}" if visit.step == "report" else f"{visit.version}-{visit.step}"
        state: State = "finished" if visit.outcome == "finished" else "failed"
        why = visit.why
        if visit.outcome == "cut short" or (visit.outcome == "open" and not (is_last and looked_after)):
            state, why = "lost", why or "nobody says how it ended"
        elif visit.outcome == "open":
            state = "running"
        yield Job(
            name if is_last and visit.step != "train" else f"{name}.{number}",
            visit.step,
            visit.version,
            state,
            clean_line(why),
            visit.began,
            visit.began,
            visit.ended,
            0 if state == "finished" else None,
            log=_log(cleared.log, home) if cleared and is_last else None,
        )


def _within(at: str | None, began: str, until: str | None) -> bool:
    moment, first, last = _parsed(at), _parsed(began), _parsed(until)
    if moment is None or first is None:
        return False
    # a file's time may be coarser than the journal's
    return (moment - first).total_seconds() > -1.0 and (last is None or moment < last)


def _parsed(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _written(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else None
