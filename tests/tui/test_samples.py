"""The samples screen: filters by outcome, class, loss and words, pictures, tables."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import pytest
from textual.widget import Widget
from textual.widgets import Static

from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.look.pixels import may_show_pixels, pixel_widget
from progtrain.tui.reading.pictures import read_picture
from progtrain.tui.reading.samples import Outcome
from progtrain.tui.sample_filter import SampleFilter, classes
from progtrain.tui.screens.ask import AskLine
from progtrain.tui.screens.choose import Choose
from progtrain.tui.screens.samples import SamplesScreen
from progtrain.tui.widgets.picture import PictureView
from progtrain.tui.widgets.row_list import RowList
from progtrain.tui.widgets.table_view import TableView, fit, read_rows, table_lines
from tests.tui.fakes import fill, make_app, settle, snapshot


def outcome(number: int, truth: str = "1", predicted: str = "1", loss: float | None = 0.0) -> Outcome:
    return Outcome(f"s{number}", truth, predicted, truth == predicted, loss)


MANY = [outcome(n, str(n % 3), str(n % 2), n / 10) for n in range(30)]


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        (SampleFilter(outcome="kept"), ["s1", "s7"]),
        (SampleFilter(outcome="right", truth="1", text="s7"), ["s7"]),
        (SampleFilter(truth="2", prediction="1", loss=2.0), ["s23", "s29"]),
        (SampleFilter(loss="worst tenth"), ["s27", "s28", "s29"]),
        (SampleFilter(truth="0", loss="worst tenth"), ["s27"]),
    ],
)
def test_filters_hold_together(chosen: SampleFilter, ids: list[str]) -> None:
    assert [o.sample_id for o in chosen.of(MANY, {"s1", "s7"})] == ids


def test_a_share_of_few_samples_is_never_none_of_them() -> None:
    assert SampleFilter(loss="worst tenth").of([outcome(1, loss=0.5), outcome(2, loss=0.1)], ()) == [
        outcome(1, loss=0.5)
    ]
    assert SampleFilter(loss="worst tenth").of([outcome(1, loss=None)], ()) == [outcome(1, loss=None)]
    assert SampleFilter(loss=0.1).of([outcome(1, loss=None)], ()) == []


@pytest.mark.parametrize(
    "data", [None, 3, {"outcome": "odd", "truth": 3, "loss": True, "text": []}, {"loss": "worst ninth"}, {"loss": []}]
)
def test_a_saved_filter_that_means_nothing_shows_all(data: Any) -> None:
    assert SampleFilter.from_json(data) == SampleFilter()


def test_a_saved_filter_comes_back() -> None:
    chosen = SampleFilter("wrong", "8", "1", 0.25, "x")
    assert SampleFilter.from_json(asdict(chosen)) == chosen


def test_classes_are_counted_in_the_order_of_numbers() -> None:
    found = classes([outcome(n, truth) for n, truth in enumerate(["10", "9", "b", "a", "10"])], "truth")
    assert found == [("9", 1, 1), ("10", 2, 2), ("a", 1, 1), ("b", 1, 1)]
    assert classes([Outcome("s", "1.5", "1.4", None, 0.1)], "truth") == []


async def open_samples(pilot: Any) -> SamplesScreen:
    await settle(pilot)
    await pilot.press("3")
    await pilot.pause(0.1)
    screen = pilot.app.screen
    assert isinstance(screen, SamplesScreen)
    await settle(pilot, lambda: bool(screen._outcomes))
    return screen


def head(screen: SamplesScreen) -> str:
    return str(screen.query_one("#filter_told", Static).render())


def ids(screen: SamplesScreen) -> list[str]:
    return [row.key for row in screen.query_one("#samples", RowList).rows]


async def choose(pilot: Any, key: str, name: str) -> None:
    await pilot.press(key)
    await pilot.pause()
    assert isinstance(pilot.app.screen, Choose)
    pilot.app.screen.query_one(RowList).move_to(name)
    await pilot.press("enter")
    await pilot.pause()


async def test_class_and_loss_are_chosen_by_key_shown_in_the_header_and_cleared_by_one_key(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_samples(pilot)
        assert not screen.query_one("#filter_told").display
        await choose(pilot, "t", "=3")
        assert ids(screen) and all(name[-1] == "3" for name in ids(screen))
        assert "6: truth 3" in head(screen)
        await choose(pilot, "p", "=4")
        await choose(pilot, "v", "worst half")
        assert "truth 3, predicted 4, loss from" in head(screen) and "(worst half)" in head(screen)
        assert ids(screen) == ["valid-003"]  # of v003: truth 3, taken for 4
        await pilot.press("x")
        await pilot.pause()
        assert len(ids(screen)) == 60 and not screen.query_one("#filter_told").display


async def test_a_loss_of_ones_own_is_typed(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_samples(pilot)
        await choose(pilot, "v", "value")
        assert isinstance(app.screen, AskLine)
        await pilot.press(*"much", "enter")
        await settle(pilot, lambda: any("much is no number" in n.message for n in app._notifications))
        assert len(ids(screen)) == 60
        await choose(pilot, "v", "value")
        await pilot.press(*"1.2", "enter")
        await pilot.pause()
        assert "loss from 1.2000" in head(screen)
        assert 0 < len(ids(screen)) < 10
        await pilot.press("escape")
        assert len(ids(screen)) == 60


async def test_the_filter_is_remembered_and_gives_way_to_a_sample_that_is_asked_for(ws: Workspace) -> None:
    fill(ws)
    seen = {"samples": {"filter": {"outcome": "wrong", "truth": "3"}}}
    app = make_app(ws, snapshot(ws.root, "finished"), seen=seen)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_samples(pilot)
        await settle(pilot, lambda: "wrong, truth 3" in head(screen))
        await pilot.press("o")
        assert app.recalled("samples")["filter"]["outcome"] == "right"
        app.show_sample("v002", "valid-007")
        await settle(pilot, lambda: screen.query_one("#samples", RowList).key == "valid-007")
        assert screen.version == "v002" and not screen.filter


async def test_without_classes_it_says_so(ws: Workspace) -> None:
    fill(ws)
    for version in ("v001", "v002", "v003", "v004"):
        ws.version(version).per_sample.write_text("sample_id,truth,prediction,loss\na,1.5,1.4,0.01\nb,2.5,1.4,1.2\n")
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_samples(pilot)
        await pilot.press("t")
        await settle(pilot, lambda: any("no classes" in n.message for n in app._notifications))
        await choose(pilot, "v", "worst tenth")
        assert ids(screen) == ["b"]


# pictures


class Drawn(Widget):
    """Stands for the package's widget: takes a Pillow image."""

    def __init__(self, image: Any) -> None:
        super().__init__()
        self.image = image


async def kept(app: ProgtrainApp, pilot: Any) -> SamplesScreen:
    screen = await open_samples(pilot)
    screen.look_at("v003", "valid-001")
    await settle(pilot, lambda: bool(screen.query("PictureView, Drawn")))
    return screen


async def test_pictures_are_pixels_where_the_terminal_can(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"), pixels=Drawn)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await kept(app, pilot)
        drawn = screen.query_one(Drawn)
        cells = read_picture(ws.version("v003").infer_samples / "0001" / "input.png", *screen._room()).rows
        assert (drawn.size.width, drawn.size.height * 2) == (len(cells[0]), len(cells))
        # eight pixels across, each enlarged to many, none blurred
        assert drawn.image.width > len(cells[0]) and len(drawn.image.getcolors(100_000)) == 64


@pytest.mark.parametrize(
    "options", [{}, {"pixels": Drawn, "ascii_only": True}, {"pixels": Drawn, "sixteen": "ansi-16"}]
)
async def test_half_blocks_or_letters_everywhere_else(ws: Workspace, options: dict[str, Any]) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "finished"), **options)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await kept(app, pilot)
        assert len(screen.query(PictureView)) == 1 and not screen.query(Drawn)


@pytest.mark.parametrize(
    ("environ", "may"),
    [
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, True),
        ({"TERM": "foot", "COLORTERM": "24bit"}, True),
        ({"TERM": "xterm-kitty"}, False),
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor", "TMUX": "/tmp/x"}, False),
        ({"TERM": "screen.xterm", "COLORTERM": "truecolor"}, False),
        ({"TERM": "tmux-256color", "COLORTERM": "truecolor"}, False),
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor", "NO_COLOR": "1"}, False),
    ],
)
def test_only_terminals_that_may_show_pixels_are_asked(environ: dict[str, str], may: bool) -> None:
    assert may_show_pixels(environ) is may


def test_without_the_package_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "textual_image", raising=False)
    assert pixel_widget({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}) is None


# tables


def test_tables_fit_the_width_and_tell_what_they_leave_out() -> None:
    text = "name,value,a very long heading of a column\n" + "".join(f"row {n},{n},{'x' * 90}end\n" for n in range(60))
    rows, more = read_rows(text, ",")
    lines = table_lines(rows, more, 40)
    assert all(len(line) <= 40 for line in lines) and len({line.index("row") for line in lines[1:-1]}) == 1
    assert lines[1].startswith("row 0") and lines[1].endswith("end") and "…" in lines[1]
    assert lines[-1] == "(21 more rows)"
    many, _ = read_rows(",".join(f"column{n}" for n in range(30)) + "\n", ",")
    assert "more columns" in table_lines(many, 0, 40)[-1]


def test_other_separators_and_torn_tables_are_read() -> None:
    assert read_rows("a\tb\n1\t2\n", "\t") == ([["a", "b"], ["1", "2"]], 0)
    assert read_rows("a,b\n1\n", ",") == ([["a", "b"], ["1", ""]], 0)
    assert table_lines(*read_rows("", ","), 40) == ["no rows"]


@pytest.mark.parametrize("wanted", [[100], [100, 3], [5, 5, 5], [1] * 100, []])
@pytest.mark.parametrize("width", [5, 20, 80])
def test_columns_never_need_more_than_there_is(wanted: list[int], width: int) -> None:
    found = fit(wanted, width)
    assert sum(found) + 2 * max(0, len(found) - 1) <= width
    assert bool(found) == bool(wanted)


async def test_a_table_beside_a_sample_is_lined_up(ws: Workspace) -> None:
    fill(ws)
    (ws.version("v003").infer_samples / "0001" / "input.csv").write_text("feature,value\nalcohol,13.2\nash,2.1\n")
    app = make_app(ws, snapshot(ws.root, "finished"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await kept(app, pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert screen.query_one(TableView).render().plain == "feature  value\nalcohol  13.2\nash      2.1"
