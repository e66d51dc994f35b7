"""The review: everything needed to decide, and every answer by one key."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from progtrain.engine.drafting.preview import Check
from progtrain.engine.files import sha256_text
from progtrain.engine.schema import Decision
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.screens.ask import AskLine, Confirm
from progtrain.tui.screens.edit import EditScreen, edit_outside
from progtrain.tui.screens.facts import FactsScreen
from progtrain.tui.screens.review import ReviewScreen
from progtrain.tui.widgets.diff import DiffView, pair_up
from progtrain.tui.widgets.document import Document, lay_out
from progtrain.tui.widgets.row_list import RowList
from tests.tui.fakes import FakeEngine, FakeView, fill, make_app, review, settle, snapshot


@pytest.fixture(autouse=True)
def _no_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)


class SlowEngine(FakeEngine):
    """Works out what a candidate would change when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def preview_candidate(self, version: str, candidate: str) -> Check:
        assert self.go.wait(60)
        return super().preview_candidate(version, candidate)


class RefusingEngine(FakeEngine):
    def preview_candidate(self, version: str, candidate: str) -> Check:
        return Check(problems=("no dropout in this script",))


def only_decision(engine: FakeEngine) -> Decision:
    assert [what for what, _ in engine.asked] == ["answer"]
    decision = engine.asked[0][1]
    assert isinstance(decision, Decision) and decision.question == "v003-review-1-abc"
    return decision


@asynccontextmanager
async def opened(
    ws: Workspace, engine: FakeEngine, *, size: tuple[int, int] = (80, 24), **changes: object
) -> AsyncIterator[tuple[ProgtrainApp, Pilot[None]]]:
    """The app on the screen of an open review, which has `changes`."""
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "waiting", review=review(**changes)), engine=engine)
    async with app.run_test(size=size) as pilot:
        await settle(pilot, lambda: app.model.documents is not None)
        await pilot.press("r")
        await pilot.pause(0.1)
        yield app, pilot


async def test_rows_of_a_data_action_stand_below_it_beside_what_they_are_made_from(ws: Workspace) -> None:
    picture = {"before": ["  ##  ", "  ##  "], "after": ["##    ", "##    "], "operation": "shift", "change": ""}
    row = {"id": "a001-00001", "kind": "augment", "parent": "d1582", "label": "9"}
    rows = {
        "name": "a001",
        "counts": {"base": 898, "augment": 72, "replay": 18},
        "classes": {"8": 81, "9": 9},
        "focus": ["8 (recall 0.08)"],
        "hard_by": "training loss",
        "rows": [{**row, **picture}, {**row, "id": "a001-2", "operation": "jitter", "change": "x 1 → \x1b[31m2"}],
        "checks": ["none equals or nearly equals one of 539 valid rows"],
        "suspects_left_out": 2,
    }
    async with opened(ws, FakeEngine(), addition=rows) as (app, pilot):
        shown = app.screen.query_one("#action", Document)
        for part in ("A smaller gap", "72 changed and 18 repeated", "81 of 8, 9 of 9", "539 valid rows", "`d1582`"):
            assert part in shown.source
        assert "  ##    |  ##    " in shown.source and "\x1b" not in shown.source
        await pilot.press("tab", "tab")
        assert shown.is_on_screen and shown.region.height > 5
        await pilot.press("end")
        await pilot.pause(0.1)
        assert any("##" in strip.text for strip in app.screen._compositor.render_strips())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_review_shows_all_that_is_needed(ws: Workspace, size: tuple[int, int]) -> None:
    async with opened(ws, FakeEngine(), size=size) as (app, _pilot):
        screen = app.screen
        assert "weight_decay=1e-3" in screen.query_one("#diff", DiffView).source
        assert "Accuracy rose" in screen.query_one("#analysis", Document).source
        assert "A smaller gap" in screen.query_one("#action", Document).source
        rows = screen.query_one("#candidates", RowList).rows
        assert [cell.plain for cell in rows[0].cells] == ["▶", "1", "add_weight_decay", "41%", "#1", "low"]
        assert "rules hold" in str(screen.query_one("#checks", Static).render())
        assert "prefer small models" in str(screen.query_one("#question", Static).render())


@pytest.mark.parametrize(
    ("keys", "answer", "candidate"),
    [
        (["a"], "accept", None),
        (["tab", "2", "enter"], "choose", "dropout_up"),
        (["tab", "j", "j", "enter"], "choose", "learning_rate_down"),
        (["b"], "choose", "back_to_v002"),
        (["x", "y"], "stop", None),
    ],
)
async def test_answers_by_key(ws: Workspace, keys: list[str], answer: str, candidate: str | None) -> None:
    engine = FakeEngine()
    async with opened(ws, engine) as (_app, pilot):
        await pilot.press(*keys)
        await settle(pilot, lambda: bool(engine.asked))
        decision = only_decision(engine)
        assert (decision.answer, decision.candidate) == (answer, candidate)


@pytest.mark.parametrize(("size", "keys"), [((120, 40), ["3"]), ((80, 24), ["tab", "3", "shift+tab"])])
async def test_what_is_shown_is_accepted(ws: Workspace, size: tuple[int, int], keys: list[str]) -> None:
    """The title says which candidate, the diff is its own, and so is the decision."""
    engine = FakeEngine()
    async with opened(ws, engine, size=size) as (app, pilot):
        diff, question = app.screen.query_one("#diff", DiffView), app.screen.query_one("#question", Static)
        assert "a accepts add_weight_decay" in str(question.render())
        await pilot.press(*keys)
        await settle(pilot, lambda: "learning_rate_down" in diff.source)
        assert diff.region.area
        assert "a accepts learning_rate_down" in str(question.render()).splitlines()[0][: size[0]]
        assert "learning_rate_down" in str(app.screen.query_one("#diff_pane").border_title)
        assert "learning_rate 0.001 → 0.0003" in app.screen.query_one("#action", Document).source
        await pilot.press("a")
        await settle(pilot, lambda: bool(engine.asked))
        decision = only_decision(engine)
        assert (decision.answer, decision.candidate) == ("accept", "learning_rate_down")
        assert decision.shown == sha256_text(diff.source)


async def test_back_on_the_draft_it_is_the_draft_that_is_accepted(ws: Workspace) -> None:
    engine = FakeEngine()
    async with opened(ws, engine, size=(120, 40)) as (app, pilot):
        await pilot.press("3")
        diff = app.screen.query_one("#diff", DiffView)
        await settle(pilot, lambda: "learning_rate_down" in diff.source)
        await pilot.press("1", "a")
        await settle(pilot, lambda: bool(engine.asked))
        decision = only_decision(engine)
        assert (decision.answer, decision.candidate) == ("accept", None)
        assert decision.shown == sha256_text(review().diff)


async def test_a_candidate_is_not_accepted_before_its_change_is_shown(ws: Workspace) -> None:
    engine = SlowEngine()
    async with opened(ws, engine, size=(120, 40)) as (app, pilot):
        await pilot.press("3", "a")
        await settle(pilot, lambda: any("being worked out" in n.message for n in app._notifications))
        diff = app.screen.query_one("#diff", DiffView)
        assert diff.source == "" and engine.asked == []
        engine.go.set()
        await settle(pilot, lambda: "learning_rate_down" in diff.source)
        await pilot.press("a")
        await settle(pilot, lambda: bool(engine.asked))
        assert only_decision(engine).candidate == "learning_rate_down"


async def test_a_candidate_that_cannot_be_applied_is_not_accepted(ws: Workspace) -> None:
    engine = RefusingEngine()
    async with opened(ws, engine, size=(120, 40)) as (app, pilot):
        await pilot.press("2")
        question = app.screen.query_one("#question", Static)
        await settle(pilot, lambda: "dropout_up cannot be accepted" in str(question.render()))
        assert "no dropout in this script" in str(app.screen.query_one("#checks", Static).render())
        await pilot.press("a")
        await pilot.pause(0.1)
        assert engine.asked == [] and isinstance(app.screen, ReviewScreen)


async def test_a_draft_by_hand_is_shown_before_any_candidate(ws: Workspace) -> None:
    """It is none of those on offer: the cursor must not stand on one that nobody has asked for."""
    engine = FakeEngine()
    async with opened(ws, engine, chosen=None, size=(120, 40)) as (app, pilot):
        assert "a accepts the draft" in str(app.screen.query_one("#question", Static).render())
        await pilot.press("1")
        diff = app.screen.query_one("#diff", DiffView)
        await settle(pilot, lambda: "add_weight_decay" in diff.source)
        await pilot.press("g", "tab", "g", "a")
        await settle(pilot, lambda: bool(engine.asked))
        assert only_decision(engine).candidate is None


async def test_enter_chooses_only_from_a_list_that_is_seen_and_has_the_focus(ws: Workspace) -> None:
    engine = FakeEngine()
    async with opened(ws, engine) as (app, pilot):
        assert not app.screen.query_one("#candidates", RowList).region.area
        await pilot.press("3")  # a screen, as everywhere: no list is seen
        await pilot.pause(0.1)
        assert app.current_mode == "samples"
        await pilot.press("r")
        await pilot.pause(0.1)
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert engine.asked == []
        await pilot.resize_terminal(120, 40)
        await pilot.pause(0.1)
        await pilot.press("3")
        assert app.screen.query_one("#candidates", RowList).key == "learning_rate_down"
        await pilot.press("enter")  # the list is seen, but the diff has the focus
        await pilot.pause(0.1)
        assert engine.asked == []


async def test_the_draft_is_not_edited_under_the_name_of_another_candidate(ws: Workspace) -> None:
    async with opened(ws, FakeEngine(), size=(120, 40)) as (app, pilot):
        await pilot.press("3", "e")
        await settle(pilot, lambda: any("not drafted yet" in n.message for n in app._notifications))
        assert isinstance(app.screen, ReviewScreen)


async def test_a_question_is_answered_once(ws: Workspace) -> None:
    engine = FakeEngine()
    async with opened(ws, engine) as (_app, pilot):
        await pilot.press("a")
        await settle(pilot, lambda: bool(engine.asked))
        await pilot.press("r")
        await pilot.pause(0.1)
        await pilot.press("a", "b")
        await pilot.pause(0.1)
        assert len(engine.asked) == 1


async def test_a_hint_asks_the_advisor_again(ws: Workspace) -> None:
    engine = FakeEngine()
    async with opened(ws, engine) as (app, pilot):
        await pilot.press("h")
        await pilot.pause()
        assert isinstance(app.screen, AskLine)
        await pilot.press(*"try dropout", "enter")
        await settle(pilot, lambda: bool(engine.asked))
        decision = only_decision(engine)
        assert (decision.answer, decision.hint) == ("redraft", "try dropout")


async def test_stopping_asks_first_and_no_leaves_all_as_it_was(ws: Workspace) -> None:
    engine = FakeEngine()
    async with opened(ws, engine) as (app, pilot):
        await pilot.press("x")
        assert isinstance(app.screen, Confirm)
        await pilot.press("escape")
        assert isinstance(app.screen, ReviewScreen) and engine.asked == []


async def test_looking_at_a_candidate_shows_what_it_would_change(ws: Workspace) -> None:
    async with opened(ws, FakeEngine(), size=(120, 40)) as (app, pilot):
        await pilot.press("3")
        diff = app.screen.query_one("#diff", DiffView)
        await settle(pilot, lambda: "learning_rate_down" in diff.source)
        assert "learning_rate 0.001 → 0.0003" in str(app.screen.query_one("#card", Static).render())
        await pilot.press("1")
        await settle(pilot, lambda: "AdamW" in diff.source)


async def test_unified_and_split_diff(ws: Workspace) -> None:
    async with opened(ws, FakeEngine(), size=(120, 40)) as (app, pilot):
        diff = app.screen.query_one("#diff", DiffView)
        await pilot.press("u")
        assert diff.split
        await pilot.press("u")
        assert not diff.split


def test_split_lines_stand_beside_each_other() -> None:
    assert pair_up(["@@ -1 +1 @@", " same", "-old", "+new", "+more", "-gone"]) == [
        ("@@ -1 +1 @@", "@@ -1 +1 @@"),
        (" same", " same"),
        ("-old", "+new"),
        ("", "+more"),
        ("-gone", ""),
    ]


async def test_an_edit_is_checked_as_it_is_typed_and_accepted(ws: Workspace) -> None:
    """What the engine would do with it, or why it refuses."""
    engine = FakeEngine()
    async with opened(ws, engine) as (app, pilot):
        await pilot.press("e")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, EditScreen)
        verdict = screen.query_one("#verdict", Static)
        await settle(pilot, lambda: "rules hold" in str(verdict.render()))
        await pilot.press(*"forbidden ")
        await settle(pilot, lambda: "epochs is locked" in str(verdict.render()))
        await pilot.press("f2")
        await pilot.pause()
        assert app.screen is screen and engine.asked == []
        await pilot.press(*["backspace"] * 10, *"mine ")
        await settle(pilot, lambda: "rules hold" in str(verdict.render()))
        await pilot.press("f2")
        await settle(pilot, lambda: bool(engine.asked))
        decision = only_decision(engine)
        assert decision.answer == "accept" and decision.action is not None
        assert decision.action.startswith("mine ## Selected Action")


async def test_dropping_an_edit_asks_first(ws: Workspace) -> None:
    async with opened(ws, FakeEngine()) as (app, pilot):
        await pilot.press("e")
        await pilot.pause()
        await pilot.press("escape")
        assert isinstance(app.screen, ReviewScreen)
        await pilot.press("e")
        await pilot.pause()
        await pilot.press("z", "escape")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        await pilot.press("n")
        assert isinstance(app.screen, EditScreen) and app.screen.query_one(TextArea).text.startswith("z")
        await pilot.press("escape")
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert isinstance(app.screen, ReviewScreen)


async def test_keys_that_come_in_one_packet_act_in_their_order(ws: Workspace) -> None:
    """Over a slow line arrows, backspace and letters arrive at once."""
    async with opened(ws, FakeEngine()) as (app, pilot):
        await pilot.press("e")
        await settle(pilot, lambda: isinstance(app.screen, EditScreen))
        area = app.screen.query_one(TextArea)
        area.text = "one\n  dropout: 0.3\nthree"
        for key in ("down", "end", "backspace", "5", "left", "x", "up", "home", "y"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await settle(pilot, lambda: area.text == "yone\n  dropout: 0.x5\nthree")


def test_the_users_editor_gets_the_text_and_gives_it_back(tmp_path: Path) -> None:
    script = tmp_path / "my editor.py"
    script.write_text("import sys; p = sys.argv[1]; t = open(p).read(); open(p, 'w').write(t + 'edited')")
    assert edit_outside(f"{sys.executable} '{script}'", "text ", ".md") == "text edited"
    with pytest.raises(OSError, match="exit code 3"):
        edit_outside(f"{sys.executable} -c 'import sys; sys.exit(3)'", "text", ".md")


async def test_an_edited_analysis_is_kept_as_a_new_round(ws: Workspace) -> None:
    engine = FakeEngine()
    async with opened(ws, engine) as (_app, pilot):
        await pilot.press("E")
        await pilot.pause()
        await pilot.press(*"My view. ", "f2")
        await settle(pilot, lambda: bool(engine.asked))
        decision = only_decision(engine)
        assert decision.answer == "edit" and (decision.analysis or "").startswith("My view. ")


async def test_facts_are_one_key_away(ws: Workspace) -> None:
    async with opened(ws, FakeEngine()) as (app, pilot):
        await pilot.press("f")
        await pilot.pause(0.1)
        assert isinstance(app.screen, FactsScreen)
        rows = app.screen.query_one(RowList)
        await settle(pilot, lambda: rows.key == "gap")
        await settle(pilot, lambda: "metrics.csv epoch 9" in str(app.screen.query_one("#source", Static).render()))
        await pilot.press("escape")
        assert isinstance(app.screen, ReviewScreen)


async def test_an_action_that_cannot_be_applied_is_not_accepted(ws: Workspace) -> None:
    engine = FakeEngine()
    async with opened(ws, engine, problems=["learning_rate is locked"], diff="", checks=[]) as (app, pilot):
        assert "learning_rate is locked" in str(app.screen.query_one("#checks", Static).render())
        await pilot.press("a")
        await pilot.pause(0.1)
        assert engine.asked == [] and isinstance(app.screen, ReviewScreen)


@pytest.mark.parametrize(
    ("kind", "answers", "key", "answer"),
    [
        ("audit", ["accept", "skip", "stop"], "a", "accept"),
        ("repair", ["accept", "skip", "stop"], "n", "skip"),
        ("attempts", ["retry", "stop"], "t", "retry"),
    ],
)
async def test_other_questions_are_answered_too(
    ws: Workspace, kind: str, answers: list[str], key: str, answer: str
) -> None:
    """Fixes and repairs are shown as a diff before they run."""
    engine = FakeEngine()
    async with opened(
        ws, engine, kind=kind, answers=answers, candidates=[], chosen=None, title="A fix is proposed"
    ) as (app, pilot):
        assert "AdamW" in app.screen.query_one("#diff", DiffView).source
        await pilot.press("h")
        assert isinstance(app.screen, ReviewScreen)
        await pilot.press(key)
        await settle(pilot, lambda: bool(engine.asked))
        assert only_decision(engine).answer == answer


async def test_a_draft_is_read_while_it_is_written(ws: Workspace) -> None:
    fill(ws)
    folder = ws.drafts("v004")
    folder.path.mkdir(parents=True)
    folder.events.write_text('{"event": "section", "name": "summary"}\n{"event": "text", "text": "It got "}\n')
    view = FakeView(snapshot(ws.root, "drafting"))
    app = make_app(ws, view)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await pilot.pause(0.1)
        document = app.screen.query_one("#analysis", Document)
        await settle(pilot, lambda: document.source.endswith("It got "))
        with folder.events.open("a") as file:
            file.write('{"event": "text", "text": "better."}\n')
        await settle(pilot, lambda: document.source.endswith("It got better."))
        assert "drafting" in str(app.screen.query_one("#question", Static).render())


@pytest.mark.parametrize("width", [30, 58, 120])
def test_documents_are_laid_out_without_cutting_tables(width: int) -> None:
    table = "| metric | value | change | verdict |\n|---|---|---|---|\n| accuracy | 0.9611 | +0.0139 | within noise |\n"
    lines = [line.plain for line in lay_out(f"## Metric deltas\n\n{table}\n\ntext after it\n", width)]
    assert lines[0].strip() == "Metric deltas" and lines[1].strip()
    words = " ".join(lines).split()
    assert all(word in words for word in ("accuracy", "0.9611", "+0.0139", "within", "noise"))
    assert all(len(line) <= width for line in lines)
    assert not any(a.strip() == "" == b.strip() for a, b in pairwise(lines))


async def test_without_a_question_the_last_decision_is_read(ws: Workspace) -> None:
    fill(ws)
    ws.version("v003").analysis.write_text("## Summary\n\nAccepted words.\n")
    ws.version("v003").action.write_text("## Selected Action (only 1)\n")
    ws.drafts("v003").review.unlink()
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await pilot.pause(0.1)
        document = app.screen.query_one("#analysis", Document)
        await settle(pilot, lambda: "Accepted words." in document.source)
        assert document.region.area
        assert "accepted" in str(app.screen.query_one("#analysis_pane").border_title)


async def test_while_the_next_version_trains_the_last_decision_is_read(ws: Workspace) -> None:
    fill(ws)
    ws.version("v003").analysis.write_text("## Summary\n\nAccepted words.\n")
    ws.version("v003").action.write_text("## Selected Action (only 1)\n")
    ws.drafts("v003").review.unlink()
    app = make_app(ws, snapshot(ws.root, "training"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("r")
        document = app.screen.query_one("#analysis", Document)
        await settle(pilot, lambda: "Accepted words." in document.source)
        assert "what was decided on v003" in str(app.screen.query_one("#question", Static).render())
        assert "v003 accepted" in str(app.screen.query_one("#analysis_pane").border_title)


async def test_how_other_servers_stood_is_told_above_the_facts(ws: Workspace) -> None:
    fill(ws)
    data = json.loads(ws.insight("v003").read_text())
    board = {"name": "board", "state": "stale", "age_hours": 30.0, "sha256": "0"}
    gone = {"name": "gone", "state": "never fetched", "age_hours": None, "sha256": None}
    ws.insight("v003").write_text(json.dumps({**data, "evidence": [board, gone]}))
    app = make_app(ws, snapshot(ws.root, status="waiting", review=review()))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await settle(pilot, lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("f")
        await settle(pilot, lambda: isinstance(app.screen, FactsScreen) and bool(app.screen.query_one(RowList).rows))
        notes = app.screen.query_one("#notes", Static)
        told = ["prefer small models", "other servers: board stale (30.0 h old), gone never fetched"]
        assert str(notes.render()).splitlines() == told
        assert notes.region.height == 2
