"""Models from elsewhere, scored beside the versions."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.files import try_read_json
from engine.workspace import VersionFolder, Workspace


@dataclass(frozen=True)
class External:
    name: str
    metrics: dict[str, float | None] = field(default_factory=dict)
    created_at: str = ""
    latency_ms: float | None = None


def read_external(workspace: Workspace) -> tuple[External, ...]:
    try:
        folders = sorted(path for path in workspace.external.iterdir() if path.is_dir())
    except OSError:
        return ()
    return tuple(_external(VersionFolder(path)) for path in folders)


def _external(folder: VersionFolder) -> External:
    data = try_read_json(folder.eval_score)
    if not isinstance(data, dict):
        return External(folder.path.name)
    metrics = {
        str(metric.get("name")): metric["value"] if isinstance(metric.get("value"), int | float) else None
        for metric in data.get("metrics") or []
        if isinstance(metric, dict)
    }
    latency = data.get("latency_ms")
    return External(
        folder.path.name,
        metrics,
        str(data.get("created_at") or ""),
        latency if isinstance(latency, int | float) else None,
    )
