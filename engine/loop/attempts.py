"""Failed trainings, kept whole: `.progtrain/attempts/v003/1/`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from progtrain.engine.clock import Clock
from progtrain.engine.files import sha256_text, storage_errors, write_text
from progtrain.engine.modes import copy_file
from progtrain.engine.schema import load
from progtrain.engine.script import version_files
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.workspace import JobFolder, Workspace

_RECORD = "attempt.json"


class Attempt(BaseModel):
    """`attempt.json` beside the script, the log and whatever the training left."""

    number: int
    at: datetime
    cause: str
    error_summary: str
    root_cause_hypothesis: str
    file: str | None = None
    line: int | None = None
    #: what was changed before the next attempt; None while that is open
    code_change_summary: str | None = None

    @property
    def resolved(self) -> bool:
        return self.code_change_summary is not None

    @property
    def digest(self) -> str:
        """Makes a question about this attempt unlike one about another training of the same version."""
        return sha256_text(f"{self.at.isoformat()}{self.error_summary}")[:6]

    def failure(self) -> Failure:
        return Failure(**self.model_dump(include={field.name for field in fields(Failure)}))


def read(ws: Workspace, version: str) -> list[Attempt]:
    """The oldest first."""
    found = [path for path in ws.attempt(version, 1).parent.glob(f"*/{_RECORD}") if path.parent.name.isdigit()]
    return [load(path, Attempt) for path in sorted(found, key=lambda path: int(path.parent.name))]


def last(ws: Workspace, version: str) -> Attempt | None:
    return next(reversed(read(ws, version)), None)


def archive(ws: Workspace, version: str, number: int, failure: Failure, job: JobFolder, clock: Clock) -> Attempt:
    """Copies script, files and log, moves what the training left, and writes the record last."""
    target = ws.attempt(version, number)
    record = Attempt(number=number, at=clock(), **asdict(failure))
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        for source in (job.log, job.state):
            if source.is_file():
                copy_file(source, target / source.name)
        for source in filter(Path.is_file, version_files.paths(ws, version).values()):
            (target / ws.relative(source)).parent.mkdir(parents=True, exist_ok=True)
            copy_file(source, target / ws.relative(source))
        _move(ws.version(version).path, target / "artifacts")
    _save(ws, version, record)
    return record


def resolve(ws: Workspace, version: str, attempt: Attempt, summary: str) -> None:
    _save(ws, version, attempt.model_copy(update={"code_change_summary": summary}))


def set_aside(ws: Workspace, version: str) -> str:
    """Moves a version's folder away, to a name that is free. Returns where, for a message."""
    folder = ws.attempt(version, 1).parent
    number = 1
    while (folder / f"before-{number}").exists():
        number += 1
    with storage_errors(folder):
        _move(ws.version(version).path, folder / f"before-{number}")
    return ws.relative(folder / f"before-{number}")


def write_report(ws: Workspace, version: str, passed: int | None = None) -> None:
    """`_tests/train_retry_report.md`, anew each time, so that a reset loses nothing. None where nothing failed."""
    if records := read(ws, version):
        write_text(ws.version(version).retry_report, retry_report(records, passed))


def retry_report(failed: Sequence[Attempt], passed: int | None = None) -> str:
    """A section for each attempt; `passed` is the number of the one that succeeded."""
    sections = [_section(item.number, item.code_change_summary or "to be decided", "FAIL", item) for item in failed]
    if passed is not None:
        sections.append(_section(passed, "none", "PASS"))
    return "\n".join(("# Training attempts\n", *sections))


def _section(number: int, change: str, status: str, attempt: Attempt | None = None) -> str:
    # on one line each, so that nothing in an error message reads as Markdown structure
    texts = (attempt.error_summary, attempt.root_cause_hypothesis, change) if attempt else ("none", "none", change)
    summary, hypothesis, change = (" ".join(text.split()) or "none" for text in texts)
    return (
        f"## Attempt {number}\n\n"
        f"- attempt: {number}\n"
        f"- error_summary: {summary}\n"
        f"- root_cause_hypothesis: {hypothesis}\n"
        f"- code_change_summary: {change}\n"
        f"- status: {status}\n"
    )


def _move(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        shutil.move(str(source), str(target))


def _save(ws: Workspace, version: str, record: Attempt) -> None:
    write_text(ws.attempt(version, record.number) / _RECORD, record.model_dump_json(indent=2) + "\n")
