"""A picture in cells: half blocks in colour, or letters by brightness; or as pixels over these cells."""

from __future__ import annotations

from rich.color import Color
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
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

    @property
    def plain(self) -> str:
        return self.render().plain

    def render(self) -> Text:
        if self._picture.problem:
            return Text(clean_line(self._picture.problem), style="dim")
        rows = self._picture.rows
        lines = []
        for y in range(0, len(rows), 2):
            below = rows[y + 1] if y + 1 < len(rows) else None
            lines.append(_letters(rows[y], below) if self._letters else _blocks(rows[y], below))
        return Text("\n").join(lines)


class PixelView(Widget):
    """Takes the room that the half blocks would take."""

    DEFAULT_CSS = "PixelView { height: auto; width: auto; }"

    def __init__(self, picture: Picture, draw: type[Widget]) -> None:
        """`draw`: a widget that takes a Pillow image."""
        super().__init__()
        self._picture, self._draw = picture, draw

    def compose(self) -> ComposeResult:
        drawn = self._draw(self._picture.image)  # type: ignore[arg-type]
        drawn.styles.width = len(self._picture.rows[0])
        drawn.styles.height = (len(self._picture.rows) + 1) // 2
        yield drawn


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
