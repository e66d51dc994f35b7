"""A chart as lines of cells: axes, curves, the cursor and the best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style

from progtrain.tui.look import words
from progtrain.tui.look.colours import CURSOR, QUIET, version_mark
from progtrain.tui.plot.canvas import Canvas, Sign
from progtrain.tui.plot.series import Series

_QUIET = Style(color=QUIET)
_CURSOR = Style(color=CURSOR)
#: cells between two marks on a curve
_MARK_EVERY = 14
#: on the x axis; the steps are chosen so that there are less
_MOST_TICKS = 40
#: of the y axis, in cells: the smallest chart has 16
_WIDEST_LABEL = 10
#: columns in which the smallest value above zero is looked for
_FINE = 400


class Line(NamedTuple):
    """One curve of a chart."""

    label: str
    series: Series
    colour: str
    dashed: bool = False
    #: whose curve it is, for a mark on it; "": there is one version only
    version: str = ""
    #: values of the series' x to one of the axis: steps to an epoch
    unit: float = 1.0
    #: share of the log that has been read
    read: float = 1.0

    def columns(
        self, left: float, right: float, count: int, look: Look
    ) -> Iterator[tuple[int, float, float, float, float]]:
        """`Series.columns` of a range of the axis."""
        return self.series.columns(left * self.unit, right * self.unit, count, look.smoothing)


class Look(NamedTuple):
    """How the user wants to see a chart; every x is one of the axis."""

    log: bool = False
    smoothing: float = 0.0
    #: None: everything there is
    left: float | None = None
    right: float | None = None
    cursor: float | None = None
    #: "step", "epoch" or "time"
    axis: str = "step"
    #: x of the best epoch
    best: float | None = None
    #: x from which the validation loss hardly falls
    plateau: float | None = None
    ascii: bool = False


def limits(lines: tuple[Line, ...], look: Look) -> tuple[float, float] | None:
    """The x range on show."""
    spans = [(span[0] / line.unit, span[1] / line.unit) for line in lines if (span := line.series.span())]
    if not spans:
        return None
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    left = low if look.left is None else look.left
    right = high if look.right is None else look.right
    return (left, right) if right > left else (left - 0.5, left + 0.5)


def draw(lines: tuple[Line, ...], look: Look, width: int, height: int) -> list[list[Segment]]:
    """`width` x `height` cells. Needs at least 16 x 4; gives blank lines below that, or where no data is."""
    return plot(lines, look, width, height)(look)


#: makes a chart's lines with cursor, best epoch and plateau of a look, whose curves are drawn already
Drawn = Callable[[Look], list[list[Segment]]]


def plot(lines: tuple[Line, ...], look: Look, width: int, height: int) -> Drawn:
    """`draw` in two: the curves now, and what stands behind them for as many looks as differ in that alone."""
    span = limits(lines, look)
    if span is None or width < 16 or height < 4:
        return lambda _: [[Segment(" " * width)] for _ in range(height)]
    left, right = span
    scale = _Scale.of(lines, look, left, right)
    labels = _axis_labels(height - 1, scale)
    margin = max(len(label) for label in labels.values()) + 1
    canvas = Canvas(width - margin, height - 1, braille=not look.ascii)
    for line in lines:
        _draw_line(canvas, line, look, left, right, scale)
    for line in lines:
        _draw_gaps(canvas, line, look, left, right)
    for place, line in enumerate(line for line in lines if line.version):
        _draw_line_marks(canvas, line, look, left, right, scale, place)
    beside = [Segment(labels.get(row, "").rjust(margin - 1) + " ", _QUIET) for row in range(canvas.height)]
    axis = Segment(_x_axis(left, right, margin, canvas.width, look.axis == "time"), _QUIET)

    def drawn(look: Look) -> list[list[Segment]]:
        behind = _marks(canvas, look, left, right)
        return [*([beside[row], *canvas.segments(row, signs)] for row, signs in enumerate(behind)), [axis]]

    return drawn


class _Scale(NamedTuple):
    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, lines: tuple[Line, ...], look: Look, left: float, right: float) -> _Scale:
        found = [line.series.extremes(left * line.unit, right * line.unit, look.smoothing) for line in lines]
        seen = [end for ends in found if ends is not None for end in ends] or [0.0, 1.0]
        low, high = min(seen), max(seen)
        log = look.log and low >= 0 < high
        if log:
            # a zero lies at the bottom, and adds no decades
            low = low or min(_positive(lines, look, left, right), default=high)
            # nine decades at most, and none of the smallest numbers, of which no ratio can be taken
            high = max(high, 1e-12)
            low = max(low, high * 1e-9)
        if high <= low:
            room = abs(low) * 0.1 or 1.0
            low, high = (low / 2, high * 2) if log else (low - room, high + room)
        scale = cls(low, high, log)
        return scale if log else scale._replace(high=high + (high - low) * 0.03)

    def share(self, value: float) -> float:
        """0 at the bottom, 1 at the top."""
        if self.log:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def to_rows(self, count: int) -> Callable[[float], int]:
        """What gives the row of a value, of so many; the lowest for all below, the highest for all above."""
        share, most = self.share, count - 1

        def row(value: float) -> int:
            at = share(value)
            return round((1 - (0.0 if at < 0 else 1.0 if at > 1 else at)) * most)

        return row

    def label(self, share: float) -> str:
        if self.log:
            return words.number(self.low * (self.high / self.low) ** share)
        value = self.low + (self.high - self.low) * share
        step = (self.high - self.low) / 10
        if step and 1e-4 <= abs(step) < 1e4:
            text = f"{value:.{max(0, -math.floor(math.log10(step)))}f}"
            # large values that hardly differ would take all the room of a small chart
            if len(text) <= _WIDEST_LABEL:
                return text
        return words.number(value)


def on_log_scale(lines: tuple[Line, ...], look: Look) -> bool:
    """Whether the chart is drawn on a log scale: where a value is below zero, it has none."""
    span = limits(lines, look)
    return look.log and span is not None and _Scale.of(lines, look, *span).log


def _positive(lines: tuple[Line, ...], look: Look, left: float, right: float) -> Iterator[float]:
    """Values above zero near the bottom of each column."""
    for line in lines:
        for column in line.columns(left, right, _FINE, look):
            yield from (value for value in column[1:] if value > 0)


def _draw_gaps(canvas: Canvas, line: Line, look: Look, left: float, right: float) -> None:
    """At the top: where the logged value is no number that a curve could show."""
    style = Style(color=line.colour, bold=True)
    wide = (right - left) / canvas.width
    for column in range(canvas.width if line.series.gaps else 0):
        here = left + column * wide
        if line.series.gap_between(here * line.unit, (here + wide) * line.unit):
            canvas.put(column, 0, "!" if look.ascii else "×", style)


def _marks(canvas: Canvas, look: Look, left: float, right: float) -> list[dict[int, Sign]]:
    """Of each row, what stands behind the curves: plateau, best epoch, and over both the cursor."""
    rows: list[dict[int, Sign]] = [{} for _ in range(canvas.height)]
    marks = ((look.plateau, "flat", 1 if canvas.height > 2 else 0), (look.best, "best", 0))
    for x, label, row_of_label in marks:
        if x is None or not left <= x <= right:
            continue
        column = _cell(x, left, right, canvas.width)
        for row in rows:
            row[column] = "|" if look.ascii else "┊", _QUIET
        beside = column + 1 if column + 1 + len(label) <= canvas.width else column - len(label)
        letters = {beside + offset: (letter, _QUIET) for offset, letter in enumerate(label)}
        rows[row_of_label] |= {column: sign for column, sign in letters.items() if 0 <= column < canvas.width}
    if look.cursor is not None and left <= look.cursor <= right:
        column = _cell(look.cursor, left, right, canvas.width)
        for row in rows:
            row[column] = "|" if look.ascii else "│", _CURSOR
    return rows


def _cell(x: float, left: float, right: float, width: int) -> int:
    return min(width - 1, max(0, int((x - left) / (right - left) * width)))


def _draw_line(canvas: Canvas, line: Line, look: Look, left: float, right: float, scale: _Scale) -> None:
    style = Style(color=line.colour)
    char, gap = (":", 2) if line.dashed else ("*", 0)
    row = scale.to_rows(canvas.dots_down)
    # drawn with the next one: what joins two columns is part of both
    held: tuple[int, int, int, int] | None = None
    for place, *values in line.columns(left, right, canvas.dots_across, look):
        first, bottom, top, last = map(row, values)
        if held is not None:
            column, high, low, end = held
            if place - column == 1 and not gap:
                middle = (end + first) // 2
                high, low = min(high, middle), max(low, middle)
                top, bottom = min(top, middle), max(bottom, middle)
            else:
                canvas.line((column, end), (place, first), style, gap=gap, char=char)
            canvas.vertical(column, high, low, style, char)
        held = (place, top, bottom, last)
    if held is not None:
        canvas.vertical(*held[:3], style, char)


def _draw_line_marks(
    canvas: Canvas, line: Line, look: Look, left: float, right: float, scale: _Scale, place: int
) -> None:
    """On points of the curve, over all curves; `place` keeps those of curves that run together apart."""
    style = Style(color=line.colour, bold=True)
    mark = version_mark(line.version, ascii_only=look.ascii)
    row = scale.to_rows(canvas.dots_down)
    wanted = 2 + place * 3 % _MARK_EVERY
    for column, *_, last in line.columns(left, right, canvas.width, look):
        if column >= wanted:
            canvas.put(column, row(last) * canvas.height // canvas.dots_down, mark, style)
            wanted = column + _MARK_EVERY


def _axis_labels(height: int, scale: _Scale) -> dict[int, str]:
    """Row -> what stands beside it."""
    places = {0: 1.0, height - 1: 0.0}
    if height >= 7:
        places[height // 2] = 1 - (height // 2) / (height - 1)
    return {row: scale.label(share) for row, share in places.items()}


def _x_axis(left: float, right: float, margin: int, width: int, time: bool) -> str:
    """Round numbers below the places where they lie."""
    cells = [" "] * (margin + width)
    step = _round_step((right - left) / max(3, min(8, width // 12)))
    first = math.ceil(left / step) * step
    # counted: where a step is too small to add up, no loop of it ends
    for value in (first + place * step for place in range(_MOST_TICKS)):
        if value > right + step * 1e-9:
            break
        text = words.clock(value) if time else words.big(value)
        if not time and step < 1:
            text = f"{value:.{min(9, max(0, -math.floor(math.log10(step))))}f}"
        if len(text) > width:
            continue
        at = margin + _cell(value, left, right, width)
        at = min(at, margin + width - len(text))
        if all(cell == " " for cell in cells[max(0, at - 1) : at + len(text)]):
            cells[at : at + len(text)] = text
    return "".join(cells)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    # the smallest numbers there are have no power of ten below them
    return next((power * factor for factor in (1, 2, 5, 10) if power * factor >= rough), rough)
