"""The facts behind the numbers of a draft, each with the file that it comes from."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from progtrain.engine.workspace import Workspace
from progtrain.tui.host import host_of
from progtrain.tui.look.colours import NEEDS_YOU
from progtrain.tui.look.sanitize import as_text, clean_line
from progtrain.tui.reading.documents import read_evidence, read_facts
from progtrain.tui.screens.base import is_there
from progtrain.tui.widgets.row_list import Column, Row, RowList


class FactsScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f,q", "dismiss", "Back", id="back")]

    def __init__(self, workspace: Workspace, version: str, notes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._workspace, self._version, self._notes = workspace, version, notes
        self._facts: dict[str, dict[str, str]] = {}

    def compose(self) -> ComposeResult:
        columns = [Column("fact"), Column("value"), Column("means", stretch=True)]
        with Vertical(classes="dialog tall"):
            yield Static(Text("\n".join(map(clean_line, self._notes)), style=NEEDS_YOU), id="notes", markup=False)
            yield RowList(columns, id="facts", empty="no facts were worked out for this version")
            yield Static("", id="source", markup=False)

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.query_one(RowList).border_title = as_text(f"facts of {self._version}")
        workspace, version = self._workspace, self._version
        host_of(self).in_thread(lambda: (read_facts(workspace, version), read_evidence(workspace, version)), self._show)

    def _show(self, found: tuple[tuple[dict[str, str], ...], str]) -> None:
        facts, evidence = found
        if is_there(self):
            if evidence:
                lines = map(clean_line, (*self._notes, evidence))
                self.query_one("#notes", Static).update(Text("\n".join(lines), style=NEEDS_YOU))
            self._facts = {fact["key"]: fact for fact in facts}
            styles = {"key": "", "display": "bold", "meaning": ""}
            self.query_one(RowList).show_rows(
                [Row(f["key"], tuple(as_text(f[name], style) for name, style in styles.items())) for f in facts]
            )

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        fact = self._facts.get(event.key or "")
        if fact is not None:
            told = f"{clean_line(fact['meaning'])}\nfrom {clean_line(fact['source']) or 'the files of this version'}"
            self.query_one("#source", Static).update(told)
