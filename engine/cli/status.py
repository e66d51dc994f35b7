"""`progtrain status`: where the loop stands, at once."""

from __future__ import annotations

import click

from progtrain.engine import values
from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import number, print_json, show, table
from progtrain.engine.status.snapshot import Snapshot
from progtrain.engine.status.view import WorkspaceView

_MARKS = {"done": "✓", "running": "▶", "waiting": "?", "failed": "✗", "pending": "·"}


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Go on showing it until Ctrl-C.")
@click.option("--interval", type=click.FloatRange(min=0.2), default=1.0, hidden=True)
@click.pass_context
def command(ctx: click.Context, as_json: bool, watch: bool, interval: float) -> None:
    """Where the loop stands: step, progress, versions, and what is wanted of you."""
    view = WorkspaceView(workspace(ctx).root, once=not watch)

    def tell() -> str:
        snapshot = view.snapshot()
        if snapshot.status == "runner gone":
            from progtrain.engine.jobs import leftovers  # nobody need wait for it where nothing is wrong

            leftovers.end_all(view.ws.jobs)
        if not as_json:
            return described(snapshot)
        print_json("status", as_dict(snapshot), lines=watch)
        return ""

    show(tell, interval if watch else None)


def as_dict(snapshot: Snapshot) -> dict[str, object]:
    rows = {name: [row._asdict() for row in getattr(snapshot, name)] for name in ("steps", "versions")}
    review, progress = snapshot.review, snapshot.progress
    return {
        **snapshot._asdict(),
        **rows,
        "review": review.model_dump(mode="json") if review else None,
        "progress": progress._asdict() if progress else None,
        "locks": dict(snapshot.locks),
    }


def described(snapshot: Snapshot) -> str:
    lines = [f"{snapshot.root}", _headline(snapshot)]
    if snapshot.fix:
        lines.append(f"  fix: {snapshot.fix}")
    if any(step.state != "pending" for step in snapshot.steps):
        lines.append("  ".join(f"{_MARKS[step.state]} {step.number} {step.name}" for step in snapshot.steps))
    if (progress := snapshot.progress) is not None:
        left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
        lines.append(f"epoch {progress.epoch}/{progress.epochs}, step {progress.step}/{progress.steps}{left}")
    if snapshot.review is not None:
        lines += ["", f"your decision: {snapshot.review.title}", "  progtrain review shows it"]
    if snapshot.versions:
        decimals = values.places(row.value for row in snapshot.versions)
        rows = [
            (
                "★" if row.is_best else "",
                row.version,
                row.state,
                number(row.value, decimals),
                number(row.delta_previous, decimals, signed=True),
                row.verdict_previous or "",
                row.action,
            )
            for row in snapshot.versions
        ]
        header = ("", "version", "state", snapshot.primary_metric or "metric", "change", "verdict", "action")
        lines += ["", table(header, rows, right=(3, 4))]
    lines += [f"warning: {text}" for row in snapshot.versions for text in row.warnings]
    lines += [f"warning: {text}" for text in snapshot.warnings]
    lines += [f"note: {text}" for text in snapshot.rules_notes]
    if snapshot.report:
        lines.append(f"report: {snapshot.report}")
    return "\n".join(lines)


def _headline(snapshot: Snapshot) -> str:
    version = f" {snapshot.version} of {snapshot.max_versions}" if snapshot.version else ""
    dataset = f", dataset {snapshot.dataset_id}" if snapshot.dataset_id else ""
    reason = f": {snapshot.reason}" if snapshot.reason else ""
    hint = {"not started": "; progtrain run starts it", "stopped": "; progtrain run goes on"}.get(snapshot.status, "")
    return f"{snapshot.status}{version}{dataset}{reason}{hint}"
