"""Long tables and the line of keys: what is not looked at is not made."""

from __future__ import annotations

from rich.text import Text
from textual.app import App, ComposeResult

from progtrain.engine.workspace import Workspace
from progtrain.tui.screens.help import HelpScreen
from progtrain.tui.widgets.key_line import KeyLine
from progtrain.tui.widgets.row_list import Column, Row, RowList
from tests.tui.fakes import fill, make_app, settle, snapshot


class Table(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.made: set[int] = set()

    def compose(self) -> ComposeResult:
        yield RowList([Column("n", stretch=True)])

    def rows(self, count: int) -> list[Row]:
        return [Row(f"k{n}", source=n, make=lambda n=n: self._cells(n)) for n in range(count)]  # type: ignore[misc]

    def _cells(self, number: int) -> tuple[Text, ...]:
        self.made.add(number)
        return (Text(f"row {number}"),)


async def test_cells_are_made_for_the_rows_that_are_seen() -> None:
    app = Table()
    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(RowList)
        table.show_rows(app.rows(10_000))
        table.focus()
        await pilot.press("G")
        await pilot.pause()
        assert table.line(9_999, 40).plain.startswith("row 9999")
        assert 9_990 in app.made and len(app.made) < 500


async def test_the_same_rows_are_not_made_again_and_another_one_is() -> None:
    app = Table()
    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(RowList)
        table.show_rows(app.rows(5))
        await pilot.pause()
        before = table.rows
        table.show_rows(app.rows(5))
        assert table.rows is before
        changed = [*app.rows(4), Row("k4", source="other", make=lambda: (Text("another"),))]
        table.show_rows(changed)
        assert table.line(4, 40).plain.startswith("another")


async def test_columns_fit_the_width_that_is_drawn_whatever_was_drawn_before() -> None:
    app = Table()
    async with app.run_test(size=(80, 12)) as pilot:
        table = app.query_one(RowList)
        cells = (Text("sample-1"), Text("class 3"))
        table.show_rows([Row("k", cells)], [Column("sample", stretch=True), Column("predicted")])
        await pilot.pause()
        for width in (80, 120, 40, 80):
            # lines are drawn in the new size before the event that tells of it
            for line in (table.header(width), table.line(0, width)):
                assert line.cell_len <= width
            assert table.line(0, width).plain.rstrip().endswith("class 3")


async def test_the_line_of_keys_follows_the_focus_and_takes_the_mouse(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        line = app.screen.query_one(KeyLine)
        assert "Follow" not in line.render().plain
        app.screen.query_one("#log").focus()
        await pilot.pause()
        assert "Follow" in line.render().plain
        await pilot.click(KeyLine, offset=(line.render().plain.index("Keys"), 0))
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
