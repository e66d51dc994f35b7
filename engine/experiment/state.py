"""Where an experiment stands: the states of its runs, folded from plan, files, and what an executor sees of its jobs.

Nothing here is stored, and nothing is written. Light: `status` waits for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from progtrain.engine.experiment.expand import Cell, Run, by_run
from progtrain.engine.experiment.folder import ExperimentFolder, RunFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.files import object_in, sha256_text, try_read_json
from progtrain.engine.jobs.base import Seen
from progtrain.engine.json_text import loaded
from progtrain.engine.text import lasting, tail
from progtrain.engine.values import within
from progtrain.engine.workspace import JobFolder

#: "waiting": in a queue, and stays there until somebody does something. "stale": the plan has changed since it was
#: scaffolded. "checking": its job has ended, and what it left is to be looked at
Phase = Literal[
    "planned",
    "scaffolded",
    "submitting",
    "queued",
    "running",
    "checking",
    "trained",
    "evaluating",
    "done",
    "failed",
    "cancelled",
    "lost",
    "waiting",
    "stale",
]
TRAIN = "train"
#: they have a job
AT_WORK: tuple[Phase, ...] = ("submitting", "queued", "waiting", "running", "checking")
#: nothing more comes of them without a person
SETTLED: tuple[Phase, ...] = ("trained", "done", "failed", "cancelled", "lost")

#: as an executor sees a job -> as a run is shown
_PHASES: Mapping[str, Phase] = {
    "none": "submitting",
    "submitting": "submitting",
    "queued": "queued",
    "waiting": "waiting",
    "running": "running",
    "ending": "running",
}


class Part(NamedTuple):
    """A training, or one evaluation, of a run."""

    run: Run
    cell: Cell | None
    #: hash of all that the plan says of it
    plan: str
    #: its entry in `run.json`; None before it is scaffolded
    scaffolded: Mapping[str, Any] | None = None
    #: number of its last attempt; 0: none was begun
    attempt: int = 0
    mark: Mapping[str, Any] | None = None
    #: of the last attempt
    failure: Mapping[str, Any] | None = None
    #: whether a person wants another attempt after that
    again: bool = False
    #: what the last attempt was begun with, while nothing is known to have come of it
    begun: Mapping[str, Any] | None = None
    #: of the training: whether its results were loaded once all trainings had ended
    checked: bool = False
    #: number of the training's attempt that it is about; empty where nothing is trained
    trained_by: str = ""
    seen: Seen | None = None
    phase: Phase = "planned"
    #: in words, for a screen
    reason: str = ""
    #: of a failure: one word of `failure.CAUSES`, or of the runner's own
    cause: str = ""

    @property
    def what(self) -> str:
        """As its attempts and its mark are called."""
        return self.cell.name if self.cell else TRAIN

    @property
    def identity(self) -> dict[str, str]:
        """What its marks and failures are about: another plan, other files or another training make it another."""
        told = self.scaffolded or {}
        return {"plan": str(told.get("plan")), "files": str(told.get("files")), "train": self.trained_by}

    @property
    def trains(self) -> bool:
        return bool((self.scaffolded or {}).get("trains", True))


class RunState(NamedTuple):
    run: Run
    phase: Phase
    reason: str
    cause: str
    training: Part
    cells: tuple[Part, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.training, *self.cells)

    @property
    def advice(self) -> str:
        """What to do about its failure; empty where it has not failed."""
        if self.phase not in ("failed", "lost"):
            return ""
        part = next((part for part in self.parts if part.phase == self.phase), None)
        return str(((part.failure if part else None) or {}).get("advice") or "")

    @property
    def at_work(self) -> Part | None:
        """The part whose job is to be shown."""
        return next((part for part in self.parts if part.phase in AT_WORK), None)


# what the files say


def identity_of(plan: Plan, run: Run, cell: Cell | None = None) -> str:
    """Of all that the plan says of a training or an evaluation."""
    return _identities(plan)(run, cell)


def _identities(plan: Plan) -> Callable[[Run, Cell | None], str]:
    """`identity_of`, for many runs: what the plan says of all of them is written once."""
    base = f"{_written(plan.tools.training)}, {_written(plan.base.model_dump(mode='json'))}"
    tasks: dict[int, str] = {}
    of_run: tuple[Run | None, str] = None, ""

    def identity(run: Run, cell: Cell | None) -> str:
        nonlocal of_run
        if of_run[0] is not run:
            of_run = run, f"{base}, {_written([run.type, run.settings, run.checkpoint, run.action])[1:-1]}"
        said = of_run[1]
        if cell is not None:
            task = tasks.get(id(cell.task))
            if task is None:
                task = f"{_written(plan.tool_of(cell.task))}, {_written(cell.task.model_dump(mode='json'))}"
                tasks[id(cell.task)] = task
            said = f"{said}, {task}, {_written(cell.epoch)}"
        return sha256_text(f"[{said}]")

    return identity


#: made once: `json.dumps` would make one each time
_written = json.JSONEncoder(sort_keys=True, default=str).encode


def read(plan: Plan, runs: Sequence[Run], cells: Sequence[Cell], folder: ExperimentFolder) -> list[list[Part]]:
    """The parts of each run, its training first, as the files have them."""
    cells_of, read_one = by_run(runs, cells), reader(plan)
    return [read_one(run, cells_of[run.name], folder.run(run.name)) for run in runs]


def read_run(plan: Plan, run: Run, cells: Sequence[Cell], folder: RunFolder) -> list[Part]:
    return reader(plan)(run, cells, folder)


def reader(plan: Plan) -> Callable[[Run, Sequence[Cell], RunFolder], list[Part]]:
    """`read_run`, for many runs."""
    return partial(_read_run, _identities(plan))


def _read_run(
    identity: Callable[[Run, Cell | None], str], run: Run, cells: Sequence[Cell], folder: RunFolder
) -> list[Part]:
    scaffolded = object_in(folder.names[0])
    begun = _begun(folder)
    training = _read(Part(run, None, identity(run, None), scaffolded or None), begun, folder)
    made = within(scaffolded, "cells")
    trained_by = _done_by(training.mark) if training.trains else ""
    found = [training]
    for cell in cells:
        part = Part(run, cell, identity(run, cell), within(made, cell.name) or None, trained_by=trained_by)
        found.append(_read(part, begun, folder))
    return found


def _begun(folder: RunFolder) -> set[str]:
    """The names in the folder of attempts: one look for all of a run's parts."""
    try:
        return set(os.listdir(folder.names[1]))  # noqa: PTH208 - a third of the time for hundreds of runs
    except OSError:
        return set()


def _read(part: Part, begun: set[str], folder: RunFolder) -> Part:
    what = part.what
    numbers = (name.removeprefix(f"{what}-") for name in begun if name.startswith(f"{what}-"))
    last = max((int(number) for number in numbers if number.isdecimal()), default=0)
    mark = try_read_json(folder.mark_name(what))
    has_failed = folder.failure_name(what, last) in begun
    settled = not last or has_failed or _done_by(mark) == str(last)
    return part._replace(
        attempt=last,
        mark=mark,
        begun=None if settled else try_read_json(folder.changes(what, last)),
        failure=try_read_json(folder.failure(what, last)) if has_failed else None,
        again=has_failed and folder.again(what, last).name in begun,
        checked=part.cell is None and mark is not None and _is_checked(folder, mark),
    )


def _is_checked(folder: RunFolder, mark: Mapping[str, Any]) -> bool:
    found = try_read_json(folder.mark_name("check"))
    return found is not None and found.get("of") == mark.get("finished_at")


def attempt_of(part: Part, folder: ExperimentFolder) -> JobFolder:
    """Its last one."""
    return folder.run(part.run.name).attempt(part.what, part.attempt)


def holds(part: Part) -> bool:
    """Whether its mark is about the files and the training that are there now."""
    inputs = (part.mark or {}).get("inputs")
    return isinstance(inputs, dict) and all(inputs.get(key, "") == value for key, value in part.identity.items())


def is_open(part: Part) -> bool:
    """Whether its last attempt may have a job, or one whose end nobody has looked at.

    One that was begun for another plan or with other files is none of its.
    """
    return part.begun is not None and part.begun.get("of") == part.identity


def _done_by(mark: Mapping[str, Any] | None) -> str:
    """Number of the attempt that a mark is about."""
    inputs = (mark or {}).get("inputs")
    return str(inputs.get("attempt", "")) if isinstance(inputs, dict) else ""


# what that comes to


def fold(parts: Iterable[Sequence[Part]], seen: Mapping[JobFolder, Seen], folder: ExperimentFolder) -> list[RunState]:
    """The states of all runs."""
    asked = cancelled(folder)
    return [fold_run(group, seen, folder, asked) for group in parts]


def cancelled(folder: ExperimentFolder) -> set[str]:
    """Names of the requests in the inbox that end runs."""
    return {path.name for path in folder.inbox.glob("cancel-*.json")}


def fold_run(
    group: Sequence[Part], seen: Mapping[JobFolder, Seen], folder: ExperimentFolder, asked: Collection[str]
) -> RunState:
    """`asked`: what `cancelled` has found."""
    is_cancelled = bool(asked) and folder.cancelled(group[0].run.name).name in asked
    training, *cells = (
        _folded(part, seen.get(attempt_of(part, folder)) if is_open(part) else None, is_cancelled) for part in group
    )
    phase, reason, cause = training.phase, training.reason, training.cause
    if phase == "trained":
        phase, reason, cause = _evaluated(training, cells)
    return RunState(training.run, phase, reason, cause, training, tuple(cells))


def _folded(part: Part, seen: Seen | None, cancelled: bool) -> Part:
    phase, reason, cause = _phase(part, seen, cancelled)
    return part._replace(phase=phase, reason=reason, cause=cause, seen=seen)


def _phase(part: Part, seen: Seen | None, cancelled: bool) -> tuple[Phase, str, str]:
    if part.scaffolded is None:
        return "planned", "", ""
    if is_open(part):
        return _at_work(seen or Seen("none"))
    if part.scaffolded.get("plan") != part.plan:
        return "stale", "the plan has changed since it was scaffolded", ""
    if holds(part):
        return ("done" if part.cell else "trained"), "", ""
    if not part.trains:
        return "trained", "nothing is trained", ""
    if part.failure is not None and all(part.failure.get(key) == value for key, value in part.identity.items()):
        if cancelled or (part.failure.get("cause") == "cancelled" and not part.again):
            return "cancelled", str(part.failure.get("reason") or "cancelled"), "cancelled"
        return _failed(part.failure, part.again)
    return ("cancelled", "cancelled before it began", "cancelled") if cancelled else ("scaffolded", "", "")


def _at_work(seen: Seen) -> tuple[Phase, str, str]:
    reason = seen.reason
    if seen.stale:
        reason = f"{reason}{'; ' if reason else ''}the cluster has not answered for {lasting(seen.stale)}"
    if seen.ended:
        return "checking", seen.reason, seen.cause
    return _PHASES[seen.phase], reason, ""


def _failed(failure: Mapping[str, Any], again: bool) -> tuple[Phase, str, str]:
    reason, cause = str(failure.get("reason", "")), str(failure.get("cause", "failed"))
    if again:
        return "scaffolded", f"starts again; before: {reason}", ""
    if following := failure.get("next"):
        return "scaffolded", f"starts again: {following.get('why') or reason}", ""
    return ("lost" if cause == "lost" else "failed"), reason, cause


def _evaluated(training: Part, cells: Sequence[Part]) -> tuple[Phase, str, str]:
    """Of a run that is trained."""
    phases = [cell.phase for cell in cells]
    done = phases.count("done")
    begun = any(phase in AT_WORK or phase in SETTLED for phase in phases)
    for aside in ("stale", "planned"):
        if aside in phases:
            cell = cells[phases.index(aside)]
            return cell.phase, f"{cell.what}: {cell.reason or 'not scaffolded'}", ""
    if done == len(cells) and (cells or training.checked or not training.trains):
        return "done", "" if cells else training.reason, ""
    if cells and all(phase in SETTLED for phase in phases):
        bad = next(cell for cell in cells if cell.phase != "done")
        return bad.phase, f"{bad.what}: {bad.reason}", bad.cause
    if not begun:
        return "trained", training.reason, ""
    if waits := next((cell for cell in cells if cell.phase == "waiting"), None):
        return "waiting", f"{waits.what}: {waits.reason}", ""
    return "evaluating", f"{done}/{len(cells)}{_not_begun(cells)}", ""


def _not_begun(cells: Sequence[Part]) -> str:
    """Why the evaluation that comes next does not run yet; empty where one does."""
    if any(cell.phase in ("running", "checking") for cell in cells):
        return ""
    queued = next((cell for cell in cells if cell.phase in ("queued", "submitting") and cell.reason), None)
    return f"; {queued.what} {queued.phase}: {queued.reason}" if queued else ""


# how far a job is


def progress(attempt: JobFolder) -> dict[str, Any]:
    """The last line of the live file that its request names: `epoch`, `step`, `steps`, `seconds_left`; else empty."""
    path = live_file(attempt)
    lines = tail(path, 4096).splitlines() if path else []
    for line in reversed(lines):
        try:
            told = loaded(line)
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(told.get("step"), int):
            return told
    return {}


def live_file(attempt: JobFolder) -> Path | None:
    """Where the job tells how far it is."""
    request = try_read_json(attempt.job)
    named = within(request, "environment").get("PROGTRAIN_LIVE_FILE")
    return Path(named) if isinstance(named, str) else None


def counts(states: Iterable[RunState]) -> dict[str, int]:
    """phase -> how many runs."""
    found: dict[str, int] = {}
    for state in states:
        found[state.phase] = found.get(state.phase, 0) + 1
    return found


def open_attempts(parts: Iterable[Sequence[Part]], folder: ExperimentFolder) -> Iterator[JobFolder]:
    return (attempt_of(part, folder) for group in parts for part in group if is_open(part))
