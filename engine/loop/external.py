"""Models from elsewhere, scored beside the versions."""

from __future__ import annotations

from dataclasses import dataclass, field

from progtrain.engine.status import rows
from progtrain.engine.workspace import VersionFolder, Workspace


@dataclass(frozen=True)
class External:
    """A folder of `Models/external/`, with its last score."""

    name: str
    metrics: dict[str, float | None] = field(default_factory=dict)
    created_at: str = ""
    latency_ms: float | None = None


def read_external(workspace: Workspace) -> tuple[External, ...]:
    """By name; those that nobody has scored yet have no metrics."""
    try:
        folders = sorted(path for path in workspace.external.iterdir() if path.is_dir())
    except OSError:
        return ()
    return tuple(_external(VersionFolder(path)) for path in folders)


def _external(folder: VersionFolder) -> External:
    return External(folder.path.name, **(rows.read_once(folder.eval_score, rows.score_in) or {}))
