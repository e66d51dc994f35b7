"""A growing `metrics.csv`, column by column: what is new costs what is new, whole blocks at the speed of C.

`engine.analysis.measure.curves` keeps rows with their epochs to judge a training; a screen needs the points alone, in a
tenth of the time and of the memory.
"""

from __future__ import annotations

import csv
import io
import os
from array import array
from collections.abc import Iterable, Sequence
from itertools import compress
from pathlib import Path
from typing import BinaryIO

from progtrain.engine.files import MOST_LINE, opened

STEP = ("step", "global_step", "iteration", "iter")
EPOCH = ("epoch", "epochs")
_TAIL = 64
_BLOCK = 1 << 16
#: read at once: about a hundred thousand rows
_SLICE = 1 << 22


#: x and y of one column's new points, in the order of the file
Points = tuple["array[float]", "array[float]"]


class MetricsFile:
    """Starts over when the header changed, the file shrank or was replaced, or its read part no longer stands there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: how much of what lies there has been read; below 1 the next call reads on
        self.share = 1.0
        #: whether the last call found another file: what was known before it is to be forgotten
        self.fresh = True
        self._begin_again(-1)

    def _begin_again(self, inode: int) -> None:
        self._inode, self._offset, self._tail, self._header_line = inode, 0, b"", b""
        self._header: list[str] = []
        self.names: tuple[str, ...] = ()
        self._step: int | None = None
        self._epoch: int | None = None
        self._rows = 0
        #: logged so far
        self.epochs = 0
        self._columns: dict[str, Points] = {}

    def read(self) -> dict[str, Points] | None:
        """The new points by column, at most a slice of the file. None when nothing is new."""
        self.fresh, self.share = self._offset == 0, 1.0
        try:
            with opened(self.path) as file:
                size = os.fstat(file.fileno())
                if size.st_size == self._offset and size.st_ino == self._inode and self._same_tail(file):
                    return None
                if not self._continues(file, size):
                    self.fresh = True
                    self._begin_again(size.st_ino)
                file.seek(self._offset)
                end = self._offset + _SLICE
                while self._take(file):
                    if self._offset >= end:
                        self.share = self._offset / max(size.st_size, self._offset)
                        break
        except OSError:
            if not self._offset:
                return None
            self.fresh = True
            self._begin_again(-1)
            return {}
        columns, self._columns = self._columns, {}
        return columns if columns or self.fresh else None

    def _same_tail(self, file: BinaryIO) -> bool:
        file.seek(self._offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _continues(self, file: BinaryIO, stat: os.stat_result) -> bool:
        if stat.st_ino != self._inode or stat.st_size < self._offset:
            return False
        file.seek(0)
        return file.read(len(self._header_line)) == self._header_line and self._same_tail(file)

    def _take(self, file: BinaryIO) -> bool:
        """One block of whole lines; False at the end. A torn last line is left for the next time."""
        data = file.read(_BLOCK)
        while data and b"\n" not in data and len(data) < MOST_LINE:
            more = file.read(_BLOCK)
            if not more:
                return False
            data += more
        data = data[: data.rfind(b"\n") + 1]
        if not data:
            return False
        if not self._header_line:
            self._header_line = data[: data.find(b"\n") + 1]
        self._offset += len(data)
        self._tail = (self._tail + data)[-_TAIL:]
        file.seek(self._offset)
        self._feed(data)
        return True

    def _feed(self, data: bytes) -> None:
        text = data.decode("utf-8" if self._header else "utf-8-sig", "replace")
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if not self._header:
            first, _, text = text.partition("\n")
            self._begin(next(csv.reader([first]), []))
        if text and not self._quick(text):
            self._slow(text)

    def _begin(self, header: Sequence[str]) -> None:
        self._header = list(header)
        self.names = tuple(name.strip() for name in header)
        lowered = [name.casefold() for name in self.names]
        self._step = next((lowered.index(name) for name in STEP if name in lowered), None)
        self._epoch = next((lowered.index(name) for name in EPOCH if name in lowered), None)

    def _quick(self, text: str) -> bool:
        """All cells of the block at once; False where a row is not like the others or a cell is no number."""
        width, rows = len(self._header) + 1, text.count("\n")
        if '"' in text or not self._header:
            return False
        cells = text.replace("\n", ",\n,").split(",")
        cells.pop()
        if len(cells) != rows * width or cells[width - 1 :: width].count("\n") != rows:
            return False
        try:
            steps = self._steps(cells, width, rows)
            found = {
                name: self._column(cells[index::width], steps)
                for index, name in enumerate(self.names)
                if name and index not in (self._step, self._epoch)
            }
            if self._epoch is not None:
                self._count_epochs(max((float(c) for c in {*cells[self._epoch :: width]} if c), default=-1.0))
        except ValueError:
            return False
        self._rows += rows
        for name, points in found.items():
            if points is not None:
                self._add(name, *points)
        return True

    def _steps(self, cells: list[str], width: int, rows: int) -> list[float]:
        if self._step is None:
            return [float(row) for row in range(self._rows, self._rows + rows)]
        return [*map(float, cells[self._step :: width])]

    @staticmethod
    def _column(cells: list[str], steps: list[float]) -> Points | None:
        """Cells without a number are left out."""
        count = len(cells) - cells.count("")
        if not count:
            return None
        if count == len(cells):
            return array("d", steps), _numbers(cells)
        # from lists: an array takes twice as long to grow with an iterator
        return array("d", [*compress(steps, cells)]), _numbers([*filter(None, cells)])

    def _add(self, name: str, xs: Iterable[float], ys: Iterable[float]) -> None:
        held = self._columns.setdefault(name, (array("d"), array("d")))
        held[0].extend(xs)
        held[1].extend(ys)

    def _count_epochs(self, last: float) -> None:
        if -1 < last < 1e9:
            self.epochs = max(self.epochs, int(last) + 1)

    def _slow(self, text: str) -> None:
        """Row by row: logs put together, torn rows, quoted cells, words where numbers should be."""
        try:
            for row in csv.reader(io.StringIO(text, newline="")):
                self._row(row)
        except csv.Error:
            # an endless cell: what follows is no table
            return

    def _row(self, row: list[str]) -> None:
        if not row or row == self._header:
            return
        if {cell.strip().casefold() for cell in row} & {*STEP, *EPOCH} and all(_number(c) is None for c in row):
            self._begin(row)
            return
        step = _number(row[self._step]) if self._step is not None and self._step < len(row) else None
        step = float(self._rows) if step is None else step
        self._rows += 1
        if self._epoch is not None and self._epoch < len(row):
            self._count_epochs(_number(row[self._epoch]) or 0.0)
        for index, name in enumerate(self.names[: len(row)]):
            value = None if index in (self._step, self._epoch) or not name else _number(row[index])
            if value is not None:
                self._add(name, (step,), (value,))


def _numbers(cells: list[str]) -> array[float]:
    """A learning rate says the same a thousand times: it is looked up."""
    if len({*cells[:200]}) > 20:
        return array("d", [*map(float, cells)])
    known = {cell: float(cell) for cell in {*cells}}
    if len(known) == 1:
        return array("d", known.values()) * len(cells)
    return array("d", [*map(known.__getitem__, cells)])


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
