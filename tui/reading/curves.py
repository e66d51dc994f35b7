"""New points of logged curves, sorted into charts: from `metrics.csv`, and from the live file while it is ahead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.files import LineReader
from engine.workspace import Workspace
from tui.reading.metrics_file import EPOCH, STEP, MetricsFile

Role = Literal["train", "val", ""]
Source = Literal["log", "live"]

LOSS = "loss"
LEARNING_RATE = "learning rate"
#: not a curve to draw: the second at which each step was
SECONDS = "\0seconds"

_AXES = {*STEP, *EPOCH}
_TRAIN = {"train", "training", "tr"}
_VALIDATION = {"val", "valid", "validation", "eval", "dev"}


@dataclass(frozen=True)
class CurveKey:
    """Which curve: chart and role are read off the logged name ("val_acc_epoch" -> "acc", "val")."""

    version: str
    chart: str
    role: Role
    source: Source


@dataclass(frozen=True)
class CurveRows:
    """Points that are new since the last time. `fresh`: forget those known before."""

    key: CurveKey
    xs: Sequence[float]
    ys: Sequence[float]
    fresh: bool = False
    #: epochs logged so far, for an axis of epochs
    epochs: int = 0


class CurveFeed:
    """Follows one version's curves."""

    def __init__(self, workspace: Workspace, version: str, file: MetricsFile | None = None) -> None:
        """`file`: one that is partly read already."""
        self._workspace = workspace
        self._version = version
        self._file = file
        self._names: tuple[str, ...] = ()
        #: logged name -> its curve
        self._keys: dict[str, CurveKey] = {}
        self._live = _LiveFeed(workspace, version)

    def read(self) -> list[CurveRows]:
        return [*self._read_log(), *self._live.read()]

    def _read_log(self) -> Iterator[CurveRows]:
        folders = self._workspace.version(self._version).log_dirs()
        path = folders[-1] / "metrics.csv" if folders else None
        gone = self._file is not None and self._file.path != path
        if path is not None and (self._file is None or gone):
            self._file = MetricsFile(path)
        news = self._file.read() if self._file else None
        if news is None:
            return
        before = self._keys
        if news.names != self._names:
            self._names, self._keys = news.names, self._chosen(news.names)
        if news.fresh:
            for key in {*before.values()} - {*self._keys.values()}:
                yield CurveRows(key, (), (), True)
        for name, key in self._keys.items():
            points = news.columns.get(name)
            if points is not None:
                yield CurveRows(key, points.xs, points.ys, news.fresh, news.epochs)

    def _chosen(self, names: tuple[str, ...]) -> dict[str, CurveKey]:
        """Step-wise columns before epoch-wise ones: of two for the same curve, the finer is drawn."""
        chosen: dict[str, CurveKey] = {}
        taken: set[CurveKey] = set()
        for name in sorted(filter(None, names), key=lambda n: (n.endswith("epoch"), not n.endswith("step"), n)):
            if name.casefold() in _AXES:
                continue
            key = CurveKey(self._version, *chart_of(name), "log")
            if key not in taken:
                taken.add(key)
                chosen[name] = key
        return chosen


class _LiveFeed:
    """The callback's lines: they come a few times a second, CSVLogger writes each hundred steps."""

    def __init__(self, workspace: Workspace, version: str) -> None:
        self._version = version
        self._reader = LineReader(workspace.live(version))
        self._last: dict[CurveKey, tuple[float, float]] = {}

    def read(self) -> list[CurveRows]:
        points: dict[CurveKey, list[tuple[float, float]]] = {}
        fresh: set[CurveKey] = set()
        epochs = 0
        for line in self._reader.read():
            epochs = max(epochs, _int(line.get("epoch")))
            for key, x, y in self._points(line):
                before = self._last.get(key)
                if before is not None and x < before[0]:
                    fresh.add(key)
                    points[key] = []
                elif before is not None and y == before[1] and key.chart not in {LEARNING_RATE, SECONDS}:
                    continue  # a metric that is logged once an epoch is told with every line
                self._last[key] = (x, y)
                points.setdefault(key, []).append((x, y))
        return [
            CurveRows(key, tuple(x for x, _ in found), tuple(y for _, y in found), key in fresh, epochs)
            for key, found in points.items()
            if found
        ]

    def _points(self, line: dict[str, Any]) -> Iterator[tuple[CurveKey, float, float]]:
        step = line.get("step")
        if not isinstance(step, int | float):
            return
        seconds = line.get("seconds")
        if isinstance(seconds, int | float):
            yield CurveKey(self._version, SECONDS, "", "live"), float(step), float(seconds)
        metrics = line.get("metrics")
        for name, value in (metrics if isinstance(metrics, dict) else {}).items():
            # Lightning's validation metrics of the first steps are those of the sanity check: none
            if isinstance(value, int | float) and not name.endswith("_step"):
                chart, role = chart_of(name)
                yield CurveKey(self._version, chart, role, "live"), float(step), float(value)
        rates = line.get("learning_rate")
        if isinstance(rates, list) and rates and isinstance(rates[0], int | float):
            yield CurveKey(self._version, LEARNING_RATE, "", "live"), float(step), float(rates[0])


def chart_of(name: str) -> tuple[str, Role]:
    """`"val_loss_epoch"` -> `("loss", "val")`, `"lr-Adam"` -> `("learning rate", "")`."""
    words = [w for w in re.split(r"[^a-z0-9]+", name.casefold()) if w and w not in {"step", "epoch"}]
    role: Role = ""
    if set(words) & _TRAIN:
        role = "train"
    elif set(words) & _VALIDATION:
        role = "val"
    rest = [w for w in words if w not in _TRAIN | _VALIDATION]
    if rest[:1] == ["lr"] or rest == ["learning", "rate"]:
        return LEARNING_RATE, ""
    chart = " ".join(rest) or name
    if chart == LOSS and not role:
        role = "train"
    return {"acc": "accuracy"}.get(chart, chart), role


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
