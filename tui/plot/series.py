"""One logged quantity over steps, kept compact and never thinned: zooming in shows every point again."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """What falls into one column of dots: nothing of it may be lost, so both extremes are kept."""

    index: int
    first: float
    low: float
    high: float
    last: float


class Series:
    """Points in the order of their x. Values that are not finite are counted and left out."""

    def __init__(self) -> None:
        self.xs = array("d")
        self.ys = array("d")
        self.nonfinite = 0
        self._smoothed: dict[float, array[float]] = {}

    def __len__(self) -> int:
        return len(self.xs)

    def extend(self, xs: Iterable[float], ys: Iterable[float]) -> None:
        for x, y in zip(xs, ys, strict=True):
            if not math.isfinite(y):
                self.nonfinite += 1
            elif not self.xs or x >= self.xs[-1]:
                self.xs.append(x)
                self.ys.append(y)
            else:
                self._insert(x, y)

    def _insert(self, x: float, y: float) -> None:
        place = bisect_right(self.xs, x)
        self.xs.insert(place, x)
        self.ys.insert(place, y)
        self._smoothed.clear()

    def smooth(self, weight: float) -> array[float]:
        """Exponential moving average with bias correction; `weight` 0 leaves the values as they are.

        It goes on where it ended the last time, so that new rows cost what new rows cost.
        """
        if weight <= 0:
            return self.ys
        done = self._smoothed.setdefault(weight, array("d"))
        if len(done) > len(self.ys):
            del done[:]
        power = weight ** len(done)
        average = done[-1] * (1 - power) if done else 0.0
        for value in self.ys[len(done) :]:
            average = weight * average + (1 - weight) * value
            power *= weight
            done.append(average / (1 - power))
        return done

    def columns(self, left: float, right: float, count: int, weight: float = 0.0) -> Iterator[Column]:
        """The points between `left` and `right` gathered into `count` columns of equal width."""
        ys = self.smooth(weight)
        width = (right - left) / count if right > left else 1.0
        at = bisect_left(self.xs, left)
        end = bisect_right(self.xs, right)
        while at < end:
            index = min(count - 1, max(0, int((self.xs[at] - left) / width)))
            stop = bisect_left(self.xs, left + (index + 1) * width, at + 1, end) if index < count - 1 else end
            part = ys[at:stop]
            yield Column(index, part[0], min(part), max(part), part[-1])
            at = stop

    def extremes(self, left: float, right: float, weight: float = 0.0) -> tuple[float, float] | None:
        start, end = bisect_left(self.xs, left), bisect_right(self.xs, right)
        part = self.smooth(weight)[start:end]
        return (min(part), max(part)) if part else None

    def value_at(self, x: float, weight: float = 0.0) -> tuple[float, float] | None:
        """The logged point nearest to x: its own x and its value."""
        if not self.xs:
            return None
        after = min(bisect_left(self.xs, x), len(self.xs) - 1)
        before = max(0, after - 1)
        nearest = before if abs(self.xs[before] - x) <= abs(self.xs[after] - x) else after
        return self.xs[nearest], self.smooth(weight)[nearest]

    def lowest(self) -> tuple[float, float] | None:
        if not self.ys:
            return None
        low = min(self.ys)
        return self.xs[self.ys.index(low)], low
