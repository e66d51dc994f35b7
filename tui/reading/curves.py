"""New points of logged curves, sorted into charts: from `metrics.csv`, and from the live file while it is ahead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from engine.files import LineReader
from engine.insight.curves import CurveReader, Curves
from engine.workspace import Workspace

Role = Literal["train", "val", ""]
Source = Literal["log", "live"]

LOSS = "loss"
LEARNING_RATE = "learning rate"

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
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    fresh: bool = False
    #: epochs logged so far, for an axis of epochs
    epochs: int = 0


class CurveFeed:
    """Follows one version's curves."""

    def __init__(self, workspace: Workspace, version: str) -> None:
        self._workspace = workspace
        self._version = version
        self._reader: CurveReader | None = None
        self._curves: Curves | None = None
        self._seen: dict[str, tuple[int, float]] = {}
        self._live = _LiveFeed(workspace, version)

    def read(self, *, live: bool) -> list[CurveRows]:
        return [*self._read_log(), *(self._live.read() if live else [])]

    def _read_log(self) -> Iterator[CurveRows]:
        folders = self._workspace.version(self._version).log_dirs()
        if not folders:
            return
        path = folders[-1] / "metrics.csv"
        if self._reader is None or self._reader.path != path:
            self._reader = CurveReader(path)
        curves = self._reader.read()
        if curves is self._curves:
            return
        self._curves = curves
        chosen = {curves.train_loss_steps: "train", curves.val_loss: "val"}
        taken: set[tuple[str, Role]] = set()
        # step-wise columns before epoch-wise ones: of two for the same curve, the finer is drawn
        for name in sorted(curves.names, key=lambda n: (n not in chosen, n.endswith("epoch"), n)):
            chart, role = chart_of(name)
            if name == curves.learning_rate:
                chart, role = LEARNING_RATE, ""
            if (chart, role) in taken:
                continue
            taken.add((chart, role))
            key = CurveKey(self._version, chart, role, "log")
            if rows := self._new(key, name, curves):
                yield rows

    def _new(self, key: CurveKey, name: str, curves: Curves) -> CurveRows | None:
        series = curves.raw(name)
        count, last = self._seen.get(name, (0, 0.0))
        fresh = count == 0 or count > len(series.values) or _differs(series.values[count - 1], last)
        start = 0 if fresh else count
        if start == len(series.values):
            return None
        self._seen[name] = (len(series.values), series.values[-1])
        return CurveRows(
            key, tuple(map(float, series.steps[start:])), tuple(series.values[start:]), fresh, curves.epochs
        )


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
                elif before is not None and y == before[1] and key.chart != LEARNING_RATE:
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


def _differs(a: float, b: float) -> bool:
    return a != b and not (a != a and b != b)


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
