"""New points of logged curves, sorted into charts: from `metrics.csv`, and from the live file while it is ahead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from progtrain.engine.files import LineReader
from progtrain.engine.metrics import canonical, finite
from progtrain.engine.workspace import VersionFolder, Workspace
from progtrain.tui.plot.series import Series
from progtrain.tui.reading.metrics_file import EPOCH, STEP, MetricsFile

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
    """Follows one version's curves, or those of whatever else trained."""

    def __init__(
        self, workspace: Workspace, version: str, *, made: VersionFolder | None = None, live: Path | None = None
    ) -> None:
        """`made`, `live`: where its logs and its live file are, if not where a version of the workspace has them."""
        self._made = made or workspace.version(version)
        self._version = version
        self._file: MetricsFile | None = None
        self._names: tuple[str, ...] = ()
        #: logged name -> its curve
        self._keys: dict[str, CurveKey] = {}
        # the callback's lines: they come a few times a second, CSVLogger writes each hundred steps
        self._live = LineReader(live or workspace.live(version))
        self._last: dict[CurveKey, tuple[float, float]] = {}
        #: names that the callback told so far, and the curves of those that are drawn
        self._live_names: set[str] = set()
        self._live_curves: dict[str, tuple[str, Role]] = {}

    def read(self) -> list[CurveRows]:
        return [*self._read_log(), *self._read_live()]

    @property
    def share(self) -> float:
        """How much of the log has been read; below 1 the next call reads on."""
        return self._file.share if self._file is not None else 1.0

    def _read_log(self) -> Iterator[CurveRows]:
        folders = self._made.log_dirs()
        # a tool without Lightning's logger has its log beside the checkpoints
        path = (folders[-1] if folders else self._made.path) / "metrics.csv"
        # one that was deleted is still followed: that it is gone is news
        if (folders or path.is_file()) and (self._file is None or self._file.path != path):
            self._file = MetricsFile(path)
        file = self._file
        columns = file.read() if file else None
        if file is None or columns is None:
            return
        before = self._keys
        if file.names != self._names:
            self._names = file.names
            drawn = curves_of(file.names)
            self._keys = {name: CurveKey(self._version, *curve, "log") for name, curve in drawn.items()}
        if file.fresh:
            for key in {*before.values()} - {*self._keys.values()}:
                yield CurveRows(key, (), (), True)
        for name, key in self._keys.items():
            if name not in columns:
                continue
            xs, ys = columns[name]
            if file.fresh:
                series = Series()
                series.extend(xs, ys)
                series.prepare()
                yield CurveRows(key, series.xs, series.ys, True, file.epochs, series)
            else:
                yield CurveRows(key, xs, ys, epochs=file.epochs)

    def _read_live(self) -> list[CurveRows]:
        points: dict[CurveKey, list[tuple[float, float]]] = {}
        fresh: set[CurveKey] = set()
        epochs = 0
        if self._live.restarted():
            fresh = set(self._last)
            self._last = {}
        for line in self._live.look():
            epochs = max(epochs, epoch if isinstance(epoch := line.get("epoch"), int) else 0)
            for key, x, y in self._live_points(line):
                before = self._last.get(key)
                if before is not None and x < before[0]:
                    fresh.add(key)
                    points[key] = []
                elif before is not None and y == before[1] and key.chart not in {LEARNING_RATE, SECONDS}:
                    continue  # a metric that is logged once an epoch is told with every line
                self._last[key] = (x, y)
                points.setdefault(key, []).append((x, y))
        return [
            CurveRows(key, [x for x, _ in found], [y for _, y in found], key in fresh, epochs)
            for key in {**dict.fromkeys(fresh), **points}
            if (found := points.get(key, [])) or key in fresh
        ]

    def _live_points(self, line: dict[str, Any]) -> Iterator[tuple[CurveKey, float, float]]:
        step = finite(line.get("step"))
        if step is None:
            return
        metrics = told if isinstance(told := line.get("metrics"), dict) else {}
        if not metrics.keys() <= self._live_names:
            self._live_names |= metrics.keys()
            names = (name for name in metrics if not name.endswith("_step"))
            self._live_curves = curves_of(names, self._live_curves)
        rates = line.get("learning_rate")
        values: list[tuple[str, Role, object]] = [(SECONDS, "", line.get("seconds"))]
        # Lightning's validation metrics of the first steps are those of the sanity check: none
        values += [(*self._live_curves[name], value) for name, value in metrics.items() if name in self._live_curves]
        values += [(LEARNING_RATE, "", rates[0])] if isinstance(rates, list) and rates else []
        for chart, role, value in values:
            number = _float(value)
            if number is not None:
                yield CurveKey(self._version, chart, role, "live"), float(step), number


def _float(value: object) -> float | None:
    """Also what is not finite: a loss that is no number any more is told."""
    return value if isinstance(value, float) else finite(value)


def chart_of(name: str) -> tuple[str, Role]:
    """`"val_loss_epoch"` -> `("loss", "val")`, `"lr-Adam"` -> `("learning rate", "")`.

    What is no separator belongs to the name, in any script: `"recall@5"` and `"recall_5"` are two charts.
    """
    words = [w for w in re.split(r"[_/\s.:-]+", name.casefold()) if w and w not in {"step", "epoch"}]
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
    return canonical(chart) if len(rest) == 1 else chart, role


def curves_of(names: Iterable[str], known: Mapping[str, tuple[str, Role]] | None = None) -> dict[str, tuple[str, Role]]:
    """Chart and role of each logged name that is drawn.

    Of a step-wise and an epoch-wise column of one quantity the finer is drawn. Two quantities never share a curve:
    the second one of a chart and role gets a chart of its own, under its whole name. What is `known` stays as it is.
    """
    chosen = dict(known or {})
    #: curve -> the quantity that it shows
    taken = {curve: _quantity(name) for name, curve in chosen.items()}
    for name in sorted(filter(None, names), key=_finest_first):
        if name.casefold() in _AXES or name in chosen:
            continue
        quantity, curve = _quantity(name), chart_of(name)
        if taken.get(curve, quantity) != quantity:
            curve = name, ""
        if curve not in taken:
            taken[curve] = quantity
            chosen[name] = curve
    return chosen


def _finest_first(name: str) -> tuple[bool, bool, bool, bool, str]:
    """A name that says its role goes before one that leaves it open, and a chart's own name before other spellings."""
    open_role = _quantity(name).casefold() == LOSS
    return open_role, chart_of(name)[0] != name, name.endswith("epoch"), not name.endswith("step"), name


def _quantity(name: str) -> str:
    return _STEP_OR_EPOCH.sub("", name)


_STEP_OR_EPOCH = re.compile(r"[_/\s.-](?:step|epoch)$", re.IGNORECASE)
