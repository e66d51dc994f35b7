"""What a loop is after, from the rules as plain JSON: primary metric, direction, number of versions.

Imports almost nothing and tolerates everything, since the app's first frame reads it; `rules.load` checks the file.
"""

from __future__ import annotations

from typing import Any

from progtrain.engine import metrics
from progtrain.engine.files import try_read_json
from progtrain.engine.workspace import Workspace

MAX_VERSIONS = 10


def read(ws: Workspace) -> Any:
    """The rules as they lie there: {} where there are none, None where the file is damaged."""
    return try_read_json(ws.rules) if ws.rules.exists() else {}


def primary_metric(rules: Any) -> str:
    """What versions are ranked by; where nothing is asked for: the loss."""
    wanted = _part(rules, "eval_config", "primary_metric")
    if isinstance(wanted, str) and wanted:
        return wanted
    return next(iter(_listed(rules)), "loss")


def metric_names(rules: Any) -> list[str]:
    return list(_listed(rules))


def higher_is_better(rules: Any, metric: str) -> bool | None:
    """As the rules say, else as the table of well-known metrics; None where neither knows."""
    told = metrics.value_of(metric, {name: way for name, way in _listed(rules).items() if way is not None})
    return metrics.higher_is_better(metric) if told is None else told


def max_versions(rules: Any, asked: int | None = None) -> int:
    """What the rules allow, and whoever started the loop asked for: that may lower a stated bound, never raise it."""
    stated = _part(rules, "loop_config", "max_versions")
    bound = stated if isinstance(stated, int) and not isinstance(stated, bool) else None
    return min((n for n in (bound, asked) if n is not None), default=MAX_VERSIONS)


def _part(rules: Any, section: str, key: str) -> Any:
    held = rules.get(section) if isinstance(rules, dict) else None
    return held.get(key) if isinstance(held, dict) else None


def _listed(rules: Any) -> dict[str, bool | None]:
    """Name -> direction of the user's own, in the order of `eval_config.metrics`."""
    listed = _part(rules, "eval_config", "metrics")
    found: dict[str, bool | None] = {}
    for entry in listed if isinstance(listed, list) else ():
        name, way = (entry.get("name"), entry.get("higher_is_better")) if isinstance(entry, dict) else (entry, None)
        if isinstance(name, str) and name:
            found.setdefault(name, way if isinstance(way, bool) else None)
    return found
