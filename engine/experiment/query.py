"""The language of `progtrain experiment search`: `rank>8 metric:acc>.8 state:failed capital`.

Conditions on parameters, settings and metrics, fields of a run, and words of names, questions, hypotheses and reports.
All of them must hold.
"""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Sequence
from typing import Any

from progtrain.engine import metrics, values
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import index
from progtrain.engine.script import names
from progtrain.engine.workspace import Workspace

_CONDITION = re.compile(
    r"(?:(?P<kind>[a-z]+):)?(?P<name>[^\s:<>=!]+)(?P<sign>>=|<=|!=|==|=|>|<)(?P<value>.*)", re.DOTALL
)
_FIELD = re.compile(r"(?P<field>[a-z]+):(?P<value>.*)", re.DOTALL)
#: what stands before the colon -> kinds of named values
_KINDS = {
    "metric": ("metric",),
    "parameter": ("parameter",),
    "param": ("parameter",),
    "setting": ("parameter", "setting"),
}
#: field -> its column
_FIELDS = {
    "state": "runs.state",
    "cause": "runs.cause",
    "run": "runs.run",
    "point": "runs.point",
    "type": "runs.type",
    "task": "runs.tasks",
    "device": "runs.device",
    "executor": "runs.executor",
    "experiment": "experiments.name",
    "workspace": "experiments.workspace",
}
_FIX = "such as `rank>8 metric:acc>.8 state:done capital`"
_RELATIVE = 1e-9
_OF_EXPERIMENTS = {
    "experiment": "experiments.name",
    "question": "experiments.question",
    "workspace": "experiments.workspace",
}
_COLUMNS = ("workspace", "experiment", "question", "run", "point", "type", "seed", "state", "cause", "tasks", "device")
_MORE = ("executor", "attempts", "seconds", "memory", "ended", "parameters", "settings", "metrics", "changes")


def search(
    query: str, ws: Workspace | None = None, *, limit: int | None = None, full_text: bool | None = None
) -> tuple[list[dict[str, Any]], int, list[str]]:
    """Runs that meet all of a query, the newest first; how many there are in all; and what a reader is to know.

    Raises `InputError` where the query cannot be understood, or names a value that no run has.
    """

    def answer(connection: sqlite3.Connection) -> tuple[list[dict[str, Any]], int, list[str]]:
        conditions, given = _understood(query, connection)
        source = "FROM runs JOIN experiments ON experiments.id = runs.experiment"
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        (count,) = connection.execute(f"SELECT COUNT(*) {source} {where}", given).fetchone()
        columns = ", ".join(_OF_EXPERIMENTS.get(name, f"runs.{name}") for name in (*_COLUMNS, *_MORE))
        order = f"ORDER BY runs.ended DESC, runs.id LIMIT {-1 if limit is None else limit}"
        found = connection.execute(f"SELECT {columns} {source} {where} {order}", given).fetchall()
        plain = not index.by_full_text(connection)
        notes = ["this Python's SQLite has no full-text search: words are looked for as they stand"] if plain else []
        return [_hit(row) for row in found], count, notes

    return index.ask(answer, ws, full_text=full_text)


def _hit(row: Sequence[Any]) -> dict[str, Any]:
    told = dict(zip((*_COLUMNS, *_MORE), row, strict=True))
    return told | {name: json.loads(told[name]) for name in ("parameters", "settings", "metrics", "changes")}


def _understood(query: str, connection: sqlite3.Connection) -> tuple[list[str], list[Any]]:
    """Conditions in SQL, and the values that belong to their question marks."""
    try:
        parts = shlex.split(query)
    except ValueError as error:
        raise InputError("a quotation mark is not closed", place=f"query {query!r}", fix=_FIX) from error
    conditions: list[str] = []
    given: list[Any] = []
    for part in parts:
        if found := _CONDITION.fullmatch(part):
            condition, more = _condition(part, found, connection)
        elif (found := _FIELD.fullmatch(part)) and (found["field"] in _FIELDS or found["field"] in _KINDS):
            condition, more = _field(part, found["field"], found["value"])
        else:
            condition, more = _word(part, connection)
        conditions.append(condition)
        given += more
    return conditions, given


def _condition(part: str, found: re.Match[str], connection: sqlite3.Connection) -> tuple[str, list[Any]]:
    kind, name, sign, value = found["kind"], found["name"], found["sign"], found["value"]
    if kind is not None and kind not in _KINDS:
        near = names.nearest(kind, _KINDS, 1) or list(_KINDS)
        raise InputError(f"{kind} is no kind of value", place=f"query {part!r}", fix=f"did you mean {near[0]}:{name}?")
    if not value:
        raise InputError("a value is missing after the sign", place=f"query {part!r}", fix=_FIX)
    kinds = _KINDS[kind] if kind else ("parameter", "setting", "metric")
    wanted = metrics.canonical(name) if kind == "metric" else names.canonical(name)
    both = {wanted, metrics.canonical(name)} if kind is None else {wanted}
    known = [one for one in sorted(both) if _is_known(one, kinds, connection)]
    if not known:
        raise _unknown(part, name, kinds, connection)
    test, more = _test("==" if sign == "=" else sign, value, part)
    marks = ", ".join("?" * len(known))
    those = ", ".join("?" * len(kinds))
    inner = f"SELECT run FROM named WHERE name IN ({marks}) AND kind IN ({those}) AND {test}"
    return f"runs.id IN ({inner})", [*known, *kinds, *more]


def _test(sign: str, value: str, part: str) -> tuple[str, list[Any]]:
    number = values.number(value)
    if sign in ("==", "!="):
        no = "NOT " if sign == "!=" else ""
        if number is None:
            return f"{no}COALESCE(text, '') = ? COLLATE NOCASE", [value]
        room = abs(number) * _RELATIVE
        return f"number IS NOT NULL AND {no}(number BETWEEN ? AND ?)", [number - room, number + room]
    if number is None:
        raise InputError(f"{value!r} is no number", place=f"query {part!r}", fix=_FIX)
    return f"number {sign} ?", [number]


def _is_known(name: str, kinds: Sequence[str], connection: sqlite3.Connection) -> bool:
    marks = ", ".join("?" * len(kinds))
    asked = f"SELECT 1 FROM named WHERE name = ? AND kind IN ({marks}) LIMIT 1"
    return connection.execute(asked, (name, *kinds)).fetchone() is not None


def _unknown(part: str, name: str, kinds: Sequence[str], connection: sqlite3.Connection) -> InputError:
    marks = ", ".join("?" * len(kinds))
    listed = [row[0] for row in connection.execute(f"SELECT DISTINCT name FROM named WHERE kind IN ({marks})", kinds)]
    near = names.nearest(name, listed, 1)
    fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(listed)[:8]) or 'none yet'}"
    what = "metric" if kinds == ("metric",) else "parameter, setting or metric"
    return InputError(f"no run has a {what} {name}", place=f"query {part!r}", fix=fix)


def _field(part: str, field: str, value: str) -> tuple[str, list[Any]]:
    if field in _KINDS:
        raise InputError(f"{field}: needs a comparison", place=f"query {part!r}", fix=f"{field}:{value or 'name'}>0.5")
    if not value:
        raise InputError("a value is missing after the colon", place=f"query {part!r}", fix=_FIX)
    column = _FIELDS[field]
    if field == "task":
        return f"' ' || {column} || ' ' GLOB ?", [f"* {value} *"]
    return (f"{column} GLOB ?", [value]) if "*" in value else (f"{column} = ? COLLATE NOCASE", [value])


def _word(word: str, connection: sqlite3.Connection) -> tuple[str, list[Any]]:
    """Words begin with it; several of them, in quotation marks, stand beside each other."""
    if index.by_full_text(connection) and re.search(r"\w", word):
        quoted = word.replace('"', '""')
        test, given = "content MATCH ?", f'"{quoted}" *'
        inner = "SELECT rowid FROM {0} WHERE {0} MATCH ?"
    else:
        escaped = re.sub(r"([\\%_])", r"\\\1", word)
        test, given = "content LIKE ? ESCAPE '\\'", f"%{escaped}%"
        inner = "SELECT rowid FROM {0} WHERE " + test
    of_runs, of_all = inner.format("words"), inner.format("topics")
    return f"(runs.id IN ({of_runs}) OR runs.experiment IN ({of_all}))", [given, given]
