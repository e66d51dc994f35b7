"""What a screen shows of single runs of an experiment: curves, logs, and what became of each attempt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import values
from progtrain.engine.clock import Clock
from progtrain.engine.experiment import board, state
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment.board import Board
from progtrain.engine.experiment.folder import ExperimentFolder, RunFolder
from progtrain.engine.files import object_in
from progtrain.engine.workspace import JobFolder, VersionFolder, Workspace
from progtrain.tui.look.words import clock
from progtrain.tui.model import Update
from progtrain.tui.reading.curves import CurveFeed, CurveRows
from progtrain.tui.reading.log import LogTail

#: in the order of the key that changes it
LOGS = ("stage", "worker", "tool")


#: the experiment, new points of curves (under `curve_name`) and lines of the log, what became of the attempts of the
#: first run, as a diff of what each had otherwise than the plan, and whose curves are to be forgotten: they train anew
Seen = tuple[Board, Update, str, tuple[str, ...]]


def curve_name(place: int) -> str:
    """Curves have colours and marks by the number of a version; a run's is its place in the experiment."""
    return f"v{place + 1:03d}"


def briefly(line: str, run: str) -> str:
    """A line of a stage's log, for a narrow pane: without the day, and without the name of the run on show."""
    return re.sub(rf"^\S+T(\d\d:\d\d:\d\d)\S*  (?:{re.escape(run)}(?:: |/))?", r"\1  ", line)


class RunsReader:
    """Follows runs of one experiment, in a thread; the first is the one whose log and attempts are read."""

    def __init__(self, workspace: Workspace, name: str, runs: Sequence[str], clock: Clock) -> None:
        self._board = board.following(workspace, name, clock)
        self._workspace, self._name, self._runs = workspace, name, tuple(runs)
        #: run -> its live file, and what follows its curves
        self._feeds: dict[str, tuple[Path | None, CurveFeed]] = {}
        self._tail = LogTail()

    def read(self, log: str) -> Seen:
        """`log`: one of `LOGS`. Raises `InputError` where the experiment is gone or broken."""
        folder = folders.existing(self._workspace, self._name)
        found = self._board()
        rows: list[CurveRows] = []
        anew: list[str] = []
        for place, row in enumerate(found.rows):
            if row.run in self._runs:
                rows += self._curves(folder.run(row.run), row.run, curve_name(place), row.attempts, anew)
        path = self._log(folder, found, log)
        told = self._tail.read(path) if path else None
        if told and log != "tool":
            told = told._replace(lines=tuple(briefly(line, self._runs[0]) for line in told.lines))
        update = Update(curves=tuple(rows), log=told)
        return found, update, attempts_text(folder.run(self._runs[0])), tuple(anew)

    def _curves(self, run: RunFolder, name: str, as_: str, attempt: int, anew: list[str]) -> list[CurveRows]:
        live = state.live_file(run.attempt(state.TRAIN, attempt)) if attempt else None
        before, feed = self._feeds.get(name, (None, None))
        if feed is None or before != live:
            if feed is not None:
                anew.append(as_)
            feed = CurveFeed(self._workspace, as_, made=VersionFolder(run.artifacts), live=live or run.path / "none")
            self._feeds[name] = live, feed
        return feed.read()

    def _log(self, folder: ExperimentFolder, found: Board, log: str) -> Path | None:
        """Of the stage, of its worker, or what the tool itself printed."""
        if log == "stage":
            return folder.log("run-experiment")
        row = next((row for row in found.rows if row.run == self._runs[0]), None)
        run = folder.run(self._runs[0])
        if log == "tool":
            latest = _latest(run, row.what if row else "")
            return latest.log if latest else None
        told = _mapping(run.scaffolded)
        cells = told.get("cells")
        of_it = cells.get(row.what) if row and isinstance(cells, dict) else None
        tool = (of_it if isinstance(of_it, dict) else told).get("tool")
        return folder.log(f"run-{tool}") if isinstance(tool, str) else None


def _latest(run: RunFolder, what: str) -> JobFolder | None:
    """Of what is at work; where nothing is, the attempt that printed something last."""
    if what and (numbers := run.attempts_at(what)):
        return run.attempt(what, numbers[-1])
    try:
        stats = [(path.stat(), path) for path in run.attempts.glob("*/output.log")]
    except OSError:
        return None
    logs = [(stat.st_size > 0, stat.st_mtime_ns, path) for stat, path in stats]
    return JobFolder(max(logs)[2].parent) if logs else None


def attempts_text(run: RunFolder) -> str:
    """All attempts of a run, the newest first, each with its settings that are not the plan's."""
    try:
        names = sorted(path.name for path in run.attempts.iterdir() if path.name.endswith(".changes.json"))
    except OSError:
        return ""
    planned = _mapping(run.scaffolded).get("settings")
    found = [name.removesuffix(".changes.json").rpartition("-") for name in names]
    order = sorted(found, key=lambda one: (one[0] != state.TRAIN, one[0], -_number(one[2])))
    parts = [_attempt(run, what, number, planned if isinstance(planned, dict) else {}) for what, _, number in order]
    return "\n".join(line for part in parts for line in part)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _attempt(run: RunFolder, what: str, number: str, planned: dict[str, Any]) -> list[str]:
    changes = _mapping(run.changes(what, _number(number)))
    failed = _mapping(run.failure(what, _number(number)))
    held = _mapping(run.attempt(what, _number(number)).state)
    lines = [f"@@ {what}-{number}  {_outcome(held, failed)} @@"]
    about = [f"job {held['job']}" if held.get("job") else "", f"on {held.get('node') or held.get('host') or ''}"]
    about.append(f"took {clock(seconds)}" if (seconds := _seconds(held)) is not None else "")
    lines += ["  " + "  ".join(part for part in about if part and part != "on ")] if held else []
    lines += [f"  {changes['why']}"] if changes.get("why") else []
    settings = changes.get("settings")
    for key, value in settings.items() if isinstance(settings, dict) else ():
        lines += [f"-{key} = {values.show(planned[key])}"] if key in planned else []
        lines.append(f"+{key} = {values.show(value)}")
    lines += [f"+memory = {changes['memory_mb']} MB"] if changes.get("memory_mb") else []
    lines += ["+goes on from the last checkpoint"] if changes.get("resume") else []
    for key in ("reason", "hypothesis"):
        lines += [f"  {failed[key]}"] if failed.get(key) else []
    return [line.replace("\n", " ") for line in lines]


def _outcome(held: dict[str, Any], failed: dict[str, Any]) -> str:
    if failed:
        return f"failed: {failed.get('cause') or 'unknown'}"
    if held.get("status") != "ended":
        return str(held.get("status") or "not started")
    return "done" if held.get("exit_code") == 0 else f"ended with exit code {held.get('exit_code')}"


def _seconds(held: dict[str, Any]) -> float | None:
    begun, ended = (board.moment(held.get(key)) for key in ("started_at", "ended_at"))
    return (ended - begun).total_seconds() if begun and ended else None


def _mapping(path: Path) -> dict[str, Any]:
    return object_in(path)
