"""A list to choose from, over a screen: one entry, or several marked ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from progtrain.tui.look.sanitize import as_text, clean_line
from progtrain.tui.screens.ask import AskLine
from progtrain.tui.widgets.row_list import Column, Row, RowList


class Choose(ModalScreen[tuple[str, ...] | None]):
    """Gives the keys of the chosen rows, None when the user goes back.

    With `many`, space marks rows, and enter takes the marked ones; the row under the cursor where none is.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", show=False, id="mark"),
        Binding("slash", "filter", "Filter", show=False, id="filter"),
        Binding("escape,q", "back", "Back", id="back"),
    ]

    def __init__(
        self,
        title: str,
        rows: Sequence[Row],
        *,
        at: str | None = None,
        many: bool = False,
        marked: Iterable[str] = (),
        sign: str = "■",
    ) -> None:
        """`sign` stands before marked rows."""
        super().__init__()
        self._title, self._rows, self._at = title, tuple(rows), at
        self._many, self._marked, self._sign = many, set(marked), sign
        self._filter = ""

    def compose(self) -> ComposeResult:
        keys = "enter chooses    / filters    esc goes back"
        with Vertical(classes="dialog list"):
            yield Static(clean_line(self._title), markup=False)
            yield RowList([], id="choices", empty="nothing fits the filter")
            yield Static(f"space marks    {keys}" if self._many else keys, markup=False, classes="keys")

    def on_mount(self) -> None:
        choices = self.query_one(RowList)
        self._show()
        if self._at is not None:
            choices.move_to(self._at)
        choices.focus()

    def _show(self) -> None:
        wanted = self._filter.casefold()
        rows = [row for row in self._rows if wanted in " ".join(cell.plain for cell in row.cells).casefold()]
        if self._many:
            rows = [Row(row.key, (self._mark(row.key), *row.cells)) for row in rows]
        width = max((len(row.cells) for row in rows), default=1)
        columns = [Column("", stretch=place == width - 1) for place in range(width)]
        self.query_one(RowList).show_rows(rows, columns)

    def _mark(self, key: str) -> Text:
        return as_text(self._sign if key in self._marked else " ")

    def action_mark(self) -> None:
        key = self.query_one(RowList).key
        if self._many and key is not None:
            self._marked ^= {key}
            self._show()

    def action_filter(self) -> None:
        self.app.push_screen(AskLine("filter", "enter filters; empty shows all    esc goes back"), self._filtered)

    def _filtered(self, text: str | None) -> None:
        if text is not None:
            self._filter = text
            self._show()

    def on_row_list_selected(self, event: RowList.Selected) -> None:
        if event.key is not None:
            self.dismiss(tuple(row.key for row in self._rows if row.key in self._marked) or (event.key,))

    def action_back(self) -> None:
        self.dismiss(None)
