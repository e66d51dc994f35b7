"""Plots of an experiment as text: differences with their intervals, tables of points, lines of values.

What is a curve over steps or epochs is drawn by `chart`; here is what has names on its axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from progtrain.tui.look import words
from progtrain.tui.look.colours import GOOD, QUIET, verdict_colour, version_colour
from progtrain.tui.look.sanitize import clean_line, shorten
from progtrain.tui.plot.chart import Line
from progtrain.tui.plot.series import Series

if TYPE_CHECKING:
    from progtrain.engine.experiment.plots import Plot

_WIDEST_NAME = 34
_CELL = 9


def curves_of(plot: Plot) -> tuple[Line, ...]:
    """What `CurveView` draws of it; empty where its axes have names."""
    if plot.kind != "lines" or plot.x_names:
        return ()
    lines = []
    for place, (name, xs, ys, _) in enumerate(plot.series):
        series = Series()
        series.extend(xs, ys)
        version = f"v{place + 1:03d}"
        lines.append(Line(clean_line(name).replace(" ", "_"), series, version_colour(version), version=version))
    return tuple(lines)


def as_text(plot: Plot, width: int, signs: words.Signs) -> Text:
    """`width`: cells that there are."""
    drawn = {"forest": _forest, "heat": _heat, "lines": _by_name, "points": _points}[plot.kind](plot, width, signs)
    return Text("\n").join([Text(clean_line(plot.title), "bold"), Text(""), *drawn])


def _named(name: str, room: int) -> Text:
    text = Text(shorten(clean_line(name), room), no_wrap=True)
    text.append(" " * (room - text.cell_len + 1))
    return text


def _forest(plot: Plot, width: int, signs: words.Signs) -> Iterator[Text]:
    """A line a pair: its interval, its difference, and where zero is."""
    room = min(_WIDEST_NAME, max((len(name) for name in plot.y_names), default=0), width // 2)
    points = [
        (int(at), value, ends, verdict)
        for verdict, xs, ys, intervals in plot.series
        for value, at, ends in zip(xs, ys, intervals or [(x, x) for x in xs], strict=False)
    ]
    low = min(0.0, *(min(ends) for _, _, ends, _ in points))
    high = max(0.0, *(max(ends) for _, _, ends, _ in points))
    columns = max(10, width - room - 12)

    def place(x: float) -> int:
        return round((x - low) / (high - low or 1.0) * (columns - 1))

    for at, value, ends, verdict in sorted(points):
        row = [" "] * columns
        row[place(0.0)] = signs.valid
        for column in range(place(min(ends)), place(max(ends)) + 1):
            row[column] = signs.train
        row[place(value)] = signs.on
        line = _named(plot.y_names[at] if at < len(plot.y_names) else "", room)
        yield line.append("".join(row), verdict_colour(verdict)).append(f" {words.signed(value)}", QUIET)
    ends_told = f"{words.number(low)}{words.number(high):>{max(1, columns - len(words.number(low)))}}"
    yield Text(" " * (room + 1) + ends_told, QUIET)
    yield Text(" " * (room + 1) + clean_line(plot.x), QUIET)


def _heat(plot: Plot, width: int, signs: words.Signs) -> Iterator[Text]:
    """A table; the highest value stands out."""
    room = min(_WIDEST_NAME, max((len(name) for name in (*plot.y_names, plot.y)), default=0), width // 2)
    shown = plot.x_names[: max(1, (width - room) // (_CELL + 1))]
    known = [value for row in plot.cells for value in row if value is not None]
    yield _named(f"{plot.y}", room).append(clean_line(plot.x), QUIET)
    yield _named("", room).append(" ".join(f"{shorten(clean_line(name), _CELL):>{_CELL}}" for name in shown), "bold")
    for name, row in zip(plot.y_names, plot.cells, strict=False):
        line = _named(name, room)
        for value in row[: len(shown)]:
            told = words.metric_value(value, signs)
            best = value is not None and value == max(known)
            line.append(f"{told:>{_CELL}} ", f"bold {GOOD}" if best else "")
        yield line
    if len(shown) < len(plot.x_names):
        yield Text(f"{len(plot.x_names) - len(shown)} more columns", QUIET)


def _by_name(plot: Plot, width: int, signs: words.Signs) -> Iterator[Text]:
    """For each series a bar at each named place."""
    values = [value for _, _, ys, _ in plot.series for value in ys]
    room = min(_WIDEST_NAME, max((len(name) for name in plot.x_names), default=0), width // 2)
    for name, xs, ys, _ in plot.series:
        yield Text(clean_line(name), "bold")
        names = [plot.x_names[int(x)] if int(x) < len(plot.x_names) else "" for x in xs]
        yield from _bars(names, ys, values, room, width, signs)


def _points(plot: Plot, width: int, signs: words.Signs) -> Iterator[Text]:
    """One line a point, by what it cost."""
    points = sorted((xs[0], ys[0], name) for name, xs, ys, _ in plot.series if xs and ys)
    names = [f"{name}  {words.number(x)}" for x, _, name in points]
    room = min(_WIDEST_NAME, max(map(len, names), default=0), width // 2)
    yield Text(clean_line(f"by {plot.x}"), QUIET)
    yield from _bars(names, [y for _, y, _ in points], [y for _, y, _ in points], room, width, signs)


def _bars(
    names: Sequence[str], ys: Sequence[float], of_all: Sequence[float], room: int, width: int, signs: words.Signs
) -> Iterator[Text]:
    """From a little below the lowest of all to the highest: differences are what is looked for."""
    low, high = min(of_all), max(of_all)
    floor = low - (high - low or abs(high) or 1.0) / 8
    columns = max(4, width - room - 12)
    for name, value in zip(names, ys, strict=True):
        share = (value - floor) / (high - floor or 1.0)
        filled = signs.full * max(1, round(share * columns))
        yield _named(name, room).append(filled, QUIET).append(f" {words.metric_value(value, signs)}")
