"""The last gate before the terminal: no control character passes, and with `--ascii` nothing beyond ASCII."""

from __future__ import annotations

import re
import unicodedata

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_PLAIN = {
    **dict.fromkeys("─━┄┈╌═▁▂▔▀", "-"),
    **dict.fromkeys("│┃┊┆║▌▐▏▕", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝", "+"),
    **dict.fromkeys("█▇▆▅▄▃■▉▊▋", "#"),
    **dict.fromkeys("·•●○…░", "."),
    "→": ">",
    "←": "<",
    "⏎": "e",
    "Δ": "d",
    "–": "-",
    "≈": "~",
    "▲": "^",
    "▼": "v",
    "★": "*",
    "✓": "+",
    "✗": "x",
    "▶": ">",
    "◆": "?",
    "“": '"',
    "”": '"',
    "’": "'",
}


class OnlyText(LineFilter):
    """Whatever a widget made of others' text, its cells hold characters and no commands."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.control or not _CONTROL.search(segment.text) for segment in segments):
            return segments
        return [
            segment if segment.control else Segment(_CONTROL.sub(" ", segment.text), segment.style)
            for segment in segments
        ]


class OnlyAscii(LineFilter):
    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.control or segment.text.isascii()
            else Segment("".join(map(_plain, segment.text)), segment.style)
            for segment in segments
        ]


def _plain(char: str) -> str:
    """As many cells as the character takes."""
    if char.isascii():
        return char
    width = cell_len(char)
    known = _PLAIN.get(char) or unicodedata.normalize("NFKD", char)[:1]
    return (known if known.isascii() else "?").ljust(width, "?")[:width]
