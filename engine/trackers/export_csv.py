"""Runs as four tables that anything can read: runs.csv, params.csv, curves.csv, metrics.csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path

from progtrain.engine.files import lines_of, writing
from progtrain.engine.trackers.runs import Run, blocks

#: file -> columns; the first two of each say which run
TABLES = {
    "runs.csv": (
        "run_id",
        "version",
        "project",
        "base",
        "base_run_id",
        "action",
        "lineage",
        "started_at",
        "ended_at",
        "evaluated_at",
        "times",
        "digest",
        "facts",
    ),
    "params.csv": ("run_id", "version", "name", "value"),
    "curves.csv": ("run_id", "version", "name", "step", "epoch", "time", "value"),
    "metrics.csv": ("run_id", "version", "name", "value", "time"),
}

_Cells = Iterable[Sequence[object]]


def write(runs: Sequence[Run], to: Path) -> Iterator[tuple[Run, str]]:
    """Each run with `new`, `updated` or `same`, once all of them are there.

    Rows of other runs that lie there stay, whatever workspace they came from. Values of settings are JSON; times in
    curves and metrics are seconds since 1970, to the millisecond. Raises `StorageError`.
    """
    there = _digests(to / "runs.csv")
    changed = [run for run in runs if there.get(run.id) != run.digest]
    if changed:
        ours = {run.id for run in changed}
        _replace(to / "params.csv", ours, (row for run in changed for row in _params(run)))
        _replace(to / "curves.csv", ours, (row for run in changed for row in _curve(run)))
        _replace(to / "metrics.csv", ours, (row for run in changed for row in _final(run)))
        # last: it says that the others are whole
        _replace(to / "runs.csv", ours, map(_run, changed))
    for run in runs:
        yield run, "new" if run.id not in there else "updated" if run in changed else "same"


def _digests(path: Path) -> dict[str, str]:
    try:
        return {row["run_id"]: row.get("digest") or "" for row in csv.DictReader(lines_of(path)) if row.get("run_id")}
    except (OSError, csv.Error):
        return {}


def _replace(path: Path, ours: set[str], cells: _Cells) -> None:
    """Rows of other runs are copied as they are, then come those of ours."""
    columns = TABLES[path.name]
    with writing(path) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        with suppress(FileNotFoundError):
            others = (row for row in csv.DictReader(lines_of(path)) if row.get("run_id") not in ours)
            writer.writerows([row.get(name) for name in columns] for row in others)
        writer.writerows(cells)
        file.detach()


def _run(run: Run) -> Sequence[object]:
    times = [datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds") for at in _times(run)]
    told = [run.id, run.version, run.project, run.base, run.base_id, run.action, run.lineage, *times]
    return [*told, run.times, run.digest, json.dumps(dict(run.facts), ensure_ascii=False)]


def _times(run: Run) -> tuple[int, int, int]:
    return run.started, run.ended, run.evaluated


def _params(run: Run) -> _Cells:
    for name, value in run.params.items():
        yield run.id, run.version, name, json.dumps(value, ensure_ascii=False, default=str)


def _curve(run: Run) -> _Cells:
    for times, (steps, epochs, columns) in blocks(run):
        seconds = [at / 1000 for at in times]
        of_names = (
            zip(repeat(run.id), repeat(run.version), repeat(name), steps, epochs, seconds, column)
            for name, column in columns.items()
        )
        yield from (cells for row in zip(*of_names, strict=True) for cells in row if cells[-1] is not None)


def _final(run: Run) -> _Cells:
    for name, value in run.final.items():
        yield run.id, run.version, f"eval/{name}", value, run.evaluated / 1000
