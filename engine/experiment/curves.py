"""The curve of a training that was cut short and gone on with: that of each start joined to the one before."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Sequence
from pathlib import Path

from progtrain.engine.files import lines_of, write_text
from progtrain.engine.workspace import Workspace

_ROWS = list[dict[str, str]]


def keep(ws: Workspace, version: str, earlier: Sequence[Path], target: Path) -> None:
    """What has been logged so far, with the tables of starts before, goes to `target`."""
    found = [_read(path) for path in (_logged(ws, version), ws.curve(version))]
    if rows := _joined(_all(earlier), max(found, key=len)):
        _write(target, rows)


def complete(ws: Workspace, version: str, earlier: Sequence[Path]) -> bool:
    """Puts the rows of earlier starts before those of the last one. Whether there were any; a second time adds none."""
    path = _logged(ws, version)
    before, now = _all(earlier), _read(path)
    rows = _joined(before, now)
    if path is None or len(rows) == len(now):
        return False
    _write(path, rows)
    return True


def _logged(ws: Workspace, version: str) -> Path | None:
    folders = ws.version(version).log_dirs()
    return folders[-1] / "metrics.csv" if folders else None


def _all(tables: Sequence[Path]) -> _ROWS:
    return functools.reduce(_joined, map(_read, tables), [])


def _joined(before: _ROWS, now: _ROWS) -> _ROWS:
    """A start that goes on repeats what came after the checkpoint: of that, the later one counts."""
    begins = min((step for row in now if (step := _step(row)) is not None), default=None)
    if begins is None:
        return before or now
    return [row for row in before if (step := _step(row)) is not None and step < begins] + now


def _step(row: dict[str, str]) -> float | None:
    try:
        return float(row["step"])
    except (KeyError, TypeError, ValueError):
        return None


def _read(path: Path | None) -> _ROWS:
    """Nothing where there is no such table, or it is torn."""
    try:
        return list(csv.DictReader(lines_of(path))) if path is not None else []
    except (OSError, csv.Error):
        return []


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    out = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row if name)
    table = csv.DictWriter(out, list(names), extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, out.getvalue())
