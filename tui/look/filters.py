"""The last gate before the terminal: no control character passes, with `--ascii` nothing beyond ASCII, and the app's
colours as they read on the theme's ground."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from progtrain.engine.text import blank_control

_PLAIN = {
    **dict.fromkeys("─━┄┈╌═▁▂▔▀", "-"),
    **dict.fromkeys("│┃┊┆║▌▐▏▕", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝", "+"),
    **dict.fromkeys("█▇▆▅▄▃■▉▊▋", "#"),
    **dict.fromkeys("·•●○…░", "."),
    **dict(zip("→←⏎Δ–≈▲▼★✓✗▶◆“”’", '><ed-~^v*+x>?""\'', strict=True)),
}


class OnlyText(LineFilter):
    """Whatever a widget made of others' text, its cells hold characters and no commands."""

    def __init__(self, *, ascii_only: bool = False, before: Sequence[LineFilter] = ()) -> None:
        """`before`: filters that come first. Textual makes a new line for each filter that it knows of."""
        super().__init__()
        self._ascii_only = ascii_only
        self.before = tuple(before)

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        for other in self.before:
            segments = other.apply(segments, background)
        # most lines hold nothing of the kind: they stay as they are
        if all(control or text == self._clean(text) for text, _, control in segments):
            return segments
        return [Segment(text if control else self._clean(text), style, control) for text, style, control in segments]

    def _clean(self, text: str) -> str:
        text = blank_control(text)
        return "".join(map(_plain, text)) if self._ascii_only and not text.isascii() else text


class Recolour(LineFilter):
    """Other colours for those of `progtrain.tui.look.colours`, which are made for a dark ground; all others stay."""

    def __init__(self, colours: Mapping[str, RichColor], default: Style | None = None) -> None:
        """`colours`: "#rrggbb" and what stands for it. `default`: for cells that leave it to the terminal."""
        super().__init__()
        self._colours = {RichColor.parse(code).triplet: other for code, other in colours.items()}
        self._default = default or Style.null()
        self._styles: dict[Style, Style] = {}

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(text, self._style(style or Style.null()), control) for text, style, control in segments]

    def _style(self, style: Style) -> Style:
        known = self._styles.get(style)
        if known is None:
            text = self._other(style.color, self._default.color)
            ground = self._other(style.bgcolor, self._default.bgcolor)
            known = style + Style.from_color(text, ground)
            if len(self._styles) < 4096:  # pictures have as many styles as pixels
                self._styles[style] = known
        return known

    def _other(self, colour: RichColor | None, default: RichColor | None) -> RichColor | None:
        if colour is None or colour.is_default:
            return default
        return self._colours.get(colour.triplet) if colour.triplet else None


def _plain(char: str) -> str:
    """As many cells as the character takes."""
    if char.isascii():
        return char
    width = cell_len(char)
    known = _PLAIN.get(char) or unicodedata.normalize("NFKD", char)[:1]
    return (known if known.isascii() else "?").ljust(width, "?")[:width]
