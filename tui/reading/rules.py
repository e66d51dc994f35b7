"""Rules and instruction as they lie in the workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from progtrain.engine.workspace import Workspace


@dataclass(frozen=True)
class RuleFiles:
    """None: there is no such file. Bytes that are not UTF-8 show as `�`."""

    rules: str | None
    instruction: str | None


def read_rule_files(workspace: Workspace) -> RuleFiles:
    """Raises OSError for a file that is there and cannot be read."""
    return RuleFiles(_text(workspace.rules), _text(workspace.instruction))


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
