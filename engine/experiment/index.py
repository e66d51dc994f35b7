"""All runs of all experiments that were ever looked at, for searching: a cache of their files, on the user's own disk.

The truth stays in each experiment's `results.jsonl`. What has changed there since is read again whenever somebody asks;
an index that is missing, damaged or of another version is made anew. Which workspaces there are is kept in a list
beside it, as text: that is all that files elsewhere do not say.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from progtrain.engine import metrics, values
from progtrain.engine.errors import InputError, StorageError
from progtrain.engine.experiment import results
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.results import Row
from progtrain.engine.files import read_text, write_text
from progtrain.engine.script import names
from progtrain.engine.text import as_utf8
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import read_mapping

_Answer = TypeVar("_Answer")

#: of the tables below; another one is made anew
_VERSION = 1
_TABLES = """
CREATE TABLE experiments (id INTEGER PRIMARY KEY, path TEXT UNIQUE, workspace TEXT, name TEXT, question TEXT,
    training TEXT, family TEXT, stamp TEXT);
CREATE TABLE runs (id INTEGER PRIMARY KEY, experiment INTEGER, run TEXT, point TEXT, type TEXT, seed INTEGER,
    state TEXT, cause TEXT, tasks TEXT, device TEXT, executor TEXT, attempts INTEGER, seconds REAL, memory INTEGER,
    gpu_memory INTEGER, steps INTEGER, samples INTEGER, ended TEXT, parameters TEXT, settings TEXT, metrics TEXT,
    changes TEXT, estimate TEXT);
CREATE INDEX runs_of ON runs (experiment);
CREATE TABLE named (name TEXT, kind TEXT, number REAL, text TEXT, run INTEGER);
CREATE INDEX named_by ON named (name, kind, number, run);
CREATE INDEX named_of ON named (run);
"""
_SEARCHED = ("topics", "words")
#: in the name of a script
_VERSIONED = re.compile(r"_v\d{3,}(?=\.py$)")
#: of a report: more says nothing new
_REPORT = 20_000


def folder() -> Path:
    """`$XDG_CACHE_HOME/progtrain`, or what stands for it on this machine. Never on a workspace's disk by its own."""
    return platformdirs.user_cache_path("progtrain")


def file() -> Path:
    return folder() / "index.sqlite"


def seen(ws: Workspace | None = None) -> list[Workspace]:
    """Workspaces that were ever looked at; `ws` is one of them from now on, where it has experiments."""
    path = folder() / "workspaces.txt"
    try:
        listed = [line for line in read_text(path).splitlines() if line]
    except (InputError, OSError):
        listed = []
    if ws is not None and str(ws.root) not in listed and ws.experiments.is_dir() and "\n" not in str(ws.root):
        listed.append(str(ws.root))
        # where nothing can be kept, this one is searched all the same
        with contextlib.suppress(StorageError, OSError):
            write_text(path, "\n".join([*listed, ""]))
    return [Workspace(Path(line)) for line in listed]


def ask(
    question: Callable[[sqlite3.Connection], _Answer], ws: Workspace | None = None, *, full_text: bool | None = None
) -> _Answer:
    """What the index says, brought up to date before. `full_text`: False does without SQLite's FTS5, None where it is
    missing."""
    workspaces = seen(ws)
    try:
        return _asked(file(), question, workspaces, full_text)
    except (sqlite3.DatabaseError, OSError):
        # damaged, or from a disk that lost a part of it: nothing is lost that is not in the files
        with contextlib.suppress(OSError):
            file().unlink(missing_ok=True)
    try:
        return _asked(file(), question, workspaces, full_text)
    except (sqlite3.DatabaseError, OSError):
        # no file can be kept here
        return _asked(None, question, workspaces, full_text)


def _asked(
    path: Path | None,
    question: Callable[[sqlite3.Connection], _Answer],
    workspaces: Sequence[Workspace],
    full_text: bool | None,
) -> _Answer:
    with closing(_current(path, workspaces, full_text)) as connection:
        return question(connection)


def _current(path: Path | None, workspaces: Sequence[Workspace], full_text: bool | None) -> sqlite3.Connection:
    """None: in memory, where no file can be kept."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(":memory:" if path is None else path, timeout=30, isolation_level=None)
    try:
        # a cache: what a crash of the machine costs is made anew
        connection.execute("PRAGMA synchronous = OFF")
        if not _is_ours(connection):
            _make(connection, has_full_text(connection) if full_text is None else full_text)
        _update(connection, workspaces)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_ours(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == _VERSION)


def has_full_text(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5."""
    try:
        connection.execute("CREATE VIRTUAL TABLE temp.tried USING fts5(content)")
        connection.execute("DROP TABLE temp.tried")
    except sqlite3.OperationalError:
        return False
    return True


def by_full_text(connection: sqlite3.Connection) -> bool:
    """Whether words are looked for by FTS5, or as plain text."""
    made = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'words'").fetchone()
    return "fts5" in made[0]


def _make(connection: sqlite3.Connection, full_text: bool) -> None:
    with _writing(connection):
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN "
            "('experiments', 'runs', 'named', 'topics', 'words')"
        ).fetchall():
            connection.execute(f"DROP TABLE {name}")
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        for table in _SEARCHED:
            made = f"CREATE VIRTUAL TABLE {table} USING fts5(content)" if full_text else None
            connection.execute(made or f"CREATE TABLE {table} (content TEXT)")
        connection.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


# what is read again


def _update(connection: sqlite3.Connection, workspaces: Iterable[Workspace]) -> None:
    found = ((str(ws.root / name), ws) for ws in workspaces for name in _experiments(ws))
    there = {path: ws for path, ws in found if as_utf8(path) == path}
    stamps = {path: _stamp(ExperimentFolder(Path(path))) for path in there}
    if dict(connection.execute("SELECT path, stamp FROM experiments")) == stamps:
        return
    with _writing(connection):
        # again, now that nobody else writes
        known = dict(connection.execute("SELECT path, stamp FROM experiments"))
        changed = [path for path, stamp in stamps.items() if known.get(path) != stamp]
        for path in known:
            if path in changed or path not in stamps:
                _forget(connection, path)
        for path in changed:
            _learn(connection, there[path], ExperimentFolder(Path(path)), stamps[path])


def _experiments(ws: Workspace) -> list[str]:
    try:
        with os.scandir(ws.experiments) as entries:
            return [entry.path for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _stamp(held: ExperimentFolder) -> str:
    """Size and time of what is read of it."""
    told = []
    for path in (held.results, held.plan, held.report):
        try:
            stat = path.stat()
            told.append(f"{stat.st_size}:{stat.st_mtime_ns}")
        except OSError:
            told.append("")
    return " ".join(told)


def _forget(connection: sqlite3.Connection, path: str) -> None:
    (number,) = connection.execute("SELECT id FROM experiments WHERE path = ?", (path,)).fetchone()
    runs = "(SELECT id FROM runs WHERE experiment = ?)"
    connection.execute(f"DELETE FROM named WHERE run IN {runs}", (number,))
    connection.execute(f"DELETE FROM words WHERE rowid IN {runs}", (number,))
    connection.execute("DELETE FROM topics WHERE rowid = ?", (number,))
    connection.execute("DELETE FROM runs WHERE experiment = ?", (number,))
    connection.execute("DELETE FROM experiments WHERE id = ?", (number,))


def _learn(connection: sqlite3.Connection, ws: Workspace, held: ExperimentFolder, stamp: str) -> None:
    plan = _plan(held)
    asked, tools = _part(plan, "experiment"), _part(plan, "tools")
    training = tools.get("training", "lightning") if plan else None
    cells = (
        str(ws.root),
        held.name,
        str(asked.get("question") or ""),
        training,
        family(_part(plan, "base"), ws),
        stamp,
    )
    number = connection.execute(
        "INSERT INTO experiments VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", (str(held.path), *cells)
    ).lastrowid
    try:
        report = read_text(held.report)[:_REPORT]
    except (InputError, OSError):
        report = ""
    text = "\n".join([held.name, str(asked.get("question") or ""), str(asked.get("hypothesis") or ""), report])
    connection.execute("INSERT INTO topics (rowid, content) VALUES (?, ?)", (number, text))
    by_run: dict[str, list[Row]] = {}
    for row in results.read(held):
        by_run.setdefault(row.run, []).append(row)
    for rows in by_run.values():
        _learn_run(connection, number, rows)


def _plan(held: ExperimentFolder) -> Mapping[str, Any]:
    """Tolerant: a plan that is broken today had results yesterday."""
    try:
        return read_mapping(read_text(held.plan), held.plan)
    except (InputError, OSError):
        return {}


def _part(plan: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = plan.get(key)
    return part if isinstance(part, dict) else {}


def family(base: Mapping[str, Any], ws: Workspace) -> str:
    """What runs are variations of, so that what one took tells what another will: the workspace's script whatever its
    version, the recipe with its model, or the command's first words."""
    if recipe := base.get("recipe"):
        return f"{recipe} {_part(base, 'model').get('path', '')}".strip()
    command = base.get("command")
    words = " ".join(str(word) for word in command[:2]) if isinstance(command, list) else ""
    what = _VERSIONED.sub("", str(base.get("script") or "")) or words
    return as_utf8(f"{what} in {ws.root}") if what else ""


def _learn_run(connection: sqlite3.Connection, experiment: int | None, rows: Sequence[Row]) -> None:
    row = rows[-1]
    measured: dict[str, float | None] = {}
    for each in rows:
        measured |= {_metric_key(each, metric.name, rows): metric.value for metric in each.metrics}
    bad = next((each for each in rows if each.state != "done"), None)
    ended = max((each.ended_at.isoformat() for each in rows if each.ended_at), default="")
    told = (row.parameters, row.settings, measured, row.changes, row.estimate)
    kept = (json.dumps(one, ensure_ascii=False, default=str) for one in told)
    own = (row.run, row.point, row.type, row.seed, bad.state if bad else "done", bad.cause if bad else "")
    tasks = " ".join(dict.fromkeys(each.task for each in rows if each.task))
    took = (row.attempts, row.seconds, row.memory, row.gpu_memory, row.steps, row.samples, ended)
    cells = (experiment, *own, tasks, row.device, row.executor, *took, *kept)
    places = ", ".join("?" * len(cells))
    number = connection.execute(f"INSERT INTO runs VALUES (NULL, {places})", cells).lastrowid
    connection.executemany("INSERT INTO named VALUES (?, ?, ?, ?, ?)", _named(rows, number))
    connection.execute("INSERT INTO words (rowid, content) VALUES (?, ?)", (number, f"{row.run} {tasks}"))


def _metric_key(row: Row, metric: str, rows: Sequence[Row]) -> str:
    """With its evaluation, where a run has several."""
    alone = len({(each.task, each.epoch) for each in rows}) < 2
    return metric if alone else f"{row.task} {row.epoch} {metric}"


def _named(rows: Sequence[Row], run: int | None) -> Iterator[tuple[str, str, float | None, str | None, int | None]]:
    row = rows[-1]
    for name, value in {**row.settings, **row.parameters}.items():
        if not isinstance(value, dict | list):
            kind = "parameter" if name in row.parameters else "setting"
            number = None if isinstance(value, bool) else values.number(value)
            yield names.canonical(name), kind, number, values.show(value), run
    for each in rows:
        for metric in each.metrics:
            yield metrics.canonical(metric.name), "metric", metric.value, None, run
