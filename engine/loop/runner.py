"""The process that walks the loop: `python -P -m progtrain.engine.loop.runner WORKSPACE`. One for each workspace.

It holds the lock for as long as it lives, ends when a decision is needed, and is started again by the answer.
"""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from progtrain.engine.clock import Clock, now
from progtrain.engine.control import decisions, lock, place
from progtrain.engine.control.context import Context, Stopped
from progtrain.engine.control.journal import Journal
from progtrain.engine.control.launch import Options, named_python
from progtrain.engine.errors import DecisionNeeded, InputError, ProgtrainError, StorageError
from progtrain.engine.files import of_storage
from progtrain.engine.jobs import alive, leftovers, sandbox
from progtrain.engine.jobs.detached import outliving
from progtrain.engine.loop import sequence
from progtrain.engine.loop.steps import check, initialize
from progtrain.engine.rules import goal, remembered, rules
from progtrain.engine.rules.rules import Rules
from progtrain.engine.workspace import Workspace, version_number

#: Exit code of a runner that was stopped: neither an error nor finished.
STOPPED = 0
#: Exit code for an error of our own.
INTERNAL = 70


def prepare(
    ws: Workspace,
    options: Options,
    *,
    clock: Clock = now,
    listener: Callable[[dict[str, Any]], None] | None = None,
    dry_run: bool = False,
) -> Context:
    """Rules and options as one context. Writes nothing."""
    _refuse_options(rules.load(ws), options)
    present, dataset_id = _present_rules(ws, options)
    _see_that_there_is_a_sandbox(present)
    stored = sequence.last_loop(ws)[0] or {}
    devices = stored.get("devices") if options.devices is None else options.devices
    named = options.python or stored.get("python") or place.python_of(ws, present) or named_python(ws)
    return Context(
        ws,
        present,
        dataset_id,
        named or sys.executable,
        Journal(ws.journal, clock, listener, silent=dry_run),
        clock,
        options.autopilot,
        dry_run=dry_run,
        cold=bool(stored.get("cold") if options.cold is None else options.cold),
        probes=options.probe,
        environment=place.environment_of(present, devices),
        executor=place.executor_of(present),
    )


def _refuse_options(present: Rules, options: Options) -> None:
    """The command line may lower what the rules bound, never raise it. Raises `InputError`."""
    bound = present.max_versions
    stated = "max_versions" in present.stated.get("loop_config", {})
    if options.max_versions and stated and options.max_versions > bound:
        raise InputError(
            f"--max-versions {options.max_versions} is more than the rules allow ({bound})",
            file=present.path,
            place="key loop_config.max_versions",
            fix="raise it there",
        )
    by_rules = present.value("advisor_config.model")
    if options.model and by_rules and options.model != by_rules:
        raise InputError(
            f"the rules name another model: {by_rules}",
            file=present.path,
            place="key advisor_config.model",
            fix="leave --model out, or take the key out of the rules",
        )


def _see_that_there_is_a_sandbox(present: Rules) -> None:
    """On a cluster each node says so by itself. Raises `InputError`."""
    if present.sandboxed and not present.on_cluster and (reason := sandbox.why_not()):
        raise InputError(
            f"trainings are to run in a sandbox, and this machine has none: {reason}",
            fix="install bubblewrap, use Linux 6.2 or newer, or go on without --sandbox and loop_config.sandbox",
        )


def _present_rules(ws: Workspace, options: Options) -> tuple[Rules, str]:
    """The rules as they are now, narrowed by what the command line gave, and the dataset that they mean.

    Raises `InputError` where they are broken, or name another dataset than the loop is about.
    """
    present, stored = rules.load(ws), sequence.last_loop(ws)[0] or {}
    dataset_id = initialize.dataset_id(options.dataset_id, present.dataset_id, stored.get("dataset_id"))
    if limit := options.max_versions or stored.get("max_versions_asked"):
        present = present.with_value("loop_config.max_versions", goal.max_versions(present.stated, limit))
    if options.autopilot and present.stated.get("loop_config", {}).get("branch_from") != "latest":
        # nobody looks on: what cannot be told from chance is not built on
        present = present.with_value("loop_config.branch_from", "proven")
    if options.sandbox or stored.get("sandbox"):
        present = present.with_value("loop_config.sandbox", True)
    model = options.model or stored.get("model")
    if model and not present.value("advisor_config.model"):
        present = present.with_value("advisor_config.model", str(Path(model).expanduser().absolute()))
    return present, dataset_id


def _read_rules(ws: Workspace, options: Options) -> Rules:
    """Before a step."""
    present = _present_rules(ws, options)[0]
    remembered.keep(ws, present.prose, present.instruction)
    return present


def run(ws: Workspace, options: Options, *, clock: Clock = now, listener: Any = None) -> int:
    """The whole life of a runner. Returns its exit code; errors are told in the journal."""
    with lock.hold(ws):
        decisions.forget_stop(ws)
        journal = Journal(ws.journal, clock, listener)
        journal.write(
            "runner_started",
            host=socket.gethostname(),
            **alive.myself(),
            autopilot=options.autopilot,
            **({"repeats": options.repeat} if options.repeat else {}),
        )
        leftovers.end_all(ws.jobs)
        try:
            return _walk(ws, options, journal, clock, listener)
        finally:
            # as in `_failed`
            if ws.journal.exists():
                decisions.forget_stop(ws)
                journal.write("runner_ended")


def _failed(journal: Journal, error: ProgtrainError) -> int:
    """Its exit code. Raises it where not even a line can be written: then its process says it in its log."""
    if not journal.path.exists():
        # a workspace that was moved meanwhile gets no new folder in its old place
        raise error
    try:
        journal.write("loop_failed", **vars(error), exit_code=error.exit_code)
    except StorageError:
        raise error from None
    return error.exit_code


def _walk(ws: Workspace, options: Options, journal: Journal, clock: Clock, listener: Any) -> int:
    try:
        context = prepare(ws, options, clock=clock, listener=listener)
        if options.repeat:
            with closing(context.executor):
                text = sequence.repeat(context, options.repeat, options.times, same_seed=options.same_seed)
            journal.write("note", text=text)
            return 0
        if said := finished(context):
            journal.write("note", text=said)
            return 0
        _begin(context, options)
        with closing(context.executor):
            report = sequence.run(context, options.until, lambda: _read_rules(ws, options))
        journal.write("loop_finished", report=report, versions=version_number(ws.versions()[-1]))
    except DecisionNeeded as needed:
        journal.write("loop_waiting", reason=needed.reason)
        return needed.exit_code
    except Stopped as stopped:
        journal.write("loop_stopped", by=str(stopped) or "user")
        return STOPPED
    except ProgtrainError as error:
        return _failed(journal, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the journal must say that the loop ended
        if isinstance(error, OSError) and (told := of_storage(error)):
            return _failed(journal, told)
        traceback.print_exc()
        journal.write(
            "loop_failed",
            reason=f"an error in progtrain itself: {type(error).__name__}: {error}",
            fix=f"please report it, with {ws.relative(ws.runner_log)}",
            exit_code=INTERNAL,
        )
        return INTERNAL
    return 0


def finished(context: Context) -> str:
    """What to say where the last loop is finished and nothing asks for another one; empty where there is work."""
    ws, limit = context.ws, context.rules.max_versions
    latest = next(reversed(ws.versions()), "")
    opened, done = sequence.last_loop(ws)
    if opened is not None or done is None or version_number(latest) != done or not check.is_last(context, latest):
        return ""
    return (
        f"the loop is finished: {done} of {limit} versions are made and reported\n"
        "  fix: raise loop_config.max_versions for a new loop"
    )


def _begin(context: Context, options: Options) -> None:
    """Opens a loop, or goes on with the open one: what was given last is kept for it."""
    opened = sequence.last_loop(context.ws)[0]
    if opened is not None:
        given = {"max_versions_asked": options.max_versions, "python": options.python, "model": options.model}
        given |= {"devices": options.devices, "cold": options.cold, "sandbox": options.sandbox or None}
        new = {name: value for name, value in given.items() if value is not None and value != opened.get(name)}
        if new:
            context.journal.write("loop_changed", **new)
        return
    context.journal.write(
        "loop_started",
        dataset_id=context.dataset_id,
        max_versions=context.rules.max_versions,
        max_versions_asked=options.max_versions,
        python=None if place.python_of(context.ws, context.rules) == context.python else context.python,
        model=options.model,
        cold=options.cold,
        sandbox=options.sandbox,
        devices=os.environ.get(place.DEVICES) if options.devices is None else options.devices,
    )


def main() -> int:
    """`WORKSPACE OPTIONS-AS-JSON`. Ignores the end of the terminal that it was started from."""
    ws, options = Workspace(Path(sys.argv[1])), Options.model_validate_json(sys.argv[2])
    return outliving(lambda: run(ws, options))


if __name__ == "__main__":
    sys.exit(main())
