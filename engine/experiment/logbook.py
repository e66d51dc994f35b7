"""What happened in an experiment: `journal.jsonl` for programs, and the same as lines for people.

A line stands in the log of its stage (`run-experiment.log`), and in that of the tool that it is about
(`run-lightning.log`); what the tool itself said is the attempt's `output.log`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from progtrain.engine.clock import Clock, now
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.files import append_line, storage_errors
from progtrain.engine.text import clean_line

Kind = Literal[
    "stage_started",  # stage
    "stage_done",  # stage, text
    "runner_started",  # pid, boot, create_time, host, executor
    "runner_ended",  # exit_code, text
    "runner_failed",  # reason, fix, file, place, exit_code
    "scaffolded",  # run, what
    "submitted",  # run, what, attempt
    "state",  # run, what, phase, reason
    "trained",  # run, seconds
    "evaluated",  # run, what, metrics
    "attempt_failed",  # run, what, attempt, cause, reason
    "failed",  # run, what, cause, reason: no further attempt
    "waiting",  # run, what, reason: it does not go on by itself
    "unreachable",  # seconds
    "note",  # text
]


class Logbook:
    """`listener` sees every event as it is written."""

    def __init__(
        self,
        folder: ExperimentFolder,
        stage: str,
        clock: Clock = now,
        listener: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.folder = folder
        self._stage, self._clock, self._listener = stage, clock, listener

    def write(self, event: Kind, text: str, *, tool: str = "", **data: Any) -> None:
        """`text`: the same in words."""
        at = self._clock().isoformat(timespec="milliseconds")
        entry = {"at": at, "event": event, **data, "text": text}
        append_line(self.folder.journal, entry)
        about = "/".join(data[key] for key in ("run", "what") if data.get(key) and data[key] != "train")
        line = clean_line(f"{at}  {about}: {text}" if about else f"{at}  {text}")
        for what in ("experiment", tool):
            if what:
                self._append(f"{self._stage}-{what}", line)
        if self._listener:
            self._listener(entry)

    def _append(self, what: str, line: str) -> None:
        path = self.folder.log(what)
        with storage_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
