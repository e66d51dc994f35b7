"""A line for each thing that happens in a loop, while a person waits."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from progtrain.engine.cli.common import say
from progtrain.engine.errors import Busy, StorageError
from progtrain.engine.files import LineReader, full_disk
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.text import clean_line, tail
from progtrain.engine.workspace import Workspace

_POLL_SECONDS = 0.2


class Follower:
    """Prints journal events as they come, and a progress line on a terminal."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self._reader = LineReader(ws.journal)
        self._reader.read()
        self._view = WorkspaceView(ws.root) if sys.stdout.isatty() else None
        self._progress_shown = False

    def until_end(self, runner: subprocess.Popen[bytes]) -> int:
        """Follows to the end of the runner. Ctrl-C ends the following, not the loop."""
        try:
            while runner.poll() is None:
                self.look()
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            self._clear_progress()
            say("\nnot followed any longer; the loop goes on. progtrain status shows it, progtrain stop ends it")
            return 130
        self.look()
        self._clear_progress()
        code = runner.returncode
        if code in {Busy.exit_code, StorageError.exit_code}:
            # on a full disk there may be no room for the message either
            said = tail(self.ws.runner_log).strip() or str(full_disk(self.ws.root))
            say(f"progtrain: {said}", error=True)
        elif code < 0:
            say(
                f"progtrain: the runner was ended by signal {-code}; progtrain run goes on where it stopped", error=True
            )
        return code

    def look(self) -> None:
        for event in self._reader.read():
            if line := told(event):
                self._clear_progress()
                say(line, error=event["event"] in {"warning", "loop_failed"})
        self._show_progress()

    def _show_progress(self) -> None:
        if self._view is None:
            return
        snapshot = self._view.snapshot()
        progress = snapshot.progress
        if snapshot.status != "training" or progress is None or progress.step is None:
            self._clear_progress()
            return
        share = f"{100 * progress.step / progress.steps:3.0f} %  " if progress.steps else ""
        epoch = f"epoch {progress.epoch}/{progress.epochs}  " if progress.epoch else ""
        left = f"left {progress.seconds_left:.0f} s" if progress.seconds_left is not None else ""
        click.echo(f"\r\x1b[K      {share}{epoch}step {progress.step}/{progress.steps or '?'}  {left}", nl=False)
        self._progress_shown = True

    def _clear_progress(self) -> None:
        if self._progress_shown:
            click.echo("\r\x1b[K", nl=False)
            self._progress_shown = False


def told(event: dict[str, Any]) -> str | None:
    """One event as a line, None for those that a person need not read."""
    kind = event.get("event")
    version, step = event.get("version"), event.get("step")
    if kind == "step_started":
        return f"{version}  {step} …" if step in {"train", "evaluate", "analyze", "report"} else None
    if kind == "step_done":
        text = clean_line(event.get("text", ""))
        return f"{version}  {step}: {text}"
    if kind == "attempt_failed":
        return f"{version}  attempt {event['attempt']} failed: {event['summary']}"
    if kind == "repair_applied":
        return f"{version}  repaired: {event['summary']}"
    if kind == "version_authored" and event.get("base"):
        return f"{version}  is {event['base']} with one change: {event['action']}"
    if kind == "warning":
        return f"warning: {event['text']}"
    if kind == "note":
        return f"      {event['text']}"
    if kind in _ENDS:
        return _ENDS[kind](event)
    return None


def _failed(event: dict[str, Any]) -> str:
    where = ", ".join(str(event[key]) for key in ("file", "place") if event.get(key))
    fix = f"\n  fix: {event['fix']}" if event.get("fix") else ""
    return f"failed: {where}{': ' if where else ''}{event['reason']}{fix}"


_ENDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "loop_failed": _failed,
    "loop_waiting": lambda event: f"waiting: {event['reason']}\n  progtrain review shows it",
    "loop_stopped": lambda event: "stopped; progtrain run goes on where it stopped",
    "loop_finished": lambda event: f"finished: the report is in {event['report']}",
}
