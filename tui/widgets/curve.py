"""A chart with keys: cursor, zoom, pan, log scale, smoothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from progtrain.tui.look import words
from progtrain.tui.look.colours import version_mark
from progtrain.tui.look.sanitize import as_text
from progtrain.tui.model import Axis, Model
from progtrain.tui.plot.chart import Drawn, Line, Look, limits, on_log_scale, plot

SMOOTHINGS = (0.0, 0.3, 0.6, 0.9, 0.97)

#: of screens that show charts
CHART_KEYS = (
    Binding("left_square_bracket", "chart(-1)", "Previous chart", show=False, id="chart.previous"),
    Binding("right_square_bracket", "chart(1)", "Next chart", show=False, id="chart.next"),
    Binding("L", "log_scale", "Log scale", show=False, id="chart.log"),
    Binding("w", "smooth(1)", "Smoothing", show=False, id="chart.smooth"),
    Binding("W", "smooth(-1)", "Less smoothing", show=False, id="chart.less_smooth"),
    Binding("x", "axis", "Steps, epochs or time", show=False, id="chart.axis"),
    Binding("z", "zoom_pane", "Maximise the pane", show=False, id="maximise"),
)


class CurveView(Widget, can_focus=True):
    PANE: ClassVar[str] = "curve"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "cursor(-1)", "Cursor left", show=False, id="curve.left"),
        Binding("right,l", "cursor(1)", "Cursor right", show=False, id="curve.right"),
        Binding("shift+left", "cursor(-10)", "Cursor far left", show=False, id="curve.far_left"),
        Binding("shift+right", "cursor(10)", "Cursor far right", show=False, id="curve.far_right"),
        Binding("plus,equals_sign", "zoom(0.5)", "Zoom in", show=False, id="curve.zoom_in"),
        Binding("minus", "zoom(2.0)", "Zoom out", show=False, id="curve.zoom_out"),
        Binding("less_than_sign,comma", "pan(-0.25)", "Earlier", show=False, id="curve.earlier"),
        Binding("greater_than_sign,full_stop", "pan(0.25)", "Later", show=False, id="curve.later"),
        Binding("0", "whole", "Whole curve", show=False, id="curve.whole"),
        Binding("g,home", "cursor_end(0)", "Cursor to start", show=False, id="curve.first"),
        Binding("G,end", "cursor_end(1)", "Cursor to end", show=False, id="curve.last"),
    ]

    def __init__(self, *, id: str | None = None, signs: words.Signs = words.UNICODE) -> None:
        super().__init__(id=id)
        self.look = Look(ascii=signs is words.ASCII)
        self.lines: tuple[Line, ...] = ()
        self.chart = ""
        self._signs = signs
        self._plot: Drawn | None = None
        self._drawing: list[list[Segment]] | None = None
        self._state: tuple[object, ...] = ()
        self._ground = Style()
        self._reading = False

    def show(self, chart: str, lines: tuple[Line, ...], *, reading: bool = False, **marks: Any) -> None:
        """Redraws only when a curve has new points or is another one. `reading`: where there is none, one may come.

        `marks`: fields of `Look`.
        """
        look = self.look._replace(**{"best": None, "plateau": None, "axis": "step", **marks})
        shown = tuple(
            (line.label, line.version, line.unit, id(line.series), len(line.series), len(line.series.gaps), line.read)
            for line in lines
        )
        state = (chart, look, shown, reading)
        if state == self._state:
            return
        if chart != self.chart or look.axis != self.look.axis:
            look = look._replace(left=None, right=None, cursor=None)
        self._state = state
        self.chart, self.lines, self.look, self._reading = chart, lines, look, reading
        self._redraw()

    def change(self, **changes: object) -> None:
        """Log scale, smoothing and the like."""
        self.look = self.look._replace(**changes)  # type: ignore[arg-type]
        self._redraw(curves=changes.keys() != {"cursor"})

    def _redraw(self, *, curves: bool = True) -> None:
        self._forget_drawing(curves=curves)
        self._say_title()
        self.refresh()

    def _forget_drawing(self, *, curves: bool = True) -> None:
        self._drawing = None
        if curves:
            self._plot = None

    def on_resize(self, event: events.Resize) -> None:
        self._forget_drawing()
        self._say_title()

    def render_lines(self, crop: Region) -> list[Strip]:
        self._ground = self.rich_style  # of all lines: to work it out takes longer than a line
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width, height = self.content_size
        if self._drawing is None:
            self._plot = self._plot or plot(self.lines, self.look, width, height)
            self._drawing = self._plot(self.look)
        if not self.lines:
            text = "no curve yet: it is drawn as soon as the script logs something"
            if self._reading:
                text = "the log is being read"
            shown = text[:width].center(width) if y == height // 2 else " " * width
            return Strip([Segment(shown, Style(dim=True))]).apply_style(self._ground)
        if y >= len(self._drawing):
            return Strip.blank(width, self._ground)
        return Strip(self._drawing[y]).adjust_cell_length(width).apply_style(self._ground)

    def _say_title(self) -> None:
        parts = [self.chart or "curves"]
        if any(line.dashed for line in self.lines):
            parts.append(f"train {self._signs.train} val {self._signs.valid}")
        if self.look.smoothing:
            parts.append(f"smooth {self.look.smoothing:g}")
        if self.look.log:
            parts.append("log" if on_log_scale(self.lines, self.look) else "no log: not above zero")
        if self.look.left is not None:
            parts.append("zoomed")
        if (read := min((line.read for line in self.lines), default=1.0)) < 1:
            parts.append(f"reading {read:.0%}")
        whole, brief = as_text("  ".join(parts)), as_text(parts[0])
        named, bare = self._legend("named"), self._legend("bare")
        choices = ((whole, named), (whole, bare), (brief, bare), (brief, self._legend("none")))
        titles = [head.copy().append("    ").append_text(legend) for head, legend in choices]
        room = self.size.width - 2 if self.size.width else titles[0].cell_len  # not laid out yet
        self.border_title = next((title for title in titles if title.cell_len <= room), brief)

    def _legend(self, values: Literal["named", "bare", "none"]) -> Text:
        """What stands under the cursor, or last: each version in its colour, with its mark where there are several,
        and its `values` where there is room."""
        parts: dict[str, Text] = {}
        at = self.look.cursor
        if at is not None:
            parts[""] = Text(self._told(at))
        for line in self.lines:
            span = line.series.span()
            if span is None:
                continue
            found = line.series.value_at(span[1] if at is None else at * line.unit, self.look.smoothing)
            value = found[1] if found else math.nan
            if at is None and line.series.lost_from() is None:
                value = line.series.ys[-1]
            version, _, role = line.label.partition(" ")
            mark = f"{version_mark(line.version, ascii_only=self.look.ascii)} " if line.version else ""
            part = parts.setdefault(version, as_text(f"{mark}{version}", line.colour))
            if values != "none":
                name = f"{role} " if role and values == "named" else ""
                part.append(f" {name}{words.number(value, self._signs)}")
                if (lost := line.series.lost_from()) is not None:
                    part.append(f" not finite from {self._told(lost / line.unit)}", "bold")
        return Text("  ").join(parts.values())

    def _told(self, x: float) -> str:
        """A place on the axis: "step 812", "epoch 3.5"."""
        told = {"step": words.big(x), "epoch": f"{x:.1f}", "time": words.clock(x)}
        return f"{self.look.axis} {told[self.look.axis]}"

    # keys

    def action_cursor(self, by: int) -> None:
        span = limits(self.lines, self.look)
        if span is None:
            return
        left, right = span
        step = (right - left) / max(1, self.content_size.width - 8)
        start = right if self.look.cursor is None else self.look.cursor
        self.change(cursor=min(right, max(left, start + by * step)))

    def action_cursor_end(self, end: int) -> None:
        span = limits(self.lines, self.look)
        if span is not None:
            self.change(cursor=span[end])

    def action_zoom(self, factor: float) -> None:
        span, whole = limits(self.lines, self.look), self._whole()
        if span is None or whole is None:
            return
        left, right = span
        fixed = self.look.cursor if self.look.cursor is not None else (left + right) / 2
        fixed = min(right, max(left, fixed))
        factor = max(factor, (whole[1] - whole[0]) * 2e-6 / (right - left))
        # the cursor stays where it is on the screen, so that zooming out undoes zooming in
        self._frame(fixed - (fixed - left) * factor, fixed + (right - fixed) * factor, whole)

    def action_pan(self, share: float) -> None:
        span, whole = limits(self.lines, self.look), self._whole()
        if span is None or whole is None or self.look.left is None:
            return
        by = (span[1] - span[0]) * share
        by = max(whole[0] - span[0], min(whole[1] - span[1], by))
        self._frame(span[0] + by, span[1] + by, whole)

    def _whole(self) -> tuple[float, float] | None:
        return limits(self.lines, self.look._replace(left=None, right=None))

    def _frame(self, left: float, right: float, whole: tuple[float, float]) -> None:
        if right - left >= whole[1] - whole[0]:
            self.change(left=None, right=None)
        else:
            left, right = max(left, whole[0]), min(right, whole[1])
            self.change(left=left, right=right)

    def action_whole(self) -> None:
        self.change(left=None, right=None, cursor=None)

    def recall(self, seen: Mapping[str, Any]) -> None:
        """Scale and smoothing as they were remembered."""
        smoothing = next((weight for weight in SMOOTHINGS if weight == seen.get("smoothing")), 0.0)
        log = seen.get("log") is True
        if (log, smoothing) != (self.look.log, self.look.smoothing):
            self.change(log=log, smoothing=smoothing)

    def next_smoothing(self, by: int = 1) -> None:
        place = SMOOTHINGS.index(self.look.smoothing) if self.look.smoothing in SMOOTHINGS else 0
        self.change(smoothing=SMOOTHINGS[(place + by) % len(SMOOTHINGS)])


def curve_marks(model: Model, version: str, axis: Axis) -> dict[str, Any]:
    """Best epoch and plateau of a version, as fields of `Look`."""
    low = model.best_epoch(version)
    found = {"best": low[0] if low else None, "plateau": model.plateau(version)}
    return {name: model.on_axis(version, step, axis) for name, step in found.items()}
