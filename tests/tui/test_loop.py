"""The loop screen: every state says what it is, and every key does what it says."""

from __future__ import annotations

import pytest
from textual.widgets import Static

from progtrain.engine.workspace import Workspace
from progtrain.tui.screens.ask import Confirm
from progtrain.tui.screens.compare import CompareScreen
from progtrain.tui.screens.loop import LoopScreen
from progtrain.tui.screens.table import SCREENS
from progtrain.tui.widgets.curve import CurveView
from progtrain.tui.widgets.log_view import LogView
from progtrain.tui.widgets.status_bar import StatusBar
from progtrain.tui.widgets.steps import StepStrip
from progtrain.tui.widgets.versions import VersionTable
from tests.tui.fakes import FakeEngine, FakeView, fill, make_app, settle, snapshot

SIZES = [(80, 24), (120, 40)]


def front(app: object) -> str:
    return app.current_mode  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        ("not started", {}, "enter starts the loop"),
        ("not ready", {"reason": "rules are broken", "fix": "fix key seed"}, "rules are broken"),
        ("training", {}, "epoch 7/12"),
        ("evaluating", {}, "evaluating"),
        ("drafting", {}, "the advisor drafts"),
        ("waiting", {}, "press enter or r"),
        ("repairing", {"reason": "attempt 2 of 3: out of memory"}, "attempt 2 of 3: out of memory"),
        ("stopping", {}, "what is finished is kept"),
        ("stopped", {}, "enter goes on where it stood"),
        ("failed", {"reason": "no best.ckpt", "fix": "save one"}, "fix: save one"),
        ("finished", {}, "best is v003"),
        ("runner gone", {}, "enter resumes, nothing is lost"),
        ("orphan training", {}, "enter takes it over"),
    ],
)
async def test_every_state_says_what_it_is(
    ws: Workspace, size: tuple[int, int], status: str, changes: dict[str, str], words: str
) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, status, **changes))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        screen = app.screen
        said = screen.query_one(StepStrip).render().plain + str(screen.query_one("#notice").render())
        assert words in said
        for line in screen.query_one(StepStrip).render().plain.splitlines():
            assert len(line) <= size[0]


async def test_opening_starts_nothing(ws: Workspace) -> None:
    """Only the user starts a loop."""
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root, "not started"), engine=engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        for key in ("1", "2", "3", "4", "5", "6", "1"):
            await pilot.press(key)
        assert engine.asked == []


@pytest.mark.parametrize("key", ["s", "enter"])
@pytest.mark.parametrize("status", ["not started", "stopped", "runner gone", "orphan training"])
async def test_start_and_go_on(ws: Workspace, key: str, status: str) -> None:
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root, status), engine=engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press(key)
        await settle(pilot, lambda: bool(engine.asked))
        assert engine.asked == [("start", None)]


async def test_stopping_asks_first(ws: Workspace) -> None:
    """Stopping a run is among the few things that ask."""
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root), engine=engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("s")
        assert isinstance(app.screen, Confirm)
        await pilot.press("n")
        assert engine.asked == [] and isinstance(app.screen, LoopScreen)
        await pilot.press("s", "y")
        await settle(pilot, lambda: bool(engine.asked))
        assert engine.asked == [("stop", None)]


async def test_what_the_engine_refuses_is_told(ws: Workspace) -> None:
    fill(ws)
    engine = FakeEngine()
    engine.refuse = "locked by [red]rules[/red]"
    app = make_app(ws, snapshot(ws.root, "stopped"), engine=engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("s")
        await settle(pilot, lambda: any("locked by [red]" in n.message for n in app._notifications))


@pytest.mark.parametrize(("key", "mode"), [(key, name) for name, (key, _) in SCREENS.items() if name != "review"])
async def test_numbers_lead_to_screens_and_escape_back(ws: Workspace, key: str, mode: str) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause()
        assert front(app) == mode
        await pilot.press("escape")
        await pilot.pause()
        assert front(app) == "loop"


async def test_a_waiting_review_calls_on_every_screen(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "waiting"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for key in "123456":
            await pilot.press(key)
            await settle(pilot)
            assert "waiting for you" in app.screen.query_one(StatusBar).plain
        await pilot.press("r")
        await pilot.pause()
        assert front(app) == "review"


async def test_enter_opens_the_review_that_waits(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "waiting"))
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert front(app) == "review"


async def test_in_80_columns_tab_shows_one_pane_after_the_other(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        seen = []
        for _ in range(4):
            shown = [w.id for w in (app.screen.query_one(i) for i in ("#curve", "#versions", "#log")) if w.region.area]
            seen.append(shown)
            await pilot.press("tab")
            await pilot.pause()
        assert seen == [["curve"], ["versions"], ["log"], ["curve"]]


async def test_in_120_columns_all_panes_are_seen(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert all(app.screen.query_one(i).region.area for i in ("#curve", "#versions", "#log", "#curve_2"))


async def test_the_history_tells_verdicts_without_colour(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        table = app.screen.query_one(VersionTable)
        lines = {row.key: " ".join(cell.plain for cell in row.cells) for row in table.rows}
        assert "★" in lines["v003"] and "▲+0.0139" in lines["v003"] and "better" in lines["v003"]
        assert "≈+0.0028" in lines["v002"] and "noise" in lines["v002"]
        assert "training" in lines["v004"]
        await pilot.press("tab", "j")
        await pilot.pause()
        assert table.key == "v003"
        assert "because the gap grew" in str(app.screen.query_one("#action_note", Static).render())


async def test_curve_keys(ws: Workspace) -> None:
    """Log scale, smoothing, cursor, zoom, pan, the next chart, steps or epochs."""
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        curve = app.screen.query_one("#curve", CurveView) if isinstance(app.screen, LoopScreen) else None
        await settle(pilot, lambda: bool(app.model.curves))
        curve = app.screen.query_one("#curve", CurveView)
        assert curve.chart == "loss" and "v004 train" in str(curve.border_title)
        await pilot.press("L")
        assert curve.look.log
        await pilot.press("w")
        assert curve.look.smoothing == 0.3
        await pilot.press("left", "h")
        assert curve.look.cursor is not None and "step" in curve._legend("named").plain
        await pilot.press("plus")
        assert curve.look.left is not None
        left = curve.look.left
        await pilot.press("comma")
        assert curve.look.left < left
        await pilot.press("0")
        assert curve.look.left is None and curve.look.cursor is None
        await pilot.press("x")
        assert curve.look.axis == "epoch" and curve.lines[0].unit > 1
        await pilot.press("right_square_bracket")
        assert curve.chart == "accuracy"
        await pilot.press("left_square_bracket")
        assert curve.chart == "loss"
        await pilot.press("z")
        await pilot.pause()
        assert app.screen.maximized is curve
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.maximized is None


async def test_marked_versions_are_drawn_over_each_other_and_compared(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("tab", "j", "space", "j", "space")
        await settle(pilot, lambda: len(app.screen.query_one("#curve", CurveView).lines) == 6)
        labels = {line.label.split()[0]: line.colour for line in app.screen.query_one("#curve", CurveView).lines}
        assert set(labels) == {"v002", "v003", "v004"} and len(set(labels.values())) == 3
        await pilot.press("c")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen) and app.screen.versions == ("v002", "v003")
        await pilot.press("escape")
        assert isinstance(app.screen, LoopScreen)


async def test_enter_on_a_version_compares_it_with_its_base(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("tab", "j", "enter")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen) and app.screen.versions == ("v002", "v003")


async def test_the_log_follows_until_one_scrolls_up_and_finds_words(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, log=ws.job("v004-train-1").log))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: bool(app.model.log))
        await pilot.press("tab", "tab")
        await pilot.pause(0.1)
        log = app.screen.query_one(LogView)
        assert log.scroll_offset.y == log.max_scroll_y > 0
        await pilot.press("g")
        await pilot.pause()
        assert not log.follow
        with ws.job("v004-train-1").log.open("a") as file:
            file.write("a new line\n")
        await settle(pilot, lambda: log.lines[-1] == "a new line")
        assert log.scroll_offset.y == 0
        await pilot.press("slash", *"epoch 17", "enter")
        await pilot.pause(0.1)
        assert log.lines[log.scroll_offset.y].startswith("Epoch 17")
        await pilot.press("f")
        await pilot.pause(0.1)
        assert log.follow and log.scroll_offset.y == log.max_scroll_y


async def test_a_scroll_bar_that_appears_shows_where_the_log_is(ws: Workspace) -> None:
    """The log is at its end before the bar is laid out."""
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        log = app.screen.query_one(LogView)
        app.model.log = ("a line",) * 60
        log.show(app.model)
        log.scroll_to(y=log.max_scroll_y, animate=False, immediate=True, force=True)
        await settle(pilot, lambda: log.show_vertical_scrollbar)
        assert log.vertical_scrollbar.position == log.scroll_y == log.max_scroll_y > 0


async def test_nothing_is_repainted_while_nothing_changes(ws: Workspace) -> None:
    """Over SSH an idle screen costs nothing."""
    fill(ws)
    view = FakeView(snapshot(ws.root, "waiting", since_seconds=1.0))
    app = make_app(ws, view)
    async with app.run_test() as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        looks: list[object] = []
        app.model.apply = lambda update: looks.append(update)  # type: ignore[method-assign]
        view.now = snapshot(ws.root, "waiting", since_seconds=2.0)
        await pilot.pause(1.2)
        assert looks == []


async def test_a_workspace_that_vanishes_is_a_state_and_comes_back(ws: Workspace) -> None:
    fill(ws)
    view = FakeView(snapshot(ws.root))
    app = make_app(ws, view)
    async with app.run_test() as pilot:
        await settle(pilot)
        view.now = OSError(5, "Input/output error", str(ws.root))
        await settle(pilot, lambda: bool(app.model.problem))
        assert "Input/output error" in str(app.screen.query_one("#notice").render())
        view.now = KeyError("a defect")
        await settle(pilot, lambda: "KeyError" in app.model.problem)
        view.now = snapshot(ws.root, "stopped")
        await settle(pilot, lambda: not app.model.problem)
        assert str(app.screen.query_one("#notice").render()) == ""


@pytest.mark.parametrize("mode", ["1", "2", "3", "4", "5", "6", "r"])
async def test_a_terminal_that_shrinks_and_grows_again(ws: Workspace, mode: str) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "waiting"))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press(mode)
        for size in ((20, 5), (80, 24), (200, 60), (1, 1), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert app.is_running


async def test_a_huge_terminal_has_no_chart_without_a_curve(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(200, 60)) as pilot:
        await settle(pilot)
        charts = app.model.charts(app.screen.curve_versions())  # type: ignore[attr-defined]
        shown = [view for view in app.screen.query(CurveView) if view.display]
        assert 1 < len(charts) == len(shown) < 5
