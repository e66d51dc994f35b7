"""A table from a file in the width there is: long cells lose their middle, columns that find no room are told."""

from __future__ import annotations

import csv
import io

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from progtrain.tui.look.sanitize import clean_line, clean_text, narrowed, shorten

_MOST_ROWS = 40
_NARROWEST = 5


class TableView(Widget):
    DEFAULT_CSS = "TableView { height: auto; width: 1fr; }"

    def __init__(self, text: str, delimiter: str = ",") -> None:
        super().__init__()
        self._rows, self._more = read_rows(text, delimiter)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(table_lines(self._rows, self._more, width))

    def render(self) -> Text:
        return Text("\n".join(table_lines(self._rows, self._more, self.content_size.width)), no_wrap=True)


def read_rows(text: str, delimiter: str) -> tuple[list[list[str]], int]:
    """The first rows, all of the same length, and how many were left out."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        rows = [[line] for line in clean_text(text).splitlines()]
    width = max((len(row) for row in rows), default=0)
    shown = [[clean_line(cell) for cell in row] + [""] * (width - len(row)) for row in rows[:_MOST_ROWS]]
    return shown, len(rows) - len(shown)


def table_lines(rows: list[list[str]], more: int, width: int) -> list[str]:
    if not rows:
        return ["no rows"]
    wanted = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths = fit(wanted, max(_NARROWEST, width))
    lines = ["  ".join(_cell(cell, room) for cell, room in zip(row, widths, strict=False)).rstrip() for row in rows]
    notes = [f"{len(wanted) - len(widths)} more columns"] if len(widths) < len(wanted) else []
    notes += [f"{more} more rows"] if more else []
    return [*lines, f"({', '.join(notes)})"] if notes else lines


def fit(wanted: list[int], width: int) -> list[int]:
    """Room for as many columns as can be read, two cells apart: the widest give way first, the last are left out."""
    count = len(wanted)
    while count > 1 and sum(min(w, _NARROWEST) for w in wanted[:count]) + 2 * (count - 1) > width:
        count -= 1
    return narrowed(wanted[:count], [1] * count, width - 2 * (count - 1) - sum(wanted[:count]))


def _cell(text: str, width: int) -> str:
    shown = shorten(text, width)
    return shown + " " * (width - cell_len(shown))
