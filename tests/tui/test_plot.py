"""Curves: no spike is hidden, smoothing goes on where it ended, every look is drawn."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style

from progtrain.tui.plot.canvas import Canvas
from progtrain.tui.plot.chart import Line, Look, draw
from progtrain.tui.plot.series import Series


def series(values: list[float]) -> Series:
    made = Series()
    made.extend(map(float, range(len(values))), values)
    return made


def text_of(lines: list[list[Segment]]) -> list[str]:
    return ["".join(segment.text for segment in line) for line in lines]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(2, 60))
def test_minimum_and_maximum_survive_any_number_of_columns(values: list[float], columns: int) -> None:
    found = list(series(values).columns(0, len(values) - 1, columns))
    assert min(low for _, _, low, _, _ in found) == min(values)
    assert max(high for _, _, _, high, _ in found) == max(values)
    assert all(0 <= place < columns for place, *_ in found)


def test_one_spike_in_a_hundred_thousand_rows_is_seen() -> None:
    values = [0.5] * 100_000
    values[61_803] = 9.0
    assert max(high for _, _, _, high, _ in series(values).columns(0, 99_999, 100)) == 9.0


def test_values_that_are_not_finite_are_left_out_and_counted() -> None:
    made = series([1.0, math.nan, math.inf, 2.0])
    assert list(made.ys) == [1.0, 2.0]
    assert list(made.gaps) == [1.0, 2.0]


def test_smoothing_in_two_parts_equals_smoothing_at_once() -> None:
    values = [math.sin(i) for i in range(50)]
    whole, parts = series(values), series(values[:20])
    parts.smooth(0.9)
    parts.extend(map(float, range(20, 50)), values[20:])
    assert list(parts.smooth(0.9)) == pytest.approx(list(whole.smooth(0.9)))
    assert whole.smooth(0.9)[0] == pytest.approx(values[0])


def test_rows_out_of_order_are_put_in_their_place() -> None:
    made = Series()
    made.extend([0.0, 2.0, 1.0], [5.0, 7.0, 6.0])
    assert list(made.ys) == [5.0, 6.0, 7.0]


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.floats(-5, 5)), max_size=20), max_size=4))
def test_points_come_out_in_order_whatever_the_order_of_the_log(parts: list[list[tuple[float, float]]]) -> None:
    """Logs of several runs in one file."""
    made = Series()
    for part in parts:
        made.extend([x for x, _ in part], [y for _, y in part])
    points = [point for part in parts for point in part]
    assert list(zip(made.xs, made.ys, strict=True)) == sorted(points, key=lambda point: point[0])
    if points:
        assert made.lowest() == next((x, y) for x, y in zip(made.xs, made.ys, strict=True) if y == min(made.ys))


@given(st.integers(-2, 9), st.integers(-3, 18), st.integers(-3, 18), st.booleans())
def test_a_column_of_dots_is_what_its_dots_are_one_by_one(x: int, top: int, bottom: int, braille: bool) -> None:
    style = Style(color="red")
    column, single = Canvas(4, 4, braille=braille), Canvas(4, 4, braille=braille)
    column.vertical(x, top, bottom, style)
    for y in range(min(top, bottom), max(top, bottom) + 1):
        single.dot(x, y, style)
    assert [column.segments(row) for row in range(4)] == [single.segments(row) for row in range(4)]


@pytest.mark.parametrize(
    "look", [Look(), Look(log=True), Look(ascii=True), Look(left=10, right=20), Look(cursor=30, best=40)]
)
@pytest.mark.parametrize("size", [(80, 20), (30, 6), (16, 4), (5, 2), (0, 0)])
@pytest.mark.parametrize("values", [[], [1.0], [0.0] * 50, [math.exp(-i / 9) for i in range(60)], [-1e30, 1e30]])
def test_any_look_fills_its_room_exactly(look: Look, size: tuple[int, int], values: list[float]) -> None:
    drawing = draw((Line("v001", series(values), "#ffffff"),), look, *size)
    assert len(drawing) == size[1]
    assert all(len(line) == size[0] for line in text_of(drawing))


def test_ascii_curves_hold_nothing_but_ascii() -> None:
    drawing = draw((Line("a", series([1, 2, 3]), "red", True),), Look(ascii=True, cursor=1.0, best=2.0), 40, 10)
    assert "".join(text_of(drawing)).isascii()


def test_zooming_in_shows_points_that_the_whole_view_gathers() -> None:
    made = series([float(i % 2) for i in range(10_000)])
    close = list(made.columns(100, 110, 100))
    assert [first for _, first, *_ in close] == [made.ys[i] for i in range(100, 111)]
