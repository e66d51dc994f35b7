"""How Rich lays out our documents: headings on the left, fences without a box. Imported with the first document."""

from __future__ import annotations

import re
from copy import copy
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

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
            sized = [_Sized.of(column) for column in table.columns]
            for group in _groups(sized, options.max_width):
                part = copy(table)
                part.columns = [entry.column for entry in group]
                needed = _set_widths(group, options.max_width)
                yield from console.render(part, options.update(width=max(options.max_width, needed)))


class _Sized(NamedTuple):
    """A column, the width of its longest cell, and of its longest word."""

    column: Column
    natural: int
    least: int

    @classmethod
    def of(cls, column: Column) -> _Sized:
        cells = [str(cell) for cell in (column.header, *column.cells)]
        return cls(column, max(map(cell_len, cells)), _longest_word(cells))


def _groups(columns: list[_Sized], room: int) -> list[list[_Sized]]:
    """As few as fit, with about as many columns each: a change and its verdict are seldom torn apart."""
    first, *rest = columns
    for count in range(1, len(rest) + 1):
        size = -(-len(rest) // count)
        groups = [[first, *rest[at : at + size]] for at in range(0, len(rest), size)]
        if all(sum(entry.least + _EDGE for entry in group) <= room for group in groups):
            return groups
    return [[first, column] for column in rest] or [[first]]


def _set_widths(group: list[_Sized], room: int) -> int:
    """Gives the columns their widths; what the table needs with them."""
    natural = [max(entry.least, min(entry.natural, room)) for entry in group]
    edges = _EDGE * len(group)
    widths = fit_columns(natural, [entry.least for entry in group], room - edges - sum(natural))
    for entry, width in zip(group, widths, strict=True):
        entry.column.width = width
    return edges + sum(widths)


def fit_columns(natural: list[int], least: list[int], over: int) -> list[int]:
    """Widths that give up `-over` cells, the widest column first, none more than it has to have."""
    widths = list(natural)
    while over < 0:
        spare = [(width, place) for place, width in enumerate(widths) if width > least[place]]
        if not spare:
            break
        widths[max(spare)[1]] -= 1
        over += 1
    return widths


def _longest_word(cells: list[str]) -> int:
    """An arrow behind a name stays with it."""
    return max((cell_len(word) for cell in cells for word in re.split(r" (?![↑↓])", cell)), default=1)


class PlainMarkdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": LeftHeading,
        "fence": PlainCode,
        "code_block": PlainCode,
        "table_open": WideTable,
    }
