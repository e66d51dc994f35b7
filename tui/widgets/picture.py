"""A picture in cells: half blocks in colour, or letters by brightness; or as pixels over these cells."""

from __future__ import annotations

from rich.color import Color
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from progtrain.tui.look.sanitize import clean_line
from progtrain.tui.reading.pictures import Picture, Pixel

_BRIGHTNESS = " .:-=+*#%@"


class PictureView(Widget):
    DEFAULT_CSS = "PictureView { height: auto; width: auto; }"

    def __init__(self, picture: Picture, *, letters: bool = False) -> None:
        super().__init__()
        self._picture = picture
        self._letters = letters

    def render(self) -> Text:
        if self._picture.problem:
            return Text(clean_line(self._picture.problem), style="dim")
        rows = self._picture.rows
        lines = []
        for y in range(0, len(rows), 2):
            below = rows[y + 1] if y + 1 < len(rows) else None
            lines.append(_letters(rows[y], below) if self._letters else _blocks(rows[y], below))
        return Text("\n").join(lines)


def pixel_view(picture: Picture, draw: type[Widget]) -> Widget:
    """The picture in the room that half blocks would take. `draw`: a widget that takes a Pillow image."""
    drawn = draw(picture.image)  # type: ignore[arg-type]
    drawn.styles.width = len(picture.rows[0])
    drawn.styles.height = (len(picture.rows) + 1) // 2
    return drawn


def _blocks(above: tuple[Pixel, ...], below: tuple[Pixel, ...] | None) -> Text:
    line = Text(no_wrap=True)
    for x, upper in enumerate(above):
        ground = Color.from_rgb(*below[x]) if below else None
        line.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=ground))
    return line


def _letters(above: tuple[Pixel, ...], below: tuple[Pixel, ...] | None) -> Text:
    line = Text(no_wrap=True)
    for x, upper in enumerate(above):
        both = [upper, below[x]] if below else [upper]
        grey = sum(sum(pixel) for pixel in both) / (len(both) * 3 * 256)
        line.append(_BRIGHTNESS[int(grey * len(_BRIGHTNESS))])
    return line
