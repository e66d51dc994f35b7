"""Curves on screen: marks, axes, zoom, smoothing, versions over each other, one maximised."""

from __future__ import annotations

import math

import pytest

from progtrain.engine.workspace import Workspace
from progtrain.tui.look.colours import MARKS, version_mark
from progtrain.tui.model import Model
from progtrain.tui.plot.chart import Line, Look, draw
from progtrain.tui.reading.curves import LOSS, SECONDS, CurveKey, CurveRows
from progtrain.tui.screens.loop import LoopScreen
from progtrain.tui.widgets.curve import SMOOTHINGS, CurveView, curve_marks
from tests.tui.fakes import fill, make_app, settle, snapshot
from tests.tui.test_plot import series, text_of


def model(ws: Workspace, losses: list[float], version: str = "v001", per_epoch: int = 10) -> Model:
    """One validation loss an epoch."""
    found = Model(ws.root)
    steps = [float((n + 1) * per_epoch - 1) for n in range(len(losses))]
    found._add_curve(CurveRows(CurveKey(version, LOSS, "val", "log"), steps, losses, True, len(losses)))
    return found


FLAT_FROM_THE_FOURTH = [1.0, 0.5, 0.2, 0.105, 0.104, 0.103, 0.102, 0.1, 0.101, 0.102]


def test_the_plateau_is_where_nearly_all_of_the_fall_is_done(ws: Workspace) -> None:
    found = model(ws, FLAT_FROM_THE_FOURTH)
    assert found.plateau("v001") == 39.0
    assert found.best_epoch("v001") == (79.0, 0.1)


@pytest.mark.parametrize(
    "losses",
    [
        [1.0, 0.1],  # too few to tell
        [math.exp(-n / 9) for n in range(20)],  # falls to the end
        [],
    ],
)
def test_without_a_plateau_none_is_marked(ws: Workspace, losses: list[float]) -> None:
    assert model(ws, losses).plateau("v001") is None


def test_marks_follow_the_axis(ws: Workspace) -> None:
    found = model(ws, FLAT_FROM_THE_FOURTH)
    assert curve_marks(found, "v001", "step") == {"best": 79.0, "plateau": 39.0}
    assert curve_marks(found, "v001", "epoch") == {"best": 7.9, "plateau": 3.9}
    assert curve_marks(found, "v001", "time") == {"best": None, "plateau": None}
    found._add_curve(CurveRows(CurveKey("v001", SECONDS, "", "live"), [0.0, 99.0], [0.0, 198.0]))
    assert curve_marks(found, "v001", "time") == {"best": 158.0, "plateau": 78.0}


def test_best_and_plateau_stand_at_their_places() -> None:
    drawing = draw((Line("v001", series([1.0] * 101), "#ffffff"),), Look(best=80.0, plateau=40.0), 110, 12)
    rows = text_of(drawing)
    margin = rows[2].index("┊") - 40 * 100 // 100
    places = [place for place, char in enumerate(rows[3]) if char == "┊"]
    assert len(places) == 2 and abs((places[1] - places[0]) - 40) <= 3 and margin > 0
    assert rows[0][places[1] + 1 :].startswith("best") and rows[1][places[0] + 1 :].startswith("flat")


async def test_the_loop_marks_best_and_plateau_of_the_current_version(ws: Workspace) -> None:
    fill(ws)
    rows = "\n".join(f"{n},{n * 10 + 9},{loss}" for n, loss in enumerate(FLAT_FROM_THE_FOURTH))
    (ws.version("v004").logs / "version_0" / "metrics.csv").write_text(f"epoch,step,val_loss\n{rows}\n")
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        curve = app.screen.query_one("#curve", CurveView)
        await settle(pilot, lambda: curve.look.plateau is not None)
        assert (curve.look.plateau, curve.look.best) == (39.0, 79.0)
        shown = "\n".join("".join(s.text for s in curve.render_line(y)) for y in range(curve.content_size.height))
        assert "flat" in shown and "best" in shown
        assert all(view.look.best is None for view in app.screen.query(CurveView) if view is not curve)


def test_epochs_of_versions_with_other_batches_lie_over_each_other(ws: Workspace) -> None:
    found = model(ws, [1.0, 0.5, 0.2], "v001", per_epoch=100)
    other = model(ws, [1.0, 0.4, 0.1], "v002", per_epoch=10)
    found.curves |= other.curves
    found.epochs |= other.epochs
    lines = found.lines(LOSS, ("v001", "v002"), "epoch")
    assert [line.unit for line in lines] == [100.0, 10.0]
    assert [round(line.series.xs[-1] / line.unit, 1) for line in lines] == [3.0, 2.9]
    steps = found.lines(LOSS, ("v001", "v002"), {"v001": "#ffffff", "v002": "#000000"})
    assert [line.unit for line in steps] == [1.0, 1.0]


@pytest.mark.parametrize("ascii_only", [False, True])
def test_versions_over_each_other_bear_marks_a_single_one_none(ascii_only: bool) -> None:
    waves = {f"v00{n}": series([n + math.sin(i / 9) for i in range(300)]) for n in (1, 2)}
    curves = [Line(name, wave, "#ffffff", version=name) for name, wave in waves.items()]
    text = "".join(text_of(draw(tuple(curves), Look(ascii=ascii_only), 80, 20)))
    for name in ("v001", "v002"):
        assert text.count(version_mark(name, ascii_only=ascii_only)) >= 3
    alone = draw((curves[0]._replace(version=""),), Look(), 80, 20)
    assert not set(MARKS) & set("".join(text_of(alone)))


@pytest.mark.parametrize("zoom", range(0, 12, 3))
async def test_a_spike_between_columns_is_seen_at_every_zoom(ws: Workspace, zoom: int) -> None:
    rows = 20_000
    fill(ws)
    values = ["0.5"] * rows
    values[rows // 2 + 7] = "9.0"
    lines = "\n".join(f"0,{step},{value}" for step, value in enumerate(values))
    (ws.version("v004").logs / "version_0" / "metrics.csv").write_text(f"epoch,step,train_loss\n{lines}\n")
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        curve = app.screen.query_one("#curve", CurveView)
        await settle(pilot, lambda: bool(curve.lines) and len(curve.lines[0].series) == rows)
        curve.change(cursor=float(rows // 2 + 7))
        await pilot.press(*["plus"] * zoom)
        await pilot.pause()
        drawn = draw(curve.lines, curve.look._replace(cursor=None), *curve.content_size)
        top = text_of(drawn)[1]
        assert any("\u2800" < char <= "\u28ff" for char in top), (curve.look, top)


async def test_a_cursor_that_moves_leaves_a_chart_as_if_drawn_anew(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        curve = app.screen.query_one("#curve", CurveView)
        for keys in (["h"] * 3, ["plus", "h"], ["w", "h", "l"], ["L", "h"]):
            await pilot.press(*keys)
            await pilot.pause()
            width, height = curve.content_size
            shown = ["".join(curve.render_line(y).text) for y in range(height)]
            assert shown == text_of(draw(curve.lines, curve.look, width, height)), keys
            assert any("│" in line for line in shown)


async def test_smoothing_goes_up_and_down_and_the_view_is_kept(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root), seen={})
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        curve = app.screen.query_one("#curve", CurveView)
        shown = []
        for key in ("w", "w", "W", "W", "W"):
            await pilot.press(key)
            shown.append(curve.look.smoothing)
        assert shown == [SMOOTHINGS[1], SMOOTHINGS[2], SMOOTHINGS[1], SMOOTHINGS[0], SMOOTHINGS[-1]]
        assert app.recalled("loop")["smoothing"] == SMOOTHINGS[-1]
        assert all(view.look.smoothing == SMOOTHINGS[-1] for view in app.screen.query(CurveView))


async def test_several_charts_are_a_grid_and_any_can_be_the_large_one(ws: Workspace) -> None:
    fill(ws)
    names = ["train_loss", "val_acc", "lr-Adam", "val_f1", "val_recall"]
    rows = "\n".join(f"{n},{n}," + ",".join(str(n + k) for k in range(5)) for n in range(20))
    (ws.version("v004").logs / "version_0" / "metrics.csv").write_text(f"epoch,step,{','.join(names)}\n{rows}\n")
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(200, 60)) as pilot:
        await settle(pilot, lambda: len(app.model.charts(("v004",))) == 5)
        assert isinstance(app.screen, LoopScreen)
        views = list(app.screen.query(CurveView))
        await settle(pilot, lambda: all(view.region.area for view in views))
        charts = app.model.charts(("v004",))
        assert [view.chart for view in views] == charts
        for name in [*charts[1:], charts[0]]:
            await pilot.press("right_square_bracket")
            assert views[0].chart == name
        await pilot.press("z")
        await pilot.pause()
        assert views[0].region.width == 200 and not views[1].region.area


async def test_the_legend_tells_marks_where_values_find_no_room(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root), seen={"marked": ["v001", "v002", "v003"]})
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: len(app.screen.query_one("#curve", CurveView).lines) == 8)
        for view in app.screen.query(CurveView):
            title = view._border_title
            assert title is not None and (not view.region.area or title.cell_length <= view.region.width)
        title = app.screen.query_one("#curve", CurveView)._border_title
        for version in ("v001", "v002", "v003", "v004"):
            assert title is not None and f"{version_mark(version)} {version}" in title.plain
