"""Failed trainings, kept whole: `.progtrain/attempts/v003/1/`."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from progtrain.engine.clock import Clock
from progtrain.engine.files import sha256_text, storage_errors, write_text
from progtrain.engine.schema import load
from progtrain.engine.script.repair import repairs
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
        return Failure(
            cause=self.cause,
            error_summary=self.error_summary,
            root_cause_hypothesis=self.root_cause_hypothesis,
            file=self.file,
            line=self.line,
        )


def numbers(ws: Workspace, version: str) -> list[int]:
    folder = ws.attempt(version, 1).parent
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit() and (path / _RECORD).is_file())


def count(ws: Workspace, version: str) -> int:
    found = numbers(ws, version)
    return found[-1] if found else 0


def read(ws: Workspace, version: str) -> list[Attempt]:
    return [load(ws.attempt(version, number) / _RECORD, Attempt) for number in numbers(ws, version)]


def last(ws: Workspace, version: str) -> Attempt | None:
    number = count(ws, version)
    return load(ws.attempt(version, number) / _RECORD, Attempt) if number else None


def archive(ws: Workspace, version: str, number: int, failure: Failure, job: JobFolder, clock: Clock) -> Attempt:
    """Copies script and log, moves what the training left, and writes the record last."""
    target = ws.attempt(version, number)
    record = Attempt(
        number=number,
        at=clock(),
        cause=failure.cause,
        error_summary=failure.error_summary,
        root_cause_hypothesis=failure.root_cause_hypothesis,
        file=failure.file,
        line=failure.line,
    )
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        for source in (ws.script(version), job.log, job.state):
            if source.is_file():
                shutil.copy2(source, target / source.name)
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
    records = [
        repairs.AttemptRecord(
            attempt=item.number,
            error_summary=item.error_summary,
            root_cause_hypothesis=item.root_cause_hypothesis,
            code_change_summary=item.code_change_summary or "to be decided",
            status="FAIL",
        )
        for item in read(ws, version)
    ]
    if not records:
        return
    if passed is not None:
        records.append(
            repairs.AttemptRecord(
                attempt=passed,
                error_summary="none",
                root_cause_hypothesis="none",
                code_change_summary="none",
                status="PASS",
            )
        )
    write_text(ws.version(version).retry_report, repairs.retry_report(records))


def _move(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        shutil.move(str(source), str(target))


def _save(ws: Workspace, version: str, record: Attempt) -> None:
    write_text(ws.attempt(version, record.number) / _RECORD, record.model_dump_json(indent=2) + "\n")
