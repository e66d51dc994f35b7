"""The reports as Markdown, the newest first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from progtrain.tui.look.sanitize import as_text
from progtrain.tui.model import Model
from progtrain.tui.reading.documents import read_report, report_names
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.widgets.document import Document
from progtrain.tui.widgets.row_list import Column, Row, RowList


class ReportsScreen(PaneScreen):
    TITLE = "reports"
    PANES: ClassVar[tuple[str, ...]] = ("report", "reports")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "Reports", id="pane.next"),
        Binding("y", "copy", "Copy", tooltip="Copy the leaderboard as CSV", id="copy"),
        *PANE_KEYS,
    ]

    def __init__(self) -> None:
        super().__init__()
        #: of the report on show, as CSV
        self.leaderboard = ""
        self._state: object = None

    def body(self) -> ComposeResult:
        with Horizontal(id="middle"):
            with Vertical(id="left", classes="pane"):
                yield RowList([Column("report", stretch=True)], id="reports", empty="none yet")
            with Vertical(id="right", classes="pane"):
                yield Document(id="report", empty="no report yet: it is written when the loop has finished")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._list()

    def show(self, model: Model) -> None:
        state = (model.snapshot.report, model.snapshot.status) if model.snapshot else None
        if state != self._state:
            self._state = state
            self._list()

    def _list(self) -> None:
        workspace = self.workspace
        self.read(lambda: report_names(workspace), self._listed)

    def _listed(self, names: tuple[str, ...]) -> None:
        self.query_one("#reports", RowList).show_rows([Row(name, (as_text(name),)) for name in names])

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        workspace, name = self.workspace, event.key
        if name is not None:
            self.read(lambda: read_report(workspace, name), lambda texts: self._found(name, *texts))

    def on_row_list_selected(self) -> None:
        self.show_pane(0)

    def _found(self, name: str, analysis: str, leaderboard: str) -> None:
        self.leaderboard = leaderboard
        self.query_one("#report", Document).show(analysis or "*this report has no final-analysis.md*")
        self.query_one("#report").border_title = as_text(name)

    def action_copy(self) -> None:
        self.host.copy(self.leaderboard, "the leaderboard")
