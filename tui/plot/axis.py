"""Curves over time instead of steps, from what the live callback told of both."""

from __future__ import annotations

from bisect import bisect_left
from math import nan

from progtrain.tui.plot.series import Series


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
