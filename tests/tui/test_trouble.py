"""Whatever lies in the workspace, and whatever happens to it under the app: a state on screen, never an end of it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Static

from progtrain.engine.drafting.preview import Check
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.screens.compare import CompareScreen
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.widgets.curve import CurveView
from progtrain.tui.widgets.log_view import LogView
from progtrain.tui.widgets.row_list import RowList
from progtrain.tui.widgets.steps import StepStrip
from tests.tui.fakes import FakeEngine, settle, write_curves
from tests.tui.test_app import run_in_terminal
from tests.tui.walks import files_of, fill_all, never_freezing, shows_review, tell, walk


def half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nested(path: Path) -> None:
    path.write_bytes(b"[" * 200_000 + b"\n")


def one_line(path: Path) -> None:
    path.write_bytes(b"9," * 1_000_000)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    path.unlink()


#: the rest by `make test-all`: each takes a quarter of a minute and more. Tests below delete versions and the workspace
OFTEN = (half,)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damage, marks=() if damage in OFTEN else pytest.mark.slow)
        for damage in (half, garbage, empty, nested, one_line, a_folder, gone)
    ],
)
async def test_files_of_every_kind_may_be_broken_while_they_are_shown(
    ws: Workspace, damage: Callable[[Path], None]
) -> None:
    fill_all(ws)
    copy = ws.root.with_name("copy")
    shutil.copytree(ws.root, copy)
    app = ProgtrainApp(ws.root, engine=FakeEngine(), every=0.3)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows_review(pilot)
        for path in files_of(ws.root):
            damage(path)
        await pilot.pause(0.5)
        async with never_freezing():
            await walk(pilot)
        shutil.rmtree(ws.root)
        shutil.copytree(copy, ws.root)
        await settle(pilot, lambda: not app.model.problem)
        await shows_review(pilot)
        assert str(app.screen.query_one("#notice").render()) == ""


def told(app: ProgtrainApp) -> list[str]:
    return [note.message for note in app._notifications]


def real(ws: Workspace) -> ProgtrainApp:
    """Looks at the files themselves, with the engine's own view."""
    return ProgtrainApp(ws.root, engine=FakeEngine(), every=0.3)


def versions_seen(app: ProgtrainApp) -> list[str]:
    return [v.version for v in app.model.snapshot.versions] if app.model.snapshot else []


async def test_a_workspace_that_is_gone_is_told_and_found_again(ws: Workspace) -> None:
    fill_all(ws)
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        away = ws.root.with_name("away")
        ws.root.rename(away)
        await settle(pilot, lambda: "this folder is no longer there" in str(app.screen.query_one("#notice").render()))
        await walk(pilot)
        assert versions_seen(app) == ["v001", "v002", "v003"], "what was last seen stays"
        away.rename(ws.root)
        await settle(pilot, lambda: str(app.screen.query_one("#notice").render()) == "")


async def test_a_version_deleted_by_hand_leaves_the_lists_and_its_curves_are_no_longer_drawn(ws: Workspace) -> None:
    """Also while it is under the cursor, marked, and in a comparison that is open."""
    fill_all(ws)
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await pilot.press("3")
        samples = app.screen.query_one("#samples", RowList)
        await settle(pilot, lambda: str(samples.border_title).startswith("v003") and len(samples.rows) == 60)
        await pilot.press("2")
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: board.has_focus and board.key == "v003")
        await pilot.press("space", "j", "space", "c")
        await settle(pilot, lambda: isinstance(app.screen, CompareScreen) and "v003" in app.screen.versions)
        shutil.rmtree(ws.version("v003").path)
        ws.script("v003").unlink()
        await settle(pilot, lambda: "v003" not in versions_seen(app))
        await pilot.press("tab", "right_square_bracket", "L", "u", "tab", "tab", "enter", "escape", "escape")
        await pilot.press("2")
        await settle(pilot, lambda: "v003" not in [row.key for row in board.rows])
        assert "v003" not in app.model.marked
        await pilot.press("3")
        await settle(pilot, lambda: str(samples.border_title).startswith("v002"))
        await walk(pilot)


async def test_when_all_versions_are_deleted_no_samples_are_shown(ws: Workspace) -> None:
    fill_all(ws)
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await pilot.press("3")
        samples = app.screen.query_one("#samples", RowList)
        await settle(pilot, lambda: len(samples.rows) == 60)
        for version in ("v001", "v002", "v003"):
            shutil.rmtree(ws.version(version).path)
        await settle(pilot, lambda: not samples.rows)
        assert "no sample is evaluated yet" in samples.line(0, 60).plain


async def test_artifacts_of_the_version_on_the_curve_deleted_and_made_anew(ws: Workspace) -> None:
    fill_all(ws)
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        curve = app.screen.query_one("#curve", CurveView)
        await settle(pilot, lambda: [len(line.series) for line in curve.lines] == [400, 12])
        shutil.rmtree(ws.version("v003").path)
        ws.live("v003").unlink()
        await settle(pilot, lambda: not curve.lines)
        write_curves(ws, "v003", rows=120)
        await settle(pilot, lambda: [len(line.series) for line in curve.lines] == [120, 12])


@pytest.mark.parametrize(
    ("text", "charts"),
    [
        ("epoch,step,grad_norm\n0,0,1.0\n0,1,1.1\n", {"grad norm"}),
        ("epoch,step,train_loss,val_loss\n0,0,2.0,\n0,1,,1.9\n", {"loss"}),
        ("epoch,step,train_loss\n0,0,2.0\n0,1,1", {"loss"}),
        ("epoch,step\n", set()),
        ("", set()),
        ("no table at all\n", set()),
    ],
)
async def test_a_metrics_file_that_becomes_another_one(ws: Workspace, text: str, charts: set[str]) -> None:
    """New columns, less of them, cut off, emptied; written in place as scripts do it."""
    fill_all(ws)
    ws.live("v003").unlink()
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await settle(pilot, lambda: app.model.charts(("v003",)) == ["loss", "accuracy", "learning rate"])
        (ws.version("v003").log_dirs()[-1] / "metrics.csv").write_text(text)
        await settle(pilot, lambda: set(app.model.charts(("v003",))) == charts)


async def test_a_broken_line_in_the_journal_costs_that_line_alone(ws: Workspace) -> None:
    fill_all(ws)
    with ws.journal.open("ab") as journal:
        journal.write(b'{"event": "note", "text": "torn\n\xff\xfe\x00\n[1, 2]\n' + b"[" * 100_000 + b"\n")
    tell(ws, {"event": "note", "text": "whole"})
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await pilot.press("5")
        entries = app.screen.query_one("#entries", RowList)
        await settle(pilot, lambda: len(entries.rows) == 8)
        assert entries.rows[-1].cells[-1].plain == "whole"


async def test_a_journal_that_is_replaced_is_read_anew(ws: Workspace) -> None:
    fill_all(ws)
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await pilot.press("5")
        entries = app.screen.query_one("#entries", RowList)
        await settle(pilot, lambda: len(entries.rows) == 7)
        ws.journal.unlink()
        tell(ws, {"event": "step_started", "version": "v002", "step": "train"}, {"event": "loop_stopped", "by": "user"})
        await settle(pilot, lambda: [row.cells[2].plain for row in entries.rows] == ["step started", "loop stopped"])
        assert app.model.snapshot is not None and app.model.snapshot.status == "stopped"


async def test_rules_broken_while_the_app_is_open_are_told_and_nothing_else_is_lost(ws: Workspace) -> None:
    fill_all(ws)
    app = ProgtrainApp(ws.root, every=0.3)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await pilot.press("4")
        locks = app.screen.query_one("#locks", RowList)
        await settle(pilot, lambda: "batch_size" in [row.key for row in locks.rows])
        whole = ws.rules.read_text()
        ws.rules.write_text(whole[:-10])
        head = app.screen.query_one("#rules_head", Static)
        await settle(pilot, lambda: "not valid JSON" in str(head.render()))
        assert "line" in str(head.render()) and str(ws.root) not in str(head.render())
        assert versions_seen(app) == ["v001", "v002", "v003"]
        ws.rules.write_text(whole)
        await settle(pilot, lambda: "batch_size" in [row.key for row in locks.rows])
        assert "not valid" not in str(head.render())


async def test_an_answer_that_cannot_be_written_is_told_and_can_be_given_again(ws: Workspace) -> None:
    """The disk is full: no byte can be written until there is room again."""
    fill_all(ws)
    app = ProgtrainApp(ws.root, every=0.3)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await pilot.press("r")
        await settle(pilot, lambda: app.screen.check_action("stop", ()) is True)
        most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
        try:
            await pilot.press("x", "y")
            await settle(pilot, lambda: bool(told(app)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
        assert "larger than is allowed" in told(app)[0] and "fix: " in told(app)[0]
        assert not list(ws.inbox.iterdir())
        await pilot.press("r", "x", "y")
        await settle(pilot, lambda: ws.decision("v003-review-1-abc").is_file())


@pytest.mark.parametrize("name", [".progtrain", "Models", "."])
async def test_a_folder_without_permission_is_told_and_read_again_when_it_may_be(ws: Workspace, name: str) -> None:
    fill_all(ws)
    folder = ws.root / name
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        folder.chmod(0)
        try:
            if os.access(folder, os.R_OK):
                pytest.skip("this user may read everything")
            await settle(pilot, lambda: "ermission" in str(app.screen.query_one("#notice").render()))
            await walk(pilot)
        finally:
            folder.chmod(0o755)
        await settle(pilot, lambda: str(app.screen.query_one("#notice").render()) == "")


async def test_ten_million_bytes_on_one_line(ws: Workspace) -> None:
    fill_all(ws)
    log = ws.job("v003-train-1").log
    log.write_bytes(b"0123456789" * 1_000_000)
    app = real(ws)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        view = app.screen.query_one(LogView)
        async with never_freezing():
            await settle(pilot, lambda: any(line.endswith("789") for line in view.lines))
            with log.open("ab") as file:
                file.write(b"0123456789" * 1_000_000 + b"\nthe next line\n")
            await settle(pilot, lambda: view.lines[-1] == "the next line")
            await pilot.press("tab", "tab", "slash", *"next", "enter", "g", "G", "right", "left")
        assert all(len(line) < 5000 for line in view.lines)


SIZES = [(20, 5), (1, 1), (200, 60), (120, 40)]


#: keys that lead to every screen and dialog
EVERYWHERE = ("1", "2", "3", "4", "5", "6", "r", "1 tab enter", "r e", "r x", "r h", "r f", "4 e", "4 i", "?", "ctrl+p")


@pytest.mark.slow
async def test_a_terminal_that_becomes_tiny_and_large_again(ws: Workspace) -> None:
    """On every screen, dialogs among them; keys arrive meanwhile."""
    fill_all(ws)
    app = real(ws)
    async with app.run_test(size=SIZES[-1]) as pilot:
        await shows_review(pilot)
        for keys in EVERYWHERE:
            await pilot.press(*keys.split())
            shown = type(app.screen)
            for size in SIZES:
                await pilot.resize_terminal(*size)
                await pilot.press("down")
                strips = app.screen._compositor.render_strips()
                assert all(strip.cell_length == size[0] for strip in strips), (keys, size)
            assert type(app.screen) is shown, keys
            await pilot.press("escape", "escape")


class SlowEngine(FakeEngine):
    """Answers when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()
        self.answered = threading.Event()

    def preview(self, version: str, action_text: str) -> Check:
        self.may_answer.wait(60)
        self.answered.set()
        return super().preview(version, action_text)


async def test_an_answer_for_a_screen_that_is_closed_meanwhile_is_let_go(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    fill_all(ws)
    engine = SlowEngine()
    app = ProgtrainApp(ws.root, engine=engine, every=0.3)
    shown: list[str] = []
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        await pilot.press("C", "enter")
        comparison = app.screen
        assert isinstance(comparison, CompareScreen)
        comparison.read(lambda: str(engine.may_answer.wait(60)), shown.append)
        await pilot.press("escape", "r", "e")
        await settle(pilot, lambda: isinstance(app.screen, EditScreen))
        await pilot.press("escape")
        engine.may_answer.set()
        await settle(pilot, engine.answered.is_set)
        await pilot.pause(0.3)
        assert app.is_running and shown == []


def test_leaving_does_not_wait_for_a_file_that_never_answers(ws: Workspace) -> None:
    """A dead network folder hangs whoever reads there; a pipe that nobody writes to does the same."""
    fill_all(ws)
    (ws.version("v003").infer_samples / "0001" / "meta.json").unlink()
    os.mkfifo(ws.version("v003").infer_samples / "0001" / "meta.json")
    written, code = run_in_terminal([str(ws.root)], [b"3", b"q"])
    assert code == 0 and b"\x1b[?1049l" in written


async def test_a_runner_killed_in_mid_training_is_told_and_the_training_is_taken_over(
    plain: Workspace, go_on: Path
) -> None:
    app = ProgtrainApp(plain.root, every=0.3)

    def status() -> str:
        return app.model.snapshot.status if app.model.snapshot else ""

    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: status() == "not started")
        await pilot.press("enter")
        await settle(pilot, lambda: status() in {"waiting", "training"}, seconds=90)
        if status() == "waiting":  # for the fixes of the baseline
            await pilot.press("r")
            await settle(pilot, lambda: app.screen.check_action("answer", ("accept",)) is True)
            await pilot.press("a")
        # the status says "training" from the start of the step on, before there is a script
        await settle(pilot, lambda: any(plain.version("v001").path.rglob("metrics.csv")), seconds=90)
        started = [e for e in map(json.loads, plain.journal.read_text().splitlines()) if e["event"] == "runner_started"]
        os.kill(started[-1]["pid"], signal.SIGKILL)
        await settle(pilot, lambda: status() == "orphan training")
        strip = app.screen.query_one(StepStrip)
        assert "goes on without a runner: enter takes it over" in strip.render().plain
        await pilot.press("enter")
        await settle(pilot, lambda: status() == "training")
        go_on.touch()
        await settle(pilot, lambda: status() == "waiting", seconds=90)
    trainings = [e for e in map(json.loads, plain.journal.read_text().splitlines()) if e["event"] == "attempt_failed"]
    assert trainings == [] and len(list(plain.jobs.glob("v001-train-*"))) == 1, "nothing was trained twice"
