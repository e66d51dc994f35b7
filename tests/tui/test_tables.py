"""Tables stay tables: long names lose their middle, cells wrap, nothing is cut where it cannot be read."""

from __future__ import annotations

import json
import time

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import Static

from progtrain.engine.workspace import Workspace
from progtrain.tui.look.sanitize import narrowed
from progtrain.tui.widgets.document import lay_out
from progtrain.tui.widgets.row_list import Column, Row, RowList
from tests.tui.fakes import fill, make_app, settle, snapshot, versions

LONG = "a report on what was tried at length, told in so many words that no line of eighty columns holds them all"


class Host(App[None]):
    """One list in a terminal."""

    def __init__(self, columns: list[Column], rows: list[Row]) -> None:
        super().__init__()
        self.list = RowList(columns)
        self._rows = rows

    def compose(self) -> ComposeResult:
        yield self.list

    def on_mount(self) -> None:
        self.list.show_rows(self._rows)


@pytest.mark.parametrize("width", [40, 80, 120])
async def test_long_names_give_way_before_the_columns_behind_them(width: int) -> None:
    columns = [Column("name"), Column("metric", "right"), Column("note", stretch=True), Column("verdict")]
    rows = [Row(str(n), (Text("x" * 70 + f"end{n}"), Text("0.9611"), Text(LONG), Text("better"))) for n in range(3)]
    app = Host(columns, rows)
    async with app.run_test(size=(width, 10)) as pilot:
        await pilot.pause()
        room = app.list.scrollable_content_region.width
        lines = [app.list.line(i, room).plain for i in range(3)]
        assert all(len(line) <= room for line in lines)
        for number, line in enumerate(lines):
            assert f"end{number} " in line and "0.9611" in line and line.rstrip().endswith("better")


async def test_a_leaderboard_of_long_names_keeps_its_columns(ws: Workspace) -> None:
    fill(ws)
    name = "an-external-model-with-a-name-that-is-far-too-long-for-any-table-epoch-12"
    folder = ws.external / name
    folder.mkdir(parents=True)
    score = {"metrics": [{"name": "accuracy", "value": 0.97, "higher_is_better": True}], "latency_ms": 9.0}
    (folder / "eval_score.json").write_text(json.dumps(score))
    rows = tuple(v._replace(action=LONG, metrics={"accuracy": v.value, "m" * 60: 0.5}) for v in versions(3))
    app = make_app(ws, snapshot(ws.root, "finished", versions=rows))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("2")
        board = app.screen.query_one("#board", RowList)
        await settle(pilot, lambda: len(board.rows) == 4)
        await pilot.pause()
        shown = [board.line(i, 79).plain for i in range(4)]
        assert all(len(line.rstrip()) <= 79 for line in shown)
        assert "external/an-…" in shown[0] and "epoch-12" in shown[0] and "0.9700" in shown[0]
        assert any("0.9611" in line and "better" in line for line in shown)


async def test_the_entry_under_the_cursor_is_told_whole_in_80_columns(ws: Workspace) -> None:
    fill(ws)
    with ws.journal.open("a") as file:
        event = {"at": "2026-11-20T17:42:00.000+00:00", "event": "note", "version": "v002", "text": LONG, "who": "me"}
        file.write(json.dumps(event) + "\n")
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("5")
        entries, entry = app.screen.query_one("#entries", RowList), app.screen.query_one("#entry", Static)
        await settle(pilot, lambda: len(entries.rows) == 3)
        await settle(pilot, lambda: LONG in str(entry.render()))
        assert "2026-11-20 17:42:00" in str(entry.render()) and "who: me" in str(entry.render())
        assert str(entry.render()).count(LONG) == 1 and entry.size.height >= 3
        # beside it the day has no room, in a wide terminal it has
        assert entries.rows[-1].cells[0].plain == "17:42:00"
        await pilot.resize_terminal(120, 40)
        await settle(pilot, lambda: entries.rows[-1].cells[0].plain == "11-20 17:42:00")


WIDE = (
    "| metric | v004 | v003 | change | verdict | best (v002) | change | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    "| calibration_error ↓ | 0.9610 | 0.9555 | +0.0056 | within noise | 0.9592 | +0.0019 | within noise |\n"
)


@pytest.mark.parametrize("width", [30, 56, 76, 110, 200])
def test_an_analysis_is_read_without_scrolling_sideways(width: int) -> None:
    lines = [line.plain for line in lay_out(WIDE, width)]
    assert all(len(line) <= max(width, 34) for line in lines)
    words = " ".join(lines).split()
    for word in ("calibration_error", "0.9610", "0.9555", "+0.0056", "0.9592", "+0.0019"):
        assert word in words
    assert words.count("within") == words.count("noise") == 2
    assert not any("…" in line for line in lines)


def test_columns_that_go_on_below_repeat_what_they_are_of() -> None:
    lines = [line.plain for line in lay_out(WIDE, 56)]
    assert sum("calibration_error ↓" in line for line in lines) == 2
    assert sum("metric" in line for line in lines) == 2


def test_one_long_word_is_not_cut_but_scrolled_to() -> None:
    word = "x" * 90
    lines = [
        line.plain for line in lay_out(f"| a | b |\n| --- | --- |\n| 1 | {word} |\n\n| only |\n| --- |\n| 7 |\n", 40)
    ]
    assert any(word in line for line in lines) and any(line.strip() == "7" for line in lines)


def test_a_table_of_hundreds_of_columns_is_laid_out_at_once() -> None:
    names = [f"column{n}" for n in range(300)]
    cells = ["many short words"] * 300
    begun = time.process_time()
    lines = lay_out("\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * 300, cells)) + "\n", 56)
    assert time.process_time() - begun < 5 and sum("column299" in line.plain for line in lines) == 1


@pytest.mark.parametrize(
    ("natural", "least", "over", "widths"),
    [
        ([10, 20], [5, 5], 3, [10, 20]),
        ([10, 20], [5, 5], -6, [10, 14]),
        ([10, 20], [9, 18], -9, [9, 18]),
        ([], [], -3, []),
    ],
)
def test_the_widest_column_gives_way_first(natural: list[int], least: list[int], over: int, widths: list[int]) -> None:
    assert narrowed(natural, least, over) == widths
