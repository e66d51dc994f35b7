"""Runs handed to a tracker's own script, in the interpreter that has the tracker, as JSON lines through pipes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.text import clean_line, last_line
from progtrain.engine.trackers.runs import Run, blocks

_TOOLS = Path(__file__).with_name("tools")
#: a tracker that takes longer over one run, or over its own imports, hangs
_SECONDS = 900.0


def write(tool: str, python: str, runs: Sequence[Run], request: Mapping[str, Any]) -> Iterator[tuple[Run, str]]:
    """Each run with `new`, `updated` or `same`, as the tracker has it.

    `request`: `to`, `project`, `network`, and what else the script wants to know. Raises `InputError` where the
    interpreter does not run or has no such tracker, and `StepFailed` where the tracker fails or hangs.
    """
    with _started(tool, python) as talk:
        talk.tell(request)
        talk.answer()
        for run in runs:
            talk.tell(_plain(run))
            outcome = talk.answer()["outcome"]
            if outcome == "want":
                for batch in _batches(run):
                    talk.tell(batch)
                talk.tell(None)
                outcome = talk.answer()["outcome"]
            yield run, outcome


def _plain(run: Run) -> dict[str, Any]:
    told = run._asdict()
    del told["log"], told["progress"]
    return told | {"artifacts": [str(path) for path in run.artifacts]}


def _batches(run: Run) -> Iterator[dict[str, Any]]:
    for times, (steps, _, columns) in blocks(run):
        yield {"steps": [*steps], "times": times, "columns": columns}


class _Talk:
    """With a script that answers each question once; it is ended when it has been silent for too long."""

    def __init__(self, tool: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._tool, self._process, self._errors = tool, process, errors
        self._late = False

    def tell(self, value: object) -> None:
        assert self._process.stdin is not None
        try:
            with self._watched():
                self._process.stdin.write(json.dumps(value, default=str).encode() + b"\n")
        except BrokenPipeError:
            # what it answered before it ended says why
            self.answer()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._watched():
                self._process.stdin.flush()
        except BrokenPipeError:
            pass
        with self._watched():
            line = self._process.stdout.readline()
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            raise self._failed() from None
        if "error" in told:
            kind = InputError if told.get("wrong") else StepFailed
            raise kind(
                clean_line(told["error"]), file=told.get("file"), fix=clean_line(told.get("fix") or self._said())
            )
        return told

    @contextmanager
    def _watched(self) -> Iterator[None]:
        timer = threading.Timer(_SECONDS, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        self._late = True
        self._process.kill()

    def _failed(self) -> StepFailed:
        if self._late:
            return StepFailed(f"{self._tool} gave no answer for {_SECONDS / 60:.0f} minutes", fix=self._said())
        code = self._process.wait()
        return StepFailed(f"{self._tool} ended with exit code {code} before it was done", fix=self._said())

    def _said(self) -> str:
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace")
        return f"it said last: {clean_line(last_line(text))}" if text.strip() else "run it again with --debug"


@contextmanager
def _started(tool: str, python: str) -> Iterator[_Talk]:
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [python, str(_TOOLS / f"export_{tool}.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # our own packages are not the interpreter's
                env={name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")},
            )
        except OSError as error:
            reason = f"the interpreter does not start: {error.strerror}"
            raise InputError(reason, file=python, fix=f"name another: progtrain export {tool} --python PATH") from error
        try:
            yield _Talk(tool, process, errors)
        finally:
            for stream in (process.stdin, process.stdout):
                _closed(stream)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _closed(stream: IO[bytes] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except BrokenPipeError:
        pass
