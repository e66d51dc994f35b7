"""`progtrain leaderboard`: versions and external models ranked by the primary metric, as they are now."""

from __future__ import annotations

from collections.abc import Sequence

import click

from progtrain.engine import metrics, values
from progtrain.engine.analysis.compare import serving
from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import number, print_json, say, table
from progtrain.engine.status.rows import called, read_external, told_of_external
from progtrain.engine.status.snapshot import EXTERNAL, NOT_MEASURED, Snapshot, VersionView
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.trackers.imports_kept import NOT_COMPARED, kept, settings_text, value_of
from progtrain.engine.workspace import Workspace

_SIGNS = {"better": "▲", "worse": "▼", "within noise": "≈", "trade-off": "±"}


@click.command("leaderboard")
@click.option("--evidence", is_flag=True, help="Runs imported from other trackers instead: as they are, not ranked.")
@json_option
@click.pass_context
def command(ctx: click.Context, evidence: bool, as_json: bool) -> None:
    """All versions and external models, ranked by the primary metric.

    With each version stands what its action brought.
    """
    ws = workspace(ctx)
    if not as_json:
        (show_evidence if evidence else show)(ws)
        return
    snapshot = WorkspaceView(ws.root, once=True).snapshot()
    print_json(
        "leaderboard",
        {
            "primary_metric": snapshot.primary_metric,
            "higher_is_better": snapshot.higher_is_better,
            "report": snapshot.report,
            "versions": [row._asdict() for row in ranked(snapshot)],
            "external": [
                {
                    "name": row.version,
                    "metrics": row.metrics,
                    "created_at": row.created_at or "",
                    "latency_ms": row.latency_ms,
                    "served_by": row.served_by,
                    "mixed": serving.is_mixed(row.served_by),
                }
                for row in read_external(ws)
            ],
            "evidence": [run._asdict() for run in kept(ws)],
        },
    )


def ranked(snapshot: Snapshot, external: Sequence[VersionView] = ()) -> list[VersionView]:
    """Best first; without a number, mixed, or not comparable, last; ties to the lower version, and to versions before
    models from elsewhere."""

    def value(row: VersionView) -> float | None:
        return None if _has_no_rank(row) else row.value

    rows = metrics.ranked([*snapshot.versions, *external], value, snapshot.higher_is_better)
    return sorted(rows, key=_has_no_rank)


def _has_no_rank(row: VersionView) -> bool:
    return bool(row.not_ranked) or serving.is_mixed(row.served_by)


def show(ws: Workspace) -> None:
    snapshot = WorkspaceView(ws.root, once=True).snapshot()
    external = read_external(ws, snapshot.primary_metric)
    if not snapshot.versions and not external:
        say("no version yet: progtrain run makes the first")
        return
    metric = snapshot.primary_metric or "metric"
    direction = "higher is better" if snapshot.higher_is_better else "lower is better"
    say(f"\n{metric}, {direction}", bold=True)
    listed = ranked(snapshot, external)
    decimals = values.places(row.value for row in listed)
    rows = [("–" if _has_no_rank(row) else place, *_cells(row, decimals)) for place, row in enumerate(listed, 1)]
    say(table(("#", "version", metric, "change", "verdict", "action that made it"), rows, right=(0, 2, 3)))
    for line in noise_lines(snapshot):
        say(line)
    for warning in (warning for row in snapshot.versions for warning in row.warnings):
        say(f"warning: {warning}")
    if snapshot.report:
        say(f"\nreport: {ws.relative(snapshot.report)}")
    if many := len(kept(ws)):
        say(f"\nimported as evidence: {many}; progtrain leaderboard --evidence shows them")


def noise_lines(snapshot: Snapshot) -> list[str]:
    """What the verdicts above know of the noise of training."""
    judged = [row for row in snapshot.versions if row.seed_noise]
    unknown = [row.version for row in judged if row.seed_noise == NOT_MEASURED]
    lines = [
        f"{row.version}: mean {values.metric(row.mean)}, sd {values.metric(row.spread)} "
        f"over {row.runs} runs with other seeds"
        for row in snapshot.versions
        if row.runs > 1 and row.mean is not None and row.spread is not None
    ]
    if unknown:
        which = "all verdicts" if len(unknown) == len(judged) else ", ".join(unknown)
        lines.append(f"{which}: {NOT_MEASURED}")
        lines.append(f"  progtrain repeat {snapshot.versions[0].version} --times 3 measures it")
    return lines


def show_evidence(ws: Workspace) -> None:
    """Imported runs by name: nobody knows whether they were measured on the same data in the same way."""
    runs = kept(ws)
    if not runs:
        say("no run is imported: progtrain import reads those of other trackers")
        return
    metric = WorkspaceView(ws.root, once=True).snapshot().primary_metric
    values_there = [value_of(run, metric) for run in runs]
    decimals = values.places(values_there)
    say(f"\nimported runs, by name: evidence, {NOT_COMPARED}", bold=True)
    rows = [
        (run.name, run.source, number(value, decimals), run.points, run.imported_at[:10], settings_text(run))
        for run, value in zip(runs, values_there, strict=True)
    ]
    say(table(("run", "from", metric or "metric", "points", "imported", "settings"), rows, right=(2, 3)))
    for run in runs:
        for note in run.notes:
            say(f"{run.name}: {note}")


def _cells(row: VersionView, decimals: int) -> tuple[str, ...]:
    value = number(row.value, decimals)
    if row.state == EXTERNAL:
        return called(row), value, "", "", told_of_external(row) if row.metrics else "external model, not evaluated yet"
    none = "first" if row.base is None else "no verdict"
    verdict = f"{_SIGNS.get(row.verdict_previous or '', ' ')} {row.verdict_previous or none}"
    return row.version, value, number(row.delta_previous, decimals, signed=True), verdict, row.action
