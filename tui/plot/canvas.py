"""Dots in cells: braille has two by four to a cell, ASCII has one."""

from __future__ import annotations

from collections.abc import Mapping

from rich.segment import Segment
from rich.style import Style

#: a character and how it looks
Sign = tuple[str, Style]

_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
#: of each half of a cell, the dots from one of its rows down to another
_RUNS = tuple(
    tuple(tuple(sum(_BRAILLE[y][side] for y in range(first, last + 1)) for last in range(4)) for first in range(4))
    for side in range(2)
)


class Canvas:
    """A grid of `width` x `height` cells. Row 0 is at the top; the dot drawn last gives its cell the colour."""

    def __init__(self, width: int, height: int, *, braille: bool = True) -> None:
        self.width, self.height = width, height
        self._across, self._down = (2, 4) if braille else (1, 1)
        self.dots_across, self.dots_down = width * self._across, height * self._down
        self._bits = [[0] * width for _ in range(height)]
        self._chars: list[list[str]] = [[""] * width for _ in range(height)]
        self._styles: list[list[Style | None]] = [[None] * width for _ in range(height)]

    def dot(self, x: int, y: int, style: Style, char: str = "*") -> None:
        if not (0 <= x < self.dots_across and 0 <= y < self.dots_down):
            return
        column, row = x // self._across, y // self._down
        if self._across == 1:
            self._chars[row][column] = char
        else:
            self._bits[row][column] |= _BRAILLE[y % 4][x % 2]
        self._styles[row][column] = style

    def vertical(self, x: int, top: int, bottom: int, style: Style, char: str = "*") -> None:
        top, bottom = max(0, min(top, bottom)), min(self.dots_down - 1, max(top, bottom))
        if self._across == 1:
            for y in range(top, bottom + 1):
                self.dot(x, y, style, char)
        elif 0 <= x < self.dots_across:
            column, runs = x // 2, _RUNS[x % 2]
            for row in range(top // 4, bottom // 4 + 1):
                self._bits[row][column] |= runs[max(0, top - 4 * row)][min(3, bottom - 4 * row)]
                self._styles[row][column] = style

    def line(
        self, start: tuple[int, int], end: tuple[int, int], style: Style, *, gap: int = 0, char: str = "*"
    ) -> None:
        """`gap` leaves every other pair of columns free: a dashed line."""
        (x0, y0), (x1, y1) = start, end
        if x1 - x0 == 1 and not gap:
            middle = (y0 + y1) // 2
            self.vertical(x0, y0, middle, style, char)
            self.vertical(x1, middle, y1, style, char)
            return
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x = round(x0 + (x1 - x0) * step / steps)
            if gap and (x // gap) % 2:
                continue
            self.dot(x, round(y0 + (y1 - y0) * step / steps), style, char)

    def put(self, column: int, row: int, text: str, style: Style) -> None:
        """Text over the dots."""
        for offset, char in enumerate(text):
            if 0 <= column + offset < self.width and 0 <= row < self.height:
                self._chars[row][column + offset] = char
                self._styles[row][column + offset] = style

    def segments(self, row: int, behind: Mapping[int, Sign] | None = None) -> list[Segment]:
        """As few as can be: a free cell takes the colour before it.

        `behind`: column -> what stands there where no other text does; dots over it keep their colour.
        """
        chars, styles = self._chars[row].copy(), self._styles[row].copy()
        for column, (char, quiet) in (behind or {}).items():
            chars[column], styles[column] = chars[column] or char, styles[column] or quiet
        found: list[Segment] = []
        text, held = "", None
        for bits, char, style in zip(self._bits[row], chars, styles, strict=True):
            if (bits or char) and style is not held and style != held:
                if text:
                    found.append(Segment(text, held))
                text, held = "", style
            text += char or (chr(0x2800 + bits) if bits else " ")
        found.append(Segment(text, held))
        return found
