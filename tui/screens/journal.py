"""What happened when, with the command to repeat it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET, version_colour
from progtrain.tui.look.sanitize import as_text, clean_line, shorten
from progtrain.tui.model import Model
from progtrain.tui.reading.journal import Entry, JournalReader
from progtrain.tui.screens.base import BaseScreen
from progtrain.tui.widgets.row_list import Column, Row, RowList

_STYLE = {
    "loop_failed": BAD,
    "attempt_failed": BAD,
    "warning": NEEDS_YOU,
    "question": NEEDS_YOU,
    "loop_waiting": NEEDS_YOU,
    "decision": NOW,
    "loop_finished": GOOD,
}


#: columns from which the day has room beside the time
_WITH_DAY = 100


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

    def body(self) -> ComposeResult:
        columns = [Column("when"), Column("ver"), Column("event"), Column("", stretch=True)]
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
        day = self.app.size.width >= _WITH_DAY
        rows.show_rows([_row(entry, day=day) for entry in shown])
        showing = f'"{self._filter}": {len(shown)} of ' if self._filter else ""
        rows.border_title = as_text(f"journal  {showing}{len(self._entries)} entries")
        if at_end:
            rows.action_cursor_to(-1)

    def on_resize(self) -> None:
        self._show_rows()

    def _entry(self, key: str | None) -> Entry | None:
        return next((e for e in self._entries if str(e.number) == key), None)

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        entry = self._entry(event.key)
        self.tell("entry", _whole(entry) if entry is not None else Text(""))

    @property
    def version_here(self) -> str | None:
        entry = self._entry(self.query_one("#entries", RowList).key)
        return entry.version if entry and self.model.version(entry.version) else super().version_here

    def action_filter(self) -> None:
        help = "enter filters; empty shows all    esc goes back"
        self.ask("filter", help, self._filtered, self._filter)

    def _filtered(self, text: str) -> None:
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
            super().action_back()


def _searchable(entry: Entry) -> str:
    return f"{entry.version} {entry.event.replace('_', ' ')} {entry.event} {entry.text} {entry.command}".casefold()


def _whole(entry: Entry) -> Text:
    """All of an entry, wrapped: the table has one line for it."""
    text = Text(f"{clean_line(entry.at[:19].replace('T', ' '))} ", QUIET)
    text.append(shorten(clean_line((entry.text or entry.event.replace("_", " "))[:4000]), 1000), "not dim bold")
    if entry.command:
        text.append("\nagain: ", QUIET).append(shorten(clean_line(entry.command[:4000]), 1000), "bold")
    for key, value in entry.details:
        # what the words say already is not said again
        if key not in {"command", "version"} and value not in entry.text:
            text.append(f"\n{clean_line(key)}: ", QUIET).append(shorten(clean_line(value[:4000]), 400))
    return text


def _row(entry: Entry, *, day: bool) -> Row:
    when = entry.at[5 if day else 11 : 19].replace("T", " ")
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
