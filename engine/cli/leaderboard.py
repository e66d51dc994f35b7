"""`progtrain leaderboard`: versions and external models ranked by the primary metric, as they are now."""

from __future__ import annotations

from collections.abc import Sequence

import click

from progtrain.engine import metrics
from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import number, print_json, say, table
from progtrain.engine.loop.external import External, read_external
from progtrain.engine.status.snapshot import Snapshot, VersionView
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace

_SIGNS = {"better": "▲", "worse": "▼", "within noise": "≈"}


@click.command("leaderboard")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """All versions and external models, ranked by the primary metric.

    With each version stands what its action brought.
    """
    ws = workspace(ctx)
    if not as_json:
        show(ws)
        return
    snapshot = WorkspaceView(ws.root).snapshot()
    print_json(
        "leaderboard",
        {
            "primary_metric": snapshot.primary_metric,
            "higher_is_better": snapshot.higher_is_better,
            "report": snapshot.report,
            "versions": [row.__dict__ for row in ranked(snapshot)],
            "external": [row.__dict__ for row in read_external(ws)],
        },
    )


def ranked(snapshot: Snapshot, external: Sequence[External] = ()) -> list[VersionView | External]:
    """Best first; without a number last; ties to the lower version, and to versions before models from elsewhere."""
    rows: list[VersionView | External] = [*snapshot.versions, *external]
    return metrics.ranked(rows, lambda row: _value(row, snapshot), snapshot.higher_is_better)


def _value(row: VersionView | External, snapshot: Snapshot) -> float | None:
    if isinstance(row, VersionView):
        return row.value
    return metrics.value_of(snapshot.primary_metric or "", row.metrics)


def show(ws: Workspace) -> None:
    snapshot = WorkspaceView(ws.root).snapshot()
    external = read_external(ws)
    if not snapshot.versions and not external:
        say("no version yet: progtrain run makes the first")
        return
    metric = snapshot.primary_metric or "metric"
    direction = "higher is better" if snapshot.higher_is_better else "lower is better"
    say(f"\n{metric}, {direction}", bold=True)
    rows = [(place, *_cells(row, snapshot)) for place, row in enumerate(ranked(snapshot, external), 1)]
    say(table(("#", "version", metric, "change", "verdict", "action that made it"), rows, right=(0, 2, 3)))
    for row in snapshot.versions:
        for warning in row.warnings:
            say(f"warning: {warning}")
    if snapshot.report:
        say(f"\nreport: {ws.relative(snapshot.report)}")


def _cells(row: VersionView | External, snapshot: Snapshot) -> tuple[str, ...]:
    value = number(_value(row, snapshot))
    if isinstance(row, External):
        return row.name, value, "", "", "external model" if row.metrics else "external model, not evaluated yet"
    verdict = f"{_SIGNS.get(row.verdict_previous or '', ' ')} {row.verdict_previous or 'first'}"
    return row.version, value, number(row.delta_previous, signed=True), verdict, row.action
