"""Text for people: diffs and the ends of logs."""

from __future__ import annotations

import difflib
import os
from pathlib import Path


def unified_diff(old: str, new: str, name: str, old_name: str | None = None, context: int = 3) -> str:
    """Empty when both are the same."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), old_name or name, name, n=context
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def tail(path: Path, limit: int = 64_000) -> str:
    """The end of a log as text, whatever bytes are in it; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
