"""Where an experiment stands, for those who look and do not carry it out. Light, asks no cluster, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from progtrain.engine import metrics
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock
from progtrain.engine.experiment import expand, result_lines, state
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.state import Part, RunState
from progtrain.engine.files import LineReader, object_in
from progtrain.engine.jobs.base import Seen, as_guard_says, state_in
from progtrain.engine.text import lasting
from progtrain.engine.values import within
from progtrain.engine.workspace import JobFolder

_KNOWN = frozenset(field.name for field in fields(Seen)) - {"state"}


class View(NamedTuple):
    plan: Plan
    states: Sequence[RunState]
    #: whether a runner is at work
    running: bool
    #: seconds since the cluster answered last, where it does not
    stale: float | None
    #: how the last runner ended: its exit code, and why where it failed; None: it has not
    outcome: Mapping[str, Any] | None

    @property
    def status(self) -> str:
        """In one word."""
        phases = {held.phase for held in self.states}
        if self.running:
            return "running"
        if any(held.at_work for held in self.states):
            return "without runner"
        for phase in ("stale", "planned"):
            if phase in phases:
                return phase
        bad = phases & {"failed", "lost", "cancelled"}
        if phases <= {"done", "failed", "lost", "cancelled"}:
            return "done" if not bad else "partly" if "done" in phases else "failed"
        return "scaffolded" if phases == {"scaffolded"} else "stopped"


def look(folder: ExperimentFolder, clock: Clock = now) -> View:
    """Raises `InputError` where the plan is broken."""
    plan = plans.read(folder)
    runs = expand.runs(plan, folder)
    parts = state.read(plan, runs, expand.cells(plan, runs, folder), folder)
    return folded(plan, parts, folder, clock, state.fold, outcomes(folder)())


def folded(
    plan: Plan,
    parts: Sequence[Sequence[Part]],
    folder: ExperimentFolder,
    clock: Clock,
    fold: Callable[[Sequence[Sequence[Part]], Mapping[JobFolder, Seen], ExperimentFolder], Sequence[RunState]],
    outcome: Mapping[str, Any] | None,
) -> View:
    """Of what was read: with what is seen of the jobs now."""
    running = lock.held(folder.lock)
    opened = list(state.open_attempts(parts, folder))
    seen = _looked(opened) if plan.resources.executor == "local" else _told(folder, opened, running, clock)
    ages = [held.stale for held in seen.values() if held.stale is not None]
    return View(plan, fold(parts, seen, folder), running, max(ages, default=None), outcome)


def _looked(opened: Sequence[JobFolder]) -> dict[JobFolder, Seen]:
    """Of this machine's jobs."""
    if not opened:
        return {}
    # it loads what looks at processes, for which nobody need wait where nothing is at work
    from progtrain.engine.jobs.local import Local

    return Local().look_all(opened)


def _told(folder: ExperimentFolder, opened: Sequence[JobFolder], running: bool, clock: Clock) -> dict[JobFolder, Seen]:
    """What the runner saw last, and what guards have said since."""
    kept = object_in(folder.seen)
    age = _age(kept.get("at"), clock)
    found = {}
    for job in opened:
        seen = within(kept, "jobs").get(job.path.relative_to(folder.path).as_posix()) or {"phase": "none"}
        # another version of progtrain may have written more
        seen = {key: value for key, value in seen.items() if key in _KNOWN}
        guard = state_in(job)
        if guard is not None and guard.status == "ended":
            found[job] = as_guard_says(guard)
            continue
        if not running and age is not None and seen["phase"] != "none":
            # no fault of the cluster's
            before = f"{seen['reason']}; " if seen.get("reason") else ""
            seen |= {"stale": None, "reason": f"{before}seen {lasting(age)} ago: no runner is there to look"}
        found[job] = Seen(**seen)
    return found


def _age(at: Any, clock: Clock) -> float | None:
    try:
        return (clock() - datetime.fromisoformat(at)).total_seconds()
    except (TypeError, ValueError):
        return None


def outcomes(folder: ExperimentFolder) -> Callable[[], Mapping[str, Any] | None]:
    """Asks the journal what the last runner said at its end; each time it reads no more than what is new."""
    journal = LineReader(folder.journal, having=b'"event": "runner_')
    found: dict[str, Any] | None = None

    def outcome() -> Mapping[str, Any] | None:
        nonlocal found
        if journal.restarted():
            found = None
        for event in journal.look():
            if event.get("event") == "runner_started":
                found = None
            elif event.get("event") in ("runner_failed", "runner_ended"):
                found = {**(found or {}), **event}
        return found

    return outcome


def metrics_of(folder: ExperimentFolder) -> dict[str, dict[str, float | None]]:
    """run -> metric (with its task, where there are several) -> value."""
    lines = [line for line in result_lines.following(folder.results, _measured)() if line["state"] == "done"]
    several = len({(line.get("task"), line.get("epoch")) for line in lines}) > 1
    found: dict[str, dict[str, float | None]] = {}
    for line in lines:
        for metric in line.get("metrics") or ():
            name = metric["name"]
            name = f"{line.get('task')} {line.get('epoch')} {name}" if several else name
            found.setdefault(line["run"], {})[name] = metrics.finite(metric.get("value"))
    return found


def _measured(line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Whether a line is as `results.Row` has it, as far as it is looked at here."""
    wrong = not isinstance(line.get("run"), str) or line.get("state") not in ("done", "failed", "cancelled")
    wrong |= not all(isinstance(line.get(key), str | int | None) for key in ("task", "epoch"))
    measured = line.get("metrics", [])
    wrong |= not isinstance(measured, list) or not all(isinstance(m, dict) and "name" in m for m in measured)
    return None if wrong else line


def as_dict(held: RunState, folder: ExperimentFolder) -> dict[str, Any]:
    """For programs."""
    run, part = held.run, held.at_work
    seen = part.seen if part else None
    attempt = state.attempt_of(part, folder) if part else None
    return {
        "run": run.name,
        "point": run.point,
        "type": run.type,
        "seed": run.seed,
        "parameters": dict(run.parameters),
        "phase": held.phase,
        "reason": held.reason,
        "cause": held.cause,
        "advice": held.advice,
        "attempts": held.training.attempt,
        "job": seen.job if seen else None,
        "node": seen.node if seen else None,
        "progress": progress_of(held, folder),
        "log": str(attempt.log) if attempt else None,
        "evaluations": [
            {"name": cell.what, "phase": cell.phase, "reason": cell.reason, "attempts": cell.attempt}
            for cell in held.cells
        ],
    }


def progress_of(held: RunState, folder: ExperimentFolder) -> dict[str, Any]:
    """`step`, `steps`, `epoch`, `seconds_left` of the job that runs; else empty."""
    part = held.at_work
    if part is None or part.phase not in ("running", "checking"):
        return {}
    told = state.progress(state.attempt_of(part, folder))
    return {key: told.get(key) for key in ("epoch", "epochs", "step", "steps", "seconds_left")} if told else {}
