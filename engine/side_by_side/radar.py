"""A picture with an axis for each class or dimension: SVG written here, PNG by matplotlib (the extra `plots`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from progtrain.engine.experiment.drawing import COLOURS
from progtrain.engine.side_by_side.dimensions import MOST, Dimension, outward, told
from progtrain.engine.text import shortened

_SIZE, _RADIUS, _TOP = 640, 220, 60
#: pixels of a line of the legend
_LINE = 22
_RINGS = (0.25, 0.5, 0.75, 1.0)


def why_none(found: Sequence[Dimension]) -> str:
    """Empty where there is a picture to draw."""
    if not found:
        return "no radar: there are neither classes nor numbers to draw an axis for"
    return "" if len(found) >= 3 else f"no radar: it needs three axes, and there are {len(found)}"


def title(found: Sequence[Dimension]) -> str:
    more = f", the first {MOST} of {len(found)}" if len(found) > MOST else ""
    scale = told(found) if found[0].higher_is_better else f"{told(found)}, the smallest over a model's own"
    kinds = {"class": "classes", "target range": "target ranges", "target column": "target columns"}
    return f"By {kinds[found[0].kind]}{more}: {scale}; further out is better"


def svg(found: Sequence[Dimension], models: Sequence[str]) -> str:
    """A whole SVG file, on a white ground. A model without a number on an axis has no point there."""
    axes, place = found[:MOST], outward(found)
    middle_x, middle_y = _SIZE / 2, _TOP + _RADIUS + 40
    height = middle_y + _RADIUS + 50 + _LINE * len(models)

    def at(axis: int, share: float) -> tuple[float, float]:
        angle = 2 * math.pi * axis / len(axes) - math.pi / 2
        return middle_x + _RADIUS * share * math.cos(angle), middle_y + _RADIUS * share * math.sin(angle)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIZE}" height="{height:.0f}" '
        f'viewBox="0 0 {_SIZE} {height:.0f}" font-family="sans-serif" font-size="13" fill="#1a1a1a">',
        f"<title>{_safe(title(found), 200)}</title>",
        f'<rect width="{_SIZE}" height="{height:.0f}" fill="#ffffff"/>',
        f'<text x="{middle_x:.1f}" y="26" text-anchor="middle" font-weight="bold">{_safe(title(found), 90)}</text>',
    ]
    for ring in _RINGS:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(axis, ring) for axis in range(len(axes))))
        parts.append(f'<polygon points="{corners}" fill="none" stroke="#d9d9d9"/>')
    for axis, dimension in enumerate(axes):
        (x, y), (label_x, label_y) = at(axis, 1.0), at(axis, 1.08)
        side = "middle" if abs(label_x - middle_x) < 8 else "start" if label_x > middle_x else "end"
        parts.append(f'<line x1="{middle_x}" y1="{middle_y}" x2="{x:.1f}" y2="{y:.1f}" stroke="#d9d9d9"/>')
        name = _safe(dimension.name, 18)
        parts.append(f'<text x="{label_x:.1f}" y="{label_y + 4:.1f}" text-anchor="{side}">{name}</text>')
    for number, model in enumerate(models):
        colour = COLOURS[number % len(COLOURS)]
        held = [(axis, share) for axis, one in enumerate(axes) if (share := place(one, model)) is not None]
        points = [at(axis, share) for axis, share in held]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polygon points="{corners}" fill="{colour}" fill-opacity="0.08" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        top = middle_y + _RADIUS + 50 + number * _LINE
        parts.append(f'<rect x="40" y="{top - 10:.1f}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="60" y="{top:.1f}">{_safe(model)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _safe(text: str, width: int = 60) -> str:
    return escape(shortened(text, width))


def png(found: Sequence[Dimension], models: Sequence[str], path: Path) -> None:
    """By matplotlib, without a display. Replaces `path` whole."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axes, place = found[:MOST], outward(found)
    figure = Figure(figsize=(7, 7), layout="constrained")
    FigureCanvasAgg(figure)
    drawn = figure.subplots(subplot_kw={"projection": "polar"})
    drawn.set_title(_plain(title(found), 90), fontsize=10)
    drawn.set_theta_offset(math.pi / 2)
    drawn.set_theta_direction(-1)
    drawn.set_ylim(0, 1)
    angles = [2 * math.pi * axis / len(axes) for axis in range(len(axes))]
    for number, model in enumerate(models):
        held = [
            (angle, share) for angle, one in zip(angles, axes, strict=True) if (share := place(one, model)) is not None
        ]
        colour = COLOURS[number % len(COLOURS)]
        closed = [*held, *held[:1]]
        drawn.plot(
            [angle for angle, _ in closed], [share for _, share in closed], "o-", color=colour, label=_plain(model)
        )
    drawn.set_xticks(angles, [_plain(one.name, 18) for one in axes])
    drawn.legend(fontsize=8, loc="lower left", bbox_to_anchor=(-0.1, -0.1))
    begun = path.with_name(f".{path.name}.tmp.png")
    figure.savefig(begun, dpi=120)
    begun.replace(path)


def _plain(text: str, width: int = 60) -> str:
    """A dollar sign would begin a formula."""
    return shortened(text, width).replace("$", r"\$")
