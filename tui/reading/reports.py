"""The reports of finished loops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from progtrain.engine.workspace import Workspace

_MOST = 400_000


@dataclass(frozen=True)
class Report:
    name: str
    analysis: str
    leaderboard: str


def report_names(workspace: Workspace) -> tuple[str, ...]:
    """The newest first."""
    try:
        return tuple(sorted((p.name for p in workspace.reports.iterdir() if p.is_dir()), reverse=True))
    except OSError:
        return ()


def read_report(workspace: Workspace, name: str) -> Report:
    folder = workspace.reports / name
    return Report(name, _text(folder / "final-analysis.md"), _text(folder / "leaderboard.csv"))


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:_MOST].decode("utf-8", "replace")
    except OSError:
        return ""
