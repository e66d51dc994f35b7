"""Tables of measurements: `metrics.csv` as Lightning writes it, and any other whose rows say at which step they are.

Wide (a column a metric) or long (a metric a row, with columns `metric` and `value`). A column `run` or `version` parts
it into runs. Read row by row.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from progtrain.engine.errors import InputError, in_file
from progtrain.engine.text import clean_line
from progtrain.engine.trackers.imports_run import (
    LONGEST_NAME,
    MOST_POINTS_IN_ALL,
    Imported,
    below,
    opened,
    with_hparams,
    within_time,
)

_STEPS = ("step", "global_step", "_step", "trainer/global_step", "iteration", "iter", "epoch")
_TIMES = ("time", "timestamp", "wall_time", "wall time", "_timestamp", "created_at")
_METRICS, _VALUES = ("metric", "tag", "key", "name"), ("value",)
_RUNS = ("run", "version", "run_name", "run_id")
_LONGEST_LINE, _MOST_COLUMNS, _MOST_RUNS = 1_000_000, 2000, 200
_SEPARATORS = (",", ";", "\t")


def runs(path: Path) -> Iterator[Imported]:
    """Raises `InputError` for what is no table with steps; of a folder, where there is none."""
    if not path.is_dir():
        yield from _table(path, path.stem if path.stem != "metrics" else path.resolve().parent.name)
        return
    files = below(path, lambda name: name == "metrics.csv") or below(
        path, lambda name: name.endswith(".csv"), deepest=0
    )
    if not files:
        raise InputError("there is no metrics.csv in it", file=path, fix="name a CSV file")
    for file in files:
        folder = file.parent.relative_to(path).as_posix()
        name = folder if folder != "." else path.resolve().name if file.stem == "metrics" else file.stem
        yield from _table(file, name)


def _table(path: Path, name: str) -> list[Imported]:
    found: dict[str, Imported] = {}
    first = Imported(name, "csv", [path])
    with opened(path) as file, in_file(path):
        lines = _lines(file)
        header_line = next(lines, "")
        separator = max(_SEPARATORS, key=header_line.count)
        header = [clean_line(cell).strip() for cell in _cells(header_line, separator)]
        places = _places(header)
        # line by line: no row of measurements needs several, and one without end would be held whole
        for line in within_time(lines, first.note):
            row = _cells(line, separator)
            if not row:
                if line.strip():
                    first.note("lines that are no rows of a table are left out")
                continue
            called = row[places["run"]].strip() if places.get("run", len(row)) < len(row) else ""
            if called not in found:
                if len(found) >= _MOST_RUNS:
                    first.note(f"it holds more than {_MOST_RUNS} runs: the first ones are kept")
                    continue
                found[called] = Imported(called[:LONGEST_NAME], "csv", [path]) if called else first
                for run in found.values():
                    run.most_points = MOST_POINTS_IN_ALL // len(found)
            _take(found[called], header, places, row, name)
    with_hparams(first, path.parent)
    for run in found.values():
        for note in first.notes:
            run.note(note)
    return list(found.values()) or [first]


def _cells(line: str, separator: str) -> list[str]:
    """Empty for what is no row."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _lines(file: BinaryIO) -> Iterator[str]:
    """Raises `InputError` for a line that is longer than any row."""
    for number in range(1, 2**62):
        line = file.readline(_LONGEST_LINE)
        if not line:
            return
        if len(line) == _LONGEST_LINE:
            raise InputError("a line that is longer than a row of measurements", place=number, fix="name a CSV file")
        yield line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").replace("\0", "")


def _places(header: Sequence[str]) -> dict[str, int]:
    """What a column is for -> which one. Raises `InputError` where no column says at which step a row is."""
    if len(header) > _MOST_COLUMNS:
        raise InputError(f"it has more than {_MOST_COLUMNS} columns", fix="name a table of measurements")
    known = {name.casefold(): place for place, name in reversed(list(enumerate(header)))}
    wanted = {"step": _STEPS, "time": _TIMES, "run": _RUNS, "metric": _METRICS, "value": _VALUES}
    found = {
        use: known[hits[0]] for use, names in wanted.items() if (hits := [name for name in names if name in known])
    }
    if "metric" not in found and len(header) > len(found):
        found.pop("value", None)  # a metric of that name among others
    if "step" not in found:
        have = clean_line(", ".join(header[:8]))[:200] or "none"
        raise InputError(
            f"no column says at which step or epoch a row is (its columns: {have})",
            place="line 1",
            fix="call one of them step or epoch",
        )
    return found


def _take(run: Imported, header: Sequence[str], places: Mapping[str, int], row: Sequence[str], name: str) -> None:
    def cell(use: str) -> str:
        place = places.get(use, len(row))
        return row[place].strip() if place < len(row) else ""

    step = _number(cell("step"))
    if step is None or not math.isfinite(step):
        return
    at = _time(cell("time"))
    if "value" in places:
        # TensorBoard's own export has the metric in the file's name alone
        if (value := _number(cell("value"))) is not None:
            run.point(cell("metric") or name, step, at, value)
        return
    taken = {place for use, place in places.items() if use in ("step", "time", "run")}
    for place, told in enumerate(row[: len(header)]):
        if place not in taken and header[place] and told and (value := _number(told)) is not None:
            run.point(header[place], step, at, value)


def _number(text: str) -> float | None:
    try:
        return float(text) if len(text) <= 40 else None
    except ValueError:
        return None


def _time(text: str) -> float | None:
    """Seconds since 1970; what is so large is in milliseconds."""
    if not text:
        return None
    if (number := _number(text)) is not None:
        return number / 1000 if number > 1e11 else number
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
