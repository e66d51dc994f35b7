"""A version beside the one that it was made from, now: every metric, and the parts of the validation samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from progtrain.engine import comparable, metrics, values
from progtrain.engine.analysis.compare import added_rows
from progtrain.engine.analysis.compare.deltas import comparer, metric_rows
from progtrain.engine.analysis.compare.pairs import compare
from progtrain.engine.analysis.compare.repeats import runs_of
from progtrain.engine.analysis.measure.failures import find_slices
from progtrain.engine.analysis.measure.reading import read_samples
from progtrain.engine.analysis.measure.samples import PerSample, only
from progtrain.engine.analysis.types import Comparison, MetricRow, Repeat, VersionRecord
from progtrain.engine.drafting import history
from progtrain.engine.errors import InputError
from progtrain.engine.repeats import found
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import Workspace


class Against(NamedTuple):
    #: the primary metric first; `previous`, `delta_previous` and `verdict_previous` are of the other version
    rows: tuple[MetricRow, ...] = ()
    #: why there is no verdict; empty where nothing keeps them from being compared
    why_not: str = ""
    #: classes or ranges of the target that got worse, in words
    worse: tuple[str, ...] = ()
    #: metric -> its comparison; None where there is none
    compared: Callable[[str], Comparison | None] = lambda metric: None


def score_of(ws: Workspace, version: str) -> EvalScore | None:
    """None where it has not been evaluated, or its score cannot be read."""
    try:
        return load(ws.version(version).eval_score, EvalScore)
    except InputError:
        return None


def against(ws: Workspace, rules: Rules, version: str, other: str | None) -> Against:
    """`version` against `other`, or by itself where there is none. Repeats of both count, and what others tell of seed
    noise."""
    score, before = score_of(ws, version), score_of(ws, other) if other else None
    if score is None:
        return Against()
    primary = rules.primary_metric
    if other is None or before is None:
        return Against(metric_rows(score, primary, lambda *_: None, None, None))
    why_not = comparable.why_not(ws, version, other)
    values_of = {version: _values(score), other: _values(before)}
    samples = {name: None if why_not else read_samples(ws, name, []) for name in values_of}
    compare_with = comparer(
        version,
        {} if why_not else {n: runs_of(values_of[n], samples[n], _repeats(ws, n)) for n in values_of},
        {} if why_not else found.told_beside(ws, comparable.basis_of(ws, version)),
        rules.seed,
    )
    record = VersionRecord(other, "", metrics=values_of[other], latency_ms=before.latency_ms, comparable=not why_not)
    insight = history.read_insight(ws, version)
    compare_with = added_rows.capping(compare_with, primary, insight.added_rows if insight else None)
    ways = {metric.name: metric.higher_is_better for metric in score.metrics}
    mine, theirs = samples[version], samples[other]
    return Against(
        metric_rows(score, primary, compare_with, record, None),
        f"{version} {why_not}" if why_not else "",
        _worse_parts(mine, theirs, rules.seed) if mine and theirs else (),
        lambda metric: compare_with(other, metric, ways[metric]) if metric in ways else None,
    )


def _values(score: EvalScore) -> dict[str, float | None]:
    return {metric.name: metrics.finite(metric.value) for metric in score.metrics}


def _repeats(ws: Workspace, version: str) -> tuple[Repeat, ...]:
    try:
        return found.of(ws, version)
    except InputError:  # without its script nobody can say of which one they are
        return ()


def _worse_parts(samples: PerSample, before: PerSample, seed: int) -> tuple[str, ...]:
    """Where the interval on a part's own samples lies beyond zero."""
    worse = []
    metric = "accuracy" if samples.is_classification else "loss"
    for part in find_slices(samples, before):
        ids = samples_of(samples, part.kind, part.name)
        one = compare(only(before, ids), only(samples, ids), metric, metric == "accuracy", seed)
        if one is not None and one.verdict == "worse":
            what = f"class {part.name}: right" if part.kind == "class" else f"{part.kind} {part.name}: loss"
            worse.append(f"{what} {values.change(one.delta)}")
    return tuple(worse)


def samples_of(samples: PerSample, kind: str, name: str) -> frozenset[str]:
    """Ids of the samples of a class, or of a range of the target as `find_slices` names it."""
    if kind == "class":
        return frozenset(one for one, truth in zip(samples.ids, samples.truth, strict=True) if truth == name)
    ends = [values.number(end) for end in name.split(" to ")]
    rows = [(number, loss, one) for one, number, loss in _ordered(samples)]
    quarters = [rows[len(rows) * q // 4 : len(rows) * (q + 1) // 4] for q in range(4)]
    for quarter in quarters:
        if quarter and [values.number(f"{row[0]:.4g}") for row in (quarter[0], quarter[-1])] == ends:
            return frozenset(one for _, _, one in quarter)
    return frozenset()


def _ordered(samples: PerSample) -> list[tuple[str, float, float]]:
    """Id, target and loss of each sample that has both, by the target."""
    truth = samples.numbers[0] if samples.numbers else []
    rows = zip(samples.ids, truth, samples.loss, strict=False)
    return sorted(((one, number, loss) for one, number, loss in rows if loss is not None), key=lambda row: row[1:])
