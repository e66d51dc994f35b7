"""`progtrain experiment search` over all workspaces that were ever seen, and the tables that `list --export` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from progtrain.engine import values
from progtrain.engine.analysis.facts import metric_text
from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import query
from progtrain.engine.experiment.tables import as_csv
from progtrain.engine.files import write_bytes
from progtrain.engine.workspace import Workspace

_SHOWN = 50
#: metrics and parameters that a line has room for
_EACH = 3


@click.command("search")
@click.argument("words", nargs=-1, metavar="QUERY")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=_SHOWN, show_default=True, help="Most runs to show.")
@json_option
@click.pass_context
def search(ctx: click.Context, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find runs of all experiments of all workspaces that progtrain has seen.

    \b
    rank>8            a parameter or setting; also >=, <, <=, =, !=
    metric:acc>.8     a metric; param: and setting: name the others
    state:failed      also experiment, run, point, type, task, cause, device, executor, workspace
    capital           a word that a name, question, hypothesis or report has; "two words" stand beside each other

    All of it must hold. Put the query in quotation marks: a shell takes > for its own.
    """
    text, ws = " ".join(words), workspace(ctx)
    found, count, notes = query.search(text, ws, limit=limit)
    if not count:
        fix = "take a condition away; without any, all runs are listed"
        raise InputError(f"no run matches {text!r}", file=ws.experiments, fix=fix)
    if as_json:
        print_json("experiment_search", {"query": text, "total": count, "notes": notes, "rows": found})
        return
    for note in notes:
        say(f"note: {note}")
    rows = [(_where(hit, ws), hit["run"], hit["state"], _few(hit["parameters"]), _measured(hit)) for hit in found]
    say(table(("experiment", "run", "state", "parameters", "metrics"), rows))
    if count > len(found):
        say(f"… and {count - len(found)} more (-n)")


def _where(hit: dict[str, Any], ws: Workspace) -> str:
    place = hit["workspace"]
    return str(hit["experiment"]) if place == str(ws.root) else f"{Path(place).name}/{hit['experiment']}"


def _few(told: dict[str, Any]) -> str:
    shown = [f"{name} {values.show(value)}" for name, value in list(told.items())[:_EACH]]
    return ", ".join(shown + (["…"] if len(told) > _EACH else []))


def _measured(hit: dict[str, Any]) -> str:
    shown = [f"{name} {metric_text(value) or '–'}" for name, value in list(hit["metrics"].items())[:_EACH]]
    return ", ".join(shown + (["…"] if len(hit["metrics"]) > _EACH else []))


# export


def export(ws: Workspace, kind: str, output: Path | None) -> None:
    """Every run of this workspace's experiments, one a line. Raises `InputError` where there is none."""
    found = [hit for hit in query.search("", ws)[0] if hit["workspace"] == str(ws.root)]
    if not found:
        raise InputError("no run has ended yet", file=ws.experiments, fix="progtrain experiment run NAME")
    lines = [_flat(hit) for hit in found]
    if kind == "parquet":
        _write_parquet(lines, output or Path("experiments.parquet"))
        return
    data = as_csv(lines)
    if output is None:
        say(data.rstrip("\n"))
    else:
        write_bytes(output, data.encode())
        say(f"{len(lines)} runs written to {output}")


def _flat(hit: dict[str, Any]) -> dict[str, Any]:
    parts = {"parameters": "parameter", "settings": "setting", "metrics": "metric", "changes": "change"}
    own = {name: value for name, value in hit.items() if name not in parts and name != "workspace"}
    named = {f"{prefix}.{name}": value for part, prefix in parts.items() for name, value in hit[part].items()}
    return own | named


def _write_parquet(lines: Sequence[dict[str, Any]], output: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        fix = "pip install pyarrow, or --export csv"
        raise InputError("parquet needs pyarrow, which is not installed", place="--export parquet", fix=fix) from error
    columns = list(dict.fromkeys(name for line in lines for name in line))
    sink = pyarrow.BufferOutputStream()
    made = {name: _column([line.get(name) for line in lines]) for name in columns}
    parquet.write_table(pyarrow.table(made), sink)
    write_bytes(output, sink.getvalue().to_pybytes())
    say(f"{len(lines)} runs written to {output}")


def _column(cells: list[Any]) -> list[Any]:
    """One type for all of its values: text where they are of several."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float} and len(kinds) == 2:
        return [None if cell is None else float(cell) for cell in cells]
    return (
        cells
        if len(kinds) <= 1 and not kinds & {dict, list}
        else [None if c is None else values.show(c) for c in cells]
    )
