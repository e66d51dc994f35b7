"""Select a step, run it, record it: until a decision is needed, a stop is asked for, or all is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from progtrain.engine.control.context import Context, Stopped
from progtrain.engine.errors import InputError, NothingToTry
from progtrain.engine.files import LineReader
from progtrain.engine.loop.steps import analyze, author, check, evaluate, extract, initialize, report, train
from progtrain.engine.schema import StepName
from progtrain.engine.workspace import Workspace


class Step(NamedTuple):
    number: int
    name: StepName
    #: does it; returns a line for the journal
    run: Callable[[Context, str], str]
    #: why it must run for a version, empty when it is done; None: decided by the order alone
    reasons: Callable[[Context, str], list[str]] | None = None


STEPS = (
    Step(0, "initialize", initialize.run),
    Step(1, "train", train.run, train.reasons),
    Step(2, "evaluate", evaluate.run, evaluate.reasons),
    Step(3, "analyze", analyze.run, analyze.reasons),
    Step(4, "extract", extract.run, extract.reasons),
    Step(5, "check", check.run),
    Step(6, "author", author.run),
    Step(7, "report", report.run),
)
BY_NAME = {step.name: step for step in STEPS}


@dataclass(frozen=True)
class Next:
    """What is to be done, and why."""

    step: Step
    version: str
    reasons: tuple[str, ...]


def select(context: Context) -> Next:
    """The first step whose outputs are missing or invalid."""
    versions = context.ws.versions()
    if not versions:
        return Next(BY_NAME["initialize"], initialize.first_version(), ("there is no version yet",))
    current = versions[-1]
    for step in STEPS:
        if step.reasons and (why := step.reasons(context, current)):
            return Next(step, current, tuple(why))
    if check.is_last(context, current):
        return Next(BY_NAME["report"], current, (check.run(context, current),))
    return Next(BY_NAME["author"], current, (check.run(context, current),))


def run(context: Context, until: StepName | None = None) -> str:
    """Walks the steps to the end of the loop. Returns the report's folder, relative to the workspace.

    Raises what the steps raise: `DecisionNeeded`, `InputError`, `StepFailed`, `Stopped`.
    """
    context.journal.note_once(initialize.look(context))
    for warning in context.rules.warnings:
        context.journal.warn(warning)
    while True:
        context.check_stop()
        chosen = select(context)
        _stop_where_done(context, chosen, until)
        if chosen.step.name in {"author", "report"}:
            _do(context, Next(BY_NAME["check"], chosen.version, chosen.reasons))
            _stop_after("check", until)
        try:
            text = _do(context, chosen)
        except NothingToTry as nothing:
            # a shorter loop than the rules allow, but a whole one
            context.journal.warn(f"{chosen.version}: {nothing.reason}: the loop ends here; {nothing.fix}")
            return _do(context, Next(BY_NAME["report"], chosen.version, (nothing.reason,)))
        if chosen.step.name == "report":
            return text
        _stop_after(chosen.step.name, until)


def do_step(context: Context, name: StepName, version: str | None) -> str:
    """One step by itself, whether or not it was done before."""
    initialize.look(context)
    versions = context.ws.versions()
    if name == "initialize":
        if versions:
            return f"already initialized: {versions[-1]} is the latest version"
        version = initialize.first_version()
    version = version or (versions[-1] if versions else None)
    if version is None:
        raise InputError("there is no version yet", fix="progtrain step initialize")
    if name != "initialize" and version not in versions:
        raise InputError(f"there is no version {version}", file=context.ws.script(version), fix="progtrain status")
    return _do(context, Next(BY_NAME[name], version, ("asked for",)))


def _do(context: Context, chosen: Next) -> str:
    step, version = chosen.step, chosen.version
    context.journal.write("step_started", version=version, step=step.name, reasons=list(chosen.reasons))
    begun = time.monotonic()
    text = step.run(context, version)
    context.journal.write(
        "step_done",
        version=version,
        step=step.name,
        seconds=round(time.monotonic() - begun, 3),
        text=text,
        command=f"progtrain step {step.name} --version {version}",
    )
    return text


def _stop_after(name: StepName, until: StepName | None) -> None:
    if name == until:
        raise Stopped(f"until {name}")


def _stop_where_done(context: Context, chosen: Next, until: StepName | None) -> None:
    """Asked for a step that is done already for the latest version, the loop does nothing, least of all the next."""
    if until and chosen.step.number > BY_NAME[until].number and (until == "initialize" or BY_NAME[until].reasons):
        context.journal.write("note", text=f"{chosen.version}: {until} is done already")
        raise Stopped(f"until {until}, which is done for {chosen.version}")


def open_loop(ws: Workspace) -> dict[str, Any] | None:
    """The `loop_started` event of the loop that has not been finished, from the journal."""
    opened: dict[str, Any] | None = None
    for event in LineReader(ws.journal).read():
        if event.get("event") == "loop_started":
            opened = event
        elif event.get("event") == "loop_finished":
            opened = None
    return opened


def finished_at(ws: Workspace) -> int | None:
    """Number of versions at the end of the last finished loop; None when no loop was finished."""
    done = [e for e in LineReader(ws.journal).read() if e.get("event") == "loop_finished"]
    return int(done[-1]["versions"]) if done else None
