"""All that the screens show, on the app's thread. Threads send updates; nothing here touches the disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from progtrain.engine.clock import Clock, now
from progtrain.engine.metrics import same
from progtrain.engine.workspace import version_number
from progtrain.tui.look.colours import version_colour
from progtrain.tui.plot.chart import Line
from progtrain.tui.plot.series import OverTime, Series, seconds_at
from progtrain.tui.reading.curves import LEARNING_RATE, LOSS, SECONDS, CurveKey, CurveRows, Role

if TYPE_CHECKING:
    from progtrain.engine.status.snapshot import Snapshot, VersionView
    from progtrain.tui.reading.documents import Documents
    from progtrain.tui.reading.log import LogRows
    from progtrain.tui.reading.machine import Machine

_LOG_LINES = 5000

Axis = Literal["step", "epoch", "time"]
#: in the order of the key that changes it
AXES: tuple[Axis, ...] = ("step", "epoch", "time")


def in_order(versions: Iterable[str]) -> tuple[str, ...]:
    """By their numbers: v1000 after v999."""
    return tuple(sorted(versions, key=lambda version: (version_number(version) or 0, version)))


class Update(NamedTuple):
    """What a look at the disk has found that is new; None or empty where nothing is."""

    snapshot: Snapshot | None = None
    #: why the workspace cannot be read; "" when it can again
    problem: str | None = None
    curves: tuple[CurveRows, ...] = ()
    #: of each version whose curves are not read to their end yet, the share that is
    reading: dict[str, float] | None = None
    log: LogRows | None = None
    documents: Documents | None = None
    machine: Machine | None = None

    def __bool__(self) -> bool:
        return self != Update()


@dataclass(eq=False, repr=False)
class Model:
    root: Path
    clock: Clock = now
    snapshot: Snapshot | None = None
    #: when the present state began
    since: datetime | None = None
    problem: str = ""
    documents: Documents | None = None
    machine: Machine | None = None
    log: tuple[str, ...] = ()
    log_open: str = ""
    log_path: Path | None = None
    marked: set[str] = field(default_factory=set)
    curves: dict[CurveKey, Series] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    #: of each version whose log is still being read, the share that is
    reading: dict[str, float] = field(default_factory=dict)
    _over_time: dict[CurveKey, OverTime] = field(default_factory=dict)

    def apply(self, update: Update) -> None:
        if update.snapshot is not None:
            self.snapshot = update.snapshot
            self.since = self._moment(update.snapshot.since_seconds)
            self.marked &= {v.version for v in update.snapshot.versions}
        if update.problem is not None:
            self.problem = update.problem
        if update.documents is not None:
            self.documents = update.documents
        if update.machine is not None:
            self.machine = update.machine
        if (log := update.log) is not None:
            kept = () if log.fresh else self.log
            if log.fresh and log.skipped:
                kept = (f"… {log.skipped:,} bytes before this are in {log.path.name}",)
            self.log, self.log_open, self.log_path = (*kept, *log.lines)[-_LOG_LINES:], log.open_line, log.path
        if update.reading is not None:
            self.reading = update.reading
        for rows in update.curves:
            self._add_curve(rows)

    def _moment(self, age: float | None) -> datetime | None:
        """None too for an age that no clock can tell, or one from the time to come: a clock was set."""
        if age is None or age < 0:
            return None
        try:
            return self.clock() - timedelta(seconds=age)
        except OverflowError:
            return None

    def _add_curve(self, rows: CurveRows) -> None:
        if rows.series is not None:
            self.curves[rows.key] = rows.series
        else:
            if rows.fresh or rows.key not in self.curves:
                self.curves[rows.key] = Series()
            self.curves[rows.key].extend(rows.xs, rows.ys)
        version = rows.key.version
        self.epochs[version] = max(self.epochs.get(version, 0), rows.epochs)

    def version(self, name: str | None) -> VersionView | None:
        rows = self.snapshot.versions if self.snapshot else ()
        return next((v for v in rows if v.version == name), None)

    def charts(self, versions: tuple[str, ...]) -> list[str]:
        """Names of what can be drawn: loss first, the primary metric next, the learning rate last."""
        primary = (self.snapshot.primary_metric or "") if self.snapshot else ""
        names = {
            key.chart
            for key, series in self.curves.items()
            if key.version in versions and series.span() and key.chart != SECONDS
        }

        def order(name: str) -> tuple[int, str]:
            return (0 if name == LOSS else 1 if same(name, primary) else 3 if name == LEARNING_RATE else 2), name

        return sorted(names, key=order)

    def curve(self, version: str, chart: str, role: Role) -> Series | None:
        """The log's curve, or the live one while that tells more: CSVLogger writes each hundred steps."""
        log = self.curves.get(CurveKey(version, chart, role, "log"))
        live = self.curves.get(CurveKey(version, chart, role, "live"))
        logged, told = log and log.span(), live and live.span()
        if log and logged and (not live or not told or len(live) <= len(log) or logged[1] + 1 >= told[1]):
            return log
        return live if told else None

    def diverged(self) -> frozenset[str]:
        """Versions whose newest training or validation loss is no number, as far as their curves are known."""
        return frozenset(
            key.version for key, series in self.curves.items() if key.chart == LOSS and series.lost_from() is not None
        )

    def lines(self, chart: str, versions: tuple[str, ...], axis: Axis) -> tuple[Line, ...]:
        roles: tuple[Role, ...] = ("train", "", "val")
        found = [(v, role, s) for v in versions for role in roles if (s := self.curve(v, chart, role))]
        if axis == "time":
            timed = [(v, role, self._timed(CurveKey(v, chart, role, "log"), s)) for v, role, s in found]
            found = [(v, role, s) for v, role, s in timed if s is not None]
        both = len({role for _, role, _ in found}) > 1
        several = len({version for version, _, _ in found}) > 1
        return tuple(
            Line(
                label=f"{version} {role}".strip(),
                series=series,
                colour=version_colour(version),
                dashed=both and role == "val",
                version=version if several else "",
                unit=(self.steps_per_epoch(version) or 1.0) if axis == "epoch" else 1.0,
                read=self.reading.get(version, 1.0),
            )
            for version, role, series in found
        )

    def on_axis(self, version: str, step: float | None, axis: Axis) -> float | None:
        """Where a step of that version is on the axis; None where that is not known."""
        if step is None or axis == "step":
            return step
        if axis == "epoch":
            return step / (self.steps_per_epoch(version) or 1.0)
        times = self.curves.get(CurveKey(version, SECONDS, "", "live"))
        return seconds_at(times, step) if times is not None else None

    def _timed(self, key: CurveKey, series: Series) -> Series | None:
        """None for a version whose times nobody told."""
        times = self.curves.get(CurveKey(key.version, SECONDS, "", "live"))
        if times is None or not len(times):
            return None
        held = self._over_time.get(key)
        if held is None or held.source is not series or held.times is not times:
            held = self._over_time[key] = OverTime(series, times)
        return held.series()

    def plateau(self, version: str) -> float | None:
        """The step from which the validation loss hardly fell any more, where that was a fifth of the training or more.

        Hardly: by less than a fiftieth of all that it fell.
        """
        series = self.curve(version, LOSS, "val")
        low = series.lowest() if series and len(series) >= 5 else None
        if series is None or low is None:
            return None
        enough = low[1] + (series.ys[0] - low[1]) / 50
        place = next((i for i, y in enumerate(series.ys) if y <= enough), len(series) - 1)
        return series.xs[place] if place <= 0.8 * (len(series) - 1) else None

    def best_epoch(self, version: str) -> tuple[float, float] | None:
        """Step and value of the lowest validation loss."""
        series = self.curve(version, LOSS, "val")
        return series.lowest() if series else None

    def steps_per_epoch(self, version: str) -> float | None:
        epochs = self.epochs.get(version, 0)
        spans = (series.span() for key, series in self.curves.items() if key.version == version)
        last = max((span[1] for span in spans if span), default=0.0)
        return (last + 1) / epochs if epochs and last else None

    def best_version(self) -> str | None:
        rows = self.snapshot.versions if self.snapshot else ()
        return next((v.version for v in rows if v.is_best), None)
