"""A log by column, thousands of rows at once: a regular one at the speed of C, any other row by row to the same values.

`engine.analysis.measure.curves.logged` says what a log means. Here what it would find is worked out for a whole block,
where all rows of it are alike and hold nothing but numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from progtrain.engine.analysis.measure.curves import axes, logged, whole
from progtrain.engine.files import lines_of
from progtrain.engine.values import number

#: of one block
_ROWS = 20_000
#: characters of a line; csv itself gives up at a cell of 131,072
_LONGEST = 100_000


#: steps, epochs and columns of rows that follow on each other: name -> a number for each row, None where the row has
#: none; columns without any number are left out
Block = tuple[Sequence[int], Sequence[int | None], dict[str, list[float | None]]]


def read(path: Path, rows: int = _ROWS) -> Iterator[Block]:
    """All rows, so many at a time; without a last line that is still being written. Raises `OSError`."""
    lines = (line for line in lines_of(path) if line.endswith(("\n", "\r")))
    first, held, count = next(lines, ""), list[str](), 0
    names = _names(first)
    while names:
        held = list(islice(lines, rows))
        if not held:
            return
        block = _quick(names, held, count)
        if block is None:
            break
        count += len(held)
        yield block
    yield from _slow(chain([first], held, lines), count, rows)


def _names(header: str) -> list[str]:
    """None where it takes more than a comma to tell them apart, or to tell the header from a row."""
    names = [cell.strip() for cell in header.rstrip("\r\n").split(",")]
    plain = '"' not in header and header.endswith("\n") and len(header) < _LONGEST
    apart = all(names) and len({*names}) == len(names) > 1 and all(number(name) is None for name in names)
    return names if plain and apart else []


def _quick(names: Sequence[str], lines: Sequence[str], count: int) -> Block | None:
    """None where a row is not like the others or a cell is no number. `count`: of rows before."""
    text, rows, width = "".join(lines).replace("\r\n", "\n"), len(lines), len(names) + 1
    if '"' in text or "\r" in text or max(map(len, lines)) > _LONGEST:
        return None
    cells = text.replace("\n", ",\n,").split(",")
    cells.pop()
    if len(cells) != rows * width or cells[width - 1 :: width].count("\n") != rows:
        return None
    step_at, epoch_at = axes(names)
    try:
        steps = range(count, count + rows) if step_at is None else _steps(cells[step_at::width])
        epochs = [None] * rows if epoch_at is None else _epochs(cells[epoch_at::width])
        logs = {name: cells[i::width] for i, name in enumerate(names) if i not in (step_at, epoch_at)}
        return steps, epochs, {name: _numbers(log) for name, log in logs.items() if log.count("") < rows}
    except ValueError:
        return None


def _steps(cells: list[str]) -> list[int]:
    try:
        return [*map(int, cells)]
    except ValueError:
        return [_whole(cell) for cell in cells]


def _epochs(cells: list[str]) -> list[int | None]:
    known = {cell: _whole(cell) if cell else None for cell in {*cells}}
    return [*map(known.__getitem__, cells)]


def _whole(cell: str) -> int:
    found = whole(cell)
    if found is None:
        raise ValueError(cell)
    return found


def _numbers(cells: list[str]) -> list[float | None]:
    return [float(cell) if cell else None for cell in cells] if "" in cells else [*map(float, cells)]


def _slow(lines: Iterator[str], count: int, rows: int) -> Iterator[Block]:
    names: dict[str, str] = {}
    found = logged(csv.reader(lines), lambda name: names.setdefault(name, name), count)
    while block := list(islice(found, rows)):
        columns: dict[str, list[float | None]] = {name: [None] * len(block) for name in names}
        for place, (_, _, values) in enumerate(block):
            for name, value in values:
                columns[name][place] = value
        held = {name: column for name, column in columns.items() if column.count(None) < len(column)}
        yield [step for step, _, _ in block], [epoch for _, epoch, _ in block], held
