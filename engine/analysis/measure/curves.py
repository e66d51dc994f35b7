"""Training curves from `metrics.csv`, as Lightning's CSVLogger writes it and as people write it by hand.

CSVLogger interleaves rows of training and validation with empty cells. Anything that is not a number in a cell is left
out; what is not finite is kept.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from progtrain.engine.errors import InputError
from progtrain.engine.files import MOST_TABLE, read_bytes, unread
from progtrain.engine.values import number

T = TypeVar("T")

_STEP = ("step", "global_step", "iteration", "iter")
_EPOCH = ("epoch", "epochs")
_TRAIN = frozenset({"train", "training", "tr", "fit"})
_VALIDATION = frozenset({"val", "valid", "validation", "eval", "dev", "holdout"})
_LOSS = frozenset({"loss", "losses", "nll", "criterion", "objective", "ce", "bce"})

#: of one column, in the order of the log: step, epoch, value
Points = list[tuple[int, int | None, float]]


class Curves:
    """What a training logged."""

    def __init__(self, columns: dict[str, Points], *, torn: bool = False) -> None:
        #: columns that hold at least one number, as logged; without `step` and `epoch`
        self.columns = columns
        #: the last line was incomplete, and left out
        self.torn = torn

    @property
    def epochs(self) -> int:
        """Epochs that were logged, from the `epoch` column (0 where there is none)."""
        seen = [epoch for points in self.columns.values() for _, epoch, _ in points if epoch is not None]
        return max(seen) - min(0, *seen) + 1 if seen else 0

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and finite values of a column; two empty lists when there is no such column."""
        finite = [(step, value) for step, _, value in self.columns.get(name, ()) if math.isfinite(value)]
        return [step for step, _ in finite], [value for _, value in finite]

    def per_epoch(self, name: str) -> list[tuple[int, float]]:
        """(epoch counted from 1, value) in order of epochs, values may be not finite.

        A column logged once an epoch gives that value, the last one where an epoch was logged twice (a
        resumed training); one logged each few steps gives the epoch's mean. Without an `epoch` column rows
        count.
        """
        groups: dict[int, list[float]] = {}
        for _, epoch, value in self.columns.get(name, ()):
            if epoch is not None:
                groups.setdefault(epoch, []).append(value)
        if not groups:
            return [(row, value) for row, (_, _, value) in enumerate(self.columns.get(name, ()), start=1)]
        stepwise = sorted(map(len, groups.values()))[len(groups) // 2] > 1
        first = min(0, *groups)
        return [
            (epoch - first + 1, sum(values) / len(values) if stepwise else values[-1])
            for epoch, values in sorted(groups.items())
        ]

    @property
    def train_loss(self) -> str | None:
        """Column of the training loss: the epoch-wise one where both are logged."""
        return self._loss(_is_train_loss, prefer=("epoch", "", "step"))

    @property
    def train_loss_steps(self) -> str | None:
        """Column of the training loss, step-wise where that is logged."""
        return self._loss(_is_train_loss, prefer=("step", "", "epoch"))

    @property
    def val_loss(self) -> str | None:
        """Column of the validation loss."""
        return self._loss(_is_val_loss, prefer=("epoch", "", "step"))

    def _loss(self, wanted: Callable[[set[str]], bool], prefer: Sequence[str]) -> str | None:
        """`prefer` is about how often it was logged; "" stands for a name that does not say so."""

        def place(name: str) -> tuple[int, int, str]:
            often = next((kind for kind in ("epoch", "step") if kind in _words(name)), "")
            return prefer.index(often), len(name), name

        return min((name for name in self.columns if wanted(_words(name))), key=place, default=None)


def _words(name: str) -> set[str]:
    """`"Loss/valid_epoch"` -> `{"loss", "valid", "epoch"}`."""
    return set(re.split(r"[^a-z0-9]+", name.casefold())) - {""}


def _is_val_loss(words: set[str]) -> bool:
    return bool(_LOSS & words) and bool(_VALIDATION & words)


def _is_train_loss(words: set[str]) -> bool:
    alone = len(words - {"step", "epoch", "avg", "mean"}) == 1
    return bool(_LOSS & words) and (bool(_TRAIN & words) or alone)


def read_metrics(path: Path) -> Curves:
    """Reads a `metrics.csv`. Raises `InputError` when it is missing or holds no number at all."""
    fix = "train again, or check that the script logs with CSVLogger"
    try:
        data = read_bytes(path, MOST_TABLE)
    except OSError as error:
        raise unread(error, path, fix) from error
    complete = data[: data.rfind(b"\n") + 1]
    columns = _columns(csv.reader(io.StringIO(complete.decode("utf-8-sig", errors="replace"), newline="")))
    if not columns:
        raise InputError("no logged value can be read from it", file=path, fix=fix)
    return Curves(columns, torn=len(complete) < len(data))


def _columns(rows: Iterator[list[str]]) -> dict[str, Points]:
    columns: dict[str, Points] = {}
    for step, epoch, values in logged(rows, lambda name: columns.setdefault(name, [])):
        for points, value in values:
            points.append((step, epoch, value))
    return {name: points for name, points in columns.items() if points}


def logged(
    rows: Iterator[list[str]], column: Callable[[str], T], count: int = 0
) -> Iterator[tuple[int, int | None, list[tuple[T, float]]]]:
    """Row by row: step (the row's number where none is logged), epoch, and the numbers, each with what `column` gives.

    A line that is a header again (logs put together) changes the columns from there. `count`: of rows before.
    """
    header: list[str] = []
    step_at = epoch_at = None
    columns: list[tuple[int, T]] = []
    for row in _readable(rows):
        if not row or row == header:
            continue
        if not header or (number(row[0]) is None and _is_header(row)):
            header, names = row, [name.strip() for name in row]
            step_at, epoch_at = axes(names)
            columns = [(i, column(name)) for i, name in enumerate(names) if name and i not in (step_at, epoch_at)]
            continue
        step, epoch = _cell(row, step_at), _cell(row, epoch_at)
        step = count if step is None else step
        count += 1
        values = [
            (named, value)
            for index, named in columns
            if index < len(row) and row[index] and (value := number(row[index])) is not None
        ]
        yield step, epoch, values


def _readable(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error:
        # an endless cell: what follows is no table
        return


def axes(names: Sequence[str]) -> tuple[int | None, int | None]:
    """Which columns hold step and epoch."""
    return _find(_STEP, names), _find(_EPOCH, names)


def _find(wanted: Sequence[str], names: Sequence[str]) -> int | None:
    lowered = [name.casefold() for name in names]
    return next((lowered.index(name) for name in wanted if name in lowered), None)


def _is_header(row: list[str]) -> bool:
    """No cell is a number, and one says step or epoch."""
    if any(number(cell) is not None for cell in row):
        return False
    return not {cell.strip().casefold() for cell in row}.isdisjoint((*_STEP, *_EPOCH))


def _cell(row: list[str], index: int | None) -> int | None:
    return whole(row[index]) if index is not None and index < len(row) else None


def whole(cell: str) -> int | None:
    """A step or an epoch; None for what is no number, or not finite."""
    try:
        return int(cell)
    except ValueError:
        value = number(cell)
        return int(value) if value is not None and math.isfinite(value) else None
