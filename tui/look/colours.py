"""Colours that mean the same on every screen, and what they are on other grounds."""

from __future__ import annotations

from progtrain.engine.workspace import version_number

#: Okabe and Ito's palette for colour-blind readers, in an order in which neighbours differ in lightness too;
#: its dark blue and vermilion are lightened, so that they read on a dark ground.
_VERSIONS = ("#56b4e9", "#e69f00", "#00b98a", "#cc79a7", "#f0e442", "#4c8fd6", "#e8743b", "#b0b0b0")

#: stand on the curves of versions that are drawn over each other, for eyes and terminals that tell few colours apart
MARKS = "●▲■◆○△□◇"
ASCII_MARKS = "o^#x@%+&"

NOW = "#56b4e9"
NEEDS_YOU = "#e69f00"
GOOD = "#3fb68b"
BAD = "#e8743b"
QUIET = "#8a8f98"
CURSOR = "#d0d4da"

#: what stands for each of these colours: where the ground is light; and of a terminal's 16 colours on its black
#: (the bright ones, which every palette can show there) and on its white (where green, cyan and yellow cannot be
#: read, so that better is blue and worse is red)
_ELSEWHERE = {
    "#56b4e9": ("#005a91", 14, 4),
    "#e69f00": ("#7a4a00", 11, 5),
    "#00b98a": ("#006148", 10, 0),
    "#cc79a7": ("#8a2f63", 13, 1),
    "#f0e442": ("#5c5500", 15, 8),
    "#4c8fd6": ("#1f4e9e", 12, 4),
    "#e8743b": ("#9a3606", 9, 1),
    "#b0b0b0": ("#4d4d4d", 7, 0),
    GOOD: ("#0f6142", 10, 4),
    QUIET: ("#4e535b", 7, 8),
    CURSOR: ("#303338", 15, 0),
}
ON_LIGHT = {colour: light for colour, (light, _, _) in _ELSEWHERE.items()}
ON_BLACK = {colour: number for colour, (_, number, _) in _ELSEWHERE.items()}
ON_WHITE = {colour: number for colour, (_, _, number) in _ELSEWHERE.items()}


def version_colour(version: str) -> str:
    """`v003` has the same colour in tables, curves and comparisons; models from elsewhere are grey."""
    number = version_number(version)
    return _VERSIONS[(number - 1) % len(_VERSIONS)] if number else QUIET


def version_mark(version: str, *, ascii_only: bool = False) -> str:
    """`v003` has the same mark wherever curves lie over each other."""
    marks = ASCII_MARKS if ascii_only else MARKS
    return marks[((version_number(version) or 1) - 1) % len(marks)]


def verdict_colour(verdict: str | None) -> str:
    return {"better": GOOD, "worse": BAD, "trade-off": NEEDS_YOU}.get(verdict or "", QUIET)
