"""Training curves from `metrics.csv`, as Lightning's CSVLogger writes it and as people write it by hand.

CSVLogger interleaves rows of training and validation with empty cells, and rewrites the whole file when a new
column appears. Anything that is not a number in a cell is left out; what is not finite is counted.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from progtrain.engine.errors import InputError

_STEP = ("step", "global_step", "iteration", "iter")
_EPOCH = ("epoch", "epochs")
_TRAIN = frozenset({"train", "training", "tr", "fit"})
_VALIDATION = frozenset({"val", "valid", "validation", "eval", "dev", "holdout"})
_LOSS = frozenset({"loss", "losses", "nll", "criterion", "objective", "ce", "bce"})
#: bytes before the read position that must not change while a file grows
_TAIL = 64


@dataclass(frozen=True)
class Series:
    """One column: what was logged, in order. The lists are parallel."""

    steps: list[int] = field(default_factory=list)
    epochs: list[int | None] = field(default_factory=list)
    #: may hold values that are not finite
    values: list[float] = field(default_factory=list)

    def copy(self) -> Series:
        return Series(self.steps.copy(), self.epochs.copy(), self.values.copy())


class Curves:
    """What a training logged. Frozen: a reader makes a new one when there is more."""

    def __init__(self, columns: dict[str, Series], *, rows: int = 0, torn: bool = False) -> None:
        self._columns = columns
        self.rows = rows
        #: the last line was incomplete, and left out
        self.torn = torn

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns that hold at least one number, as logged; without `step` and `epoch`."""
        return tuple(name for name, series in self._columns.items() if series.values)

    @cached_property
    def epochs(self) -> int:
        """Epochs that were logged, from the `epoch` column (0 where there is none)."""
        seen = [e for series in self._columns.values() for e in series.epochs if e is not None]
        return max(seen) - min(0, *seen) + 1 if seen else 0

    def raw(self, name: str) -> Series:
        """Raises KeyError for a column that is not there."""
        return self._columns[name]

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and finite values of a column; two empty lists when there is no such column."""
        series = self._columns.get(name, Series())
        pairs = [(s, v) for s, v in zip(series.steps, series.values, strict=True) if math.isfinite(v)]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def per_epoch(self, name: str) -> list[tuple[int, float]]:
        """(epoch counted from 1, value) in order of epochs, values may be not finite.

        A column logged once an epoch gives that value, the last one where an epoch was logged twice (a
        resumed training); one logged each few steps gives the epoch's mean. Without an `epoch` column rows
        count.
        """
        series = self._columns.get(name, Series())
        if all(epoch is None for epoch in series.epochs):
            return list(enumerate(series.values, start=1))
        groups: dict[int, list[float]] = {}
        for epoch, value in zip(series.epochs, series.values, strict=True):
            if epoch is not None:
                groups.setdefault(epoch, []).append(value)
        stepwise = self._is_stepwise(groups)
        first = min(0, *groups)
        return [
            (epoch - first + 1, sum(values) / len(values) if stepwise else values[-1])
            for epoch, values in sorted(groups.items())
        ]

    @staticmethod
    def _is_stepwise(groups: dict[int, list[float]]) -> bool:
        counts = sorted(len(values) for values in groups.values())
        return bool(counts) and counts[len(counts) // 2] > 1

    def nonfinite(self, names: Iterable[str] | None = None) -> int:
        """Logged values that were not finite, in these columns or in all."""
        wanted = self.names if names is None else tuple(names)
        return sum(1 for name in wanted for value in self._columns[name].values if not math.isfinite(value))

    @cached_property
    def train_loss(self) -> str | None:
        """Column of the training loss: the epoch-wise one where both are logged."""
        return self._loss(_is_train_loss, prefer=("epoch", "", "step"))

    @cached_property
    def train_loss_steps(self) -> str | None:
        """Column of the training loss, step-wise where that is logged."""
        return self._loss(_is_train_loss, prefer=("step", "", "epoch"))

    @cached_property
    def val_loss(self) -> str | None:
        """Column of the validation loss."""
        return self._loss(_is_val_loss, prefer=("epoch", "", "step"))

    @cached_property
    def learning_rate(self) -> str | None:
        """Column of the learning rate, as LearningRateMonitor names it or by its usual names."""
        for name in self.names:
            words = _words(name)
            if words[:1] == ["lr"] or words in (["learning", "rate"], ["train", "lr"]):
                return name
        return None

    def _loss(self, wanted: Callable[[list[str]], bool], prefer: Sequence[str]) -> str | None:
        found = [name for name in self.names if wanted(_words(name))]
        found.sort(key=lambda name: (prefer.index(_frequency(name)), len(name), name))
        return found[0] if found else None


def _words(name: str) -> list[str]:
    """`"Loss/valid_epoch"` -> `["loss", "valid"]`: lower case, without what says how often it was logged."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.casefold()) if word]
    return [word for word in words if word not in ("step", "epoch", "avg", "mean")]


def _frequency(name: str) -> str:
    words = re.split(r"[^a-z0-9]+", name.casefold())
    return next((kind for kind in ("epoch", "step") if kind in words), "")


def _is_val_loss(words: list[str]) -> bool:
    return bool(_LOSS & set(words)) and bool(_VALIDATION & set(words))


def _is_train_loss(words: list[str]) -> bool:
    if not _LOSS & set(words):
        return False
    return bool(_TRAIN & set(words)) or (len(words) == 1 and words[0] in _LOSS)


class CurveReader:
    """Reads a growing `metrics.csv`: `read()` parses only what is new.

    It starts over when the header changed, the file shrank or was replaced, or what was read before no longer
    stands there. A last line without its line end is left for the next time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parser = _Parser()
        self._offset = 0
        self._tail = b""
        self._inode = -1
        self._curves = Curves({})

    def read(self) -> Curves:
        """All curves so far; the same object when nothing is new. Empty while there is no file."""
        try:
            with self.path.open("rb") as file:
                if not self._continues(file):
                    self._start_over(os.fstat(file.fileno()).st_ino)
                file.seek(self._offset)
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            if self._offset:
                self._start_over(-1)
                self._curves = Curves({})
            return self._curves
        complete = data[: data.rfind(b"\n") + 1]
        if complete or not self._offset:
            self._offset += len(complete)
            self._tail = (self._tail + complete)[-_TAIL:]
            self._parser.feed(complete)
            self._curves = self._parser.curves(torn=len(complete) < len(data))
        return self._curves

    def _continues(self, file: io.BufferedReader) -> bool:
        stat = os.fstat(file.fileno())
        if stat.st_ino != self._inode or stat.st_size < self._offset:
            return False
        header = self._parser.header_line
        if file.read(len(header)) != header:
            return False
        file.seek(self._offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _start_over(self, inode: int) -> None:
        self._parser, self._offset, self._tail, self._inode = _Parser(), 0, b"", inode


class _Parser:
    """Rows to columns. A line that is a header again (logs put together) changes the columns from there."""

    def __init__(self) -> None:
        self.header_line = b""
        self._header: list[str] = []
        self._columns: dict[str, Series] = {}
        self._values: list[tuple[int, Series]] = []
        self._step: int | None = None
        self._epoch: int | None = None
        self._rows = 0

    def feed(self, data: bytes) -> None:
        if not self.header_line:
            self.header_line = data[: data.find(b"\n") + 1]
        text = data.decode("utf-8-sig" if not self._rows else "utf-8", errors="replace")
        try:
            for row in csv.reader(io.StringIO(text, newline="")):
                self._row(row)
        except csv.Error:
            # an endless cell: what follows is no table
            return

    def curves(self, *, torn: bool) -> Curves:
        copies = {name: series.copy() for name, series in self._columns.items()}
        return Curves(copies, rows=self._rows, torn=torn)

    def _row(self, row: list[str]) -> None:
        if not row or row == self._header:
            return
        if not self._header or _is_header(row):
            self._begin(row)
            return
        self._rows += 1
        step = _whole(row, self._step)
        epoch = _whole(row, self._epoch)
        if step is None:
            step = self._rows - 1
        width = len(row)
        for index, series in self._values:
            if index >= width or not (cell := row[index]):
                continue
            try:
                value = float(cell)
            except ValueError:
                continue
            series.values.append(value)
            series.steps.append(step)
            series.epochs.append(epoch)

    def _begin(self, header: list[str]) -> None:
        self._header = header
        names = [name.strip() for name in header]
        lowered = [name.casefold() for name in names]
        self._step = next((lowered.index(name) for name in _STEP if name in lowered), None)
        self._epoch = next((lowered.index(name) for name in _EPOCH if name in lowered), None)
        self._values = [
            (index, self._columns.setdefault(name, Series()))
            for index, name in enumerate(names)
            if name and index not in (self._step, self._epoch)
        ]


def _is_header(row: list[str]) -> bool:
    """No cell is a number, and one says step or epoch."""
    lowered = {cell.strip().casefold() for cell in row}
    return bool(lowered & {*_STEP, *_EPOCH}) and not any(_is_number(cell) for cell in row)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _whole(row: list[str], index: int | None) -> int | None:
    if index is None or index >= len(row) or not row[index]:
        return None
    try:
        return int(row[index])
    except ValueError:
        pass
    try:
        return int(float(row[index]))
    except (ValueError, OverflowError):
        return None


def read_metrics(path: Path) -> Curves:
    """Reads a `metrics.csv` once. Raises `InputError` when it is missing or holds no number at all."""
    fix = "train again, or check that the script logs with CSVLogger"
    try:
        curves = CurveReader(path).read()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path, fix=fix) from error
    if not path.is_file():
        raise InputError("the file does not exist", file=path, fix=fix)
    if not curves.names:
        raise InputError("no logged value can be read from it", file=path, fix=fix)
    return curves
