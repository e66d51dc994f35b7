"""What the engine worked out for a version, read without the code that works it out."""

from __future__ import annotations

from dataclasses import dataclass

from progtrain.engine.files import try_read_json
from progtrain.engine.workspace import Workspace


@dataclass(frozen=True)
class Fact:
    key: str
    display: str
    meaning: str
    source: str


def read_facts(workspace: Workspace, version: str) -> tuple[Fact, ...]:
    """Empty where there are none, or where they are being written."""
    data = try_read_json(workspace.insight(version))
    found = data.get("facts") if isinstance(data, dict) else None
    return tuple(
        Fact(*(str(fact.get(key) or "") for key in ("key", "display", "meaning", "source")))
        for fact in (found if isinstance(found, list) else [])
        if isinstance(fact, dict)
    )
