"""What the shape of the training curves says: best epoch, gap, rise, slopes, roughness.

Plain Python over lists: an analysis of a long log takes milliseconds and needs no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from progtrain.engine.analysis.measure.curves import Curves

#: fewer values than this say nothing about roughness
_ENOUGH = 8


@dataclass(frozen=True)
class Shape:
    """Numbers over the curves; None where the log does not hold what is needed. Epochs count from 1."""

    train_name: str | None = None
    val_name: str | None = None
    epochs: int = 0
    best_epoch: int | None = None
    #: in the best epoch
    train_loss: float | None = None
    val_loss: float | None = None
    final_train_loss: float | None = None
    final_val_loss: float | None = None
    #: (validation - training) / validation, in the best epoch
    gap: float | None = None
    #: (last - best) / best of the validation loss
    rise: float | None = None
    #: relative fall of the validation loss over the last quarter, from a straight line through it
    late_slope: float | None = None
    #: the same of the training loss
    train_late_slope: float | None = None
    first_drop: float | None = None
    total_drop: float | None = None
    #: robust spread of the changes between logged training losses, over their mean
    roughness: float | None = None
    #: `roughness` is of single steps, not of epoch means
    stepwise: bool = False
    #: spread of the validation loss around its trend in the last third, over its mean
    wobble: float | None = None
    #: share of the epochs in which the training loss rose
    rises: float | None = None
    #: the last training loss over the lowest
    end_over_best: float | None = None
    #: the highest logged step, counted from 1
    logged_steps: int = 0
    nonfinite: int = 0
    #: the last logged training or validation loss is not finite
    ends_nonfinite: bool = False


def summarise(curves: Curves) -> Shape:
    """Never raises: what cannot be told stays None."""
    train_name, val_name, steps_name = curves.train_loss, curves.val_loss, curves.train_loss_steps
    train = _finite(curves.per_epoch(train_name)) if train_name else []
    val = _finite(curves.per_epoch(val_name)) if val_name else []
    steps = curves.series(steps_name)[1] if steps_name else []
    losses = {name for name in (train_name, val_name, steps_name) if name}
    best_epoch = _best_epoch(val or train)
    train_best, val_best = dict(train).get(best_epoch or 0), dict(val).get(best_epoch or 0)
    final_train, final_val = _last(train), _last(val)
    rough, stepwise = _rough(steps, train)
    return Shape(
        train_name=train_name,
        val_name=val_name,
        epochs=max(curves.epochs, len(train), len(val)),
        best_epoch=best_epoch,
        train_loss=train_best,
        val_loss=val_best,
        final_train_loss=final_train,
        final_val_loss=final_val,
        gap=_relative(val_best, train_best),
        rise=None if (back := _relative(val_best, final_val)) is None else max(0.0, -back),
        late_slope=late_slope(val),
        train_late_slope=late_slope(train),
        first_drop=_first_drop(curves, steps_name, train),
        total_drop=_relative(steps[0] if steps else None, final_train),
        roughness=rough,
        stepwise=stepwise,
        wobble=_wobble(val or train),
        rises=_rises(train),
        end_over_best=_end_over_best(train),
        logged_steps=max((step + 1 for points in curves.columns.values() for step, _, _ in points), default=0),
        nonfinite=sum(not math.isfinite(value) for name in losses for _, _, value in curves.columns[name]),
        ends_nonfinite=any(not math.isfinite(curves.columns[name][-1][2]) for name in losses),
    )


def _finite(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(epoch, value) for epoch, value in points if math.isfinite(value)]


def _best_epoch(points: Sequence[tuple[int, float]]) -> int | None:
    """The first of the lowest."""
    return min(points, key=lambda point: (point[1], point[0]))[0] if points else None


def _last(points: Sequence[tuple[int, float]]) -> float | None:
    return points[-1][1] if points else None


def _relative(start: float | None, end: float | None) -> float | None:
    """Relative fall from `start` to `end`; None where `start` is not above zero."""
    if start is None or end is None or start <= 0:
        return None
    return (start - end) / start


def late_slope(points: Sequence[tuple[int, float]]) -> float | None:
    """Relative fall over the last quarter (three points at least), of a least-squares line through it."""
    count = max(3, math.ceil(len(points) / 4) + 1)
    if len(points) < 3:
        return None
    tail = [value for _, value in points[-count:]]
    slope, start = _line(tail)
    return -slope * (len(tail) - 1) / start if start > 0 else None


def _line(values: Sequence[float]) -> tuple[float, float]:
    """Slope and first value of the least-squares line."""
    centre = (len(values) - 1) / 2
    mean = math.fsum(values) / len(values)
    spread = math.fsum((i - centre) ** 2 for i in range(len(values)))
    slope = math.fsum((i - centre) * (value - mean) for i, value in enumerate(values)) / spread
    return slope, mean - slope * centre


def _first_drop(curves: Curves, steps_name: str | None, train: list[tuple[int, float]]) -> float | None:
    """Within the first epoch where steps are logged, else from the first epoch to the second."""
    if steps_name:
        points = curves.columns[steps_name]
        first = points[0][1]
        values = [value for _, epoch, value in points if epoch == first and math.isfinite(value)]
        if first is not None and len(values) >= 3:
            end = values[-max(1, len(values) // 5) :]
            return _relative(values[0], math.fsum(end) / len(end))
    return _relative(train[0][1], train[1][1]) if len(train) >= 2 else None


def _rough(steps: Sequence[float], train: Sequence[tuple[int, float]]) -> tuple[float | None, bool]:
    """Of the single steps where there are clearly more of them than epochs, else of the epochs."""
    if len(steps) >= max(_ENOUGH, 2 * len(train)):
        return roughness(steps), True
    return roughness([value for _, value in train]), False


def roughness(values: Sequence[float]) -> float | None:
    """Interquartile spread of the changes (as a standard deviation) over the mean, without the first tenth.

    The first steps fall fast and say nothing about noise; quartiles, so that one jump is not taken for it.
    """
    values = values[len(values) // 10 :]
    if len(values) < _ENOUGH:
        return None
    mean = math.fsum(values) / len(values)
    if mean <= 0:
        return None
    changes = sorted(b - a for a, b in pairwise(values))
    quarter = len(changes) // 4
    return (changes[-1 - quarter] - changes[quarter]) / 1.349 / mean


def _wobble(points: Sequence[tuple[int, float]]) -> float | None:
    tail = [value for _, value in points[-max(4, len(points) // 3) :]]
    if len(tail) < 4:
        return None
    slope, start = _line(tail)
    mean = math.fsum(tail) / len(tail)
    if mean <= 0:
        return None
    rest = [value - (start + slope * i) for i, value in enumerate(tail)]
    return math.sqrt(math.fsum(r * r for r in rest) / len(rest)) / mean


def _rises(train: Sequence[tuple[int, float]]) -> float | None:
    if len(train) < 2:
        return None
    return sum(1 for a, b in pairwise(train) if b[1] > a[1]) / (len(train) - 1)


def _end_over_best(train: Sequence[tuple[int, float]]) -> float | None:
    if not train or (lowest := min(value for _, value in train)) <= 0:
        return None
    return train[-1][1] / lowest
