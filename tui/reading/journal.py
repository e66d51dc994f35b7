"""What happened, in words: the engine's journal as rows."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from progtrain.engine.files import LineReader
from progtrain.engine.metrics import finite
from progtrain.engine.workspace import Workspace

_MOST = 5000


@dataclass(frozen=True)
class Entry:
    number: int
    at: str
    event: str
    version: str
    text: str
    #: to do it again; empty where there is nothing to repeat
    command: str
    details: tuple[tuple[str, str], ...]


class JournalReader:
    """Gives all entries, reading only what is new. Two threads may ask at once."""

    def __init__(self, workspace: Workspace) -> None:
        self._lock = threading.Lock()
        self._reader = LineReader(workspace.journal)
        self._entries: list[Entry] = []
        self._count = 0

    def read(self) -> tuple[Entry, ...]:
        with self._lock:
            if self._reader.restarted():
                self._entries.clear()
            for line in self._reader.look():
                self._count += 1
                self._entries.append(_entry(self._count, line))
            del self._entries[:-_MOST]
            return tuple(self._entries)


def _entry(number: int, line: dict[str, Any]) -> Entry:
    event = str(line.get("event") or "?")
    command = line.get("command") or ""
    return Entry(
        number=number,
        at=str(line.get("at") or ""),
        event=event,
        version=str(line.get("version") or ""),
        text=_words(event, line),
        command=" ".join(map(str, command)) if isinstance(command, list) else str(command),
        details=tuple(
            (key, value if isinstance(value, str) else repr(value))
            for key, value in line.items()
            if key not in {"event", "at"}
        ),
    )


def _words(event: str, line: dict[str, Any]) -> str:
    get = line.get
    match event:
        case "loop_started":
            return f"data {get('dataset_id')}, up to {get('max_versions')} versions"
        case "loop_waiting" | "question":
            return f"asks: {get('kind') or get('question') or 'your decision'}"
        case "loop_failed":
            return str(get("reason") or "")
        case "loop_finished":
            return f"{get('versions')} versions, report {get('report')}"
        case "step_started":
            reasons = get("reasons")
            return f"{get('step')} begins: {'; '.join(map(str, reasons if isinstance(reasons, list) else []))}"
        case "step_done":
            took = finite(get("seconds"))
            told = f"{get('step')} done" + (f" in {took:.1f} s" if took is not None else "")
            return f"{told}: {get('text')}" if get("text") else told
        case "attempt_failed":
            return f"attempt {get('attempt')} failed: {get('summary') or get('cause')}"
        case "repair_applied":
            return f"repaired after attempt {get('attempt')}: {get('summary')}"
        case "draft_ready":
            return f"{get('author')} drafted {get('chosen')}"
        case "decision":
            chosen = f" {get('candidate')}" if get("candidate") else ""
            return f"{get('answer')}{chosen}, by {get('by')}"
        case "mcp_call":
            chosen = f" {get('candidate')}" if get("candidate") else ""
            return f"an agent, {get('client')}, answered: {get('answer')}{chosen}"
        case "version_authored":
            return f"from {get('base')}: {get('action')}" if get("base") else str(get("action") or "")
        case _:
            return str(get("text") or "")
