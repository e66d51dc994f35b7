"""What the columns of a table are: numbers, categories, names of rows; the target, and whether it is a class."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from progtrain.engine.bring.brought import Brought, Sample, counted, named
from progtrain.engine.bring.table import Table, is_missing, number
from progtrain.engine.errors import InputError
from progtrain.engine.text import clean_line

_ID_NAME = re.compile(r"(^|[_ ])(id|index|key|uuid|row|nr|no|number)$|^unnamed|Id$|ID$", re.IGNORECASE)
#: cells of a column of numbers that need not be one
_STRAY = 0.05
_MOST_CLASSES_OF_NUMBERS = 20
_LEAST_OF_A_CLASS = 5
#: a column with more different words is text or a name, and tells nothing by itself
_MOST_WORDS, _SHARE_OF_WORDS = 50, 0.5


def read(table: Table, target: str, task: str | None) -> Brought:
    """A table with its target. `task`: "classification" or "regression", or None to decide by the target.

    Raises `InputError`.
    """
    said = list(table.said)
    at = position(table, target)
    target = table.header[at]
    rows = _with_target(table, at, said)
    cells = [row[at] for _, row in rows]
    chosen = _task(table, target, cells, task)
    said.append(chosen[1])
    if chosen[0] == "regression":
        rows = _with_numbers(rows, at, said)
    columns: dict[str, str] = {}
    for place, name in enumerate(table.header):
        if place != at and (kind := _kind(name, [row[place] for _, row in rows], said)):
            columns[name] = kind
            _clean(table, rows, place, kind, said)
    if not columns:
        raise InputError(
            "there is no column to learn from besides the target", file=table.path, fix="bring more columns"
        )
    places = [table.header.index(name) for name in columns]
    samples = []
    for row_number, row in rows:
        kept = [row[place] for place in places]
        goal = str(number(row[at])) if chosen[0] == "regression" else row[at]
        samples.append(Sample(f"row {row_number}", kept, goal, _digest(kept)))
    return Brought(table.path, list(columns), target, chosen[0], samples, said, columns)


def position(table: Table, name: str) -> int:
    """Of a column, by its name. Raises `InputError`."""
    if name in table.header:
        return table.header.index(name)
    alike = [place for place, known in enumerate(table.header) if known.casefold() == name.strip().casefold()]
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(table.header[:12]) + (" ..." if len(table.header) > 12 else "")
    raise InputError(f"it has no column {name!r}", file=table.path, place="row 1", fix=f"its columns: {shown}")


def _with_target(table: Table, at: int, said: list[str]) -> list[tuple[int, list[str]]]:
    kept = [(place, row) for place, row in table.rows if not is_missing(row[at], target=True)]
    gone = [place for place, row in table.rows if is_missing(row[at], target=True)]
    if gone:
        name = clean_line(table.header[at])
        said.append(f"{counted(len(gone), 'row')} without {name!r} left out: {named(gone)}")
    if not kept:
        raise InputError(f"the target {table.header[at]!r} is empty in every row", file=table.path, fix="name another")
    return kept


def _task(table: Table, target: str, cells: Sequence[str], wanted: str | None) -> tuple[str, str]:
    """ "classification" or "regression", and why. Raises `InputError`."""
    values = [number(cell) for cell in cells]
    numbers = [value for value in values if value is not None]
    sizes, whole = Counter(cells), all(value.is_integer() for value in numbers)
    mostly = len(numbers) >= (1 - _STRAY) * len(cells)
    shown = f"{clean_line(target)!r}"
    if wanted == "regression" and not mostly:
        at = next(place for place, value in zip(table.rows, values, strict=False) if value is None)[0]
        reason = f"{shown} holds words, so it cannot be told as a number"
        raise InputError(reason, file=table.path, place=f"row {at}", fix="leave --task out, or name another --target")
    few = len(sizes) <= _MOST_CLASSES_OF_NUMBERS and len(cells) >= _LEAST_OF_A_CLASS * len(sizes)
    if wanted == "classification" or (wanted is None and (not mostly or (whole and few and numbers == values))):
        names = ", ".join(clean_line(name) for name, _ in sizes.most_common(5)) + (" ..." if len(sizes) > 5 else "")
        return "classification", f"{shown} has {counted(len(sizes), 'value')} ({names}): classes"
    text = f"{shown} holds {len(sizes)} different numbers: regression"
    return "regression", text + ("" if wanted else "; --task classification takes them for classes")


def _with_numbers(rows: list[tuple[int, list[str]]], at: int, said: list[str]) -> list[tuple[int, list[str]]]:
    gone = [place for place, row in rows if number(row[at]) is None]
    if gone:
        said.append(f"{counted(len(gone), 'row')} whose target is no number left out: {named(gone)}")
    return [(place, row) for place, row in rows if number(row[at]) is not None]


def _kind(name: str, cells: Sequence[str], said: list[str]) -> str:
    """ "number" or "category"; empty for what is left out."""
    present = [cell for cell in cells if not is_missing(cell)]
    different, shown = len(set(present)), f"column {clean_line(name)!r}"
    if different < 2:
        said.append(f"{shown} is {'empty' if not different else 'the same in every row'}: left out")
        return ""
    numbers = [value for cell in present if (value := number(cell)) is not None]
    if len(numbers) >= (1 - _STRAY) * len(present):
        if different == len(cells) and _ID_NAME.search(name) and all(value.is_integer() for value in numbers):
            said.append(f"{shown} numbers the rows: left out")
            return ""
        return "number"
    if different > max(_MOST_WORDS, _SHARE_OF_WORDS * len(present)) or (different == len(cells) and different > 10):
        said.append(f"{shown} differs in nearly every row (a name, a text, a date): left out")
        return ""
    return "category"


def _clean(table: Table, rows: list[tuple[int, list[str]]], place: int, kind: str, said: list[str]) -> None:
    """Cells as the prepared table has them: numbers with a point, nothing where one is missing."""
    gone, unread = 0, []
    for row_number, row in rows:
        if is_missing(row[place]):
            gone, row[place] = gone + 1, ""
        elif kind == "number":
            value = number(row[place])
            if value is None:
                unread.append(row_number)
            row[place] = "" if value is None else repr(value)
    shown = f"column {clean_line(table.header[place])!r}"
    if unread:
        cells = counted(len(unread), "cell that is", "cells that are")
        said.append(f"{shown} has {cells} no number, taken for missing: {named(unread)}")
    if gone:
        said.append(f"{shown}: {counted(gone, 'cell is', 'cells are')} missing")


def _digest(cells: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(cells).encode()).hexdigest()[:32]
