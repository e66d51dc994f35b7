"""Runs that other tools have kept, read into `Models/evidence/`: what was tried elsewhere, and how that ended.

Nobody knows on which data such a run was measured and by what, so it is evidence and nothing else: `comparable` is
false in each `run.json`, and no verdict, rank or base ever comes of one.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from progtrain.engine import metrics
from progtrain.engine.clock import Clock, now
from progtrain.engine.errors import InputError
from progtrain.engine.files import write_bytes, write_json
from progtrain.engine.text import clean_line
from progtrain.engine.trackers import (
    event_files,
    imports_csv,
    imports_kept,
    imports_mlruns,
    imports_sqlite,
    imports_wandb,
)
from progtrain.engine.trackers.imports_kept import NAME, RESERVED
from progtrain.engine.trackers.imports_run import LONGEST_NAME, MOST_POINTS_IN_ALL, Imported, Series, opened
from progtrain.engine.workspace import Workspace

#: what `progtrain import` takes -> what reads its runs
SOURCES: Mapping[str, Callable[[Path], Iterator[Imported]]] = {
    "tensorboard": event_files.runs,
    "mlflow": imports_mlruns.runs,
    "wandb": imports_wandb.runs,
    "trackio": imports_sqlite.trackio,
    "csv": imports_csv.runs,
}
_MOST_RUNS = 500
#: of all runs together, which are held until all are read
_MOST_POINTS = 4 * MOST_POINTS_IN_ALL


class Outcome(NamedTuple):
    name: str
    #: "unchanged": the very same run lies there already
    done: Literal["imported", "imported anew", "unchanged"]
    run: Mapping[str, Any]


def take_in(
    ws: Workspace, source: str, path: Path, name: str | None = None, clock: Clock = now
) -> tuple[list[Outcome], list[str]]:
    """Imports each run of a file or folder; also what could not be read of it, in words.

    Raises `InputError` where nothing can be read, or the name is taken by a run from elsewhere.
    """
    if name is not None and (not NAME.fullmatch(name) or name in RESERVED):
        reason = f"{name!r} cannot be the name of a run"
        raise InputError(reason, place="--name", fix="take up to 80 letters, digits, dots, hyphens and underscores")
    if not path.exists():
        raise InputError("there is no such file or folder", file=path, fix="name what the tracker has written")
    found, problems = _found(source, path)
    outcomes: list[Outcome] = []
    taken: set[str] = set()
    for run in found:
        wanted = _wanted(run, name, len(found) > 1)
        told = _told(run, path.resolve())
        called = _free(ws, wanted, told, taken, fixed=name is not None)
        taken.add(called)
        outcomes.append(_kept(ws, called, run, told, clock))
    return outcomes, problems


def _found(source: str, path: Path) -> tuple[list[Imported], list[str]]:
    """What can be read of it, and why the rest cannot. Raises `InputError` where that is nothing."""
    found: list[Imported] = []
    problems: list[str] = []
    try:
        for run in SOURCES[source](path):
            if run.empty:
                problems.append(f"{run.name}: {'; '.join(run.notes) or 'it holds no measurement'}")
            elif len(found) == _MOST_RUNS:
                problems.append(f"there are more than {_MOST_RUNS} runs: the first ones are imported")
                break
            else:
                found.append(run)
                if sum(one.kept for one in found) > _MOST_POINTS:
                    for one in found:
                        one.thin()
    except InputError as error:
        if not found:
            raise
        problems.append(f"not all is read: {error.located}")
    if not found:
        reason = "; ".join(problems[:3]) or "there is no run in it"
        raise InputError(reason, file=path, fix=f"name what {source} has written")
    return found, problems


# what it is called here


def _wanted(run: Imported, name: str | None, several: bool) -> str:
    if name is None:
        return _slug(run.name) or run.source
    return f"{name}-{_slug(run.name)}"[:80] if several else name


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:76]


def _free(ws: Workspace, wanted: str, told: Mapping[str, Any], taken: set[str], *, fixed: bool) -> str:
    """The name itself, where it is free or the run's own from an earlier import; else with a number."""
    for count in range(1, 10_000):
        name = wanted if count == 1 else f"{wanted}-{count}"
        before = imports_kept.read(ws, name)
        own = before is not None and all(getattr(before, key) == told[key] for key in ("source", "run", "path"))
        if name in taken or name in RESERVED or (ws.imported_run(name).parent.exists() and not own):
            if fixed and name not in taken:
                there = ws.imported_run(name).parent
                raise InputError("something else lies there", file=there, place="--name", fix="take another name")
            continue
        return name
    raise InputError(f"there are too many runs called {wanted}", file=ws.evidence, fix="take a name of its own: --name")


# what is kept of it


def _kept(ws: Workspace, name: str, run: Imported, told: dict[str, Any], clock: Clock) -> Outcome:
    path = ws.imported_run(name)
    curves = path.with_name("curves.csv")
    before = imports_kept.read(ws, name)
    if before is not None and before.sha256 == told["sha256"] and curves.is_file():
        return Outcome(name, "unchanged", told)
    told["imported_at"] = clock().isoformat(timespec="seconds")
    write_bytes(curves, _curves(run.series).encode())
    # last: what lies there without it is no run
    write_json(path, told)
    return Outcome(name, "imported" if before is None else "imported anew", told)


def _told(run: Imported, path: Path) -> dict[str, Any]:
    """What `run.json` holds."""
    for name, series in run.series.items():
        if series.every > 1:
            run.note(f"{name}: {series.seen} points, of which one in {series.every} is kept")
    steps = [series.last[0] for series in run.series.values()]
    return {
        "run": clean_line(run.name)[:LONGEST_NAME],
        "source": run.source,
        "path": clean_line(path),
        "imported_at": "",
        "sha256": _sha256(run.files),
        "comparable": False,
        "params": run.params,
        "final": {name: metrics.finite(value) for name, value in run.finals().items()},
        "points": sum(1 for series in run.series.values() for _ in series.points()),
        "last_step": metrics.finite(max(steps, default=None)),
        "state": run.state,
        "started_at": _iso(run.started),
        "ended_at": _iso(run.ended),
        "notes": run.notes,
    }


def _sha256(files: Iterable[Path]) -> str:
    """Of the one file, or of the names and hashes of several."""
    found = []
    for path in files:
        with opened(path) as file:
            found.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    if len(found) == 1:
        return found[0][1]
    return hashlib.sha256("".join(f"{name}\0{digest}\n" for name, digest in sorted(found)).encode()).hexdigest()


def _curves(series: Mapping[str, Series]) -> str:
    """A point a line; time in seconds since 1970, empty where nobody knows it."""
    lines = ["metric,step,time,value"]
    for name, one in series.items():
        quoted = f'"{name.replace(chr(34), chr(34) * 2)}"' if re.search('[",\n]', name) else name
        for step, at, value in one.points():
            shown = int(step) if step.is_integer() else step
            lines.append(f"{quoted},{shown},{'' if math.isnan(at) else round(at, 6)},{value!r}")
    return "\n".join(lines) + "\n"


def _iso(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None
