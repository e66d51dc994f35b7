"""The metrics of each model, and how they differ from those of the first: with an interval and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from progtrain.engine import metrics
from progtrain.engine.analysis.compare import added_rows, serving
from progtrain.engine.analysis.compare.pairs import compare_runs
from progtrain.engine.analysis.compare.repeats import Reported, noise_between, runs_of
from progtrain.engine.analysis.types import Comparison, Verdict
from progtrain.engine.schema import Metric
from progtrain.engine.side_by_side.sides import Side

LATENCY, ANSWERED = "latency_ms", serving.ANSWERED


class Line(NamedTuple):
    """One metric of one model."""

    model: str
    metric: str
    higher_is_better: bool
    #: None: not a number there
    value: float | None
    #: against the first: this one minus that; None for the first itself, and where there is none
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Verdict | Literal[""] = ""
    #: samples that the difference is of
    n: int | None = None
    #: why there is no verdict, or what it does not know
    note: str = ""


def lines(sides: Sequence[Side], wanted: str | None, primary: str, seed: int, reported: Reported) -> list[Line]:
    """By metric, the primary one first; each for all models. `wanted`: that one alone, and how many have an answer.
    `reported`: by the runs of all versions, which tell of seed noise."""
    named: dict[str, Metric] = {}
    for side in sides:
        for metric in side.score.metrics:
            named.setdefault(metrics.find(metric.name, named) or metric.name, metric)
    names = sorted(named, key=lambda name: not metrics.same(name, primary))
    if wanted is not None:
        names = [name for name in names if metrics.same(name, wanted) or name == ANSWERED]
    found = [_line(sides[0], side, named[name], seed, reported) for name in names for side in sides]
    if names and metrics.same(names[0], primary):
        parts = {side.name: _parts(sides[0], side, named[names[0]], seed) for side in sides[1:]}
        of_primary = [_capped(line, parts.get(line.model, [])) for line in found[: len(sides)]]
        found = [*of_primary, *(line for one in parts.values() for line in one), *found[len(sides) :]]
    return [*found, *(_latency(sides[0], side) for side in sides)]


def _parts(first: Side, side: Side, metric: Metric, seed: int) -> list[Line]:
    """Of a version that was given more training rows: what they are for, and the rest, each by its own samples."""
    if side.added is None or side.refused or side.confounded:
        return []
    runs = tuple(runs_of(_values(one), one.samples, one.repeats) for one in (first, side))
    focus, meant = side.added
    name, higher = metric.name, metric.higher_is_better
    found = added_rows.judge(focus, (runs[0], runs[1]), name, higher, seed, names=(first.name, side.name))
    return [
        Line(
            side.name, f"{name}, {what}", higher, None, one.delta, one.low, one.high, one.verdict, one.n, one.seed_noise
        )
        for what, one in zip((f"focus: {meant}", "rest"), found, strict=True)
        if one is not None
    ]


def _capped(line: Line, parts: Sequence[Line]) -> Line:
    """A gain that the rest pays for is none, and one of the focus alone is a trade-off: as in the analysis."""
    focus, rest = (
        next((one.verdict or None for one in parts if f", {what}" in one.metric), None) for what in ("focus", "rest")
    )
    told = added_rows.told(focus, rest, line.verdict or None) if parts else line.verdict
    return line._replace(verdict=told or "")


def _values(side: Side) -> dict[str, float | None]:
    return {metric.name: metrics.finite(metric.value) for metric in side.score.metrics}


def _line(first: Side, side: Side, metric: Metric, seed: int, reported: Reported) -> Line:
    name, higher = metric.name, metric.higher_is_better
    value, before = (metrics.value_of(name, _values(one)) for one in (side, first))
    line = Line(side.name, name, higher, value)
    if side.name == first.name:
        return line
    if side.refused or side.confounded:
        # why stands with the model, once
        return line._replace(note="not compared" if side.refused else "confounded: serving")
    if value is None or before is None:
        return line._replace(note="" if name == ANSWERED else "not a number in both")
    plain = line._replace(delta=value - before)
    if name == ANSWERED:
        return plain
    compared = _compared(first, side, metric, seed, reported)
    if compared is None or not metrics.same(compared.metric, name):
        return plain._replace(note="it does not come from single samples: no verdict")
    found = {key: getattr(compared, key) for key in ("delta", "low", "high", "verdict", "n")}
    return line._replace(**found, note=compared.seed_noise)


def _compared(first: Side, side: Side, metric: Metric, seed: int, reported: Reported) -> Comparison | None:
    """What seeds change is that of trainings: it is not looked for between two models from elsewhere."""
    a, b = (runs_of(_values(one), one.samples, one.repeats) for one in (first, side))
    name, higher = metric.name, metric.higher_is_better
    if first.is_external and side.is_external:
        return compare_runs(a, b, name, higher, seed, against=first.name)
    noise = noise_between(first.name, side.name, reported)
    return compare_runs(a, b, name, higher, seed, against=first.name, noise_of=noise)


def _latency(first: Side, side: Side) -> Line:
    values = [metrics.finite(one.score.latency_ms) for one in (side, first)]
    line = Line(side.name, LATENCY, False, values[0])
    if side.name == first.name or values[0] is None or values[1] is None:
        return line
    return line._replace(delta=values[0] - values[1], note="no verdict: times depend on the machine and its load")
