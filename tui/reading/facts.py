"""What the engine worked out for a version, read without the code that works it out."""

from __future__ import annotations

from progtrain.engine.files import try_read_json
from progtrain.engine.workspace import Workspace


def read_facts(workspace: Workspace, version: str) -> tuple[dict[str, str], ...]:
    """Each with `key`, `display`, `meaning` and `source`. Empty where there are none, or while they are written."""
    data = try_read_json(workspace.insight(version))
    found = data.get("facts") if isinstance(data, dict) else None
    return tuple(
        {name: str(fact.get(name) or "") for name in ("key", "display", "meaning", "source")}
        for fact in (found if isinstance(found, list) else [])
        if isinstance(fact, dict)
    )
