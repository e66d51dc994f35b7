"""What happened, when: an append-only file of JSON lines, written by whoever holds the runner's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from progtrain.engine.clock import Clock, now
from progtrain.engine.files import LineReader, append_line

Kind = Literal[
    "loop_started",  # dataset_id, max_versions, autopilot, python, model, devices, cold, sandbox
    "loop_changed",  # of those, what was given anew
    "loop_waiting",  # question, version
    "loop_stopped",  # by
    "loop_failed",  # reason, fix, file, place, exit_code, version, step
    "loop_finished",  # report, versions
    "runner_started",  # pid, host, boot, create_time, autopilot, repeats
    "runner_ended",
    "step_started",  # version, step, reasons
    "step_done",  # version, step, seconds, text, command
    "attempt_failed",  # version, attempt, cause, summary
    "repeat_started",  # version, run, seed, number, of
    "repeat_done",  # version, run, seed, text, seconds, command
    "repeat_failed",  # version, run, seed, summary
    "repair_applied",  # version, attempt, summary
    "draft_started",  # version, round
    "draft_ready",  # version, round, author, chosen, seconds
    "question",  # question, kind, version
    "decision",  # question, answer, candidate, by
    "mcp_call",  # tool, client, question, answer, candidate, hint, version: an agent answered
    "version_authored",  # version, base, action
    "warning",  # text
    "report_ready",  # version, report
    "note",  # text
]


class Journal:
    """`listener` sees every event as it is written, so that a person in front of a terminal can follow.

    That of a dry run (`silent`) takes what it is told and writes nothing.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock = now,
        listener: Callable[[dict[str, Any]], None] | None = None,
        *,
        silent: bool = False,
    ) -> None:
        self.path = path
        self._silent = silent
        self._clock = clock
        self._listener = listener
        self._warned: set[str] = set()

    def write(self, event: Kind, **data: Any) -> None:
        if self._silent:
            return
        entry = {"at": self._clock().isoformat(timespec="milliseconds"), "event": event, **data}
        append_line(self.path, entry)
        if self._listener:
            self._listener(entry)

    def warn(self, text: str) -> None:
        """Once for each text and runner."""
        if text not in self._warned:
            self._warned.add(text)
            self.write("warning", text=text)

    def note_once(self, texts: Iterable[str]) -> None:
        """Those that were not said before: a loop is taken up again many times."""
        said = {e.get("text") for e in LineReader(self.path).read() if e.get("event") == "note"}
        for text in texts:
            if text not in said:
                self.write("note", text=text)
