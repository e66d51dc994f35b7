"""A chart can be drawn of whatever a script logs, however one looks at it."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from progtrain.tui.plot.chart import Line, Look, draw
from progtrain.tui.plot.series import Series

numbers = st.one_of(
    st.floats(),
    st.floats(-10, 10),
    st.sampled_from([0.0, 1e308, -1e308, 5e-324, 1e15, 1e15 - 0.1, 1e17, 1.7e18, float("nan"), float("inf")]),
)
points = st.lists(st.tuples(numbers, numbers), max_size=30)


@settings(deadline=2000, max_examples=300)
@given(
    points,
    points,
    st.booleans(),
    st.sampled_from([0.0, 0.6, 0.97]),
    st.tuples(st.integers(0, 130), st.integers(0, 40)),
    st.sampled_from(["step", "epoch", "time"]),
    st.one_of(st.none(), st.tuples(st.floats(-1e15, 1e15), st.floats(0, 1e15))),
)
@example([], [(0.0, 0.0), (5e-324, 0.0)], False, 0.0, (16, 4), "step", None)
@example([], [(0.0, 2.0)], True, 0.0, (16, 9), "step", None)
@example([], [(5e-324, 0.0), (-5e-324, 0.0)], False, 0.0, (16, 4), "step", None)
@example([], [(0.0, 5e-324), (1.0, 5e-324)], True, 0.0, (16, 4), "step", None)
@example([], [(0.0, 7418747497310.0), (0.0, 7418747497313.0)], False, 0.0, (16, 4), "step", None)
@example([], [(0.0, 7418747497310.0), (0.0, 7418747497311.0)], False, 0.0, (16, 4), "step", None)
def test_any_points_can_be_drawn(
    early: list[tuple[float, float]],
    late: list[tuple[float, float]],
    log: bool,
    smoothing: float,
    size: tuple[int, int],
    axis: str,
    frame: tuple[float, float] | None,
) -> None:
    series = Series()
    for part in (early, late):
        series.extend([x for x, _ in part], [y for _, y in part])
    look = Look(log=log, smoothing=smoothing, axis=axis, best=0.0, plateau=1.0, cursor=2.0)
    if frame is not None:
        look = look._replace(left=frame[0], right=frame[0] + frame[1])
    width, height = size
    drawing = draw((Line("v001 train", series, "#ffffff"), Line("v001 val", series, "#ffffff", True)), look, *size)
    assert len(drawing) == height
    assert all(sum(cell_len(segment.text) for segment in line) == width for line in drawing)
