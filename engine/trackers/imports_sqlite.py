"""Runs of MLflow's and of Trackio's databases, by `SELECT` alone: opened for reading, bounded whatever is in them."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.trackers.imports_run import (
    Imported,
    a_number,
    below,
    opened,
    parsed,
    within_time,
)

_Ask = Callable[..., Iterator[tuple[Any, ...]]]

_SECONDS = 300.0
_MOST_RUNS = 1000
#: bytes; a log has none that is as long
_LONGEST_ROW = 64_000_000
#: how MLflow writes infinity into a column of numbers
_INFINITE = 1.7976931348623157e308
#: how Trackio writes what JSON has no number for
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def mlflow(path: Path) -> Iterator[Imported]:
    """One of each run that is not deleted. Raises `InputError` for what is no database of MLflow."""
    return _each(path, "MLflow", {"runs", "metrics", "params", "tags"}, _mlflow)


def trackio(path: Path) -> Iterator[Imported]:
    """One of each run of each project. Raises `InputError` for what is no database of Trackio."""
    return _each(path, "Trackio", {"metrics"}, _trackio)


def _each(
    path: Path, tool: str, tables: set[str], runs: Callable[[Path, _Ask], Iterator[Imported]]
) -> Iterator[Imported]:
    """Of a folder all databases that are the tool's."""
    files, others = _databases(path, tool), 0
    for file in files:
        with _read_only(file, tool) as ask:
            # a table, not a view: that would be a question of its own
            there = {row[0] for row in ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables <= there and ("runs" in tables or "runs" not in there):
                yield from runs(file, ask)
            else:
                others += 1
    if others == len(files):
        raise InputError(f"it does not hold the tables of {tool}", file=path, fix=f"name the database of {tool}")


def _mlflow(file: Path, ask: _Ask) -> Iterator[Imported]:
    rows = ask(
        "SELECT run_uuid, name, status, start_time, end_time FROM runs WHERE lifecycle_stage = 'active' LIMIT ?",
        _MOST_RUNS,
    )
    for key, name, status, started, ended in list(rows):
        names = [value for (value,) in ask("SELECT value FROM tags WHERE key = 'mlflow.runName' AND run_uuid = ?", key)]
        run = Imported(str(name or (names or [None])[0] or key), "mlflow", [file], state=str(status or "").casefold())
        run.started, run.ended = seconds(started), seconds(ended)
        for param, value in ask("SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key", key):
            run.param(str(param), plain(str(value)))
        points = ask(
            "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, step, timestamp",
            key,
        )
        for metric, step, at, value, nan in within_time(_readable(points, run), run.note):
            number = a_number(value)
            if number is not None and a_number(step) is not None:
                told = math.nan if nan else math.copysign(math.inf, number) if abs(number) >= _INFINITE else number
                run.point(str(metric), float(step), seconds(at), told)
        yield run


def _trackio(file: Path, ask: _Ask) -> Iterator[Imported]:
    columns = {row[1] for row in ask("PRAGMA table_info(metrics)")}
    # earlier ones knew a run by its name alone
    by = "run_id" if "run_id" in columns else "run_name"
    configs = {row[1] for row in ask("PRAGMA table_info(configs)")}
    for key, name in list(
        ask(f"SELECT {by}, MAX(run_name) FROM metrics GROUP BY {by} ORDER BY MIN(id) LIMIT ?", _MOST_RUNS)
    ):
        run = Imported(str(name or key), "trackio", [file])
        for (config,) in ask(f"SELECT config FROM configs WHERE {by} = ?", key) if by in configs else ():
            told = parsed(_text(config))
            for param, value in told.items() if isinstance(told, dict) else ():
                if not str(param).startswith("_"):  # who ran it, and when
                    run.param(str(param), value)
        rows = ask(f"SELECT step, timestamp, metrics FROM metrics WHERE {by} = ? ORDER BY step, id", key)
        for step, at, told in within_time(_readable(rows, run), run.note):
            _row(run, step, _iso(at), parsed(_text(told)))
        yield run


def _readable(rows: Iterator[tuple[Any, ...]], run: Imported) -> Iterator[tuple[Any, ...]]:
    """Up to the first that cannot be read."""
    try:
        yield from rows
    except (sqlite3.Error, UnicodeDecodeError) as error:
        run.note(f"not all of its rows can be read, what came before is kept: {error}")


def _row(run: Imported, step: object, at: float | None, row: object) -> None:
    number = a_number(step)
    for metric, value in row.items() if isinstance(row, dict) and number is not None else ():
        known = _SPELLED.get(value) if isinstance(value, str) else a_number(value)
        if known is not None and number is not None:
            run.point(str(metric), number, at, known)
    if at is not None:
        run.started = at if run.started is None else min(run.started, at)
        run.ended = at if run.ended is None else max(run.ended, at)


def _databases(path: Path, tool: str) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in below(path, lambda name: name.endswith((".db", ".sqlite", ".sqlite3"))) if _is_one(file)]
    if not found:
        raise InputError(f"there is no database of {tool} in it", file=path, fix="name its file")
    return found


def _is_one(path: Path) -> bool:
    with opened(path) as file:
        return file.read(16) == b"SQLite format 3\0"


@contextmanager
def _read_only(path: Path, tool: str) -> Iterator[_Ask]:
    """Questions to a database that nothing is written to, not even beside it where nobody else has it open.

    Raises `InputError` for what is no database.
    """
    fix = f"name the database of {tool}"
    if not _is_one(path):
        raise InputError("it is no SQLite database", file=path, fix=fix)
    # what another process has written and not yet put into the file itself is in one of these
    busy = any(_size(path.with_name(f"{path.name}{end}")) for end in ("-wal", "-journal"))
    uri = f"{path.resolve().as_uri()}?{'mode=ro' if busy else 'mode=ro&immutable=1'}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            _bounded(connection)

            def ask(question: str, *values: object) -> Iterator[tuple[Any, ...]]:
                return iter(connection.execute(question, values))

            yield ask
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the second where its own table of tables is damaged
        raise InputError(f"it cannot be read as a database: {error}", file=path, fix=fix) from error


def _bounded(connection: sqlite3.Connection) -> None:
    """Neither a value nor a question takes more than a log of trainings would."""
    end = time.monotonic() + _SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > end, 100_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_ROW)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA mmap_size = 0")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _text(value: object) -> str | bytes:
    return value if isinstance(value, str | bytes) else ""


def seconds(milliseconds: object) -> float | None:
    """Since 1970."""
    found = a_number(milliseconds)
    return None if found is None else found / 1000


def _iso(told: object) -> float | None:
    try:
        return datetime.fromisoformat(str(told)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def plain(value: str) -> object:
    """MLflow keeps every setting as text."""
    if value in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[value]
    for kind in (int, float):
        try:
            return kind(value) if len(value) <= 40 else value
        except ValueError:
            continue
    return value
