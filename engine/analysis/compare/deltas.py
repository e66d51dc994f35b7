"""How a version's metrics changed against others, with verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.compare.pairs import compare
from progtrain.engine.analysis.facts import signed_text
from progtrain.engine.analysis.measure.reading import Read
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.analysis.types import Comparison, Limits, MetricRow, Verdict, VersionRecord
from progtrain.engine.schema import Metric


class Comparer:
    """Compares one version with earlier ones; each pair and metric once."""

    def __init__(self, read: Read, limits: Limits, others: dict[str, PerSample | None]) -> None:
        self._read, self._limits = read, limits
        #: earlier version -> its samples; None where they cannot be compared
        self._others = others
        self._done: dict[tuple[str, str], Comparison | None] = {}

    def primary(self, version: str | None) -> Comparison | None:
        """By the primary metric, or the loss where that is no sum over samples."""
        return self.compared(version, self._limits.primary_metric, self._limits.higher_is_better)

    def compared(self, version: str | None, metric: str, higher_is_better: bool) -> Comparison | None:
        samples, other = self._read.samples, self._others.get(version or "")
        if version is None or samples is None or other is None:
            return None
        key = version, metrics.canonical(metric)
        if key not in self._done:
            seed = self._limits.seed
            self._done[key] = compare(other, samples, metric, higher_is_better, seed, against=version)
        return self._done[key]

    def verdict(self, metric: Metric, record: VersionRecord) -> tuple[Verdict | None, str]:
        """The verdict, and a note where it is not of the metric itself."""
        before = metrics.value_of(metric.name, record.metrics)
        if metric.value is None:
            return (None, "not a number") if before is None else ("worse", "not a number in this version")
        if before is None:
            known = metrics.find(metric.name, record.metrics) is not None
            return ("better", f"not a number in {record.version}") if known else (None, "")
        compared = self.compared(record.version, metric.name, metric.higher_is_better)
        if compared is None:
            return None, ""
        if not metrics.same(compared.metric, metric.name):
            note = f"the verdict is of the {compared.metric}: {metric.name} is no sum over single samples"
            return compared.verdict, note
        return compared.verdict, ""

    def outcome(self, record: VersionRecord | None) -> Verdict | None:
        """The verdict of the primary metric against a version."""
        if record is None or not record.comparable:
            return None
        limits = self._limits
        metric = self._read.score.metric(limits.primary_metric) or Metric(
            name=limits.primary_metric, value=None, higher_is_better=limits.higher_is_better
        )
        return self.verdict(metric, record)[0]


def metric_rows(
    read: Read,
    limits: Limits,
    comparer: Comparer,
    previous: VersionRecord | None,
    best: VersionRecord | None,
) -> tuple[MetricRow, ...]:
    """The primary metric first, then as evaluated, the latency last."""
    scored = sorted(read.score.metrics, key=lambda m: not metrics.same(m.name, limits.primary_metric))
    rows = [_row(metric, comparer, previous, best) for metric in scored]
    if read.score.latency_ms is not None:
        rows.append(_latency_row(read.score.latency_ms, previous, best))
    return tuple(rows)


def _row(metric: Metric, comparer: Comparer, previous: VersionRecord | None, best: VersionRecord | None) -> MetricRow:
    more: dict[str, Any] = {}
    for name, record in (("previous", previous), ("best", best)):
        if record is None or not record.comparable:
            continue
        value = metrics.value_of(metric.name, record.metrics)
        verdict, note = comparer.verdict(metric, record)
        more |= {name: value, f"delta_{name}": _difference(metric.value, value), f"verdict_{name}": verdict}
        if note:
            more["note"] = note
    return MetricRow(name=metric.name, higher_is_better=metric.higher_is_better, value=metric.value, **more)


def _latency_row(latency: float, previous: VersionRecord | None, best: VersionRecord | None) -> MetricRow:
    before = previous.latency_ms if previous else None
    of_best = best.latency_ms if best else None
    return MetricRow(
        name="latency_ms",
        higher_is_better=False,
        value=latency,
        previous=before,
        best=of_best,
        delta_previous=_difference(latency, before),
        delta_best=_difference(latency, of_best),
    )


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


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
