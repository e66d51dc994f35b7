"""`progtrain samples`."""

from __future__ import annotations

import csv
import math

import click

from progtrain.engine.cli.common import chosen_version, json_option, version_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.errors import InputError


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
    path = ws.version(version).per_sample
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise InputError(
            f"{version} has not been evaluated yet", file=path, fix=f"progtrain step evaluate --version {version}"
        ) from error
    rows = [
        r for r in rows if not (wrong and r.get("correct") != "0") and (of_class is None or r.get("truth") == of_class)
    ]
    rows.sort(key=lambda r: (r.get("correct") != "0", -_number(r.get("loss"))))
    total, rows = len(rows), rows[:count]
    if as_json:
        print_json("samples", {"version": version, "total": total, "rows": rows})
        return
    if not rows:
        say("no such samples")
        return
    columns = [
        name for name in ("sample_id", "truth", "prediction", "correct", "loss", "confidence") if name in rows[0]
    ]
    say(table(columns, [[r.get(c, "") for c in columns] for r in rows]))
    if total > count:
        say(f"… and {total - count} more (-n)")


def _number(text: str | None) -> float:
    """NaN counts as worst."""
    try:
        value = float(text or "nan")
    except ValueError:
        value = math.nan
    return math.inf if math.isnan(value) else value
