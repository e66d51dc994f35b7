"""Models from elsewhere, scored beside the versions."""

from __future__ import annotations

from dataclasses import dataclass, field

from progtrain.engine.files import try_read_json
from progtrain.engine.metrics import finite
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
    data = try_read_json(folder.eval_score)
    if not isinstance(data, dict):
        return External(folder.path.name)
    listed = data.get("metrics")
    metrics = {
        str(metric.get("name")): finite(metric.get("value"))
        for metric in (listed if isinstance(listed, list) else [])
        if isinstance(metric, dict)
    }
    return External(folder.path.name, metrics, str(data.get("created_at") or ""), finite(data.get("latency_ms")))
