"""Every key of every screen does something that shows in the state: the bindings themselves say which keys there are.

A new key fails here until the tour of its holder presses it.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.widgets import TextArea

from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.keys import key_holders
from progtrain.tui.screens.ask import AskLine, Confirm
from progtrain.tui.screens.choose import Choose
from progtrain.tui.screens.compare import CompareScreen
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.screens.experiments import ExperimentsScreen
from progtrain.tui.screens.facts import FactsScreen
from progtrain.tui.screens.help import HelpScreen
from progtrain.tui.screens.journal import JournalScreen
from progtrain.tui.screens.leaderboard import LeaderboardScreen
from progtrain.tui.screens.loop import LoopScreen
from progtrain.tui.screens.reports import ReportsScreen
from progtrain.tui.screens.review import ReviewScreen
from progtrain.tui.screens.rules import RulesScreen
from progtrain.tui.screens.runs import RunsScreen
from progtrain.tui.screens.samples import SamplesScreen
from progtrain.tui.screens.table import SCREENS
from progtrain.tui.widgets.candidates import CandidateList
from progtrain.tui.widgets.curve import CurveView
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.line_view import LineView
from progtrain.tui.widgets.log_view import LogView
from progtrain.tui.widgets.row_list import RowList
from tests.tui.fakes import FakeEngine, fill, make_app, review, settle, snapshot, write_experiment

_ANYTHING = object()


class Tour:
    """Presses keys of one holder of bindings, and sees to it that each changes what it should."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.engine = FakeEngine()
        self.pressed: set[str] = set()
        self.app: ProgtrainApp
        self.pilot: Pilot[None]

    @asynccontextmanager
    async def open(self, status: str, *keys: str, **changes: Any) -> AsyncIterator[None]:
        self.app = make_app(self.ws, snapshot(self.ws.root, status, **changes), engine=self.engine)
        async with self.app.run_test(size=(120, 40)) as self.pilot:
            await settle(self.pilot, lambda: bool(self.app.model.curves) and self.app.model.documents is not None)
            await self.go(*keys)
            yield

    async def go(self, *keys: str) -> None:
        """Keys on the way, which are not what is looked at."""
        await self.pilot.press(*keys)
        await self.pilot.pause(0.05)

    async def key(self, keys: str, state: Callable[[], Any], becomes: Any = _ANYTHING) -> None:
        """Each of `keys` (apart by spaces) changes `state()`, to `becomes` where that is given."""
        for key in keys.split():
            before = state()
            assert before != becomes, f"{key}: it is so already"
            await self.pilot.press(key)

            def changed(before: Any = before) -> bool:
                return bool(state() == becomes if becomes is not _ANYTHING else state() != before)

            try:
                if not changed():
                    await settle(self.pilot, changed)
            except AssertionError:
                raise AssertionError(f"{key}: {before!r} became {state()!r}") from None
            self.pressed.add(key)

    def one(self, selector: str | type[Any]) -> Any:
        return self.app.screen.query_one(selector)

    @property
    def screen(self) -> type[Any]:
        return type(self.app.screen)

    @property
    def said(self) -> list[str]:
        return [note.message for note in self.app._notifications]

    @property
    def asked(self) -> list[Any]:
        return [(what, getattr(value, "answer", value)) for what, value in self.engine.asked]


async def app_keys(t: Tour) -> None:
    async with t.open("waiting"):
        first, *others = SCREENS
        for name in others:
            await t.key(SCREENS[name][0], lambda: t.app.current_mode, name)
            await t.go("escape")
        await t.go(SCREENS[others[0]][0])
        await t.key(SCREENS[first][0], lambda: t.app.current_mode, first)
        await t.key("question_mark", lambda: t.screen, HelpScreen)
        await t.go("escape")
        await t.key("C", lambda: t.screen, Choose)
        await t.go("escape", "3")
        await t.key("c", lambda: t.screen, CompareScreen)
    for key in ("q", "ctrl+c"):
        async with t.open("waiting"):
            await t.go(key)
        assert not t.app.is_running
        t.pressed.add(key)


async def loop_keys(t: Tour) -> None:
    async with t.open("training", log=t.ws.job("v004-train-1").log):
        curve = t.one("#curve")
        await t.key("tab", lambda: t.app.focused.id if t.app.focused else None, "versions")
        await t.key("shift+tab", lambda: t.app.focused.id if t.app.focused else None, "curve")
        for key, state in (
            ("right_square_bracket", lambda: curve.chart),
            ("left_square_bracket", lambda: curve.chart),
            ("L", lambda: curve.look.log),
            ("w", lambda: curve.look.smoothing),
            ("W", lambda: curve.look.smoothing),
            ("x", lambda: curve.look.axis),
            ("z", lambda: t.app.screen.maximized),
        ):
            await t.key(key, state)
        await t.key("escape", lambda: t.app.screen.maximized, None)
        await t.key("space", lambda: t.app.model.marked, {"v004"})
        await t.key("slash", lambda: t.screen, AskLine)
        await t.go("escape", "escape")
        await t.key("c", lambda: t.screen, CompareScreen)
        await t.go("escape")
        await t.key("s", lambda: t.screen, Confirm)
        await t.go("n")
        await t.key("r", lambda: t.app.current_mode, "review")
    async with t.open("stopped"):
        await t.key("enter", lambda: t.asked, [("start", None)])


async def review_keys(t: Tour) -> None:
    async with t.open("waiting", "r"):
        candidates = t.one("#candidates")
        for number, row in enumerate(candidates.rows[1:], start=2):
            await t.key(str(number), lambda: candidates.key, row.key)
        await t.key("1", lambda: candidates.key, candidates.rows[0].key)
        await t.key("tab", lambda: t.app.focused.id if t.app.focused else None)
        await t.key("shift+tab", lambda: t.app.focused.id if t.app.focused else None)
        await t.key("u", lambda: t.one("#diff").split)
        for key, screen in (("f", FactsScreen), ("h", AskLine), ("x", Confirm), ("e", EditScreen), ("E", EditScreen)):
            await t.key(key, lambda: t.screen, screen)
            await t.go("escape")
        await t.key("y", lambda: any("the diff is copied" in said for said in t.said), True)
        await t.key("escape", lambda: t.app.current_mode, "loop")
    # more candidates than `fakes.review` has
    cards = review().candidates
    many = [cards[n % 4].model_copy(update={"id": f"candidate_{n}"}) for n in range(9)]
    async with t.open("waiting", "r", review=review(candidates=many, chosen="candidate_0")):
        for number in range(5, 10):
            await t.key(str(number), lambda: t.one("#candidates").key, f"candidate_{number - 1}")
    for key, answers, answer in (("a", ["accept"], "accept"), ("n", ["skip"], "skip"), ("t", ["retry"], "retry")):
        t.engine.asked.clear()
        async with t.open("waiting", "r", review=review(answers=answers)):
            await t.key(key, lambda: t.asked, [("answer", answer)])
    t.engine.asked.clear()
    async with t.open("waiting", "r"):
        await t.key("b", lambda: t.asked, [("answer", "choose")])


async def candidate_keys(t: Tour) -> None:
    async with t.open("waiting", "r", "tab", "j"):
        await t.key("enter", lambda: t.asked, [("answer", "choose")])


async def leaderboard_keys(t: Tour) -> None:
    async with t.open("finished", "2"):
        board = t.one("#board")
        await t.key("o", lambda: str(board.border_title))
        await t.key("O", lambda: [row.key for row in board.rows])
        await t.key("space", lambda: set(t.app.model.marked))
        await t.key("slash", lambda: t.screen, AskLine)
        await t.go("escape")
        await t.key("y", lambda: any("copied" in said for said in t.said), True)
        await t.key("c", lambda: t.screen, CompareScreen)
        await t.go("escape")
        await t.key("escape", lambda: t.app.current_mode, "loop")
        await t.go("2")
        await t.key("e", lambda: "imported runs" in str(board.border_title), True)
        await t.go("escape")
        await t.key("p", lambda: t.app.current_mode, "samples")


async def samples_keys(t: Tour) -> None:
    async with t.open("finished", "3"):
        samples, screen = t.one("#samples"), t.app.screen
        await settle(t.pilot, lambda: len(samples.rows) == 60)
        await t.key("left_square_bracket", lambda: screen.version, "v002")
        await t.key("right_square_bracket", lambda: screen.version, "v003")
        await settle(t.pilot, lambda: len(samples.rows) == 60)
        await t.key("o", lambda: len(samples.rows))
        await t.key("x", lambda: len(samples.rows), 60)
        for key in ("t", "p", "v"):
            await t.key(key, lambda: t.screen, Choose)
            await t.go("escape")
        await t.key("slash", lambda: t.screen, AskLine)
        await t.go("escape")
        await t.key("y", lambda: any("copied" in said for said in t.said), True)
        await t.key("tab", lambda: t.app.focused.id if t.app.focused else None, "sample")
        await t.key("shift+tab", lambda: t.app.focused.id if t.app.focused else None, "samples")
        await t.key("escape", lambda: t.app.current_mode, "loop")


async def rules_keys(t: Tour) -> None:
    async with t.open("training", "4"):
        await settle(t.pilot, lambda: len(t.one("#locks").rows) == 2)
        await t.key("tab", lambda: t.app.focused.id if t.app.focused else None, "rule_text")
        await t.key("shift+tab", lambda: t.app.focused.id if t.app.focused else None, "locks")
        for key in ("e", "i"):
            await t.key(key, lambda: t.screen, EditScreen)
            await t.go("escape")
        await t.key("y", lambda: any("the rules is copied" in s or "copied" in s for s in t.said), True)
        await t.key("escape", lambda: t.app.current_mode, "loop")


async def journal_keys(t: Tour) -> None:
    async with t.open("training", "5"):
        await settle(t.pilot, lambda: len(t.one("#entries").rows) == 2)
        await t.key("slash", lambda: t.screen, AskLine)
        await t.go("escape")
        await t.key("y", lambda: any("the command is copied" in said for said in t.said), True)
        await t.key("t", lambda: "jobs" in str(t.one("#entries").border_title), True)
        await t.go("t")
        await t.key("escape", lambda: t.app.current_mode, "loop")


async def reports_keys(t: Tour) -> None:
    async with t.open("finished", "6"):
        await settle(t.pilot, lambda: "v003" in t.one("#report").source)
        await t.key("tab", lambda: t.app.focused.id if t.app.focused else None, "reports")
        await t.key("shift+tab", lambda: t.app.focused.id if t.app.focused else None, "report")
        await t.key("y", lambda: any("leaderboard is copied" in said for said in t.said), True)
        await t.key("w", lambda: t.asked, [("write_records", None)])
        await t.key("escape", lambda: t.app.current_mode, "loop")


async def experiments_keys(t: Tour) -> None:
    folder = write_experiment(t.ws)
    async with t.open("finished", "7"):
        screen, runs = t.app.screen, t.one("#runs")
        await settle(t.pilot, lambda: len(runs.rows) == 3)
        await t.key("s", lambda: t.asked, [("scaffold", ("cap", (), {}))])
        await t.key("space", lambda: screen.marked, {"rank8"})
        for key in ("o", "L"):
            await t.key(key, lambda: t.screen, RunsScreen)
            await t.go("escape")
        await t.key("c", lambda: t.screen, Confirm)
        await t.go("n")
        await t.key("r", lambda: any("nothing to resume: rank8: it has not failed" in said for said in t.said), True)
        await t.key("p", lambda: t.screen, Choose)
        await t.go("escape")
        await t.key("colon", lambda: t.screen, EditScreen)
        await t.go("escape")
        for key in ("slash", "i"):
            await t.key(key, lambda: t.screen, AskLine)
            await t.go("escape")
        await t.key("y", lambda: any("the table is copied" in said for said in t.said), True)
        await t.key("e", lambda: screen.opened, None)
        await settle(t.pilot, lambda: [row.key for row in runs.rows] == ["cap"])
        await t.key("escape", lambda: t.app.current_mode, "loop")
    shutil.rmtree(folder.path)


async def run_keys(t: Tour) -> None:
    write_experiment(t.ws)
    async with t.open("finished", "7"):
        await settle(t.pilot, lambda: len(t.one("#runs").rows) == 3)
        folder = t.ws.experiments / "cap" / "rank8" / "artifacts" / "logs" / "version_0"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("step,train_loss,accuracy\n0,1.0,0.1\n1,0.5,0.2\n")
        await t.go("enter")
        screen, curve = t.app.screen, t.one("#run_curve")
        await settle(t.pilot, lambda: bool(curve.lines))
        await t.key("t", lambda: screen.log_shown)
        await t.key("slash", lambda: t.screen, AskLine)
        await t.go("escape")
        await t.key("tab", lambda: t.app.focused.id if t.app.focused else None, "run_log")
        await t.key("shift+tab", lambda: t.app.focused.id if t.app.focused else None, "run_curve")
        for key, state in (
            ("right_square_bracket", lambda: curve.chart),
            ("left_square_bracket", lambda: curve.chart),
            ("L", lambda: curve.look.log),
            ("w", lambda: curve.look.smoothing),
            ("W", lambda: curve.look.smoothing),
            ("x", lambda: curve.look.axis),
            ("z", lambda: screen.maximized),
        ):
            await t.key(key, state)
        await t.go("escape")
        await t.key("escape", lambda: t.screen, ExperimentsScreen)


async def compare_keys(t: Tour) -> None:
    async with t.open("finished", "2", "space", "j", "space", "j", "space", "c"):
        screen, curve = t.app.screen, t.one("#compare_curve")
        assert isinstance(screen, CompareScreen) and len(screen.versions) == 3
        await settle(t.pilot, lambda: bool(curve.lines) and bool(t.one("#compare_diff").source))
        await t.key("n", lambda: screen.other)
        await t.key("N", lambda: screen.other)
        await t.key("b", lambda: screen.base)
        await t.key("tab", lambda: t.app.focused.id if t.app.focused else None, "differences")
        await t.key("shift+tab", lambda: t.app.focused.id if t.app.focused else None, "compare_curve")
        for key, state in (
            ("u", lambda: t.one("#compare_diff").split),
            ("right_square_bracket", lambda: curve.chart),
            ("left_square_bracket", lambda: curve.chart),
            ("L", lambda: curve.look.log),
            ("w", lambda: curve.look.smoothing),
            ("W", lambda: curve.look.smoothing),
            ("x", lambda: curve.look.axis),
            ("z", lambda: screen.maximized),
        ):
            await t.key(key, state)
        await t.go("escape")
        await t.key("y", lambda: any("the diff is copied" in said for said in t.said), True)
        for key in ("c", "C"):
            await t.key(key, lambda: t.screen, Choose)
            await t.go("escape")
        await t.key("escape", lambda: t.screen, LeaderboardScreen)


async def choose_keys(t: Tour) -> None:
    async with t.open("finished", "C"):
        choices = t.one("#choices")
        await t.key("space", lambda: choices.rows[choices.cursor].cells[0].plain)
        await t.key("slash", lambda: t.screen, AskLine)
        await t.go("escape")
        for key in ("escape", "q"):
            await t.key(key, lambda: t.screen, LoopScreen)
            await t.go("C")


async def confirm_keys(t: Tour) -> None:
    async with t.open("training"):
        for key in ("n", "escape", "q"):
            await t.go("s")
            assert t.screen is Confirm
            await t.key(key, lambda: t.screen, LoopScreen)
        assert t.asked == []
        for count, key in enumerate(("y", "enter"), start=1):
            await t.go("s")
            await t.key(key, lambda: t.asked, [("stop", None)] * count)


async def ask_keys(t: Tour) -> None:
    async with t.open("finished", "2", "slash"):
        await t.key("escape", lambda: t.screen, LeaderboardScreen)


async def edit_keys(t: Tour) -> None:
    async with t.open("waiting", "r", "e"):
        assert t.screen is EditScreen
        await t.key("f4", lambda: str(t.one("#verdict").render()), "no $EDITOR is set: edit here")
        await t.key("escape", lambda: t.screen, ReviewScreen)
        for count, key in enumerate(("f2", "ctrl+o"), start=1):
            await t.go("r", "E")
            await t.go(*"mine")
            assert t.one(TextArea).text.startswith("mine")
            await t.key(key, lambda: len(t.asked), count)
            t.app.screen._answered = ""  # a new question would come


async def facts_keys(t: Tour) -> None:
    async with t.open("waiting", "r"):
        for key in ("escape", "f", "q"):
            await t.go("f")
            assert t.screen is FactsScreen
            await t.key(key, lambda: t.screen, ReviewScreen)


async def help_keys(t: Tour) -> None:
    async with t.open("waiting", "question_mark"):
        await t.pilot.resize_terminal(80, 14)
        scroll = t.one(VerticalScroll)
        await t.key("down j", lambda: scroll.scroll_y)
        await t.key("up k", lambda: scroll.scroll_y)
        for key in ("escape", "question_mark", "q"):
            await t.key(key, lambda: t.screen, LoopScreen)
            await t.go("question_mark")


async def row_list_keys(t: Tour) -> None:
    async with t.open("finished", "3"):
        samples = t.one("#samples")
        await settle(t.pilot, lambda: len(samples.rows) == 60)
        await t.key("down j pagedown ctrl+d", lambda: samples.cursor)
        await t.key("up k pageup ctrl+u", lambda: samples.cursor)
        for last, first in (("G", "g"), ("end", "home")):
            await t.key(last, lambda: samples.cursor, 59)
            await t.key(first, lambda: samples.cursor, 0)
        await t.key("enter", lambda: t.app.focused.id if t.app.focused else None, "sample")


async def line_view_keys(t: Tour) -> None:
    diff = "".join(f"+{'wide ' * 60}{n}\n" for n in range(200))
    async with t.open("waiting", "r", review=review(diff=diff)):
        view = t.one("#diff")
        assert isinstance(view, DiffView) and view.has_focus
        await t.key("down j pagedown ctrl+d", lambda: view.scroll_offset.y)
        await t.key("up k pageup ctrl+u", lambda: view.scroll_offset.y)
        await t.key("right", lambda: view.scroll_offset.x)
        await t.key("left", lambda: view.scroll_offset.x)
        for last, first in (("G", "g"), ("end", "home")):
            await t.key(last, lambda: view.scroll_offset.y, view.max_scroll_y)
            await t.key(first, lambda: view.scroll_offset.y, 0)


async def log_keys(t: Tour) -> None:
    log = t.ws.job("v004-train-1").log
    log.write_text("".join(f"Epoch {n}: {'wide ' * 60}\n" for n in range(200)))
    async with t.open("training", log=log):
        view = t.one(LogView)
        await settle(t.pilot, lambda: len(view.lines) == 200)
        await t.go("slash")
        await t.go(*"Epoch 1", "enter")
        await t.key("N", lambda: view.scroll_offset.y)
        await t.key("n", lambda: view.scroll_offset.y)
        await t.key("right l", lambda: view.scroll_offset.x)
        await t.key("left h", lambda: view.scroll_offset.x)
        await t.key("f", lambda: view.follow)


async def curve_keys(t: Tour) -> None:
    async with t.open("training"):
        curve = t.one("#curve")
        look = lambda: curve.look  # noqa: E731
        await t.key("left h shift+left", lambda: look().cursor)
        await t.key("right l shift+right", lambda: look().cursor)
        for first, last in (("g", "G"), ("home", "end")):
            await t.key(first, lambda: look().cursor, 0.0)
            await t.key(last, lambda: look().cursor)
        await t.key("plus equals_sign", lambda: look().left)
        await t.key("less_than_sign comma", lambda: look().left)
        await t.key("greater_than_sign full_stop", lambda: look().left)
        await t.key("minus", lambda: look().left)
        await t.key("0", lambda: (look().left, look().cursor), (None, None))


TOURS: dict[type[DOMNode], Callable[[Tour], Awaitable[None]]] = {
    ProgtrainApp: app_keys,
    LoopScreen: loop_keys,
    ReviewScreen: review_keys,
    CandidateList: candidate_keys,
    LeaderboardScreen: leaderboard_keys,
    SamplesScreen: samples_keys,
    RulesScreen: rules_keys,
    JournalScreen: journal_keys,
    ReportsScreen: reports_keys,
    CompareScreen: compare_keys,
    ExperimentsScreen: experiments_keys,
    RunsScreen: run_keys,
    Choose: choose_keys,
    Confirm: confirm_keys,
    AskLine: ask_keys,
    EditScreen: edit_keys,
    FactsScreen: facts_keys,
    HelpScreen: help_keys,
    RowList: row_list_keys,
    LineView: line_view_keys,
    LogView: log_keys,
    CurveView: curve_keys,
}


def keys_of(holder: type[DOMNode]) -> set[str]:
    return {key for b in holder.BINDINGS if isinstance(b, Binding) for key in b.key.split(",")}


def test_every_holder_of_keys_has_its_tour() -> None:
    assert {c.__name__ for c in key_holders()} == {c.__name__ for c in TOURS}


@pytest.mark.parametrize("holder", TOURS, ids=lambda holder: holder.__name__)
async def test_every_key_does_something(
    ws: Workspace, holder: type[DOMNode], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fill(ws)
    tour = Tour(ws)
    await TOURS[holder](tour)
    assert tour.pressed == keys_of(holder)
