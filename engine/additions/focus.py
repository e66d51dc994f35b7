"""Where a version is weakest, by what became of its validation samples, and which training rows are meant by that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from progtrain.engine import values
from progtrain.engine.additions.plan import Plan
from progtrain.engine.additions.tools.progtrain_additions_rows import Rows
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.errors import InputError
from progtrain.engine.text import clean_line

#: of the target, where it is a number
_RANGES = 5
#: classes with fewer validation samples are not called weak
_SAMPLES = 5


def class_name(label: Any, names: Sequence[str]) -> str:
    """As the evaluation calls a label of the data: its index may stand for a name."""
    text = str(label)
    if text in names or isinstance(label, float):
        return text
    return names[int(text)] if text.isdigit() and int(text) < len(names) else text


def slices(samples: PerSample, source: str, regression: bool) -> list[dict[str, Any]]:
    """Each class with its recall, or each fifth of the target with its mean error, the weakest first."""
    if regression:
        return _ranges(samples, source)
    found = []
    for name in sorted(set(samples.truth)):
        own = [bool(ok) for ok, truth in zip(samples.correct, samples.truth, strict=True) if truth == name]
        told = {"slice": name, "metric": "recall", "value": round(fmean(own), 6), "samples": len(own)}
        found.append({**told, "source": source})
    return sorted(found, key=lambda one: (one["value"], one["slice"]))


def _ranges(samples: PerSample, source: str) -> list[dict[str, Any]]:
    if samples.numbers is None:
        return []
    pairs = sorted(zip(*samples.numbers, strict=True))
    edges = [len(pairs) * at // _RANGES for at in range(_RANGES + 1)]
    found = []
    for start, end in pairwise(edges):
        part = pairs[start:end]
        if part:
            error = fmean(abs(truth - said) for truth, said in part)
            ends = [part[0][0], part[-1][0]]
            told = {"slice": f"{values.metric(ends[0])} to {values.metric(ends[1])}", "metric": "mean absolute error"}
            found.append({**told, "value": round(error, 6), "samples": len(part), "source": source, "range": ends})
    return sorted(found, key=lambda one: -one["value"])


def chosen(plan: Plan, samples: PerSample, source: str, regression: bool) -> tuple[list[dict[str, Any]], str, Plan]:
    """The slices that are meant, who chose them, and the plan with its focus filled in. Raises `InputError`."""
    found = slices(samples, source, regression)
    if "metric_part" in plan.focus:
        return [_part(plan.focus["metric_part"], samples, source)], "user", plan
    if "classes" in plan.focus:
        wanted = plan.focus["classes"]
        if regression:
            raise InputError(
                "there are no classes where the target is a number",
                place="focus.classes",
                fix="take focus.target_range",
            )
        return _named(wanted, found, source), "user", plan
    if "target_range" in plan.focus:
        if not regression:
            raise InputError(
                "there is no range where the target is a class", place="focus.target_range", fix="take focus.classes"
            )
        return [_of_range(plan.focus["target_range"], samples, source)], "user", plan
    if not found:
        reason = "its samples say nothing of where it is weak"
        raise InputError(reason, file=source, fix="name classes, a target_range or a metric_part: --classes")
    if regression:
        ends = found[0].pop("range")
        return found[:1], "largest error", plan._replace(focus={"target_range": ends})
    known = [one for one in found if one["samples"] >= _SAMPLES] or found
    weakest = known[: 2 if len(known) > 2 else 1]
    return weakest, "lowest recall", plan._replace(focus={"classes": [one["slice"] for one in weakest]})


def _named(wanted: Sequence[str], found: Sequence[Mapping[str, Any]], source: str) -> list[dict[str, Any]]:
    by_name = {one["slice"]: dict(one) for one in found}
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        reason = f"there is no class {clean_line(unknown[0])!r} among the validation samples"
        raise InputError(reason, file=source, place="focus.classes", fix=f"classes: {', '.join(list(by_name)[:20])}")
    return [by_name[name] for name in wanted]


def _of_range(ends: Sequence[float], samples: PerSample, source: str) -> dict[str, Any]:
    told = {"slice": f"{values.metric(ends[0])} to {values.metric(ends[1])}", "metric": "mean absolute error"}
    pairs = zip(*samples.numbers, strict=True) if samples.numbers else ()
    errors = [abs(truth - said) for truth, said in pairs if ends[0] <= truth <= ends[1]]
    value = round(fmean(errors), 6) if errors else None
    return {**told, "value": value, "samples": len(errors), "source": source}


def _part(name: str, samples: PerSample, source: str) -> dict[str, Any]:
    if name not in samples.parts:
        there = ", ".join(samples.parts) or "none"
        fix = f"parts in {source}: {there}"
        raise InputError(f"there is no metric part {clean_line(name)!r}", place="focus.metric_part", fix=fix)
    known = [value for value in samples.parts[name] if value is not None]
    value = round(fmean(known), 6) if known else None
    return {"slice": "all", "metric": name, "value": value, "samples": len(known), "source": source}


def meant(plan: Plan, rows: Rows, names: Sequence[str]) -> list[int]:
    """Places of the training rows in the focus. Raises `InputError` where there is none."""
    if "classes" in plan.focus:
        found = [at for at, label in enumerate(rows.labels) if class_name(label, names) in plan.focus["classes"]]
    elif "target_range" in plan.focus:
        low, high = plan.focus["target_range"]
        numbers = [values.number(label) for label in rows.labels]
        found = [at for at, value in enumerate(numbers) if value is not None and low <= value <= high]
    else:
        found = list(range(len(rows)))
    if not found:
        reason = f"no training row is in the focus: the target was taken to be {rows.label_name or 'the folder'!r}"
        raise InputError(reason, place="focus", fix='name another, or the target in stats.json: "target": "COLUMN"')
    return found
