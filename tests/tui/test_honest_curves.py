"""Curves that cannot lie: what is not finite is seen, and no column vanishes behind another."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from progtrain.engine.workspace import Workspace
from progtrain.tui.model import Model, Update
from progtrain.tui.plot.chart import Line, Look, draw, limits, on_log_scale
from progtrain.tui.plot.series import Series
from progtrain.tui.reading.curves import CurveFeed, curves_of
from progtrain.tui.widgets.curve import CurveView


def series(ys: Sequence[float]) -> Series:
    made = Series()
    made.extend([float(x) for x in range(len(ys))], ys)
    return made


def drawn(curve: Series, look: Look | None = None, width: int = 70, height: int = 10) -> list[str]:
    drawing = draw((Line("v004 train", curve, "red"),), look or Look(), width, height)
    return ["".join(segment.text for segment in line) for line in drawing]


DIVERGED = [1.5 * 0.97**x if x < 120 else math.nan for x in range(200)]


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_the_axis_goes_on_to_the_end_of_a_diverged_training(lost: float) -> None:
    curve = series([y if math.isfinite(y) else lost for y in DIVERGED])
    assert limits((Line("v004 train", curve, "red"),), Look()) == (0.0, 199.0)
    assert curve.lost_from() == 120.0


@pytest.mark.parametrize(("ascii_only", "sign"), [(False, "×"), (True, "!")])
def test_what_is_not_finite_is_marked_where_it_was(ascii_only: bool, sign: str) -> None:
    top = drawn(series(DIVERGED), Look(ascii=ascii_only))[0]
    assert top.rstrip().endswith(sign)
    assert top.count(sign) == pytest.approx(0.4 * 65, abs=2) and top.index(sign) == pytest.approx(5 + 0.6 * 65, abs=2)


def test_one_lost_value_in_a_hundred_thousand_is_seen() -> None:
    values = [0.5] * 100_000
    values[61_803] = math.nan
    assert drawn(series(values))[0].count("×") == 1


def test_a_training_that_never_had_a_finite_loss_is_a_chart() -> None:
    curve = series([math.nan] * 50)
    assert drawn(curve)[0].count("×") == 50 and curve.lost_from() == 0.0


def test_a_loss_that_came_back_is_not_lost() -> None:
    curve = series([1.0, math.nan, 0.5])
    assert curve.lost_from() is None and curve.value_at(1.0) is not None
    assert math.isnan((curve.value_at(1.0) or (0, 0))[1])


def test_the_legend_says_since_when() -> None:
    view = CurveView()
    view.lines = (Line("v004 train", series(DIVERGED), "red"),)
    assert "train nan not finite from step 120" in view._legend("named").plain


@pytest.mark.parametrize(
    "names",
    [
        ("val_f1_α", "val_f1_β"),
        ("val_F1/猫", "val_F1/狗"),
        ("准确率_top1", "召回率_top1"),
        ("recall@5", "recall_5"),
        ("train_loss", "loss"),
        ("val_acc", "val_accuracy"),
        ("lr-Adam/pg1", "lr-Adam/pg2"),
        ("val_f1", "val_F1"),
        ("acc", "accuracy"),
        ("f1", "F1"),
    ],
)
def test_no_column_vanishes_behind_another(names: tuple[str, str]) -> None:
    found = curves_of(("step", *names))
    assert set(found) == set(names) and len(set(found.values())) == 2


@pytest.mark.parametrize(
    ("names", "charts"),
    [
        (("train_loss", "val_loss"), {("loss", "train"), ("loss", "val")}),
        (("loss", "val_loss"), {("loss", "train"), ("loss", "val")}),
        (("train/acc", "val/acc"), {("accuracy", "train"), ("accuracy", "val")}),
        (("train_loss_step", "train_loss_epoch"), {("loss", "train")}),
    ],
)
def test_training_and_validation_share_a_chart(names: tuple[str, ...], charts: set[tuple[str, str]]) -> None:
    assert set(curves_of(names).values()) == charts


def test_a_name_that_comes_later_takes_no_curve_away() -> None:
    known = curves_of(["train_accuracy"])
    found = curves_of(["train_acc", "train_accuracy"], known)
    assert found["train_accuracy"] == known["train_accuracy"] != found["train_acc"]


def followed(tmp_path: Path) -> Model:
    feed, model = CurveFeed(Workspace(tmp_path), "v001"), Model(Workspace(tmp_path).root)
    model.apply(Update(curves=tuple(feed.read())))
    return model


def test_a_diverged_log_is_told_by_its_version(tmp_path: Path) -> None:
    folder = Workspace(tmp_path).version("v001").logs / "version_0"
    folder.mkdir(parents=True)
    rows = "".join(f"{step},{'nan' if step > 5 else 0.5}\n" for step in range(10))
    (folder / "metrics.csv").write_text("step,train_loss\n" + rows)
    assert followed(tmp_path).diverged() == {"v001"}


def test_a_live_loss_that_is_no_number_is_told_by_its_version(tmp_path: Path) -> None:
    path = Workspace(tmp_path).live("v001")
    path.parent.mkdir(parents=True)
    lines = [{"step": step, "metrics": {"loss": math.inf if step > 5 else 0.5}} for step in range(10)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert followed(tmp_path).diverged() == {"v001"}


def test_a_zero_adds_no_decades() -> None:
    look, curve = Look(log=True), series([max(0.0, 1 - x / 100) for x in range(200)])
    labels = [line.split()[0] for line in drawn(curve, look)[:-1] if line.split()]
    assert on_log_scale((Line("x", curve, "red"),), look)
    assert float(labels[-1]) >= 0.005


@pytest.mark.parametrize("values", [[5e-324, 5e-324], [0.0, 5e-324], [5e-324, 1e99], [1e-300, 0.0, 1e-299]])
def test_the_smallest_numbers_are_drawn_on_a_log_scale(values: list[float]) -> None:
    assert len(drawn(series(values), Look(log=True))) == 10


def test_below_zero_there_is_no_log_scale() -> None:
    look, curve = Look(log=True), series([-1 - x / 50 for x in range(200)])
    assert not on_log_scale((Line("x", curve, "red"),), look)
    assert drawn(curve, look) == drawn(curve)
    view = CurveView()
    view.lines, view.look = (Line("x", curve, "red"),), look
    view._say_title()
    console = Console(width=200)
    with console.capture() as said:
        console.print(view.border_title)
    assert "no log: not above zero" in said.get()
