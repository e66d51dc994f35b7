"""`progtrain jobs`."""

from __future__ import annotations

from datetime import datetime

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.text import lasting


@click.command("jobs")
@click.option("-n", "count", type=click.IntRange(min=1), help="That many of the newest; by default all.")
@json_option
@click.pass_context
def command(ctx: click.Context, count: int | None, as_json: bool) -> None:
    """Every attempt at a training, an evaluation or a report, and what became of it.

    States are read from the jobs' own files: a job whose guard has died is lost, never running. Planned is what
    `progtrain run` would do next.
    """
    from progtrain.engine.records.planned import ledger

    ws = workspace(ctx)
    rows = ledger(ws)[-(count or 0) :]
    if as_json:
        print_json("jobs", [job._asdict() for job in rows])
        return
    if not rows:
        say("no job yet: progtrain run starts the first")
        return
    cells = [
        (
            job.id,
            job.state,
            (job.started_at or job.queued_at or "")[:19].replace("T", " "),
            _took(job.started_at, job.ended_at),
            "" if job.exit_code is None else str(job.exit_code),
            job.why or (f"in place of {job.supersedes}" if job.supersedes else ""),
        )
        for job in rows
    ]
    say(table(("job", "state", "began", "took", "exit", "why"), cells, right=(3, 4)))


def _took(began: str | None, ended: str | None) -> str:
    if not began or not ended:
        return ""
    try:
        return lasting((datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds())
    except (ValueError, TypeError):  # damaged, or one without its zone
        return ""
