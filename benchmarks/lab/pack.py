"""From the collected tasks to the table that the recipe learns from.

The engine is asked again what it makes of each state, so that briefings speak as the engine does today; an outcome
stays with its option as long as that still means the same change.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.recipe import experience  # beside it lies a folder of the same name, which is no package
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Insight
from progtrain.engine.drafting import history, next_script
from progtrain.engine.files import write_text
from progtrain.engine.rules import rules
from progtrain.engine.workspace import Workspace


def pack(collected: Path, target: Path = experience.FOLDER) -> tuple[int, int]:  # type: ignore[attr-defined]
    """Returns the number of states and of trials."""
    states: list[dict[str, Any]] = []
    trials: list[dict[str, Any]] = []
    for path in sorted(collected.glob("*.json.gz")):
        entries = json.loads(gzip.decompress(path.read_bytes()))
        if not entries:
            continue
        workspace = collected / "workspaces" / path.name.removesuffix(".json.gz")
        for entry, insight in zip(entries, _looks(workspace, [e["version"] for e in entries]), strict=True):
            kept = [trial for trial in entry["trials"] if _is_offered(insight, trial)]
            if kept:
                states.append({"seed": entry["seed"], "family": entry["family"], "briefing": _slim(insight)})
                trials += [_row(entry, trial) for trial in kept]
    experience.write(states, trials, target)  # type: ignore[attr-defined]
    return len(states), len(trials)


def _looks(root: Path, versions: list[str]) -> Iterator[Insight]:
    ws = Workspace(root)
    present = rules.load(ws)
    for version in versions:
        records = history.records(ws, present, until=version)
        insight = gather(ws, version, next_script.limits(present), records)
        write_text(ws.insight(version), insight.to_json())
        yield insight


def _is_offered(insight: Insight, trial: dict[str, Any]) -> bool:
    candidate = insight.candidate(trial["id"])
    return candidate is not None and candidate.change == trial["change"]


def _slim(insight: Insight) -> dict[str, Any]:
    """Without the texts that no prompt of the bundled model shows."""
    whole = insight.briefing().model_dump(mode="json")
    for option in whole["options"]:
        option["why"] = ""
    return whole


def _row(entry: dict[str, Any], trial: dict[str, Any]) -> dict[str, Any]:
    valid, held = entry["errors"][trial["base"]]
    return {
        "seed": entry["seed"],
        "family": entry["family"],
        "version": entry["version"],
        "best": entry["best"],
        "metric": entry["metric"],
        "option": trial["id"],
        "change": trial["change"],
        "base": trial["base"],
        "rank": trial["rank"],
        "valid_before": _short(valid),
        "held_before": _short(held),
        "valid_after": _short(trial["valid"]),
        "held_after": _short(trial["held"]),
        "verdict": trial["verdict"],
        "gain": trial["gain"],
        "seconds": trial["seconds"],
    }


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
