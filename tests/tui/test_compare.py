"""Two or more versions beside each other, from anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from textual.widgets import Static

from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.comparison import pair
from progtrain.tui.screens.choose import Choose
from progtrain.tui.screens.compare import CompareScreen
from progtrain.tui.widgets.curve import CurveView
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.row_list import RowList
from tests.tui.fakes import fill, make_app, settle, snapshot


def score(ws: Workspace, version: str, evaluator: str = "e") -> None:
    """What the evaluator writes beside the samples of `fill`."""
    folder = ws.version(version)
    rows = [line.split(",") for line in folder.per_sample.read_text().splitlines()[1:]]
    right = sum(row[3] == "1" for row in rows) / len(rows)
    loss = sum(float(row[4]) for row in rows) / len(rows)
    at = "2026-11-20T17:41:00+00:00"
    metrics = [
        {"name": "accuracy", "value": right, "higher_is_better": True},
        {"name": "loss", "value": loss, "higher_is_better": False},
        {"name": "latency_score", "value": 1.0, "higher_is_better": True},
    ]
    data = {"dataset_id": "d", "created_at": at, "num_samples": 60, "latency_ms": 0.4, "metrics": metrics}
    folder.eval_score.write_text(json.dumps(data))
    keys = ("evaluator_sha256", "data_sha256", "checkpoint_sha256", "script_sha256")
    how = {"seed": 42, "split": "valid", "num_samples": 60, "task": "classification", "created_at": at}
    folder.protocol.write_text(json.dumps(dict.fromkeys(keys, evaluator) | how))


@pytest.fixture
def scored(ws: Workspace) -> Workspace:
    fill(ws)
    for version in ("v001", "v002", "v003"):
        score(ws, version)
    ws.script("v003").write_text('VERSION = "v003"\nLEARNING_RATE = 0.003\nEPOCHS = 12\nDROPOUT = 0.1\n')
    return ws


def test_a_pair_has_diff_flips_and_intervals_of_what_comes_from_samples(scored: Workspace) -> None:
    found = pair(scored, "v001", "v003")
    assert "+DROPOUT = 0.1" in found.diff and found.flips and not found.note
    assert set(found.intervals) == {"accuracy", "loss"}
    accuracy = found.intervals["accuracy"]
    assert accuracy.low <= accuracy.delta <= accuracy.high and accuracy.verdict == "within noise"


def served(ws: Workspace, version: str, shares: dict[str, float]) -> None:
    path = ws.version(version).protocol
    path.write_text(json.dumps(json.loads(path.read_text()) | {"served_by": shares}))


def test_a_mixed_version_gets_no_verdict_and_its_shares_are_named(scored: Workspace) -> None:
    served(scored, "v001", {"checkpoint": 1.0})
    assert pair(scored, "v001", "v003").served == ("", "")
    served(scored, "v003", {"router": 0.9, "fallback": 0.1})
    found = pair(scored, "v001", "v003")
    assert found.intervals == {}
    assert found.note == ("v003 was served by more than one path (router 90 %, fallback 10 %): no verdict against v001")
    assert found.served == ("", "router 90 %, fallback 10 %")
    assert "more than one path has served" in pair(scored, "v003", "v001").note


async def test_what_served_a_version_is_shown_where_it_is_not_its_checkpoint(scored: Workspace) -> None:
    served(scored, "v002", {"router": 0.9, "fallback": 0.1})
    app = make_app(scored, snapshot(scored.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        rows = table(await compare_three(pilot))
        assert rows["served by"] == ["served by", "", "router 90 %, fallback 10 %", ""]


def test_versions_that_were_scored_differently_get_no_verdict(scored: Workspace) -> None:
    score(scored, "v003", evaluator="another")
    found = pair(scored, "v001", "v003")
    assert found.intervals == {} and "no verdict against v001" in found.note and found.flips


def test_a_version_without_scores_still_has_its_diff(scored: Workspace) -> None:
    scored.version("v002").eval_score.unlink()
    found = pair(scored, "v001", "v002")
    assert found.intervals == {} and found.note.startswith("no verdict") and "LEARNING_RATE" in found.diff


def table(screen: CompareScreen) -> dict[str, list[str]]:
    rows = screen.query_one("#differences", RowList).rows
    return {row.key: [cell.plain for cell in row.cells] for row in rows}


async def compare_three(pilot: Any) -> CompareScreen:
    app = pilot.app
    await settle(pilot, lambda: bool(app.model.curves))
    await pilot.press("C")
    await pilot.pause()
    assert isinstance(app.screen, Choose)
    await pilot.press("space", "j", "space", "j", "space", "enter")
    await pilot.pause()
    screen = app.screen
    assert isinstance(screen, CompareScreen)
    await settle(pilot, lambda: len(screen.pairs) == 2 and screen.settings is not None)
    return screen


async def test_three_versions_are_compared_in_all_that_differs(scored: Workspace) -> None:
    app = make_app(scored, snapshot(scored.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await compare_three(pilot)
        assert screen.versions == ("v001", "v002", "v003")
        rows = table(screen)
        assert rows["setting LEARNING_RATE"] == ["LEARNING_RATE", "0.001", "0.002", "0.003"]
        assert rows["setting DROPOUT"] == ["DROPOUT", "–", "–", "0.1"]
        assert rows["metric accuracy"][0] == "accuracy" and len(rows["metric accuracy"]) == 4
        assert rows["verdict accuracy"][1] == "" and "within noise" in rows["verdict accuracy"][2]
        low, high = rows["interval accuracy"][3].split()
        assert float(low) <= float(rows["change accuracy"][3]) <= float(high)
        curve = screen.query_one("#compare_curve", CurveView)
        await settle(pilot, lambda: len(curve.lines) == 6)
        assert {line.version for line in curve.lines} == {"v001", "v002", "v003"}


async def test_script_and_samples_are_switched_from_pair_to_pair(scored: Workspace) -> None:
    app = make_app(scored, snapshot(scored.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await compare_three(pilot)
        diff, flips = screen.query_one("#compare_diff", DiffView), screen.query_one("#flips", RowList)
        assert "v001 → v003" in str(diff.border_title) and "+DROPOUT" in diff.source
        before = [row.key for row in flips.rows]
        await pilot.press("n")
        await pilot.pause()
        assert "v001 → v002" in str(diff.border_title) and "+DROPOUT" not in diff.source
        assert "v001 → v002" in str(flips.border_title) and [row.key for row in flips.rows] != before
        await pilot.press("N")
        await pilot.pause()
        assert "v001 → v003" in str(diff.border_title)


async def test_any_version_can_be_the_base(scored: Workspace) -> None:
    app = make_app(scored, snapshot(scored.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await compare_three(pilot)
        from_first = table(screen)["change accuracy"]
        await pilot.press("b")
        await settle(pilot, lambda: ("v002", "v003") in screen.pairs and ("v002", "v001") in screen.pairs)
        changes = table(screen)["change accuracy"]
        assert screen.base == "v002" and changes[2] == ""
        assert float(changes[1]) == -float(from_first[2])
        assert "v002 → v003" in str(screen.query_one("#compare_diff").border_title)
        await pilot.press("b")
        await pilot.pause()
        assert screen.base == "v003" and screen.other == "v002"
        assert "v002 base" not in str(screen.query_one("#compare_title", Static).render())


async def test_curves_look_as_on_the_loop_screen(scored: Workspace) -> None:
    app = make_app(scored, snapshot(scored.root, "finished"), seen={})
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        await pilot.press("L", "w", "x")
        screen = await compare_three(pilot)
        look = screen.query_one("#compare_curve", CurveView).look
        await settle(pilot, lambda: screen.query_one("#compare_curve", CurveView).look.axis == "epoch")
        assert look.log and look.smoothing == 0.3


@pytest.mark.parametrize("key", ["1", "2", "3", "4", "5", "6", "r"])
async def test_marked_versions_are_compared_from_every_screen(scored: Workspace, key: str) -> None:
    app = make_app(scored, snapshot(scored.root, "finished"), seen={"marked": ["v001", "v003", "v002"]})
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause(0.2)
        await pilot.press("c")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen) and app.screen.versions == ("v001", "v002", "v003")
        await pilot.press("escape")
        assert not isinstance(app.screen, CompareScreen)


async def test_other_versions_are_chosen_inside_and_a_number_leads_away(scored: Workspace) -> None:
    app = make_app(scored, snapshot(scored.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        await compare_three(pilot)
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen) and app.screen.versions == ("v002", "v003")
        await pilot.press("1")
        await pilot.pause()
        assert app.current_mode == "loop" and len(app.screen_stack) == 1


async def test_in_ascii_a_comparison_holds_nothing_else(scored: Workspace) -> None:
    app = make_app(scored, snapshot(scored.root, "finished"), ascii_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await compare_three(pilot)
        await settle(pilot, lambda: len(screen.query_one("#compare_curve", CurveView).lines) == 6)
        await pilot.pause()
        text = "\n".join("".join(s.text for s in strip) for strip in screen._compositor.render_strips())
        assert text.isascii(), {char for char in text if not char.isascii()}
        assert "o v001" in text and "# v003" in text


async def test_long_settings_and_names_break_no_column(scored: Workspace) -> None:
    name = "AN_EXTREMELY_LONG_NAME_OF_A_SETTING_THAT_NOBODY_WOULD_TYPE"
    for version, value in (("v001", "a" * 80), ("v002", "b" * 80), ("v003", "c")):
        scored.script(version).write_text(f'VERSION = "{version}"\n{name} = "{value}"\n')
    app = make_app(scored, snapshot(scored.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await compare_three(pilot)
        rows = screen.query_one("#differences", RowList)
        await pilot.press("tab")
        await pilot.pause()
        lines = [rows.line(i, 80).plain for i in range(len(rows.rows))]
        assert any(line.startswith("AN_EXTREMEL…WOULD_TYPE ") for line in lines)
        # all columns end where their heading ends; what finds no room is scrolled to
        head = rows.header(80).plain
        assert {len(line) for line in lines} == {len(head)} and rows.virtual_size.width == len(head) > 80
        for end in (head.index("v001 base") + 9, head.index("v002") + 4, head.index("v003") + 4):
            assert all(line[end] == " " for line in lines)
