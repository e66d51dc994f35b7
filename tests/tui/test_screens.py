"""Leaderboard, comparison, samples, rules, journal, reports: states and keys."""

from __future__ import annotations

import json

import pytest
from textual.widgets import Static, TextArea

from progtrain.engine.status.snapshot import Progress
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.screens.ask import AskLine
from progtrain.tui.screens.compare import CompareScreen
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.document import Document
from progtrain.tui.widgets.key_line import KeyLine
from progtrain.tui.widgets.picture import PictureView
from progtrain.tui.widgets.row_list import RowList
from progtrain.tui.widgets.steps import StepStrip
from progtrain.tui.widgets.versions import VersionTable
from tests.tui.fakes import FakeView, fill, make_app, settle, snapshot, versions


@pytest.fixture(autouse=True)
def _no_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)


def keys_of(rows: RowList) -> list[str]:
    return [row.key for row in rows.rows]


async def test_the_leaderboard_sorts_by_any_column_and_filters(ws: Workspace) -> None:
    fill(ws)
    external = ws.external / "resnet"
    external.mkdir(parents=True)
    score = {"metrics": [{"name": "accuracy", "value": 0.97, "higher_is_better": True}], "latency_ms": 9.0}
    (external / "eval_score.json").write_text(json.dumps(score))
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("2")
        await pilot.pause(0.1)
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: keys_of(board) == ["resnet", "v003", "v002", "v001", "v004"])
        assert "sorted by accuracy" in str(board.border_title)
        await pilot.press("O")
        assert keys_of(board)[0] == "v001" and keys_of(board)[-1] == "v004"  # no number: last all the same
        await pilot.press("o")
        assert "sorted by loss" in str(board.border_title) and keys_of(board)[0] == "v003"
        await pilot.press("slash")
        await pilot.pause()
        await pilot.press(*"noise", "enter")
        await pilot.pause()
        assert keys_of(board) == ["v002"]
        await pilot.press("escape")
        assert len(keys_of(board)) == 5
        await pilot.press("O")
        assert app.recalled("leaderboard") == {"sort": "loss", "reverse": True}


def second_line(app: ProgtrainApp) -> str:
    """What happens now, below the steps."""
    return str(app.screen.query_one(StepStrip).render()).splitlines()[1].rstrip()


async def test_seed_noise_in_80_by_24(ws: Workspace) -> None:
    """On the leaderboard, in the review, and while a version is trained with another seed."""
    fill(ws)
    measured, unknown = "seed noise 0.0061 from 4 runs of v002", "seed noise not measured"
    first, second, third = versions(3)
    second = second._replace(runs=4, mean=0.9432, spread=0.0061, seed_noise=measured)
    rows = (first, second, third._replace(seed_noise=measured))
    app = make_app(ws, snapshot(ws.root, "waiting", versions=(first, second, third._replace(seed_noise=unknown))))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("2")
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: keys_of(board) == ["v003", "v002", "v001"])
        assert str(board.border_title).endswith(unknown)
        cells = {row.key: row.cells[-1].plain for row in board.rows}
        assert cells["v002"] == "mean 0.9432 sd 0.006100 in 4 runs  learning_rate 0.002 → 0.001"
        assert cells["v003"] == "learning_rate 0.003 → 0.001"
        await pilot.press("r")
        question = app.screen.query_one("#question", Static)
        await settle(pilot, lambda: f"v003 is better against the version before; {unknown}" in str(question.render()))
    said = "v002, repeat 2 of 3, seed 44"
    progress = Progress(epoch=7, epochs=15, step=315, steps=675, samples_per_second=1310, seconds_left=29)
    repeating = snapshot(ws.root, "repeating", reason=said, running=True, progress=progress, versions=rows)
    app = make_app(ws, repeating)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        shown = second_line(app)
        assert shown.startswith(" v002, repeat 2 of 3  epoch 7/15  step 315/675 ") and shown.endswith("left 00:29")
        await pilot.press("2")
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: len(board.rows) == 3)
        assert unknown not in str(board.border_title)


async def test_a_repeat_whose_runner_is_gone_says_how_to_take_it_over(ws: Workspace) -> None:
    fix = "progtrain repeat v001 --times 3 takes it over"
    app = make_app(ws, snapshot(ws.root, "orphan training", fix=fix))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert second_line(app) == f" no runner, it goes on: {fix}"


async def test_a_mixed_model_is_shown_at_the_end_with_its_shares(ws: Workspace) -> None:
    fill(ws)
    for name, shares in (("router", {"router": 0.9, "fallback": 0.1}), ("half", {"external:half": 0.5})):
        (ws.external / name / "_eval").mkdir(parents=True)
        metrics = [{"name": "accuracy", "value": 0.99}, {"name": "answered", "value": sum(shares.values())}]
        (ws.external / name / "eval_score.json").write_text(json.dumps({"metrics": metrics}))
        (ws.external / name / "_eval" / "protocol.json").write_text(json.dumps({"served_by": shares}))
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await pilot.press("2")
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: keys_of(board) == ["half", "v003", "v002", "v001", "v004", "router"])
        cells = {row.key: row.cells[-1].plain for row in board.rows}
        assert cells["half"] == "external model, answered 50 %"
        assert cells["router"] == "external model, mixed, not ranked: router 90 %, fallback 10 %"
        await pilot.press("O")
        assert keys_of(board)[-1] == "router"


async def test_imported_runs_are_listed_beside_the_leaderboard_and_nothing_of_a_version_works_on_them(
    ws: Workspace,
) -> None:
    """In 80 by 24. One of them is called like a version."""
    fill(ws)
    for name, accuracy in (("v002", 0.99), ("b-first-try", 0.5)):
        told = {"source": "wandb", "comparable": False, "points": 40, "imported_at": "2026-11-27T10:00:00+00:00"}
        told |= {"run": "\x1b[31mred", "params": {"learning_rate": 0.003, "optimizer": "\x1b]0;x\x07adam"}}
        ws.imported_run(name).parent.mkdir(parents=True)
        ws.imported_run(name).write_text(json.dumps({**told, "final": {"eval/accuracy": accuracy}}))
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("2")
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: len(board.rows) == 4)
        await pilot.press("e")
        await settle(pilot, lambda: keys_of(board) == ["b-first-try", "v002"])  # by name, whatever they came to
        assert "neither ranked nor compared" in str(board.border_title)
        line = board.line(0, 79).plain
        assert "b-first-try" in line and "wandb" in line and "0.5000" in line and "learning_rate" in line
        assert "Sort" not in str(app.screen.query_one(KeyLine).render())
        await pilot.press("j", "space", "p", "enter", "o", "c")
        await settle(pilot, lambda: any("no version is chosen here" in n.message for n in app._notifications))
        assert not app.model.marked and app.current_mode == "leaderboard" and app.screen.query("#board")
        await pilot.press("y")
        await settle(pilot, lambda: any("imported runs is copied" in n.message for n in app._notifications))
        await pilot.press("escape")
        await settle(pilot, lambda: len(board.rows) == 4)


async def test_small_losses_are_told_apart_in_columns_that_line_up(ws: Workspace) -> None:
    """In 80 by 24, changes and verdicts beside them."""
    losses = {"v001": 0.00031, "v002": 0.00029, "v003": 0.0123}
    shown = ["0.0003100", "0.0002900", "0.0123000"]
    rows = tuple(
        row._replace(value=losses[row.version], metrics={"loss": losses[row.version]}, delta_previous=-0.00002)
        for row in versions(3)
    )
    changes = {"primary_metric": "loss", "higher_is_better": False, "versions": rows}
    app = make_app(ws, snapshot(ws.root, "finished", **changes))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        seen = "\n".join(row.plain for table in app.screen.query(VersionTable) for row in table.rows[0].cells)
        assert shown[2] in seen
        assert "-0.0000200" in seen
        await pilot.press("2")
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: len(board.rows) == 3)
        assert sorted(row.cells[2].plain for row in board.rows) == sorted(shown)


async def test_two_marked_versions_are_compared_in_all_that_differs(ws: Workspace) -> None:
    """Curves, parameters that differ, script diff, samples whose outcome changed."""
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("2")
        await pilot.pause(0.1)
        await pilot.press("space", "j", "space", "c")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        differences = screen.query_one("#differences", RowList)
        await settle(pilot, lambda: "setting LEARNING_RATE" in keys_of(differences))
        assert "metric accuracy" in keys_of(differences)
        assert "+LEARNING_RATE = 0.003" in screen.query_one("#compare_diff", DiffView).source
        assert "wrong → right" in str(screen.query_one("#flips").border_title)
        await pilot.press("u", "L", "w", "right_square_bracket", "tab", "tab", "tab")
        await pilot.pause()
        flips = screen.query_one("#flips", RowList)
        assert screen.focused is flips
        sample = flips.key
        await pilot.press("enter")

        def shown() -> bool:
            return app.current_mode == "samples" and app.screen.query_one("#samples", RowList).key == sample

        await settle(pilot, shown)


async def test_samples_are_browsed_by_outcome_version_and_words(ws: Workspace) -> None:
    """Wrong first; the same sample in other versions beside it."""
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("3")
        await pilot.pause(0.1)
        samples = app.screen.query_one("#samples", RowList)
        await settle(pilot, lambda: len(samples.rows) == 60)
        assert "✗" in samples.rows[0].cells[0].plain and "wrong of 60" in str(samples.border_title)
        head = str(app.screen.query_one("#sample_head", Static).render())
        assert "v001 ✓" in head and "v003 ✗" in head
        await pilot.press("o")
        assert 0 < len(samples.rows) < 10
        await pilot.press("o", "o")
        await settle(pilot, lambda: keys_of(samples) == ["valid-001"])
        await settle(pilot, lambda: len(app.screen.query(PictureView)) == 1)
        assert "▀" in app.screen.query_one(PictureView).render().plain
        await pilot.press("left_square_bracket")
        await settle(pilot, lambda: str(samples.border_title).startswith("v002"))
        await pilot.press("o", "slash")
        await pilot.pause()
        assert isinstance(app.screen, AskLine)
        await pilot.press(*"valid-00", "enter")
        await pilot.pause()
        assert len(samples.rows) == 10
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen.focused is not None and app.screen.focused.id == "sample"


async def test_a_version_without_samples_says_so(ws: Workspace) -> None:
    app = make_app(ws, snapshot(ws.root, "not started"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("3")
        await pilot.pause(0.1)
        assert "no sample is evaluated yet" in app.screen.query_one("#samples", RowList).line(0, 60).plain


async def test_rules_are_shown_with_what_they_lock_and_edited_with_checks(ws: Workspace) -> None:
    """Each line of the instruction with what was understood, or that nothing enforces it."""
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("4")
        locks = app.screen.query_one("#locks", RowList)
        await settle(pilot, lambda: keys_of(locks) == ["epochs", "batch_size"])
        lines = " ".join(row.cells[0].plain for row in app.screen.query_one("#instruction_lines", RowList).rows)
        assert "locks the optimizer" in lines and "not enforced" in lines
        await pilot.press("e")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, EditScreen)
        area = screen.query_one(TextArea)
        area.text = '{"training_config": {"epochs": 20}'
        verdict = screen.query_one("#verdict", Static)
        await settle(pilot, lambda: "not valid JSON" in str(verdict.render()))
        await pilot.press("f2")
        assert app.screen is screen
        area.text = '{"training_config": {"epochs": 20}}'
        await settle(pilot, lambda: "1 locks" in str(verdict.render()))
        await pilot.press("f2")
        await settle(pilot, lambda: "20" in ws.rules.read_text())
        await settle(pilot, lambda: [row.cells[1].plain for row in locks.rows] == ["20"])


async def test_warnings_that_the_status_line_counts_can_be_read(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, warnings=("v002 was scored by another 03_eval.py",)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "1 warning" in app.screen.query_one("#status").plain  # type: ignore[attr-defined]
        await pilot.press("4")
        head = app.screen.query_one("#rules_head", Static)
        await settle(pilot, lambda: "v002 was scored by another 03_eval.py" in str(head.render()))


async def test_saving_over_somebody_elses_change_is_refused(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("4")
        await settle(pilot, lambda: len(app.screen.query_one("#locks", RowList).rows) == 2)
        await pilot.press("i")
        await pilot.pause()
        ws.instruction.write_text("by somebody else\n")
        await pilot.press(*"mine ")
        screen = app.screen
        await settle(pilot, lambda: "valid" in str(screen.query_one("#verdict", Static).render()))
        await pilot.press("f2")
        await settle(pilot, lambda: any("somebody else" in n.message for n in app._notifications))
        assert ws.instruction.read_text() == "by somebody else\n"


async def test_a_missing_file_is_said_plainly(ws: Workspace) -> None:
    app = make_app(ws, snapshot(ws.root, "not started"))
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("4")
        source = app.screen.query_one("#rule_source", Static)
        await settle(pilot, lambda: "no such file" in str(source.render()))
        assert "no user_instruction.md" in str(app.screen.query_one("#rules_head", Static).render())


async def test_the_journal_tells_what_happened_and_how_to_repeat_it(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("5")
        entries = app.screen.query_one("#entries", RowList)
        await settle(pilot, lambda: len(entries.rows) == 2)
        detail = app.screen.query_one("#entry", Static)
        await settle(pilot, lambda: "again: python 02_train_v001.py" in str(detail.render()))
        await pilot.press("y")
        await settle(pilot, lambda: any("the command is copied" in n.message for n in app._notifications))
        await pilot.press("slash")
        await pilot.pause()
        await pilot.press(*"loop started", "enter")
        await pilot.pause()
        assert len(entries.rows) == 1
        await pilot.press("escape")
        assert len(entries.rows) == 2


async def test_new_journal_entries_come_by_themselves(ws: Workspace) -> None:
    fill(ws)
    view = FakeView(snapshot(ws.root))
    app = make_app(ws, view)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("5")
        entries = app.screen.query_one("#entries", RowList)
        await settle(pilot, lambda: len(entries.rows) == 2)
        with ws.journal.open("a") as file:
            file.write('{"at": "2026-11-20T17:42:00.000+00:00", "event": "note", "text": "new"}\n{"torn')
        view.now = snapshot(ws.root, "evaluating")
        await settle(pilot, lambda: len(entries.rows) == 3)
        assert entries.cursor == 2


async def test_reports_are_read_as_documents(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("6")
        report = app.screen.query_one("#report", Document)
        await settle(pilot, lambda: "v003 is the best" in report.source)
        await pilot.press("y")
        await settle(pilot, lambda: any("leaderboard is copied" in n.message for n in app._notifications))


async def test_no_report_yet_is_said(ws: Workspace) -> None:
    app = make_app(ws, snapshot(ws.root, "not started"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("6")
        await pilot.pause(0.2)
        assert "no report yet" in app.screen.query_one("#report", Document).line(0, 80).plain


async def test_ten_thousand_samples_move_by_key_at_once(ws: Workspace) -> None:
    fill(ws)
    path = ws.version("v003").per_sample
    rows = "\n".join(f"s{i:05d},{i % 10},{i % 10},1,0.{i:05d},0.9" for i in range(10_000))
    path.write_text(f"sample_id,truth,prediction,correct,loss,confidence\n{rows}\n")
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("3")
        samples = app.screen.query_one("#samples", RowList)
        await settle(pilot, lambda: len(samples.rows) == 10_000)
        await pilot.press("G", "k", "pageup")
        assert samples.cursor > 9_900
        assert len(app.screen.query("*")) < 60  # rows are no widgets
