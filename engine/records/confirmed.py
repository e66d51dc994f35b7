"""`confirmed.json` in a report: whether the best version's lead over the first and over the second best is more than
chance, over samples and seeds. `04_final_report.py` reads it."""

from __future__ import annotations

from typing import Any

from progtrain.engine import comparable, metrics
from progtrain.engine.errors import InputError
from progtrain.engine.records.against import Against, against, score_of
from progtrain.engine.repeats import found
from progtrain.engine.rules.rules import Rules
from progtrain.engine.workspace import Workspace

NAME = "confirmed.json"


def confirmed(ws: Workspace, rules: Rules) -> dict[str, Any]:
    """By the primary metric, of the versions that are there now. `repeats.json` of each is brought up to date."""
    _up_to_date(ws)
    primary, left_out = rules.primary_metric, comparable.standing(ws, ws.versions())
    counted = [version for version in ws.versions() if version not in left_out]
    values = {version: value for version in counted if (value := _value(ws, version, primary)) is not None}
    ranked: list[str] = []
    while best := metrics.best([v for v in values if v not in ranked], values.get, rules.higher_is_better(primary)):
        ranked.append(best)
    told: dict[str, Any] = {"metric": primary, "best": ranked[0] if ranked else None, "against": []}
    told["not_ranked"] = left_out
    if len(ranked) < 2:
        return told
    first = next(iter(values))
    others = dict.fromkeys(other for other in (first, ranked[1]) if other != ranked[0])
    told["against"] = [_told(other, primary, against(ws, rules, ranked[0], other)) for other in others]
    return told


def _up_to_date(ws: Workspace) -> None:
    for version in ws.versions():
        try:
            if found.folders(ws, version):
                found.write(ws, version)
        except InputError:  # without its script nobody can say of which one they are
            continue


def _value(ws: Workspace, version: str, name: str) -> float | None:
    score = score_of(ws, version)
    held = score.metric(name) if score else None
    return metrics.finite(held.value) if held else None


def _told(other: str, primary: str, found_out: Against) -> dict[str, Any]:
    compared = found_out.compared(primary)
    if compared is None:
        return {"version": other, "why_not": found_out.why_not or "it has no interval: neither samples nor seeds tell"}
    return {
        "version": other,
        **compared.model_dump(include={"metric", "delta", "low", "high", "verdict", "runs", "n"}),
        "seed_noise": compared.seed_noise,
        "measured": compared.noise_sd is not None,
    }
