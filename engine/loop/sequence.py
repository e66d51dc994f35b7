"""Select a step, run it, record it: until a decision is needed, a stop is asked for, or all is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from progtrain.engine import prepared_data
from progtrain.engine.control import place
from progtrain.engine.control.context import Context, Stopped
from progtrain.engine.errors import InputError, NothingToTry
from progtrain.engine.files import LineReader
from progtrain.engine.loop.steps import analyze, author, check, extract, initialize, train
from progtrain.engine.repeats import due, verdicts
from progtrain.engine.repeats import run as repeats
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import StepName
from progtrain.engine.workspace import Workspace

#: in their order; each does its work for a version, and returns a line for the journal
STEPS: dict[StepName, Callable[[Context, str], str]] = {
    "initialize": initialize.run,
    "train": train.run,
    "evaluate": due.run,
    "analyze": analyze.run,
    "extract": extract.run,
    "check": check.run,
    "author": author.run,
    "report": due.report,
}
#: why a step must run for a version, empty when it is done; the other steps are decided by the order alone
REASONS: dict[StepName, Callable[[Context, str], list[str]]] = {
    "train": train.reasons,
    "evaluate": due.reasons,
    "analyze": analyze.reasons,
    "extract": extract.reasons,
}


@dataclass(frozen=True)
class Next:
    """What is to be done, and why; in a plan also what that will run, write and change."""

    version: str
    step: StepName
    reasons: tuple[str, ...]
    runs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def select(context: Context) -> Next:
    """The first step whose outputs are missing or invalid."""
    versions = context.ws.versions()
    if not versions:
        return Next(initialize.first_version(), "initialize", ("there is no version yet",))
    current = versions[-1]
    for step, reasons in REASONS.items():
        if why := reasons(context, current):
            return Next(current, step, tuple(why))
    return Next(current, "report" if check.is_last(context, current) else "author", (check.run(context, current),))


def run(context: Context, until: StepName | None, present_rules: Callable[[], Rules]) -> str:
    """Walks the steps to the end of the loop. Returns the report's folder, relative to the workspace.

    The rules are read anew before each step: what is changed meanwhile holds from the next step on.

    Raises what the steps raise: `DecisionNeeded`, `InputError`, `StepFailed`, `Stopped`.
    """
    context.journal.note_once(initialize.look(context))
    for warning in context.rules.warnings:
        context.journal.warn(warning)
    while True:
        _take_up_rules(context, present_rules())
        initialize.tell_of_edits(context)
        if told := prepared_data.told_of_change(context.ws, context.dataset_id):
            context.journal.warn(told)
        chosen = select(context)
        _stop_where_done(context, chosen, until)
        if chosen.step in {"author", "report"}:
            _do(context, replace(chosen, step="check"))
            _stop_after("check", until)
        try:
            text = _do(context, chosen)
        except NothingToTry as nothing:
            # a shorter loop than the rules allow, but a whole one
            context.journal.warn(f"{chosen.version}: {nothing.reason}: the loop ends here; {nothing.fix}")
            return _do(context, Next(chosen.version, "report", (nothing.reason,)))
        if chosen.step == "report":
            return text
        _stop_after(chosen.step, until)


def _take_up_rules(context: Context, present: Rules) -> None:
    if present.sha256 != context.rules.sha256:
        context.journal.write("note", text="rules or instruction were changed: they hold from here on")
        for warning in present.warnings:
            context.journal.warn(warning)
    if present.on_cluster != context.rules.on_cluster:
        context.executor.close()
        context.executor = place.executor_of(present)
    context.rules = present


def repeat(context: Context, version: str, times: int, *, same_seed: bool) -> str:
    """Other seeds of a version, and what they say of the verdicts so far. Raises what `repeats.run` does."""
    try:
        return repeats.repeat(context, version, times, same_seed=same_seed)
    finally:
        if not same_seed:
            verdicts.reconsider(context)


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
    return _do(context, Next(version, name, ("asked for",)))


def _do(context: Context, chosen: Next) -> str:
    context.check_stop()
    step, version = chosen.step, chosen.version
    context.journal.write("step_started", version=version, step=step, reasons=list(chosen.reasons))
    begun = time.monotonic()
    text = STEPS[step](context, version)
    seconds, command = round(time.monotonic() - begun, 3), f"progtrain step {step} --version {version}"
    context.journal.write("step_done", version=version, step=step, seconds=seconds, text=text, command=command)
    return text


def _stop_after(name: StepName, until: StepName | None) -> None:
    if name == until:
        raise Stopped(f"until {name}")


def _stop_where_done(context: Context, chosen: Next, until: StepName | None) -> None:
    """Asked for a step that is done already for the latest version, the loop does nothing, least of all the next."""
    order = list(STEPS)
    if until and order.index(chosen.step) > order.index(until) and (until == "initialize" or until in REASONS):
        context.journal.write("note", text=f"{chosen.version}: {until} is done already")
        raise Stopped(f"until {until}, which is done for {chosen.version}")


def last_loop(ws: Workspace) -> tuple[dict[str, Any] | None, int | None]:
    """Of the journal: how the loop was started that is not finished, and with how many versions the last one ended."""
    opened: dict[str, Any] | None = None
    finished: int | None = None
    for event in LineReader(ws.journal).read():
        if event.get("event") == "loop_started":
            opened = event
        elif event.get("event") == "loop_changed" and opened is not None:
            opened = {**opened, **{key: value for key, value in event.items() if key not in {"at", "event"}}}
        elif event.get("event") == "loop_finished":
            opened, finished = None, int(event["versions"])
    return opened, finished
