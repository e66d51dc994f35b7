"""Pictures as half-block cells. Pillow is imported by the first picture, in its thread."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine.files import MOST_TEXT, opened
from progtrain.engine.text import shortened

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_PIXELS = 40_000_000
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
_LONGEST_REASON = 200
#: across a cell and half a cell down, of common fonts
_CELL_PIXELS = 10

Pixel = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """Rows of pixels, two rows to a line of cells; `problem` where there is nothing to show.

    `image`: the same with as many pixels as the cells have, for terminals that can show them.
    """

    rows: tuple[tuple[Pixel, ...], ...] = ()
    problem: str = ""
    width: int = 0
    height: int = 0
    image: Image | None = None


def read_picture(path: Path, columns: int, lines: int) -> Picture:
    """Fitted into `columns` x `lines` cells; small pictures are enlarged by whole factors."""
    from PIL import Image

    try:
        # what it warns of would be written over the screen
        with warnings.catch_warnings(), opened(path, MOST_TEXT) as file:
            warnings.simplefilter("ignore")
            # by its content, whatever its name says: other formats are given to other programs, or drawn by scripts
            with Image.open(file, formats=_FORMATS) as image:
                if not 0 < image.width * image.height <= _MOST_PIXELS:
                    return Picture(problem=f"{image.width} x {image.height} pixels cannot be drawn here")
                return _cells(image.convert("RGB"), columns, lines)
    except Exception as error:  # noqa: BLE001 - Pillow has many ways to say that it cannot be read
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        return Picture(problem=f"cannot be drawn: {shortened(reason, _LONGEST_REASON)}")


def draw_values(values: list[list[Any]], columns: int, lines: int) -> Picture:
    """Numbers as a picture, dark for the smallest: rows of grey values, or of red, green and blue."""
    from PIL.Image import frombytes

    flat = [v for row in values for cell in row for v in (cell if isinstance(cell, list) else [cell])]
    depth = len(values[0][0]) if values and values[0] and isinstance(values[0][0], list) else 1
    if not flat or depth not in (1, 3) or not all(math.isfinite(v) for v in flat):
        return Picture(problem="these numbers are no picture")
    low, high = min(flat), max(flat)
    grey = bytes(round((v - low) / (high - low) * 255) if high > low else 0 for v in flat)
    image = frombytes("RGB" if depth == 3 else "L", (len(values[0]), len(values)), grey)
    return _cells(image.convert("RGB"), columns, lines)


def _cells(fitted: Image, columns: int, lines: int) -> Picture:
    from PIL.Image import Resampling

    width, height = fitted.size
    target = _fit(width, height, max(1, columns), max(1, lines) * 2)
    enlarged = target[0] >= width
    fine = _fit(width, height, target[0] * _CELL_PIXELS, target[1] * _CELL_PIXELS)
    image = fitted.resize(fine, Resampling.NEAREST if fine[0] >= width else Resampling.BOX)
    fitted = fitted.resize(target, Resampling.NEAREST if enlarged else Resampling.BOX)
    data = fitted.tobytes()
    rows = tuple(
        tuple((data[i], data[i + 1], data[i + 2]) for i in range(y * target[0] * 3, (y + 1) * target[0] * 3, 3))
        for y in range(target[1])
    )
    return Picture(rows, "", width, height, image)


def _fit(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    factor = min(across / width, down / height)
    if factor >= 1:
        factor = int(factor)
    return max(1, round(width * factor)), max(1, round(height * factor))
