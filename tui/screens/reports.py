"""Reports, the workflow log and playbooks as Markdown, the newest first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from progtrain.tui.look.sanitize import as_text
from progtrain.tui.model import Model
from progtrain.tui.reading import documents
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.widgets.document import Document
from progtrain.tui.widgets.row_list import Column, Row, RowList

_WRITE = "Write the workflow log, and the playbook of the version here"


class ReportsScreen(PaneScreen):
    TITLE = "reports"
    PANES: ClassVar[tuple[str, ...]] = ("report", "reports")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "Reports", id="pane.next"),
        Binding("w", "write", "Write log", tooltip=_WRITE, id="reports.write"),
        Binding("y", "copy", "Copy", tooltip="Copy leaderboard or log as CSV, a playbook as JSON", id="copy"),
        *PANE_KEYS,
    ]

    def __init__(self) -> None:
        super().__init__()
        #: of what is on show, for programs, and what that is
        self.leaderboard, self._what = "", "the leaderboard"
        self._state: object = None
        #: what is to be shown once it is in the list
        self._wanted = ""

    def body(self) -> ComposeResult:
        with Horizontal(id="middle"):
            with Vertical(id="left", classes="pane"):
                yield RowList([Column("report", stretch=True)], id="reports", empty="none yet")
            with Vertical(id="right", classes="pane"):
                empty = "no report yet: it is written when the loop has finished; w writes log and playbook"
                yield Document(id="report", empty=empty)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._list()

    def show(self, model: Model) -> None:
        state = (model.snapshot.report, model.snapshot.status) if model.snapshot else None
        if state != self._state:
            self._state = state
            self._list()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action == "write" and self.host.readonly)

    @property
    def version_here(self) -> str | None:
        return documents.version_in(self.query_one("#reports", RowList).key) or super().version_here

    def _list(self) -> None:
        workspace = self.workspace
        self.read(lambda: documents.report_names(workspace), self._listed)

    def _listed(self, names: tuple[str, ...]) -> None:
        rows = self.query_one("#reports", RowList)
        rows.show_rows([Row(name, (as_text(name),)) for name in names])
        if self._wanted in names:
            rows.move_to(self._wanted)
            self._wanted = ""

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        self._read(event.key)

    def _read(self, name: str | None) -> None:
        workspace = self.workspace
        if name is not None:
            self.read(lambda: documents.read_report(workspace, name), lambda texts: self._found(name, *texts))

    def on_row_list_selected(self) -> None:
        self.show_pane(0)

    def _found(self, name: str, text: str, table: str, what: str) -> None:
        self.leaderboard, self._what = table, what
        self.query_one("#report", Document).show(text or "*this report has no final-analysis.md*")
        self.query_one("#report").border_title = as_text(name)

    def action_write(self, shown: str = "") -> None:
        """Of the version under the cursor, or the latest that is evaluated; `shown`: what is to be seen then."""
        engine, version = self.host.engine, documents.version_in(self.query_one("#reports", RowList).key)

        def done(written: str | None) -> None:
            playbook = documents.playbook(written) if written else documents.LOG
            self.host.say(f"written: {documents.LOG}{f' and {playbook}' if written else ''}")
            self._wanted = shown or playbook
            self._read(self.query_one("#reports", RowList).key)
            self._list()

        self.read(lambda: engine.write_records(version), done)

    def action_copy(self) -> None:
        self.host.copy(self.leaderboard, self._what)
