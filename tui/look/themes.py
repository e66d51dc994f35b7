"""Themes of a terminal's own 16 colours, and the filters that fit the app's colours to a theme's ground."""

from __future__ import annotations

from collections.abc import Mapping

from rich.color import Color
from rich.console import Console
from rich.style import Style
from textual.constants import COLOR_SYSTEM
from textual.theme import Theme

from progtrain.tui.look.colours import ON_BLACK, ON_LIGHT, ON_WHITE
from progtrain.tui.look.filters import Recolour

DARK_16 = "ansi-16"
LIGHT_16 = "ansi-16-light"


def _variables(ground: str, text: str, quiet: str, accent: str) -> dict[str, str]:
    """What Textual would otherwise mix from the theme's colours: none of it is among the 16."""
    shades = [f"{name}-{way}-{n}" for name in ("surface", "panel") for way in ("lighten", "darken") for n in "123"]
    painted = {
        ground: """panel surface boost footer-background footer-item-background footer-key-background
            footer-description-background ansi-background link-background link-background-hover
            block-cursor-foreground block-cursor-blurred-background block-hover-background input-cursor-background
            input-selection-foreground screen-selection-foreground scrollbar-background scrollbar-background-hover
            scrollbar-background-active scrollbar-corner-color""",
        text: """text text-muted text-disabled foreground-muted footer-foreground footer-description-foreground
            ansi-foreground link-color link-color-hover block-cursor-background block-cursor-blurred-foreground
            input-cursor-foreground""",
        quiet: """border-blurred input-selection-background screen-selection-background scrollbar scrollbar-hover
            scrollbar-active""",
        accent: "border footer-key-foreground",
        "none": "link-style link-style-hover",
    }
    found = {name: colour for colour, names in painted.items() for name in names.split()}
    # borders
    return {**dict.fromkeys(shades, ground), **found, "panel-lighten-2": quiet}


def _theme(name: str, *, dark: bool) -> Theme:
    """Ground and text are painted both, so that neither depends on what the terminal has by itself."""
    ground, text = ("ansi_black", "ansi_bright_white") if dark else ("ansi_bright_white", "ansi_black")
    quiet, accent = ("ansi_white", "ansi_bright_cyan") if dark else ("ansi_bright_black", "ansi_blue")
    needs = "ansi_bright_yellow" if dark else "ansi_magenta"
    bad = "ansi_bright_red" if dark else "ansi_red"
    good = "ansi_bright_green" if dark else "ansi_blue"
    return Theme(
        name=name,
        ansi=True,
        dark=dark,
        primary=accent,
        secondary=accent,
        warning=needs,
        error=bad,
        success=good,
        accent=accent,
        foreground=text,
        background=ground,
        surface=ground,
        panel=ground,
        variables=_variables(ground, text, quiet, accent),
    )


THEMES = (_theme(DARK_16, dark=True), _theme(LIGHT_16, dark=False))


def few_colours(environ: Mapping[str, str]) -> bool:
    """Whether 16 colours are all that is sent to this terminal: what Rich thinks of it counts, for it sends them."""
    console = Console(color_system=COLOR_SYSTEM, force_terminal=True, _environ=environ)  # type: ignore[arg-type]
    return console.color_system not in {"256", "truecolor"}


def fitting(environ: Mapping[str, str]) -> str:
    """The theme of 16 colours for this terminal. `COLORFGBG` is told by some of those whose ground is light."""
    ground = environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT_16 if ground in {"7", "15"} else DARK_16


def _of_sixteen(numbers: Mapping[str, int], text: int, ground: int) -> Recolour:
    default = Style.from_color(Color.from_ansi(text), Color.from_ansi(ground))
    return Recolour({code: Color.from_ansi(number) for code, number in numbers.items()}, default)


_DARK_16 = _of_sixteen(ON_BLACK, 15, 0)
_LIGHT_16 = _of_sixteen(ON_WHITE, 0, 15)
_LIGHT = Recolour({code: Color.parse(other) for code, other in ON_LIGHT.items()})


def recolour(theme: Theme) -> Recolour | None:
    """What makes the app's colours read on the theme's ground; None where they do as they are."""
    if theme.ansi:
        return _DARK_16 if theme.dark else _LIGHT_16
    return None if theme.dark else _LIGHT
