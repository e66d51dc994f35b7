"""A run from elsewhere while it is read, and the files that it is read from: whatever they hold, bounded.

What comes from a tracker was written by anybody. Names and texts are made harmless and cut as they come, curves keep at
most as many points as a person can use, and only ordinary files are opened.
"""

from __future__ import annotations

import json
import math
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from progtrain.engine import files
from progtrain.engine.errors import InputError
from progtrain.engine.json_text import loaded
from progtrain.engine.text import clean_line

T = TypeVar("T")
Param = str | float | int | bool | None

MOST_BYTES = 4 * 1024**3
#: of one curve, and of all of a run
MOST_POINTS, MOST_POINTS_IN_ALL = 50_000, 2_000_000
_MOST_METRICS, _MOST_PARAMS, _MOST_NOTES = 1000, 2000, 20
LONGEST_NAME, _LONGEST_TEXT = 200, 500
#: of one value that is parsed
LONGEST_JSON = 1_000_000
#: a file that takes longer is none that a training wrote
_SECONDS = 300.0
_DEEPEST = 8


class Series:
    """One curve. Of more points than `MOST_POINTS` every second, fourth ... is kept, the last one always."""

    __slots__ = ("every", "last", "seen", "steps", "times", "values")

    def __init__(self) -> None:
        self.steps, self.times, self.values = array("d"), array("d"), array("d")
        self.every, self.seen = 1, 0
        self.last = (math.nan, math.nan, math.nan)

    def add(self, step: float, at: float, value: float) -> None:
        if self.seen % self.every == 0:
            self.steps.append(step)
            self.times.append(at)
            self.values.append(value)
        self.seen += 1
        self.last = (float(step), float(at), float(value))
        if len(self.steps) > MOST_POINTS:
            self.thin()

    def thin(self) -> None:
        for one in (self.steps, self.times, self.values):
            del one[1::2]
        self.every *= 2

    def points(self) -> Iterator[tuple[float, float, float]]:
        """Step, seconds since 1970 and value; not a number where one is not known."""
        yield from zip(self.steps, self.times, self.values, strict=True)
        if self.seen and (self.seen - 1) % self.every:
            yield self.last


@dataclass
class Imported:
    #: what it is called where it comes from
    name: str
    source: str
    #: that it was read from
    files: list[Path]
    params: dict[str, Param] = field(default_factory=dict)
    #: what the tracker itself keeps as a metric's final value; others end with their last point
    summary: dict[str, float] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    state: str = ""
    started: float | None = None
    ended: float | None = None
    notes: list[str] = field(default_factory=list)
    most_points: int = MOST_POINTS_IN_ALL
    _points: int = 0

    def point(self, metric: str, step: float, at: float | None, value: float) -> None:
        series = self._series(metric)
        if series is None:
            return
        series.add(step, math.nan if at is None else at, value)
        self._points += 1
        if self._points > self.most_points:
            if self.kept > self.most_points * 3 // 4:
                self.thin()
            self._points = self.kept

    @property
    def kept(self) -> int:
        """How many points it holds."""
        return sum(len(one.steps) for one in self.series.values())

    def thin(self) -> None:
        for one in self.series.values():
            one.thin()

    def again(self, step: float) -> None:
        """A training that began again there: what stands at this step and after it does not count."""
        for name, series in self.series.items():
            self.series[name] = Series()
            for row in series.points():
                if row[0] < step:
                    self.series[name].add(*row)

    def _series(self, metric: str) -> Series | None:
        # a name as it came is looked up first: cleaning each point's would take most of the time
        if (found := self.series.get(metric)) is not None:
            return found
        name = clean_line(metric)[:LONGEST_NAME]
        if name not in self.series:
            if len(self.series) >= _MOST_METRICS:
                self.note(f"it has more than {_MOST_METRICS} metrics: the first ones are kept")
                return None
            self.series[name] = Series()
        return self.series[name]

    def param(self, key: str, value: object) -> None:
        """A setting; a mapping becomes settings with dots in their names, what else is no plain value its text."""
        for name, plain in _flat(key, value, _DEEPEST):
            if len(self.params) >= _MOST_PARAMS:
                self.note(f"it has more than {_MOST_PARAMS} settings: the first ones are kept")
                return
            self.params[clean_line(name)[:LONGEST_NAME]] = plain

    def final(self, metric: str, value: float) -> None:
        if len(self.summary) < _MOST_METRICS:
            self.summary[clean_line(metric)[:LONGEST_NAME]] = value

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < _MOST_NOTES:
            self.notes.append(clean_line(text)[:_LONGEST_TEXT])

    @property
    def empty(self) -> bool:
        return not (self.series or self.summary)

    def finals(self) -> dict[str, float]:
        """Metric -> its value at the end, as the tracker has it or as the curve ends."""
        return {name: series.last[2] for name, series in self.series.items()} | self.summary


def _flat(key: str, value: object, depth: int) -> Iterator[tuple[str, Param]]:
    if isinstance(value, Mapping) and value and depth:
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}" if key else str(name), inner, depth - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield key, str(value)
    elif value is None or isinstance(value, bool | int | float):
        yield key, value if not isinstance(value, int) or abs(value) < 2**63 else float("inf")
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        yield key, clean_line(text[:_LONGEST_TEXT])


def parsed(text: str | bytes) -> Any:
    """JSON that a tracker keeps; None for what is none, or too long for a value."""
    if len(text) > LONGEST_JSON:
        return None
    try:
        return loaded(text)
    except ValueError:
        return None


def a_number(value: object) -> float | None:
    """NaN and infinity are numbers here: a curve shows that a training came to them."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def opened(path: Path) -> BufferedReader:
    """An ordinary file of 4 GiB at most, for reading. Raises `InputError`."""
    try:
        return files.opened(path, MOST_BYTES)
    except OSError as error:
        raise InputError(error.strerror or str(error), file=path, fix="name the log of a training alone") from error


def within_time(
    records: Iterable[T],
    note: Callable[[str], None],
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[T]:
    """Ends early, and says so, where reading goes on for longer than anybody would wait."""
    end = clock() + seconds
    for count, record in enumerate(records):
        if count % 1000 == 999 and clock() > end:
            note(f"reading was ended after {seconds:.0f} s: what came before is kept")
            return
        yield record


def below(folder: Path, wanted: Callable[[str], bool], most: int = 20_000, deepest: int = 12) -> list[Path]:
    """Ordinary files whose name is wanted, in the order of their paths. No link is followed.

    Raises `InputError` where the folder holds more than anybody's runs.
    """
    found: list[Path] = []
    folders, seen = [(folder, 0)], 0
    while folders:
        here, depth = folders.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            raise InputError(error.strerror or str(error), file=here, fix="name a folder that can be read") from error
        seen += len(entries)
        if seen > most:
            raise InputError(f"it holds more than {most} files", file=folder, fix="name the folder of the runs alone")
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth < deepest:
                    folders.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False) and wanted(entry.name):
                found.append(Path(entry.path))
    return sorted(found)


def with_hparams(run: Imported, folder: Path) -> None:
    """Settings of `hparams.yaml`, which Lightning writes beside its logs."""
    from progtrain.engine.yaml_text import number, read_mapping

    path = folder / "hparams.yaml"
    if not path.is_file() or path.is_symlink():
        return
    try:
        with opened(path) as file:
            text = file.read(LONGEST_JSON + 1).decode("utf-8", "replace")
        # an alias may stand for as much as a reader can hold, and no list of settings needs one
        if len(text) > LONGEST_JSON or "&" in text:
            raise InputError("it is longer than a list of settings, or holds anchors")
        found = read_mapping(text, path)
    except InputError as error:
        run.note(f"hparams.yaml is not read: {error.reason}")
        return
    run.files.append(path)
    for key, value in found.items():
        if key not in run.params:
            run.param(key, number(value))
