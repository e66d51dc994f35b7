"""Playbooks, the workflow log and the ledger of jobs in the app."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from textual.widgets import Static

from progtrain.engine.files import append_line
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from progtrain.tui.client import EngineClient
from progtrain.tui.screens.journal import JournalScreen
from progtrain.tui.widgets.document import Document
from progtrain.tui.widgets.row_list import RowList
from tests.tui.fakes import FakeView, make_app, settle, snapshot


@pytest.fixture
def done(finished: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(finished.root, tmp_path / "copy")))


def names(rows: RowList) -> list[str]:
    return [row.key for row in rows.rows]


async def test_playbook_and_log_are_written_and_shown_beside_reports(done: Workspace) -> None:
    app = make_app(done, WorkspaceView(done.root).snapshot(), engine=EngineClient(done))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("6")
        rows, document = app.screen.query_one("#reports", RowList), app.screen.query_one("#report", Document)
        await settle(pilot, lambda: "Final analysis" in document.source)
        await pilot.press("w")
        await settle(pilot, lambda: "Failure playbook of v002" in document.source)
        assert names(rows)[1:] == ["workflow log", "playbook v002"]
        assert any("written: workflow log and playbook v002" in note.message for note in app._notifications)
        await pilot.press("y")
        await settle(pilot, lambda: any("JSON of the playbook is copied" in n.message for n in app._notifications))
        assert json.loads(app.screen.leaderboard)["version"] == "v002"  # type: ignore[attr-defined]
        await pilot.press("tab", "up")
        await settle(pilot, lambda: "# Workflow log" in document.source)
        await pilot.press("enter")
        await settle(pilot, lambda: document.has_focus)
        assert max(len(document.line(at, 80).plain) for at in range(10)) <= 80


async def test_who_only_looks_writes_nothing(done: Workspace) -> None:
    app = make_app(done, WorkspaceView(done.root).snapshot(), engine=EngineClient(done), readonly=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("6", "w")
        await pilot.pause(0.2)
        assert not done.workflow_log.exists()


async def test_the_journal_turns_into_the_ledger_of_jobs_and_back(done: Workspace) -> None:
    app = make_app(done, WorkspaceView(done.root).snapshot())
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("5")
        rows, detail = app.screen.query_one("#entries", RowList), app.screen.query_one("#entry", Static)
        await settle(pilot, lambda: len(rows.rows) > 5)
        entries = len(rows.rows)
        await pilot.press("t")
        await settle(pilot, lambda: "v001-train-1" in names(rows))
        assert "report-v002" in names(rows)
        rows.move_to("v001-train-1")
        await settle(pilot, lambda: "output: .progtrain/jobs/v001-train-1/output.log" in str(detail.render()))
        assert "finished" in str(detail.render())
        await pilot.press("y")
        await settle(pilot, lambda: any("where its output lies is copied" in n.message for n in app._notifications))
        await pilot.press("slash")
        await pilot.pause()
        await pilot.press(*"evaluate", "enter")
        await settle(pilot, lambda: len(rows.rows) == 2)
        await pilot.press("escape", "escape")
        await settle(pilot, lambda: len(rows.rows) == entries)
        assert app.current_mode == "journal"


async def test_new_attempts_come_into_the_ledger_by_themselves(done: Workspace) -> None:
    view = FakeView(snapshot(done.root, "finished"))
    app = make_app(done, view)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("5", "t")
        rows = app.screen.query_one("#entries", RowList)
        await settle(pilot, lambda: "v002-evaluate" in names(rows))
        told = {"event": "step_started", "version": "v002", "step": "evaluate"}
        append_line(done.journal, {"at": "2099-01-01T00:00:00+00:00", **told})
        view.now = snapshot(done.root, "evaluating")
        await settle(pilot, lambda: "v002-evaluate.1" in names(rows))


async def test_the_palette_knows_the_records(done: Workspace) -> None:
    app = make_app(done, WorkspaceView(done.root).snapshot(), engine=EngineClient(done))
    async with app.run_test(size=(80, 24)) as pilot:

        async def choose(typed: str) -> None:
            await pilot.press("ctrl+p")
            await pilot.pause(0.1)
            await pilot.press(*typed)
            await pilot.pause(0.5)
            await pilot.press("enter")

        await settle(pilot)
        await choose("workflow log")
        await settle(pilot, lambda: done.workflow_log.is_file())
        document = app.screen.query_one("#report", Document)
        await settle(pilot, lambda: "# Workflow log" in document.source)
        await choose("jobs")
        await settle(pilot, lambda: isinstance(app.screen, JournalScreen))
        rows = app.screen.query_one("#entries", RowList)
        await settle(pilot, lambda: "v001-train-1" in names(rows))
