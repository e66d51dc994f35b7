"""New points of logged curves, sorted into charts: from `metrics.csv`, and from the live file while it is ahead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from progtrain.engine.files import LineReader
from progtrain.engine.metrics import finite
from progtrain.engine.workspace import Workspace
from progtrain.tui.plot.series import Series
from progtrain.tui.reading.metrics_file import EPOCH, STEP, MetricsFile, News, Points

Role = Literal["train", "val", ""]
Source = Literal["log", "live"]

LOSS = "loss"
LEARNING_RATE = "learning rate"
#: not a curve to draw: the second at which each step was
SECONDS = "\0seconds"

_AXES = {*STEP, *EPOCH}
_TRAIN = {"train", "training", "tr"}
_VALIDATION = {"val", "valid", "validation", "eval", "dev"}


class CurveKey(NamedTuple):
    """Which curve: chart and role are read off the logged name ("val_acc_epoch" -> "acc", "val")."""

    version: str
    chart: str
    role: Role
    source: Source


class CurveRows(NamedTuple):
    """Points that are new since the last time. `fresh`: forget those known before."""

    key: CurveKey
    xs: Sequence[float]
    ys: Sequence[float]
    fresh: bool = False
    #: epochs logged so far, for an axis of epochs
    epochs: int = 0
    #: made of these points by who read them, where `fresh`
    series: Series | None = None


class CurveFeed:
    """Follows one version's curves."""

    def __init__(self, workspace: Workspace, version: str) -> None:
        self._workspace = workspace
        self._version = version
        self._file: MetricsFile | None = None
        self._names: tuple[str, ...] = ()
        #: logged name -> its curve
        self._keys: dict[str, CurveKey] = {}
        self._live = _LiveFeed(workspace, version)

    def read(self) -> list[CurveRows]:
        return [*self._read_log(), *self._live.read()]

    @property
    def share(self) -> float:
        """How much of the log has been read; below 1 the next call reads on."""
        return self._file.share if self._file is not None else 1.0

    def _read_log(self) -> Iterator[CurveRows]:
        folders = self._workspace.version(self._version).log_dirs()
        path = folders[-1] / "metrics.csv" if folders else None
        if path is not None and (self._file is None or self._file.path != path):
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
                yield self._rows(key, points, news)

    @staticmethod
    def _rows(key: CurveKey, points: Points, news: News) -> CurveRows:
        if not news.fresh:
            return CurveRows(key, points.xs, points.ys, epochs=news.epochs)
        series = Series()
        series.extend(points.xs, points.ys)
        series.prepare()
        return CurveRows(key, series.xs, series.ys, True, news.epochs, series)

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
        if self._reader.restarted():
            fresh = set(self._last)
            self._last = {}
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
            for key, found in ((key, points.get(key, [])) for key in {**dict.fromkeys(fresh), **points})
            if found or key in fresh
        ]

    def _points(self, line: dict[str, Any]) -> Iterator[tuple[CurveKey, float, float]]:
        step = finite(line.get("step"))
        if step is None:
            return
        seconds = _float(line.get("seconds"))
        if seconds is not None:
            yield CurveKey(self._version, SECONDS, "", "live"), float(step), seconds
        metrics = line.get("metrics")
        for name, value in (metrics if isinstance(metrics, dict) else {}).items():
            # Lightning's validation metrics of the first steps are those of the sanity check: none
            number = _float(value)
            if number is not None and not name.endswith("_step"):
                chart, role = chart_of(name)
                yield CurveKey(self._version, chart, role, "live"), float(step), number
        rates = line.get("learning_rate")
        rate = _float(rates[0]) if isinstance(rates, list) and rates else None
        if rate is not None:
            yield CurveKey(self._version, LEARNING_RATE, "", "live"), float(step), rate


def _float(value: object) -> float | None:
    """Also what is not finite: a loss that is no number any more is told."""
    return value if isinstance(value, float) else finite(value)


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
