"""Runs of MLflow's older store, `mlruns/EXPERIMENT/RUN/`: `meta.yaml`, and a file for each metric, setting and tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.trackers import imports_sqlite
from progtrain.engine.trackers.imports_run import LONGEST_JSON, Imported, a_number, below, opened, within_time
from progtrain.engine.trackers.imports_sqlite import plain, seconds
from progtrain.engine.yaml_text import read_mapping

_STATES = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}
_LONGEST_LINE = 1000


def runs(path: Path) -> Iterator[Imported]:
    """Of a database, or of a folder with databases, a store of files, or both. Raises `InputError` where there is
    neither."""
    metas = below(path, lambda name: name == "meta.yaml") if path.is_dir() else []
    found = [(meta, told) for meta in metas if (told := _meta(meta)) and ("run_id" in told or "run_uuid" in told)]
    for meta, told in found:
        if told.get("lifecycle_stage", "active") == "active":
            yield _run(meta, told)
    if not found or below(path, lambda name: name.endswith((".db", ".sqlite", ".sqlite3"))):
        yield from imports_sqlite.mlflow(path)


def _meta(path: Path) -> Mapping[str, Any]:
    """Empty for what cannot be read: it may be anybody's file."""
    try:
        text = _text(path)
        # an alias may stand for as much as a reader can hold, and no list of a run's own data needs one
        return {} if "&" in text else read_mapping(text, path)
    except InputError:
        return {}


def _text(path: Path) -> str:
    with opened(path) as file:
        return file.read(LONGEST_JSON).decode("utf-8", "replace")


def _run(meta: Path, told: Mapping[str, Any]) -> Imported:
    folder = meta.parent
    named = folder / "tags" / "mlflow.runName"
    name = told.get("run_name") or (_text(named) if named.is_file() else "") or folder.name
    status = told.get("status")
    state = _STATES.get(status, "") if isinstance(status, int) else str(status or "").casefold()
    run = Imported(str(name), "mlflow", [meta], state=state)
    run.started, run.ended = seconds(told.get("start_time")), seconds(told.get("end_time"))
    for path in _files(folder / "params", run):
        run.param(path.relative_to(folder / "params").as_posix(), plain(_text(path)))
    for path in _files(folder / "metrics", run):
        _curve(run, path, path.relative_to(folder / "metrics").as_posix())
    return run


def _files(folder: Path, run: Imported) -> list[Path]:
    found = below(folder, lambda name: True) if folder.is_dir() and not folder.is_symlink() else []
    run.files += found
    return found


def _curve(run: Imported, path: Path, metric: str) -> None:
    """Each line: milliseconds since 1970, value, step; earlier ones of MLflow wrote no step."""
    with opened(path) as file:
        lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
        for number, line in enumerate(within_time(lines, run.note)):
            try:
                at, value, step = [float(cell) for cell in [*line.split(), str(number).encode()][:3]]
            except ValueError:
                run.note(f"lines of metrics/{metric} that are no measurement are left out")
                continue
            run.point(metric, step, seconds(a_number(at)), value)
