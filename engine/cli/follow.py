"""A line for each thing that happens in a loop, while a person waits."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

from progtrain.engine.cli.output import overwrite, print_json, say
from progtrain.engine.control import moved
from progtrain.engine.errors import Busy, ProgtrainError, StorageError
from progtrain.engine.files import LineReader, full_disk
from progtrain.engine.status.snapshot import Snapshot
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.text import clean_line, tail
from progtrain.engine.workspace import Workspace

_POLL_SECONDS = 0.2


def events_from_now(ws: Workspace) -> LineReader:
    """To be made before a runner is started, so that nothing of what it says is missed."""
    reader = LineReader(ws.journal)
    reader.read()
    return reader


def until_end(
    ws: Workspace,
    runner: subprocess.Popen[bytes],
    events: LineReader,
    *,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Shows what happens until the runner ends; its exit code. Ctrl-C ends the following, not the loop.

    As lines for people, with a line of progress on a terminal; or every event of the journal as a line of JSON; or,
    `quiet`, errors and warnings alone.
    """
    view = WorkspaceView(ws.root) if sys.stdout.isatty() and not (as_json or quiet) else None
    shown = 0
    try:
        while runner.poll() is None:
            shown = _look(events, view, shown, as_json, quiet)
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        overwrite("", shown)
        say("not followed any longer; the work goes on. progtrain status shows it, progtrain stop ends it", error=True)
        return 130
    _look(events, None, shown, as_json, quiet)
    if runner.returncode in {Busy.exit_code, StorageError.exit_code}:
        if said := _last_words(ws):
            say(f"progtrain: {said}", error=True)
    elif runner.returncode < 0:
        ended = f"progtrain: the runner was ended by signal {-runner.returncode}"
        say(f"{ended}\n  fix: the same command goes on where it stopped", error=True)
    return runner.returncode


def _last_words(ws: Workspace) -> str:
    """What the journal does not say."""
    if not ws.own.is_dir():
        return str(moved.away(ws.root))
    if (said := tail(ws.runner_log).strip()) or WorkspaceView(ws.root, once=True).snapshot().status == "failed":
        return said
    # there was no room for the message either
    return str(full_disk(ws.root))


def _look(events: LineReader, view: WorkspaceView | None, shown: int, as_json: bool, quiet: bool) -> int:
    """Says what is new. Returns the width of the line of progress that then stands there."""
    for event in events.read():
        if as_json:
            print_json("event", event, lines=True)
        elif (line := told(event)) and not (quiet and event["event"] not in _ERRORS):
            shown = overwrite("", shown)
            say(line, error=event["event"] in _ERRORS)
    return shown if as_json else overwrite(progress_line(view.snapshot()) if view else "", shown)


def progress_line(snapshot: Snapshot) -> str:
    """Empty when nothing is being trained, nor waits for its turn on a cluster."""
    progress = snapshot.progress
    if snapshot.status in ("training", "evaluating") and snapshot.reason:
        return f"      {clean_line(snapshot.reason)}"
    if snapshot.status != "training" or progress is None or progress.step is None:
        return ""
    share = f"{100 * progress.step / progress.steps:3.0f} %  " if progress.steps else ""
    epoch = f"epoch {progress.epoch}/{progress.epochs}  " if progress.epoch else ""
    left = f"left {progress.seconds_left:.0f} s" if progress.seconds_left is not None else ""
    return f"      {share}{epoch}step {progress.step}/{progress.steps or '?'}  {left}"


_ERRORS = frozenset({"warning", "loop_failed", "repeat_failed"})
_LINES = {
    "repeat_started": "{version}  repeat {number} of {of}, {run} …",
    "repeat_done": "{version}  {run}, seed {seed}: {text}",
    "repeat_failed": "{version}  {run}, seed {seed}, failed: {summary}",
    "attempt_failed": "{version}  attempt {attempt} failed: {summary}",
    "repair_applied": "{version}  repaired: {summary}",
    "mcp_call": "{version}  an agent ({client}) answered {question}: {answer}",
    "warning": "warning: {text}",
    "note": "      {text}",
    "loop_waiting": "waiting: {reason}\n  progtrain review shows it",
    "loop_stopped": "stopped; the same command goes on where it stopped",
    "loop_finished": "finished: the report is in {report}",
}


def told(event: dict[str, Any]) -> str | None:
    """One event as a line, None for those that a person need not read."""
    kind, version, step = event.get("event"), event.get("version"), event.get("step")
    if kind == "step_started":
        return f"{version}  {step} …" if step in ("train", "evaluate", "analyze", "report") else None
    if kind == "step_done":
        return f"{version}  {step}: {clean_line(str(event.get('text', '')))}"
    if kind == "version_authored" and event.get("base"):
        return f"{version}  is {event['base']} with one change: {event.get('action')}"
    if kind == "loop_failed":
        where: dict[str, Any] = {
            key: value for key in ("file", "place", "fix") if isinstance(value := event.get(key), str | int)
        }
        return f"failed: {ProgtrainError(str(event.get('reason')), **where)}"
    line = _LINES.get(str(kind))
    # what a line of others lacks stays empty
    return line.format_map(defaultdict(str, event)) if line else None
