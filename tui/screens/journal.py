"""What happened when, with the command to repeat it (T6)."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET, version_colour
from tui.model import Model
from tui.reading.journal import Entry, JournalReader
from tui.sanitize import as_text, clean_line
from tui.screens.ask import AskLine
from tui.screens.base import BaseScreen
from tui.widgets.row_list import Column, Row, RowList

_STYLE = {
    "loop_failed": BAD,
    "attempt_failed": BAD,
    "warning": NEEDS_YOU,
    "question": NEEDS_YOU,
    "loop_waiting": NEEDS_YOU,
    "decision": NOW,
    "loop_finished": GOOD,
}


class JournalScreen(BaseScreen):
    TITLE = "journal"
    AUTO_FOCUS = "#entries"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="filter"),
        Binding("y", "copy", "Copy the command", id="copy"),
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._reader: JournalReader | None = None
        self._entries: tuple[Entry, ...] = ()
        self._filter = ""
        self._at_end = True

    def body(self) -> ComposeResult:
        columns = [Column("when"), Column("version"), Column("event"), Column("", stretch=True)]
        yield RowList(columns, id="entries", empty="nothing has happened yet")
        yield Static("", id="entry", markup=False)

    def show(self, model: Model) -> None:
        reader = self._reader = self._reader or JournalReader(self.workspace)
        self.read(reader.read, self._found)

    def _found(self, entries: tuple[Entry, ...]) -> None:
        if entries != self._entries:
            self._entries = entries
            self._show_rows()

    def _show_rows(self) -> None:
        rows = self.query_one("#entries", RowList)
        at_end = rows.cursor >= len(rows.rows) - 1
        wanted = self._filter.casefold()
        shown = [e for e in self._entries if wanted in _searchable(e)]
        rows.show_rows([_row(entry) for entry in shown])
        rows.border_title = f"journal  {len(shown)} of {len(self._entries)}"
        rows.border_subtitle = f"filter: {clean_line(self._filter)}" if self._filter else ""
        if at_end:
            rows.action_cursor_to(-1)

    def _entry(self, key: str | None) -> Entry | None:
        return next((e for e in self._entries if str(e.number) == key), None)

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        entry = self._entry(event.key)
        text = Text("")
        if entry is not None:
            for key, value in entry.details:
                if key not in {"command", "version"}:
                    text.append(f"{clean_line(key)}: ", QUIET).append(f"{clean_line(value)}\n")
            if entry.command:
                text.append("again: ", QUIET).append(clean_line(entry.command), "bold")
        self.query_one("#entry", Static).update(text)

    def action_filter(self) -> None:
        help = "enter filters; empty shows all    esc goes back"
        self.app.push_screen(AskLine("filter", help, self._filter), self._filtered)

    def _filtered(self, text: str | None) -> None:
        if text is not None:
            self._filter = text
            self._show_rows()

    def action_copy(self) -> None:
        entry = self._entry(self.query_one("#entries", RowList).key)
        if entry is not None and entry.command:
            self.host.copy(entry.command, "the command")
        else:
            self.host.say("this entry has no command to repeat")

    def action_back(self) -> None:
        if self._filter:
            self._filtered("")
        else:
            self.host.action_screen("loop")


def _searchable(entry: Entry) -> str:
    return f"{entry.version} {entry.event.replace('_', ' ')} {entry.event} {entry.text} {entry.command}".casefold()


def _row(entry: Entry) -> Row:
    when = entry.at[5:19].replace("T", " ")
    style = _STYLE.get(entry.event, "")
    return Row(
        str(entry.number),
        (
            as_text(when, QUIET),
            as_text(entry.version, version_colour(entry.version)),
            as_text(entry.event.replace("_", " "), style),
            as_text(entry.text),
        ),
    )
