"""A table with a cursor. Rows have keys: new rows keep the cursor where its key is, and cost no widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from progtrain.tui.look.sanitize import narrowed, shorten
from progtrain.tui.widgets.line_view import LineView

_NARROWEST = 5
_NARROWEST_STRETCH = 12
_WIDEST_SIDEWAYS = 22
_LOOKED_AT = 100
#: lines that are kept as they were drawn: more than a screen has
_KEPT = 500


class Column(NamedTuple):
    title: str
    align: Literal["left", "right"] = "left"
    #: gets what is left of the width; its cells are shortened in the middle
    stretch: bool = False
    #: may be left out where the width does not suffice; the highest goes first
    spare: int = 0


class Row:
    """One row. With `make` its cells are made when they are first looked at: of ten thousand few ever are."""

    __slots__ = ("_cells", "_make", "key", "source")

    def __init__(
        self,
        key: str,
        cells: tuple[Text, ...] = (),
        *,
        source: object = None,
        make: Callable[[], tuple[Text, ...]] | None = None,
    ) -> None:
        """`source`: all that `make` makes them of; rows of the same key and source are the same."""
        self.key = key
        self._cells = cells
        self._make = make
        self.source = source if make else cells

    @property
    def cells(self) -> tuple[Text, ...]:
        if self._make is not None:
            self._cells, self._make = self._make(), None
        return self._cells

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.key == other.key and self.source == other.source


class RowList(LineView):
    PANE: ClassVar[str] = "list"
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--cursor", "row-list--header"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "Up", show=False, id="up"),
        Binding("down,j", "cursor(1)", "Down", show=False, id="down"),
        Binding("pageup,ctrl+u", "cursor_page(-1)", "Page up", show=False, id="page_up"),
        Binding("pagedown,ctrl+d", "cursor_page(1)", "Page down", show=False, id="page_down"),
        Binding("g,home", "cursor_to(0)", "First", show=False, id="first"),
        Binding("G,end", "cursor_to(-1)", "Last", show=False, id="last"),
        Binding("enter", "select", "Open", show=False, id="open"),
    ]

    cursor: reactive[int] = reactive(0)

    class Highlighted(Message):
        """The cursor moved to another key."""

        def __init__(self, rows: RowList, key: str | None) -> None:
            super().__init__()
            self.rows, self.key = rows, key

    class Selected(Highlighted):
        """Enter on a row."""

    def __init__(
        self, columns: Sequence[Column], *, id: str | None = None, empty: str = "", sideways: bool = False
    ) -> None:
        """`sideways`: columns keep their width, and what finds no room is scrolled to."""
        super().__init__(id=id)
        self._sideways = sideways
        self.columns = tuple(columns)
        self.rows: tuple[Row, ...] = ()
        self.empty = empty
        #: of the columns, by the width of all: lines may be drawn before word of a resize comes
        self._widths: dict[int, tuple[int, ...]] = {}
        self._told: str | None = None
        #: those without the cursor, by row, width and first column; and the ground that they were drawn on
        self._drawn: tuple[dict[tuple[int, int, int], Strip], Style] = {}, self._ground

    @property
    def count(self) -> int:
        return len(self.rows) or 1

    @property
    def header_height(self) -> int:
        return 1 if any(column.title for column in self.columns) else 0

    @property
    def key(self) -> str | None:
        """Of the row under the cursor."""
        return self.rows[self.cursor].key if self.cursor < len(self.rows) else None

    def show_rows(self, rows: Sequence[Row], columns: Sequence[Column] | None = None) -> None:
        """Repaints only when something differs."""
        rows = tuple(rows)
        if rows == self.rows and (columns is None or tuple(columns) == self.columns):
            return
        before = self.key
        self.rows = rows
        self.columns = tuple(columns) if columns is not None else self.columns
        self._widths, self._drawn = {}, ({}, self._ground)
        if self._sideways:
            wanted = self._wanted()
            self.content_width = sum(wanted) + len(wanted)
        if before is not None:
            place = next((i for i, row in enumerate(rows) if row.key == before), None)
            self.cursor = place if place is not None else min(self.cursor, max(0, len(rows) - 1))
        else:
            self.cursor = 0
        self.renew()
        self.call_after_refresh(self._keep_in_view)
        self._tell()

    def move_to(self, key: str) -> None:
        place = next((i for i, row in enumerate(self.rows) if row.key == key), None)
        if place is not None:
            self.cursor = place

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._keep_in_view)

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, len(self.rows) - 1)) if self.rows else 0

    def watch_cursor(self, before: int, after: int) -> None:
        self._keep_in_view(immediate=True)
        for row in (before, after):
            self.refresh_line(row + self.header_height)
        self._tell()

    def _tell(self) -> None:
        if self.key != self._told:
            self._told = self.key
            self.post_message(self.Highlighted(self, self.key))

    def _keep_in_view(self, *, immediate: bool = False) -> None:
        height = self.scrollable_content_region.height - self.header_height
        top = self.scroll_offset.y
        if height <= 0 or top <= self.cursor < top + height:
            return
        top = self.cursor if self.cursor < top else self.cursor - height + 1
        self.scroll_to(y=top, animate=False, force=True, immediate=immediate)

    def action_cursor(self, by: int) -> None:
        self.cursor += by

    def action_cursor_page(self, pages: int) -> None:
        self.cursor += pages * max(1, self.scrollable_content_region.height - self.header_height - 1)

    def action_cursor_to(self, place: int) -> None:
        self.cursor = place if place >= 0 else len(self.rows) - 1

    def action_select(self) -> None:
        if self.key is not None:
            self.post_message(self.Selected(self, self.key))

    def on_click(self, event: events.Click) -> None:
        index = event.y + self.scroll_offset.y - self.header_height
        if 0 <= index < len(self.rows):
            if index == self.cursor and event.chain == 2:
                self.action_select()
            self.cursor = index

    # drawing

    def render_line(self, y: int) -> Strip:
        across, down = self.scroll_offset
        row = y + down - self.header_height
        if y < self.header_height or row == self.cursor:
            return super().render_line(y)
        lines, ground = self._drawn
        if ground != self._ground or len(lines) > _KEPT:
            lines = {}
            self._drawn = lines, self._ground
        place = row, self.scrollable_content_region.width, across
        if place not in lines:
            lines[place] = super().render_line(y)
        return lines[place]

    def header(self, width: int) -> Text:
        width = max(width, self.content_width)
        style = self.get_component_rich_style("row-list--header", partial=True)
        return self._row_text([Text(column.title) for column in self.columns], width, style)

    def line(self, index: int, width: int) -> Text:
        if not self.rows:
            return Text(shorten(self.empty, width), style="dim")
        width = max(width, self.content_width)
        text = self._row_text(list(self.rows[index].cells), width, Style())
        if index == self.cursor:
            text.append(" " * max(0, width - text.cell_len))
            text.stylize(self.get_component_rich_style("row-list--cursor", partial=not self.has_focus))
        return text

    def _row_text(self, cells: list[Text], width: int, style: Style) -> Text:
        line = Text(style=style, no_wrap=True)
        for column, cell, room in zip(self.columns, cells, self._column_widths(width), strict=False):
            if room <= 0:
                continue
            shown = cell if cell.cell_len <= room else Text(shorten(cell.plain, room), style=cell.style)
            space = " " * (room - shown.cell_len)
            if column.align == "right":
                line.append(space).append_text(shown).append(" ")
            else:
                line.append_text(shown).append(f"{space} ")
        return line

    def _wanted(self) -> list[int]:
        """The width of each column's longest cell: of a long table, of the first rows and of some from all over it."""
        some = max(1, len(self.rows) // _LOOKED_AT)
        looked_at = [row.cells for row in (*self.rows[:_LOOKED_AT], *self.rows[_LOOKED_AT::some])]
        wanted = []
        for index, column in enumerate(self.columns):
            longest = max((cells[index].cell_len for cells in looked_at if index < len(cells)), default=0)
            wanted.append(max(longest, cell_len(column.title)))
        return [min(w, _WIDEST_SIDEWAYS) for w in wanted] if self._sideways else wanted

    def _column_widths(self, width: int) -> tuple[int, ...]:
        if width in self._widths:
            return self._widths[width]
        wanted = self._wanted()
        for spare in sorted({c.spare for c in self.columns if c.spare}, reverse=True):
            if sum(wanted) + len([w for w in wanted if w]) <= width:
                break
            wanted = [0 if c.spare == spare else w for c, w in zip(self.columns, wanted, strict=True)]
        free = width - sum(wanted) - len([w for w in wanted if w])
        for index, column in enumerate(self.columns):
            if column.stretch and wanted[index]:
                wanted[index] = max(_NARROWEST_STRETCH, wanted[index] + free)
        # long names lose their middle before the columns behind them lose their place
        over = width - sum(wanted) - len([w for w in wanted if w])
        self._widths = {width: tuple(narrowed(wanted, [_NARROWEST] * len(wanted), over))}
        return self._widths[width]
