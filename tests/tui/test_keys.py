"""Footer, help, palette and keymap, on every screen; looking only."""

from __future__ import annotations

from typing import Any

import pytest
from textual.command import Provider

from progtrain.engine.workspace import Workspace
from progtrain.tui.actions import MOVING, available_actions
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.commands import Commands
from progtrain.tui.keys import all_bindings, keymap_problem
from progtrain.tui.screens.compare import CompareScreen
from progtrain.tui.screens.help import HelpScreen
from progtrain.tui.widgets.curve import CurveView
from progtrain.tui.widgets.key_line import KeyLine
from progtrain.tui.widgets.row_list import RowList
from tests.tui.fakes import FakeEngine, fill, make_app, settle, snapshot
from tests.tui.terminal import app
from tests.tui.test_terminal import Tmux, _own_folders, needs_tmux, tmux

__all__ = ["_own_folders", "tmux"]

SCREENS = ["1", "2", "3", "4", "5", "6", "r", "C,enter"]


async def go(pilot: Any, keys: str) -> None:
    await settle(pilot, lambda: bool(pilot.app.model.curves))
    await pilot.press(*keys.split(","))
    await pilot.pause(0.2)


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("keys", SCREENS)
async def test_the_footer_has_a_handful_of_keys_and_fits_80_columns(ws: Workspace, keys: str, readonly: bool) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "waiting"), readonly=readonly)
    async with app.run_test(size=(80, 24)) as pilot:
        await go(pilot, keys)
        line = app.screen.query_one(KeyLine).render().plain.rstrip()
        shown = [action for action in available_actions(app.screen, {}) if action.in_footer]
        assert len(line) <= 80 and line.endswith("? Keys") and 2 <= len(shown) <= 8, line


async def shown_by_help(app: ProgtrainApp, pilot: Any) -> str:
    await pilot.press("question_mark")
    await pilot.pause()
    assert isinstance(app.screen, HelpScreen)
    plain = app.screen._text().plain
    await pilot.press("escape")
    await pilot.pause()
    return plain


async def hits(app: ProgtrainApp) -> dict[str, Any]:
    provider: Provider = Commands(app.screen)
    return {str(hit.prompt if hasattr(hit, "prompt") else hit): hit async for hit in provider.discover()}


@pytest.mark.parametrize("keys", SCREENS)
async def test_help_and_palette_have_all_that_can_be_done_on_a_screen(ws: Workspace, keys: str) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "waiting"))
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, keys)
        found = available_actions(app.screen, {})
        taken = [key for action in found if not action.pane for key in action.keys]
        assert len(taken) == len(set(taken)), sorted(taken)
        plain = await shown_by_help(app, pilot)
        offered = await hits(app)
        # whatever a key does with any pane in front is there
        for pane in list(app.screen.query("*")):
            if not pane.focusable:
                continue
            pane.focus()
            await pilot.pause()
            for active in app.screen.active_bindings.values():
                if active.binding.id and active.enabled and active.binding.description:
                    assert any(action.id == active.binding.id for action in found), active.binding
        for action in found:
            assert action.about in plain, action
            if action.id not in MOVING and not action.id.startswith(("screen.", "help", "quit", "review")):
                assert any(action.label.casefold() in name for name in offered), (action, list(offered))


async def test_figures_lead_to_screens_where_a_review_has_no_candidates(ws: Workspace) -> None:
    fill(ws)
    waiting = snapshot(ws.root, "waiting")
    assert waiting.review is not None
    bare = waiting._replace(review=waiting.review.model_copy(update={"candidates": ()}))
    for shown, mode in ((waiting, "review"), (bare, "leaderboard")):
        app = make_app(ws, shown)
        async with app.run_test(size=(120, 40)) as pilot:
            await go(pilot, "r")
            await pilot.press("2")
            await pilot.pause(0.2)
            assert app.current_mode == mode


async def test_an_action_of_another_pane_runs_from_the_palette(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        app.screen.query_one("#versions").focus()
        await pilot.press("ctrl+p")
        await pilot.pause(0.2)
        await pilot.press(*"curve zoom in")
        await pilot.pause(0.6)
        await pilot.press("enter")
        curve = app.screen_stack[0].query_one("#curve", CurveView)
        await settle(pilot, lambda: curve.look.left is not None)


async def test_what_a_question_does_not_allow_is_not_offered(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "r")
        assert not {"accept", "edit", "hint"} & set(await hits(app))


async def test_looking_only_offers_nothing_that_changes(ws: Workspace) -> None:
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root, "waiting"), engine=engine, readonly=True)
    async with app.run_test(size=(120, 40)) as pilot:
        for keys in SCREENS:
            await go(pilot, keys)
            offered = await hits(app)
            changing = {
                "/progressive-training",
                "start/stop",
                "accept",
                "edit",
                "edit rules",
                "edit instruction",
                "stop",
            }
            assert not changing & set(offered)
        await go(pilot, "escape,1")
        await pilot.press("s")
        await pilot.pause()
        assert engine.asked == []


async def test_other_keys_show_in_footer_help_and_palette(ws: Workspace) -> None:
    fill(ws)
    keys = {"compare": "f5", "up": "up,k,p", "curve.zoom_in": "f6"}
    app = make_app(ws, snapshot(ws.root), keys=keys)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        await pilot.pause(0.2)
        assert "f5 Compare" in app.screen.query_one(KeyLine).render().plain
        plain = await shown_by_help(app, pilot)
        assert "f5  Compare" in plain and "up k p  Up" in plain and "f6  Zoom in" in plain
        assert "key f6" in str((await hits(app))["curve: zoom in"].help)
        app.screen.query_one("#versions").focus()
        await pilot.press("j", "p")
        assert app.screen.query_one("#versions", RowList).cursor == 0
        await pilot.press("f5")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, None),
        ({"maximise": "f9", "up": "up,k,p"}, None),
        ({"review.acept": "f9"}, "key review.acept: nothing is named so; progtrain-tui --keys lists all names"),
        ({"maximise": "L"}, "key maximise: L is taken by chart.log; give chart.log another one too"),
        ({"maximise": "L", "chart.log": "f9"}, None),
        ({"review.accept": "f9", "review.edit": "f8,f9"}, "f9 is taken by"),
    ],
)
def test_keys_that_cannot_do_what_they_say_are_told(keys: dict[str, str], told: str | None) -> None:
    found = keymap_problem(keys)
    assert found is None if told is None else found is not None and told in found


def test_new_actions_can_be_given_other_keys() -> None:
    found = all_bindings()
    assert {"compare.next", "samples.truth", "chart.less_smooth", "compare.choose"} <= set(found)


@needs_tmux
def test_a_name_that_nothing_has_is_one_line(ws: Workspace, tmux: Tmux, tmp_path: Any) -> None:
    fill(ws)
    (tmp_path / "config" / "progtrain").mkdir(parents=True)
    (tmp_path / "config" / "progtrain" / "keys.toml").write_text('[keys]\n"review.acept" = "f9"\n')
    tmux.open(app(ws), (220, 24))
    screen = tmux.until(lambda screen: "ended with 2" in screen)
    assert "keys.toml, key review.acept: nothing is named so; progtrain-tui --keys lists all names" in screen.replace(
        "\n", ""
    )
