"""The only way back from the user to the loop: one file for each question, created once, never changed."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from progtrain.engine.control import lock
from progtrain.engine.errors import Busy, InputError
from progtrain.engine.files import storage_errors, try_read_json, write_text
from progtrain.engine.schema import Decision, load
from progtrain.engine.workspace import Workspace

#: what file systems say to a link that have none: FAT, some network folders, Android's storage
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EMLINK}


def decide(ws: Workspace, decision: Decision) -> None:
    """Answers a question. Raises `InputError` when somebody has answered it already."""
    path = ws.decision(decision.question)
    data = decision.model_dump_json(indent=2, exclude_none=True).encode("utf-8")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.urandom(16).hex()}.tmp")
        try:
            temporary.write_bytes(data)
            # a link fails where the name exists: of two people who answer at once, one is told
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                _put(temporary, path)
        except FileExistsError as error:
            raise InputError(
                f"the question {decision.question} is answered already",
                file=path,
                fix="look again: progtrain status",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    """Where the file system has no links: one at a time, and not over what is there. Raises `FileExistsError`."""
    name = path.parent / ".answering"
    with lock.hold_file(name, Busy("somebody else answers at this moment", file=path, fix="try again")):
        if path.exists():
            raise FileExistsError(path)
        temporary.replace(path)


def answer_to(ws: Workspace, question: str) -> Decision | None:
    path = ws.decision(question)
    return load(path, Decision) if path.is_file() else None


def withdraw(ws: Workspace, question: str) -> None:
    """For the runner: an answer that has had its effect and must not have it again."""
    ws.decision(question).unlink(missing_ok=True)


def request_stop(ws: Workspace) -> None:
    with storage_errors(ws.stop_request):
        ws.stop_request.parent.mkdir(parents=True, exist_ok=True)
        ws.stop_request.touch()


def stop_requested(ws: Workspace) -> bool:
    return ws.stop_request.exists()


def forget_stop(ws: Workspace) -> None:
    ws.stop_request.unlink(missing_ok=True)


def hints(ws: Workspace) -> tuple[str, ...]:
    """What the user told the advisor in this workspace and has not taken back, the oldest first."""
    if not ws.inbox.is_dir():
        return ()
    told: list[tuple[datetime, str, bool]] = []
    for path in ws.inbox.glob("*.json"):
        data = try_read_json(path)
        if data is not None:
            told += [(_when(data), str(data[key]), key == "hint") for key in ("hint", "forget") if data.get(key)]
    counts: dict[str, None] = {}
    for _, hint, given in sorted(told):
        counts.pop(hint, None)
        if given:
            counts[hint] = None
    return tuple(counts)


def _when(data: dict[str, object]) -> datetime:
    try:
        found = datetime.fromisoformat(str(data.get("at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def forget_hint(ws: Workspace, hint: str, at: datetime) -> None:
    """Takes a hint back: from now on it counts no more, unless it is given again."""
    path = ws.inbox / f"forget-{os.urandom(16).hex()}.json"
    write_text(path, json.dumps({"forget": hint, "at": at.isoformat()}, ensure_ascii=False, indent=2) + "\n")
