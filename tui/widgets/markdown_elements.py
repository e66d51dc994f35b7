"""How Rich lays out our documents: headings on the left, fences without a box. Imported with the first document."""

from __future__ import annotations

import re
from copy import copy
from typing import ClassVar

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from progtrain.tui.look.sanitize import narrowed

#: two cells between columns, one before the first and one behind the last
_EDGE = 2

#: marks the lines of headings, after which no line is left free
HEADING = Style(meta={"heading": True})


class LeftHeading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize(HEADING)
        yield self.text


class PlainCode(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(str(self.text).rstrip(), style="bold"), (0, 0, 0, 2))


class WideTable(TableElement):
    """Cells of several words wrap, and columns that find no room go on below, beside their first column.

    A word or number is never cut: where even that is not enough one scrolls sideways.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            assert isinstance(table, Table)
            for column in table.columns:
                column.min_width = _longest_word(column)
            for group in _groups(table.columns, options.max_width):
                part = copy(table)
                part.columns = group
                needed = _set_widths(group, options.max_width)
                yield from console.render(part, options.update(width=max(options.max_width, needed)))


def _groups(columns: list[Column], room: int) -> list[list[Column]]:
    """As few as fit, with about as many columns each: a change and its verdict are seldom torn apart."""
    first, *rest = columns
    for count in range(1, len(rest) + 1):
        size = -(-len(rest) // count)
        groups = [[first, *rest[at : at + size]] for at in range(0, len(rest), size)]
        if all(sum(_least(group)) + _EDGE * len(group) <= room for group in groups):
            return groups
    return [[first, column] for column in rest] or [[first]]


def _set_widths(group: list[Column], room: int) -> int:
    """Gives the columns their widths; what the table needs with them."""
    least, edges = _least(group), _EDGE * len(group)
    longest = [max(map(cell_len, _cells(column))) for column in group]
    natural = [max(word, min(cell, room)) for word, cell in zip(least, longest, strict=True)]
    widths = narrowed(natural, least, room - edges - sum(natural))
    for column, width in zip(group, widths, strict=True):
        column.width = width
    return edges + sum(widths)


def _least(group: list[Column]) -> list[int]:
    return [column.min_width or 1 for column in group]


def _cells(column: Column) -> list[str]:
    return [str(cell) for cell in (column.header, *column.cells)]


def _longest_word(column: Column) -> int:
    """An arrow behind a name stays with it."""
    return max(cell_len(word) for cell in _cells(column) for word in re.split(r" (?![↑↓])", cell))


class PlainMarkdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": LeftHeading,
        "fence": PlainCode,
        "code_block": PlainCode,
        "table_open": WideTable,
    }
