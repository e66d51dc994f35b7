"""A chart with keys: cursor, zoom, pan, log scale, smoothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from tui import words
from tui.plot.chart import Drawing, Line, Look, draw, limits

SMOOTHINGS = (0.0, 0.3, 0.6, 0.9, 0.97)


class CurveView(Widget, can_focus=True):
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
        self._drawing: Drawing | None = None
        self._state: tuple[object, ...] = ()

    def show(self, chart: str, lines: tuple[Line, ...], **marks: Any) -> None:
        """Redraws only when a curve has new points or is another one. `marks`: fields of `Look`."""
        look = replace(self.look, **{"best": None, "plateau": None, "unit": 1.0, "axis": "step", **marks})
        state = (chart, look, tuple((line.label, id(line.series), len(line.series)) for line in lines))
        if state == self._state:
            return
        if chart != self.chart or look.axis != self.look.axis:
            look = replace(look, left=None, right=None, cursor=None)
        self._state = state
        self.chart, self.lines, self.look = chart, lines, look
        self._redraw()

    def change(self, **changes: object) -> None:
        """Log scale, smoothing and the like."""
        self.look = replace(self.look, **changes)  # type: ignore[arg-type]
        self._redraw()

    def _redraw(self) -> None:
        self._drawing = None
        self._say_title()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._drawing = None

    def render_line(self, y: int) -> Strip:
        width, height = self.content_size
        if self._drawing is None:
            self._drawing = draw(self.lines, self.look, width, height)
        if not self.lines:
            text = "no curve yet: it is drawn as soon as the script logs something" if y == height // 2 else ""
            return self._message(text, width)
        if y >= len(self._drawing.lines):
            return Strip.blank(width, self.rich_style)
        return Strip(self._drawing.lines[y]).adjust_cell_length(width).apply_style(self.rich_style)

    def _message(self, text: str, width: int) -> Strip:
        return Strip([Segment(text[:width].center(width), Style(dim=True))]).apply_style(self.rich_style)

    def _say_title(self) -> None:
        parts = [self.chart or "curves"]
        if any(line.dashed for line in self.lines):
            parts.append(f"train {self._signs.train} val {self._signs.valid}")
        if self.look.smoothing:
            parts.append(f"smooth {self.look.smoothing:g}")
        if self.look.log:
            parts.append("log")
        if self.look.left is not None:
            parts.append("zoomed")
        reading = self.reading()
        self.border_title = "  ".join(parts) + (f"    {reading}" if reading else "")

    def reading(self) -> str:
        """What stands under the cursor, or last: "step 812  v003 train 0.1213  v003 val 0.1302"."""
        if self.look.cursor is None:
            shown = [
                f"{line.label} {words.number(line.series.ys[-1], self._signs)}"
                for line in self.lines
                if len(line.series)
            ]
            return "  ".join(shown)
        at = self.look.cursor / self.look.unit
        told = {"step": words.big(at), "epoch": f"{at:.1f}", "time": words.clock(at)}
        parts = [f"{self.look.axis} {told[self.look.axis]}"]
        for line in self.lines:
            found = line.series.value_at(self.look.cursor, self.look.smoothing)
            if found:
                parts.append(f"{line.label} {words.number(found[1], self._signs)}")
        return "  ".join(parts)

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
        span, whole = (
            limits(self.lines, self.look),
            limits(self.lines, replace(self.look, left=None, right=None)),
        )
        if span is None or whole is None:
            return
        left, right = span
        centre = self.look.cursor if self.look.cursor is not None else (left + right) / 2
        half = max((right - left) / 2 * factor, (whole[1] - whole[0]) * 1e-6)
        self._frame(centre - half, centre + half, whole)

    def action_pan(self, share: float) -> None:
        span, whole = (
            limits(self.lines, self.look),
            limits(self.lines, replace(self.look, left=None, right=None)),
        )
        if span is None or whole is None or self.look.left is None:
            return
        by = (span[1] - span[0]) * share
        by = max(whole[0] - span[0], min(whole[1] - span[1], by))
        self._frame(span[0] + by, span[1] + by, whole)

    def _frame(self, left: float, right: float, whole: tuple[float, float]) -> None:
        if right - left >= whole[1] - whole[0]:
            self.change(left=None, right=None)
        else:
            left, right = max(left, whole[0]), min(right, whole[1])
            self.change(left=left, right=right)

    def action_whole(self) -> None:
        self.change(left=None, right=None, cursor=None)

    def next_smoothing(self) -> None:
        place = SMOOTHINGS.index(self.look.smoothing) if self.look.smoothing in SMOOTHINGS else 0
        self.change(smoothing=SMOOTHINGS[(place + 1) % len(SMOOTHINGS)])
