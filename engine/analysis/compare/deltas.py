"""How a version's metrics changed against others, with verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.compare.pairs import Runs, compare_runs
from progtrain.engine.analysis.compare.repeats import Reported, noise_between
from progtrain.engine.analysis.facts import signed_text
from progtrain.engine.analysis.measure.measurements import difference
from progtrain.engine.analysis.types import Comparison, MetricRow, Verdict, VersionRecord
from progtrain.engine.schema import EvalScore, Metric

#: version, metric, whether higher is better -> the comparison with that version; None where there is none
Compare = Callable[[str | None, str, bool], Comparison | None]


def comparer(version: str, runs: Mapping[str, Runs], reported: Reported, seed: int) -> Compare:
    """Compares one version's runs with those of earlier ones; each pair and metric once. What is not comparable is not
    among `runs`. `reported`: of all versions whose runs tell of seed noise."""

    @cache
    def compared(other: str | None, metric: str, higher_is_better: bool) -> Comparison | None:
        if other is None or other not in runs or version not in runs:
            return None
        noise = noise_between(other, version, reported)
        return compare_runs(runs[other], runs[version], metric, higher_is_better, seed, against=other, noise_of=noise)

    return compared


def judge(metric: Metric, record: VersionRecord, compare_with: Compare) -> tuple[Verdict | None, str]:
    """The verdict against a version, and a note where it is not of the metric itself."""
    before = metrics.value_of(metric.name, record.metrics)
    if metric.value is None:
        return (None, "not a number") if before is None else ("worse", "not a number in this version")
    if before is None:
        known = metrics.find(metric.name, record.metrics) is not None
        return ("better", f"not a number in {record.version}") if known else (None, "")
    compared = compare_with(record.version, metric.name, metric.higher_is_better)
    if compared is None:
        return None, ""
    same = metrics.same(compared.metric, metric.name)
    note = "" if same else f"the verdict is of the {compared.metric}: {metric.name} is no sum over single samples"
    return compared.verdict, note


def metric_rows(
    score: EvalScore, primary: str, compare_with: Compare, previous: VersionRecord | None, best: VersionRecord | None
) -> tuple[MetricRow, ...]:
    """The primary metric first, then as evaluated, the latency last."""
    scored = sorted(score.metrics, key=lambda m: not metrics.same(m.name, primary))
    rows = [_row(metric, compare_with, previous, best) for metric in scored]
    if score.latency_ms is not None:
        rows.append(_latency_row(score.latency_ms, previous, best))
    return tuple(rows)


def _row(
    metric: Metric, compare_with: Compare, previous: VersionRecord | None, best: VersionRecord | None
) -> MetricRow:
    more: dict[str, Any] = {}
    for name, record in (("previous", previous), ("best", best)):
        if record is None or not record.comparable:
            continue
        value = metrics.value_of(metric.name, record.metrics)
        verdict, note = judge(metric, record, compare_with)
        more |= {name: value, f"delta_{name}": difference(metric.value, value), f"verdict_{name}": verdict}
        if note:
            more["note"] = note
    return MetricRow(name=metric.name, higher_is_better=metric.higher_is_better, value=metric.value, **more)


def _latency_row(latency: float, previous: VersionRecord | None, best: VersionRecord | None) -> MetricRow:
    more: dict[str, Any] = {}
    for name, record in (("previous", previous), ("best", best)):
        value = record.latency_ms if record else None
        more |= {name: value, f"delta_{name}": difference(latency, value)}
    return MetricRow(name="latency_ms", higher_is_better=False, value=latency, **more)


def trade_offs(rows: Sequence[MetricRow]) -> tuple[str, ...]:
    """Metrics that got better while others got worse, by their verdicts."""
    better = [row for row in rows if row.verdict_previous == "better"]
    worse = [row for row in rows if row.verdict_previous == "worse"]
    told = [
        f"{up.name} got better ({signed_text(up.delta_previous)}) while {down.name} got worse "
        f"({signed_text(down.delta_previous)})"
        for up in better
        for down in worse
    ]
    slow = next((row for row in rows if row.name == "latency_ms"), None)
    if better and slow and slow.value and slow.previous and slow.value > 1.5 * slow.previous:
        times = slow.value / slow.previous
        told.append(f"{better[0].name} got better while one sample takes {times:.1f} times as long")
    return tuple(told)
