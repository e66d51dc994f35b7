"""What a campaign says should be changed, old value and new, and on which evidence; or that nothing should, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from progtrain.engine import values
from progtrain.engine.campaign import planned
from progtrain.engine.campaign.file import File, Variant
from progtrain.engine.campaign.planned import Step
from progtrain.engine.experiment import compare
from progtrain.engine.experiment.compare import Difference, Measure
from progtrain.engine.status.snapshot import NOT_MEASURED
from progtrain.engine.workspace import Workspace

Judged = Mapping[str, Sequence[Difference]]


def recommendation(
    ws: Workspace,
    file: File,
    steps: Sequence[Step],
    states: Sequence[Mapping[str, Any]],
    measures: Sequence[Measure],
    judged: Judged,
) -> dict[str, Any]:
    """`recommended` with `changes` and `evidence`, or `why` nothing is.

    Recommended is the best variant by the primary metric among those that are better than their version, beyond noise,
    and all of whose runs have ended well.
    """
    told: dict[str, Any] = {"campaign": file.campaign, "goal": file.goal, "metric": "", "recommended": False}
    if not measures:
        return {**told, "why": _why_none({}, states), "changes": [], "evidence": []}
    measure = measures[0]
    told["metric"] = measure.metric
    whole = {state["variant"] for state in states if state["state"] == "done"}
    against = {one.b: one for one in judged[measure.metric] if one.kind == "control"}
    better = [name for name in compare.best_first(measure) if name in whole and _is_better(against.get(name))]
    if not better:
        return {
            **told,
            "why": _why_none(against, states),
            "changes": [],
            "evidence": _evidence(ws, steps, against, whole),
        }
    step, variant = next((s, v) for s in steps for v in s.variants if v.name == better[0])
    if over := _surpassed(step, variant, measure, steps):
        return {**told, "why": over, "changes": [], "evidence": _evidence(ws, steps, against, {variant.name})}
    return {**told, **_for(ws, step, variant, measure, against[variant.name], judged), "recommended": True}


def _is_better(one: Difference | None) -> bool:
    return one is not None and one.verdict == "better"


def _why_none(against: Mapping[str, Difference], states: Sequence[Mapping[str, Any]]) -> str:
    """What became of all variants: one that failed is neither worse nor within noise."""
    said: list[str] = []
    for state in states:
        one = against.get(state["variant"]) if state["state"] == "done" else None
        said.append(state["state"] if one is None else one.verdict or "not comparable")
    counts = ", ".join(f"{said.count(what)} {what}" for what in dict.fromkeys(said))
    noise = f"; {NOT_MEASURED}" if any(NOT_MEASURED in one.notes for one in against.values()) else ""
    return f"no variant is better than its version beyond noise (of {len(said)}: {counts}){noise}"


def _surpassed(step: Step, variant: Variant, measure: Measure, steps: Sequence[Step]) -> str:
    """Another version as it is that has a better value already; empty where there is none."""
    versions = {other.version for other in steps}
    best = next((point for point in compare.best_first(measure) if point in versions or point == variant.name), None)
    if best in (None, variant.name, step.version):
        return ""
    better = f"{variant.name} is better than {step.version}"
    return f"{better}, yet {best} as it is has the better {measure.metric}: build on {best}"


def _for(
    ws: Workspace, step: Step, variant: Variant, measure: Measure, one: Difference, judged: Judged
) -> dict[str, Any]:
    changed = planned.changes(step, variant)
    operation = variant.action
    if operation is None and len(variant.settings) == 1:
        (name, value) = next(iter(variant.settings.items()))
        operation = {"operation": "set", "setting": name, "to": value}
    said = ", ".join(f"{c['setting']} {values.show(c['old'])} -> {values.show(c['new'])}" for c in changed)
    worse = [
        {"metric": metric, "delta": other.delta, "low": other.low, "high": other.high}
        for metric, found in judged.items()
        for other in found
        if other.kind == "control" and other.b == variant.name and other.verdict == "worse"
    ]
    noise = NOT_MEASURED if NOT_MEASURED in one.notes else ""
    confirm = f"; {noise}: progtrain repeat {step.version}, and `seeds: 3` for this variant, before it is built on"
    return {
        "variant": variant.name,
        "version": step.version,
        "change": said or variant.change,
        "changes": changed,
        "operation": operation,
        "delta": one.delta,
        "low": one.low,
        "high": one.high,
        "verdict": one.verdict,
        "seed_noise": noise,
        "worse": worse,
        "why": f"{variant.name} is better than {step.version} by {measure.metric}{confirm if noise else ''}",
        "evidence": _evidence(ws, [step], {variant.name: one}, {variant.name}),
    }


def _evidence(ws: Workspace, steps: Sequence[Step], against: Mapping[str, Difference], names: set[str]) -> list[str]:
    """Files, each with the key in it: the point of a variant, and the version that it was held against."""
    found = []
    for step in steps:
        own = [variant.name for variant in step.variants if variant.name in names and variant.name in against]
        folder = step.designed.experiment.folder
        if folder.results.is_file():
            found += [f"{ws.relative(folder.results)}#{name}" for name in own]
        score = ws.version(step.version).eval_score
        if own and score.is_file() and against[own[0]].metric:
            found.append(f"{ws.relative(score)}#{against[own[0]].metric}")
    return list(dict.fromkeys(found))
