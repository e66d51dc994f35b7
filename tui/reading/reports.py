"""The reports of finished loops."""

from __future__ import annotations

from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.text import beginning


def report_names(workspace: Workspace) -> tuple[str, ...]:
    """The newest first."""
    try:
        return tuple(sorted((p.name for p in workspace.reports.iterdir() if p.is_dir()), reverse=True))
    except OSError:
        return ()


def read_report(workspace: Workspace, name: str) -> tuple[str, str]:
    """Its analysis, and its leaderboard as CSV."""
    folder = workspace.reports / name
    return beginning(folder / "final-analysis.md"), beginning(folder / "leaderboard.csv")
