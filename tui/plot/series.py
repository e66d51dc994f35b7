"""One logged quantity over steps, kept compact and never thinned: zooming in shows every point again."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from math import nan
from operator import itemgetter, le

_BLOCK = 64
#: beyond these the steps of an axis cannot be told apart
_LARGEST = 1e100
_FARTHEST = 1e15


class Series:
    """Points in the order of their x. Of values that are not finite, or beyond all measure, the x is kept in `gaps`."""

    def __init__(self) -> None:
        self.xs = array("d")
        self.ys = array("d")
        #: where there is a value that no curve can show, in order
        self.gaps = array("d")
        self._smoothed: dict[float, array[float]] = {}
        #: smoothing -> minimum and maximum of every whole block of values
        self._blocks: dict[float, tuple[array[float], array[float]]] = {}
        self._low_at = 0
        self._low_seen = 0

    def __len__(self) -> int:
        return len(self.xs)

    def extend(self, xs: Iterable[float], ys: Iterable[float]) -> None:
        new_xs, new_ys = array("d", xs), array("d", ys)
        if len(new_xs) != len(new_ys):
            raise ValueError("as many x as y are needed")
        if self._in_order(new_xs, new_ys):
            self.xs.extend(new_xs)
            self.ys.extend(new_ys)
            return
        kept = [(x, y) for x, y in zip(new_xs, new_ys, strict=True) if abs(y) < _LARGEST and abs(x) < _FARTHEST]
        if len(kept) < len(new_xs):
            lost = [x for x, y in zip(new_xs, new_ys, strict=True) if abs(x) < _FARTHEST and not abs(y) < _LARGEST]
            self._lose(lost)
        if kept:
            self._sort_in(kept)

    def _lose(self, xs: list[float]) -> None:
        behind = bool(self.gaps and xs and min(xs) < self.gaps[-1])
        self.gaps = array("d", sorted([*self.gaps, *xs])) if behind else self.gaps + array("d", sorted(xs))

    def gap_between(self, left: float, right: float) -> bool:
        return bisect_right(self.gaps, right) > bisect_left(self.gaps, left)

    def span(self) -> tuple[float, float] | None:
        """The first and the last x of all, gaps included."""
        ends = [x for xs in (self.xs, self.gaps) if xs for x in (xs[0], xs[-1])]
        return (min(ends), max(ends)) if ends else None

    def lost_from(self) -> float | None:
        """The x since which no value was finite any more; None while the newest one is."""
        if not self.gaps or (self.xs and self.xs[-1] > self.gaps[-1]):
            return None
        return self.gaps[bisect_right(self.gaps, self.xs[-1]) if self.xs else 0]

    def _in_order(self, xs: array[float], ys: array[float]) -> bool:
        if not xs or not abs(sum(ys)) < _LARGEST or (self.xs and xs[0] < self.xs[-1]):
            return False
        if not -_FARTHEST < xs[0] <= xs[-1] < _FARTHEST:
            return False
        return all(map(le, xs, islice(xs, 1, None)))

    def _sort_in(self, points: list[tuple[float, float]]) -> None:
        """Logs of two runs in one file: only what lies beyond the first of these is put in order anew."""
        place = bisect_right(self.xs, min(points)[0])
        if place < len(self.xs):
            points = [*zip(self.xs[place:], self.ys[place:], strict=True), *points]
            self._smoothed.clear()
            self._blocks.clear()
            self._low_at = self._low_seen = 0
        points.sort(key=itemgetter(0))
        del self.xs[place:], self.ys[place:]
        self.xs.extend(x for x, _ in points)
        self.ys.extend(y for _, y in points)

    def smooth(self, weight: float) -> array[float]:
        """Exponential moving average with bias correction; `weight` 0 leaves the values as they are.

        It goes on where it ended the last time, so that new rows cost what new rows cost.
        """
        if weight <= 0:
            return self.ys
        done = self._smoothed.setdefault(weight, array("d"))
        if len(done) == len(self.ys):
            return done
        power = weight ** len(done)
        average = done[-1] * (1 - power) if done else 0.0
        for value in self.ys[len(done) :]:
            average = weight * average + (1 - weight) * value
            power *= weight
            done.append(average / (1 - power))
        return done

    def columns(
        self, left: float, right: float, count: int, weight: float = 0.0
    ) -> Iterator[tuple[int, float, float, float, float]]:
        """The points between `left` and `right` gathered into `count` columns of equal width.

        Of each that holds any: its place, the first, lowest, highest and last value. None of them may be lost.
        """
        ys = self.smooth(weight)
        # a span of the smallest numbers there are has no parts
        width = max(0.0, right - left) / count or 1.0
        at = bisect_left(self.xs, left)
        end = bisect_right(self.xs, right)
        while at < end:
            index = min(count - 1, max(0, int((self.xs[at] - left) / width)))
            stop = bisect_left(self.xs, left + (index + 1) * width, at + 1, end) if index < count - 1 else end
            yield index, ys[at], *self._between(weight, at, stop), ys[stop - 1]
            at = stop

    def prepare(self) -> None:
        """Works out what the first frame needs: done by who reads, who draws need not."""
        if len(self):
            self.extremes(self.xs[0], self.xs[-1])

    def extremes(self, left: float, right: float, weight: float = 0.0) -> tuple[float, float] | None:
        start, end = bisect_left(self.xs, left), bisect_right(self.xs, right)
        if end <= start:
            return None
        return self._between(weight, start, end)

    def _between(self, weight: float, start: int, end: int) -> tuple[float, float]:
        """Lowest and highest from `start` to `end`; by blocks, so that not each of a million points is looked at."""
        ys = self.smooth(weight)
        if end - start <= 2 * _BLOCK:
            part = ys[start:end]
            return min(part), max(part)
        lows, highs = self._blocks.setdefault(weight, (array("d"), array("d")))
        for block in range(len(lows), len(ys) // _BLOCK):
            part = ys[block * _BLOCK : (block + 1) * _BLOCK]
            lows.append(min(part))
            highs.append(max(part))
        first, last = -(-start // _BLOCK), end // _BLOCK
        edges = ys[start : first * _BLOCK] + ys[last * _BLOCK : end]
        return min(lows[first:last] + edges), max(highs[first:last] + edges)

    def value_at(self, x: float, weight: float = 0.0) -> tuple[float, float] | None:
        """The logged point nearest to x: its own x and its value, NaN in a gap."""
        gap = self.gaps[_nearest(self.gaps, x)] if self.gaps else None
        if not self.xs:
            return None if gap is None else (gap, nan)
        place = _nearest(self.xs, x)
        if gap is not None and abs(gap - x) < abs(self.xs[place] - x):
            return gap, nan
        return self.xs[place], self.smooth(weight)[place]

    def lowest(self) -> tuple[float, float] | None:
        """x and value of the smallest value, the first of equals."""
        if not self.ys:
            return None
        if new := self.ys[self._low_seen :]:
            low = min(new)
            if self._low_seen == 0 or low < self.ys[self._low_at]:
                self._low_at = self._low_seen + new.index(low)
            self._low_seen = len(self.ys)
        return self.xs[self._low_at], self.ys[self._low_at]


def _nearest(xs: array[float], x: float) -> int:
    after = min(bisect_left(xs, x), len(xs) - 1)
    before = max(0, after - 1)
    return before if abs(xs[before] - x) <= abs(xs[after] - x) else after


def seconds_at(times: Series, step: float) -> float | None:
    """When that step was, between the two known moments around it; None beyond the last known one."""
    if not len(times) or step > times.xs[-1] + 1:
        return None
    place = bisect_left(times.xs, step)
    if place == 0 or place == len(times):
        return times.ys[min(place, len(times) - 1)]
    before, after = times.xs[place - 1], times.xs[place]
    share = (step - before) / (after - before) if after > before else 0.0
    return times.ys[place - 1] + share * (times.ys[place] - times.ys[place - 1])


class OverTime:
    """A series with its steps turned into seconds; goes on where it ended."""

    def __init__(self, source: Series, times: Series) -> None:
        self.source, self.times = source, times
        self._made = Series()
        self._done = 0

    def series(self) -> Series:
        xs, ys = [], []
        for place in range(self._done, len(self.source)):
            second = seconds_at(self.times, self.source.xs[place])
            if second is None:
                break
            xs.append(second)
            ys.append(self.source.ys[place])
        self._done += len(xs)
        self._made.extend(xs, ys)
        lost = [seconds_at(self.times, step) for step in self.source.gaps[len(self._made.gaps) :]]
        known = [second for second in lost if second is not None]
        self._made.extend(known, [nan] * len(known))
        return self._made
