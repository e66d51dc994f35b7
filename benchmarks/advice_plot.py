"""A small line plot as SVG, written by hand: no plotting library is among the dependencies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

_WIDTH, _HEIGHT = 800, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 280, 20, 50
#: colours that stay apart for most eyes (Okabe and Ito), with grey and brown
_COLOURS = (
    *("#999999", "#e69f00", "#56b4e9", "#000000", "#0072b2"),
    *("#cc79a7", "#009e73", "#f0e442", "#7f4f00", "#d55e00"),
)


def lines_plot(rows: Mapping[str, Mapping[int, float]], across: str, up: str) -> str:
    """A line a row, over a logarithmic axis of counts. Values are drawn between -0.5 and 1.2."""
    counts = sorted({count for row in rows.values() for count in row})
    low, high = -0.5, 1.2

    def x(count: int) -> float:
        span = math.log(counts[-1] / counts[0]) or 1.0
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log(count / counts[0]) / span

    def y(value: float) -> float:
        inside = max(low, min(high, value))
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - inside) / (high - low)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for level in (-0.5, 0.0, 0.5, 1.0):
        drawn.append(f'<path d="M{_LEFT} {y(level):.1f}H{_WIDTH - _RIGHT}" stroke="#dddddd"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level:g}</text>')
    below = _HEIGHT - _BOTTOM + 18
    drawn += [f'<text x="{x(count):.1f}" y="{below}" text-anchor="middle">{count}</text>' for count in counts]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>')
    drawn.append(
        f'<text transform="translate(16 {_HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    )
    for place, (name, row) in enumerate(rows.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        points = " ".join(f"{x(count):.1f},{y(row[count]):.1f}" for count in sorted(row))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x(c):.1f}" cy="{y(row[c]):.1f}" r="3" fill="{colour}"/>' for c in sorted(row)]
        level = _TOP + 14 + 20 * place
        drawn.append(f'<path d="M{_WIDTH - _RIGHT + 20} {level - 4}h20" stroke="{colour}" stroke-width="3"/>')
        drawn.append(f'<text x="{_WIDTH - _RIGHT + 46}" y="{level}">{escape(name)}</text>')
    return "\n".join([*drawn, "</svg>"]) + "\n"
