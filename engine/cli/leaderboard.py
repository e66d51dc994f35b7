"""`progtrain leaderboard`: versions ranked by the primary metric, as they are now."""

from __future__ import annotations

import click

from engine.cli.common import json_option, number, print_json, say, table, workspace
from engine.snapshot import Snapshot, VersionView
from engine.view import WorkspaceView
from engine.workspace import Workspace

_SIGNS = {"better": "▲", "worse": "▼", "within noise": "≈"}


@click.command("leaderboard")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """All versions, ranked by the primary metric; what each action brought."""
    ws = workspace(ctx)
    if not as_json:
        show(ws)
        return
    snapshot = WorkspaceView(ws.root).snapshot()
    print_json(
        {
            "primary_metric": snapshot.primary_metric,
            "higher_is_better": snapshot.higher_is_better,
            "report": snapshot.report,
            "versions": [row.__dict__ for row in ranked(snapshot)],
        }
    )


def ranked(snapshot: Snapshot) -> list[VersionView]:
    """Best first; without a number last; ties to the lower version (L41)."""
    sign = -1 if snapshot.higher_is_better else 1
    return sorted(snapshot.versions, key=lambda row: (row.value is None, sign * (row.value or 0.0)))


def show(ws: Workspace) -> None:
    snapshot = WorkspaceView(ws.root).snapshot()
    if not snapshot.versions:
        say("no version yet: progtrain run makes the first")
        return
    metric = snapshot.primary_metric or "metric"
    direction = "higher is better" if snapshot.higher_is_better else "lower is better"
    say(f"\n{metric}, {direction}", bold=True)
    rows = [
        (
            place,
            row.version,
            number(row.value),
            number(row.delta_previous, signed=True),
            f"{_SIGNS.get(row.verdict_previous or '', ' ')} {row.verdict_previous or 'first'}",
            row.action,
        )
        for place, row in enumerate(ranked(snapshot), 1)
    ]
    say(table(("#", "version", metric, "change", "verdict", "action that made it"), rows, right=(0, 2, 3)))
    for row in snapshot.versions:
        for warning in row.warnings:
            say(f"warning: {warning}")
    if snapshot.report:
        say(f"\nreport: {ws.relative(snapshot.report)}")
