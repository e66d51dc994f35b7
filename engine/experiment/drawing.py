"""Plots as files: SVG written here, PNG by matplotlib where that is installed (the extra `plots`)."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from progtrain.engine import values
from progtrain.engine.experiment.plots import Plot
from progtrain.engine.text import shortened

#: readable on white, and told apart by those who see colours otherwise (M. Okabe, K. Ito: Color Universal Design, 2008)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#000000")
_OF_VERDICTS = {"better": "#009e73", "worse": "#d55e00", "within noise": "#666666"}
#: from low to high
_LIGHT, _DARK = (239, 243, 255), (8, 81, 156)
_TEXT, _GRID = "#1a1a1a", "#d9d9d9"
#: pixels: of a character of the text, of a line of labels
_CHAR, _LINE = 7.2, 22
_WIDTH, _HEIGHT = 860, 420
_LABEL = 52


def svg(plot: Plot) -> str:
    """A whole SVG file, on a white ground."""
    rows = len(plot.y_names)
    left = 20 + _CHAR * min(_LABEL, max(map(len, plot.y_names), default=8)) + (20 if plot.y else 0)
    legend = _legend(plot)
    below = 60 + _LINE * len(legend)
    inner = rows * _LINE if plot.kind == "forest" else max(120, rows * 40) if plot.kind == "heat" else _HEIGHT - 140
    height = 50 + inner + below
    box = (left, 50.0, _WIDTH - left - 24, float(inner))
    drawn = _heat(plot, box) if plot.kind == "heat" else _lines(plot, box)
    x, y, w, h = box
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}" font-family="sans-serif" font-size="13" fill="{_TEXT}">',
        f"<title>{_safe(plot.title, 200)}</title>",
        f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
        _text(_WIDTH / 2, 26, plot.title, "middle", 'font-size="16" font-weight="bold"', 90),
        *drawn,
        _text(x + w / 2, y + h + 42, plot.x, "middle"),
    ]
    if plot.y:
        middle = y + h / 2
        parts.append(_text(16, middle, plot.y, "middle", f'transform="rotate(-90 16 {middle:.1f})"'))
    for at, (name, colour) in enumerate(legend):
        top = y + h + 62 + at * _LINE
        parts.append(f'<rect x="{x:.1f}" y="{top - 10:.1f}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 20, top, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


def _safe(text: str, width: int = _LABEL) -> str:
    return escape(shortened(text, width))


def _text(x: float, y: float, text: str, anchor: str, more: str = "", width: int = 80) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{_safe(text, width)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0, more: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}" {more}/>'


def _colour(plot: Plot, at: int) -> str:
    name = plot.series[at][0]
    return _OF_VERDICTS.get(name, COLOURS[0]) if plot.kind == "forest" else COLOURS[at % len(COLOURS)]


def _legend(plot: Plot) -> list[tuple[str, str]]:
    if plot.kind == "heat" or (len(plot.series) < 2 and plot.kind != "forest"):
        return []
    return [(name, _colour(plot, at)) for at, (name, *_) in enumerate(plot.series)]


# lines, points, forests


def _lines(plot: Plot, box: tuple[float, float, float, float]) -> Iterator[str]:
    x, y, w, h = box
    forest = plot.kind == "forest"
    xs = [
        v for _, held, _, ends in plot.series for v in (*held, *(e for pair in (forest and ends) or () for e in pair))
    ]
    ys = [v for _, _, held, ends in plot.series for v in (*held, *(e for p in (not forest and ends) or () for e in p))]
    xs, ys = ([*xs, 0.0] if forest else xs), ys
    x_from, x_to, x_ticks = _axis(xs, plot.x_names)
    y_from, y_to, y_ticks = _axis(ys, plot.y_names)

    def px(value: float) -> float:
        return x + (value - x_from) / (x_to - x_from) * w

    def py(value: float) -> float:
        # lists read from the top, numbers grow upwards
        share = (value - y_from) / (y_to - y_from)
        return y + (share if plot.y_names else 1 - share) * h

    for value, label in x_ticks:
        yield _line(px(value), y, px(value), y + h, _GRID)
        yield _text(px(value), y + h + 18, label, "middle", "", 16)
    for value, label in y_ticks:
        yield _line(x, py(value), x + w, py(value), _GRID)
        yield _text(x - 8, py(value) + 4, label, "end", "", _LABEL)
    if forest:
        yield _line(px(0), y, px(0), y + h, _TEXT, 1.5, 'stroke-dasharray="4 3"')
    for at, (_, held_x, held_y, ends) in enumerate(plot.series):
        colour = _colour(plot, at)
        for a, b, (low, high) in zip(held_x, held_y, ends or (), strict=False):
            yield (
                _line(px(low), py(b), px(high), py(b), colour, 2)
                if forest
                else _line(px(a), py(low), px(a), py(high), colour, 2)
            )
        if plot.kind == "lines" and len(held_x) > 1:
            path = " ".join(f"{px(a):.1f},{py(b):.1f}" for a, b in zip(held_x, held_y, strict=True))
            width = 2.5 if at == 0 and plot.x_names else 1.5
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        if plot.kind != "lines" or len(held_x) <= 30:
            for a, b in zip(held_x, held_y, strict=True):
                yield f'<circle cx="{px(a):.1f}" cy="{py(b):.1f}" r="4" fill="{colour}"/>'


def _axis(held: Sequence[float], names: Sequence[str]) -> tuple[float, float, list[tuple[float, str]]]:
    """From, to, and the places with a label."""
    if names:
        return -0.5, len(names) - 0.5, list(enumerate(names))
    low, high = min(held), max(held)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 0.5
    low, high = low - room, high + room
    step = _round_step((high - low) / 5)
    first = math.ceil(low / step)
    ticks = [count * step for count in range(first, math.floor(high / step) + 1)]
    return low, high, [(tick, f"{tick:.6g}") for tick in ticks]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(times * power for times in (1, 2, 2.5, 5, 10) if times * power >= rough)


# heat


def _heat(plot: Plot, box: tuple[float, float, float, float]) -> Iterator[str]:
    x, y, w, h = box
    known = [value for row in plot.cells for value in row if value is not None]
    low, high = min(known), max(known)
    wide, tall = w / len(plot.x_names), h / len(plot.y_names)
    for at, name in enumerate(plot.x_names):
        yield _text(x + (at + 0.5) * wide, y + h + 18, name, "middle", "", 16)
    for row, name in enumerate(plot.y_names):
        yield _text(x - 8, y + (row + 0.5) * tall + 4, name, "end", "", _LABEL)
        for at, value in enumerate(plot.cells[row]):
            share = 0.0 if value is None or high == low else (value - low) / (high - low)
            mixed = (round(a + (b - a) * share) for a, b in zip(_LIGHT, _DARK, strict=True))
            colour = "#ffffff" if value is None else "#{:02x}{:02x}{:02x}".format(*mixed)
            place = f'x="{x + at * wide:.1f}" y="{y + row * tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
            yield f'<rect {place} fill="{colour}" stroke="#ffffff"/>'
            shown = "–" if value is None else values.metric(value)
            ink = 'style="fill:#ffffff"' if share > 0.5 else ""
            yield _text(x + (at + 0.5) * wide, y + (row + 0.5) * tall + 4, shown, "middle", ink)


# PNG


def can_png() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def png(plot: Plot, path: Path) -> None:
    """By matplotlib, without a display. Replaces `path` whole."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(plot.y_names)
    figure = Figure(figsize=(8, max(4.5, 1.5 + 0.3 * rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(_plain(plot.title, 90), fontsize=11)
    axes.set_xlabel(_plain(plot.x))
    axes.set_ylabel(_plain(plot.y))
    if plot.kind == "heat":
        cells = [[math.nan if value is None else value for value in row] for row in plot.cells]
        figure.colorbar(axes.imshow(cells, aspect="auto", cmap="Blues"), label=_plain(plot.series[0][0]))
    else:
        for at, (name, xs, ys, ends) in enumerate(plot.series):
            joined = "-" if plot.kind == "lines" else ""
            marker = "o" if plot.kind != "lines" or len(xs) <= 30 else ""
            axes.plot(xs, ys, color=_colour(plot, at), linestyle=joined, marker=marker, label=_plain(name))
            for a, b, (low, high) in zip(xs, ys, ends or (), strict=False):
                along = ([low, high], [b, b]) if plot.kind == "forest" else ([a, a], [low, high])
                axes.plot(*along, color=_colour(plot, at))
        axes.grid(color=_GRID)
        if _legend(plot):
            axes.legend(fontsize=8)
    if plot.kind == "forest":
        axes.axvline(0, color=_TEXT, linestyle="--", linewidth=1)
        axes.invert_yaxis()
    for names, axis in ((plot.x_names, axes.xaxis), (plot.y_names, axes.yaxis)):
        if names:
            axis.set_ticks(range(len(names)), [_plain(name) for name in names])
    begun = path.with_name(f".{path.name}.tmp.png")
    figure.savefig(begun, dpi=120)
    begun.replace(path)


def _plain(text: str, width: int = _LABEL) -> str:
    """A dollar sign would begin a formula."""
    return shortened(text, width).replace("$", r"\$")
