"""Records as files: Markdown for people, CSV and JSON for programs. They hold no time of their making."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import values
from progtrain.engine.files import write_text
from progtrain.engine.records import workflow
from progtrain.engine.records.workflow import Cycle
from progtrain.engine.rules.rules import Rules
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace

#: of the log, in the order of the table
COLUMNS = (
    *("cycle", "goal", "inputs", "action", "decided_by", "output", "evidence", "metric_delta", "verdict"),
    *("regressions", "commands", "at"),
)


def write_log(ws: Workspace, folder: Path, rules: Rules, cycles: Sequence[Cycle] | None = None) -> None:
    """`workflow-log.md` and `workflow.csv` in that folder. `cycles`: where they have been worked out already."""
    cycles = workflow.cycles(ws, rules) if cycles is None else cycles
    write_text(folder / ws.workflow_table.name, table(COLUMNS, (_cells(cycle) for cycle in cycles)))
    write_text(folder / ws.workflow_log.name, log(cycles, rules))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def as_dict(cycle: Cycle) -> dict[str, Any]:
    """For programs."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in cycle._asdict().items()}


def exact(value: float | None) -> str:
    """A number as Python reads it back; empty where there is none."""
    return "" if value is None else repr(value)


def _cells(cycle: Cycle) -> list[str]:
    told = cycle._asdict() | {"metric_delta": exact(cycle.metric_delta), "verdict": cycle.verdict or "-"}
    return ["; ".join(value) if isinstance(value := told[name], tuple) else str(value) for name in COLUMNS]


def log(cycles: Sequence[Cycle], rules: Rules) -> str:
    primary = clean_line(rules.primary_metric)
    way = "higher" if rules.higher_is_better(rules.primary_metric) else "lower"
    lines = [
        "# Workflow log",
        "",
        f"A row for each version. Changes are of {primary} ({way} is better), against the version it was made from. "
        "`-`: there is no verdict.",
        "",
        "| cycle | action | decided by | change | verdict | got worse |",
        "|---|---|---|---|---|---|",
    ]
    for cycle in cycles:
        worse = f"{len(cycle.regressions)}" if cycle.regressions else ""
        cells = (cycle.cycle, cycle.action, cycle.decided_by, _change(cycle), cycle.verdict or "-", worse)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    for cycle in cycles:
        lines += ["", *_section(cycle)]
    return "\n".join(lines) + "\n"


def _change(cycle: Cycle) -> str:
    return "" if cycle.metric_delta is None else values.change(cycle.metric_delta)


def _section(cycle: Cycle) -> Iterable[str]:
    made = f"{cycle.cycle}, made from {cycle.base}" if cycle.base else cycle.cycle
    change = f" ({_change(cycle)})" if _change(cycle) else ""
    note = f": {cycle.note}" if cycle.note else ""
    told = {
        "goal": cycle.goal,
        "action": cycle.action,
        "decided by": cycle.decided_by,
        "verdict": f"{cycle.verdict or '-'}{change}{note}",
        "got worse": "; ".join(cycle.regressions),
        "at": cycle.at,
    }
    yield f"## {made}"
    yield ""
    yield from (f"- {name}: {text}" for name, text in told.items() if text)
    for name in ("inputs", "output", "evidence", "commands"):
        if listed := getattr(cycle, name):
            yield f"- {name}:"
            yield from (f"  - `{_short(entry)}`" for entry in listed)


def _short(entry: str) -> str:
    """A hash by its first twelve digits: the table has all."""
    path, at, digest = entry.rpartition("@")
    return f"{path}@{digest[:12]}" if at and len(digest) == 64 else entry
