"""What the commands of experiments share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from progtrain.engine.cli.common import workspace
from progtrain.engine.cli.output import overwrite, print_json, say
from progtrain.engine.control import moved
from progtrain.engine.errors import Busy, DecisionNeeded, StorageError
from progtrain.engine.experiment.folder import ExperimentFolder, names
from progtrain.engine.files import LineReader, full_disk
from progtrain.engine.text import tail

if TYPE_CHECKING:
    import subprocess

_Command = TypeVar("_Command", bound=Callable[..., Any])
_POLL_SECONDS = 0.2
#: between two looks at whether anything goes on by itself
_LOOK_SECONDS = 3.0
_QUIET = {"state", "runner_started", "runner_ended", "stage_started"}


def name_argument(function: _Command) -> _Command:
    return click.argument("name", shell_complete=_names)(function)


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in names(workspace(ctx)) if name.startswith(incomplete)]


def run_option(function: _Command) -> _Command:
    return click.option(
        "--run",
        "runs",
        multiple=True,
        metavar="RUN",
        help="Only this run, or those that a pattern such as 'rank8*' matches.",
    )(function)


def dry_run_option(function: _Command) -> _Command:
    return click.option("--dry-run", is_flag=True, help="Say what would be written and submitted, and do none of it.")(
        function
    )


def follow(folder: ExperimentFolder, runner: subprocess.Popen[bytes], events: LineReader, *, as_json: bool) -> int:
    """Shows what happens until the runner ends; its exit code. Ctrl-C ends the following, not the runner.

    Where only people can have its jobs go on, the following ends too, with the exit code of a decision that is needed.
    """
    shown, looked = 0, time.monotonic()
    try:
        while runner.poll() is None:
            shown = _look(events, shown, as_json)
            if time.monotonic() - looked > _LOOK_SECONDS and folder.path.is_dir():
                looked = time.monotonic()
                if stuck := _only_waits(folder):
                    overwrite("", shown)
                    say(f"waiting: {stuck}\n  the runner stays, and goes on once that is changed", error=True)
                    return DecisionNeeded.exit_code
                shown = _progress(folder, shown) if sys.stdout.isatty() and not as_json else shown
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        overwrite("", shown)
        say(
            "not followed any longer; the experiment goes on. progtrain experiment status shows it, cancel ends it",
            error=True,
        )
        return 130
    _look(events, shown, as_json)
    if runner.returncode in {Busy.exit_code, StorageError.exit_code}:
        again = f"progtrain experiment run {folder.name}"
        lost = full_disk(folder.path) if folder.path.is_dir() else moved.away(folder.path, again)
        said = tail(folder.runner_log).strip() or ("" if runner.returncode == Busy.exit_code else str(lost))
        if said:
            say(f"progtrain: {said}", error=True)
    elif runner.returncode < 0:
        ended = f"progtrain: the runner was ended by signal {-runner.returncode}"
        say(f"{ended}\n  fix: progtrain experiment run {folder.name} goes on where it stopped", error=True)
    return runner.returncode


def _look(events: LineReader, shown: int, as_json: bool) -> int:
    for event in events.read():
        if as_json:
            print_json("experiment_event", event, lines=True)
            continue
        if event.get("event") in _QUIET:
            continue
        shown = overwrite("", shown)
        about = "/".join(event[key] for key in ("run", "what") if event.get(key) and event[key] != "train")
        text = f"{about}: {event.get('text', '')}" if about else str(event.get("text", ""))
        say(text, error=event.get("event") in ("failed", "runner_failed", "unreachable", "waiting"))
    return shown


def _only_waits(folder: ExperimentFolder) -> str:
    """Why nothing goes on until somebody does something; empty where something does."""
    from progtrain.engine.experiment.view import look

    at_work = [part for held in look(folder).states for part in held.parts if held.at_work and part == held.at_work]
    if at_work and all(part.phase == "waiting" for part in at_work):
        return "; ".join(dict.fromkeys(part.reason for part in at_work))
    return ""


def _progress(folder: ExperimentFolder, shown: int) -> int:
    from progtrain.engine.experiment.state import counts
    from progtrain.engine.experiment.view import look

    told = ", ".join(f"{count} {phase}" for phase, count in counts(look(folder).states).items())
    return overwrite(f"      {told}", shown)


def on_gpus(count: int) -> str:
    """Of hours: empty for none."""
    return f" x {count} GPU{'s' if count > 1 else ''}" if count else ""
