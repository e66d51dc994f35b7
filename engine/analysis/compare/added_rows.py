"""Did added training rows help? What they were meant for, all else, and the whole, each judged for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from progtrain.advisor.interface import Fact
from progtrain.engine import metrics, values
from progtrain.engine.analysis.compare.deltas import Compare
from progtrain.engine.analysis.compare.pairs import Runs, compare_runs, resampled, usable
from progtrain.engine.analysis.compare.repeats import noise_between
from progtrain.engine.analysis.facts import signed_text
from progtrain.engine.analysis.measure.samples import PerSample, only
from progtrain.engine.analysis.types import AddedRows, Comparison, Verdict

_Meant = Callable[[PerSample, int], bool]


def meant(focus: Mapping[str, Any]) -> _Meant | None:
    """Which samples the rows were meant for: by class, or by target; None where the focus is no part of them."""
    if classes := focus.get("classes"):
        names = {str(name) for name in classes}
        return lambda samples, row: samples.truth[row] in names
    if ends := focus.get("target_range"):
        low, high = ends

        def inside(samples: PerSample, row: int) -> bool:
            value = values.number(samples.truth[row])
            return value is not None and low <= value <= high

        return inside
    return None


def _part(runs: Runs, of: _Meant, there: bool) -> Runs:
    """Of the samples in the focus, or of all others. What the evaluations reported is about all of them."""
    held = [
        only(one, frozenset(sample for sample, row in one.row.items() if of(one, row) is there)) if one else None
        for one in runs.samples
    ]
    return Runs(tuple({} for _ in runs.metrics), tuple(one if one else None for one in held))


def judge(
    focus: Mapping[str, Any],
    runs: tuple[Runs, Runs],
    metric: str,
    higher_is_better: bool,
    seed: int,
    *,
    names: tuple[str, str],
) -> tuple[Comparison | None, Comparison | None]:
    """The focus and the rest, of the second runs against the first, by the samples of each part alone. `names`: of the
    two versions. None where a part has no samples, or is no part of them."""
    of = meant(focus)
    if of is None:
        part = str(focus.get("metric_part") or "")
        return (_compared(runs, part, _higher(part, higher_is_better), seed, names) if part else None), None
    held = [tuple(_part(one, of, there) for one in runs) for there in (True, False)]
    found = [_compared((a, b), metric, higher_is_better, seed, names) for a, b in held]
    return found[0], found[1]


def _higher(metric: str, otherwise: bool) -> bool:
    return False if "loss" in metric or "error" in metric else otherwise


def _compared(
    runs: tuple[Runs, Runs], metric: str, higher_is_better: bool, seed: int, names: tuple[str, str]
) -> Comparison | None:
    reported = {name: _reported(one, metric, seed) for name, one in zip(names, runs, strict=True)}
    noise = noise_between(*names, reported)
    return compare_runs(*runs, metric, higher_is_better, seed, against=names[0], noise_of=noise)


def _reported(runs: Runs, metric: str, seed: int) -> list[Mapping[str, float | None]]:
    """What the evaluations would have reported of these samples alone, by run."""
    held = [one for one in runs.samples if one is not None]
    if len(held) < 2:
        return [{} for _ in held]
    ids = sorted(set(usable(held[0], metric)).intersection(*(usable(one, metric) for one in held[1:])))
    if not ids:
        return []
    own, _ = resampled(held, ids, metric, seed)
    return [{metric: float(value)} for value in own]


def told(focus: Verdict | None, rest: Verdict | None, overall: Verdict | None) -> Verdict | None:
    """The verdict on the rows, from those on each part: a gain in their focus that the whole does not share, or that
    the rest pays for, is a trade-off."""
    gained = focus == "better"
    if gained and overall != "better":
        return "trade-off"
    if rest == "worse" and (gained or overall == "better"):
        return "trade-off"
    return overall


def capped(found: Comparison | None, rows: AddedRows | None) -> Comparison | None:
    """What is better as a whole is no gain where the rows are a trade-off."""
    if found is None or rows is None or rows.verdict != "trade-off" or found.verdict != "better":
        return found
    return found.model_copy(update={"verdict": "trade-off"})


def capping(compare_with: Compare, primary: str, rows: AddedRows | None) -> Compare:
    """The same comparisons, but for the primary metric against the version that the rows were added to."""
    base = rows.overall.against if rows and rows.overall else None

    def compared(other: str | None, metric: str, higher_is_better: bool) -> Comparison | None:
        found = compare_with(other, metric, higher_is_better)
        return capped(found, rows) if other == base and metrics.same(metric, primary) else found

    return compared


def parts(rows: AddedRows | None, base: str) -> dict[str, Comparison]:
    """By name, against the version that the rows were added to; empty against another one."""
    if rows is None or rows.overall is None or rows.overall.against != base:
        return {}
    found = {"focus": rows.focus, "rest": rows.rest, "overall": rows.overall, "random rows": rows.control}
    return {name: one for name, one in found.items() if one}


def lines(rows: AddedRows) -> list[str]:
    """For documents: the parts, each with its interval, and what there is to say beside them."""
    more = f"; {rows.steps}" if rows.steps else ""
    parts = [("focus", rows.focus), ("rest", rows.rest), ("overall", rows.overall)]
    found = [f"{rows.addition}, {rows.count} rows for {rows.meant}: **{rows.verdict or 'no verdict'}**{more}"]
    found += [f"{name}: {_interval(one)}" if one else f"{name}: cannot be told" for name, one in parts]
    if rows.control:
        found.append(f"against as many random training rows: {_interval(rows.control)}")
    return [*found, *([rows.no_control] if rows.no_control else [])]


def _interval(one: Comparison) -> str:
    ends = f"95 % interval {signed_text(one.low)} to {signed_text(one.high)}"
    return f"{one.metric} {signed_text(one.delta)}, {ends} over {one.n} samples: {one.verdict} ({one.seed_noise})"


def facts(rows: AddedRows | None, source: str) -> tuple[Fact, ...]:
    """The parts as facts, which the advisor may name."""
    if rows is None:
        return ()
    told_of = {
        "focus_delta": (rows.focus, f"change in what the added rows are for ({rows.meant})"),
        "rest_delta": (rows.rest, "change in all other validation samples"),
        "overall_delta": (rows.overall, "change over all validation samples, against what the rows were added to"),
        "control_delta": (rows.control, "difference to a training with as many random training rows instead"),
    }
    return tuple(
        Fact(
            key=key,
            display=signed_text(one.delta),
            value=metrics.finite(one.delta),
            meaning=f"{one.metric}: {meaning}",
            bucket=one.verdict,
            importance=1,
            source=source,
        )
        for key, (one, meaning) in told_of.items()
        if one is not None
    )
