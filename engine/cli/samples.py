"""`progtrain samples`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import chosen_version, json_option, version_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.status.outcomes import read_outcomes


@click.command("samples")
@version_option
@click.option("--wrong", is_flag=True, help="Only those with a wrong outcome.")
@click.option("--class", "of_class", metavar="NAME", help="Only those whose truth is this.")
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="At most that many.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, version: str | None, wrong: bool, of_class: str | None, count: int, as_json: bool
) -> None:
    """Outcome of the validation samples of a version.

    Wrong ones first, then by loss.
    """
    ws = workspace(ctx)
    version = chosen_version(ws, version)
    rows = read_outcomes(ws, version, wrong=wrong, of_class=of_class)
    total, rows = len(rows), rows[:count]
    if as_json:
        print_json("samples", {"version": version, "total": total, "rows": rows})
        return
    if not rows:
        say("no such samples")
        return
    known = ("sample_id", "truth", "prediction", "correct", "loss", "confidence")
    columns = [name for name in known if name in rows[0]]
    say(table(columns, [[row.get(name, "") for name in columns] for row in rows]))
    if total > count:
        say(f"… and {total - count} more (-n)")
