"""Texts that somebody else may be writing, and that may have any length."""

from __future__ import annotations

from pathlib import Path


def beginning(path: Path, most: int = 400_000) -> str:
    """The first `most` bytes; empty where nothing can be read. Bytes that are not UTF-8 show as `�`."""
    try:
        with path.open("rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""
