"""Colours that mean the same on every screen."""

from __future__ import annotations

from engine.workspace import version_number

#: Okabe and Ito's palette for colour-blind readers, in an order in which neighbours differ in lightness too;
#: its dark blue and vermilion are lightened, so that they read on a dark ground.
_VERSIONS = ("#56b4e9", "#e69f00", "#00b98a", "#cc79a7", "#f0e442", "#4c8fd6", "#e8743b", "#b0b0b0")

NOW = "#56b4e9"
NEEDS_YOU = "#e69f00"
GOOD = "#3fb68b"
BAD = "#e8743b"
QUIET = "#8a8f98"


def version_colour(version: str) -> str:
    """`v003` has the same colour in tables, curves and comparisons; models from elsewhere are grey."""
    number = version_number(version)
    return _VERSIONS[(number - 1) % len(_VERSIONS)] if number else QUIET


def verdict_colour(verdict: str | None) -> str:
    return {"better": GOOD, "worse": BAD}.get(verdict or "", QUIET)
