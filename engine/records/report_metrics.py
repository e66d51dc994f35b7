"""`report_metrics.csv`: each metric of the first version, of the best and of models from elsewhere, and how sure the
gain is. A missing number is an empty cell, and a delta keeps its sign whatever is better."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.engine import comparable, metrics
from progtrain.engine.analysis.compare import serving
from progtrain.engine.analysis.types import MetricRow
from progtrain.engine.records.against import Against, against, score_of
from progtrain.engine.records.written import exact, table
from progtrain.engine.rules.rules import Rules
from progtrain.engine.status.rows import read_external
from progtrain.engine.status.snapshot import VersionView
from progtrain.engine.workspace import Workspace

NAME = "report_metrics.csv"
_RESULT = ("delta_best_baseline", "low", "high", "verdict", "runs", "n")


def report_metrics(ws: Workspace, rules: Rules) -> str:
    """Of the versions that are there now; the head alone where none has a score."""
    external = read_external(ws)
    header = (
        "metric",
        "higher_is_better",
        "baseline",
        "best",
        *(f"external:{row.version}{_mixed(row)}" for row in external),
        *_RESULT,
    )
    left_out = comparable.standing(ws, ws.versions())
    values = {version: _primary(ws, rules, version) for version in ws.versions() if version not in left_out}
    higher = rules.higher_is_better(rules.primary_metric)
    best = metrics.best([v for v in values if score_of(ws, v)], lambda version: values[version], higher)
    first = next((version for version in values if score_of(ws, version)), None)
    if first is None:
        return table(header, [])
    best = best or first
    found = against(ws, rules, best, first if first != best else None)
    return table(header, [_row(row, found, external, first == best) for row in found.rows])


def _mixed(row: VersionView) -> str:
    """Where there is no one model that its numbers are of, the head says so."""
    return f" (mixed: {serving.told(row.served_by)})" if serving.is_mixed(row.served_by) else ""


def _primary(ws: Workspace, rules: Rules, version: str) -> float | None:
    score = score_of(ws, version)
    found = score.metric(rules.primary_metric) if score else None
    return metrics.finite(found.value) if found else None


def _row(row: MetricRow, found: Against, external: Sequence[VersionView], alone: bool) -> list[str]:
    elsewhere = [
        model.latency_ms if row.name == "latency_ms" else metrics.value_of(row.name, model.metrics)
        for model in external
    ]
    # what was judged by another metric, the loss, says nothing of this one's interval
    compared = None if alone or found.why_not else found.compared(row.name)
    own = compared if compared and metrics.same(compared.metric, row.name) else None
    return [
        row.name,
        str(row.higher_is_better).lower(),
        exact(row.value if alone else row.previous),
        exact(row.value),
        *map(exact, elsewhere),
        exact(row.delta_previous),
        exact(own.low if own else None),
        exact(own.high if own else None),
        (row.verdict_previous or "") if own else "",
        " and ".join(map(str, dict.fromkeys(own.runs))) if own else "",
        str(own.n) if own else "",
    ]
