"""How sure a difference between two versions, or two points of an experiment, is: over samples, over seeds, and among
many comparisons.

A two-level bootstrap. The samples are drawn with replacement, the same ones for every run
(`analysis/compare/pairs.py`). The level of the seeds is drawn from Student's t with the standard deviation between
runs that differ in the seed alone: three seeds drawn with replacement would give only ten outcomes, and an interval
that is far too narrow (A. Davison, D. Hinkley: Bootstrap Methods and Their Application, 1997, section 3.8).

What seeds change about single samples is part of both levels. Where few runs tell of the seeds it counts twice: an
interval that is too wide does less harm than one that rests on three runs which happened to be alike. Where many do
(`_MANY`), it is taken out of the samples' level (S. Searle, G. Casella, C. McCulloch: Variance Components, 1992).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: a value or difference, the ends of its 95 % interval, and p: how often a difference as large comes by chance alone
Interval = tuple[float, float, float, float]
#: standard deviation between runs that differ in the seed alone, and its degrees of freedom
Spread = tuple[float, int]

RESAMPLES = 2000
#: level of the verdicts
ALPHA = 0.05
#: draws of the seeds' level for each resample of the samples
_SEED_DRAWS = 20
#: a tail that fewer draws than this lie in is not told by counting them
_FEW = 10
#: degrees of freedom from which on the spread between runs is known well enough
_MANY = 8
#: degrees of freedom of a spread that is taken as known
_KNOWN = 1000


def spread_of(points: Sequence[Sequence[float]]) -> Spread | None:
    """Pooled over points, each with the values of its seeds; None where no point has two."""
    several = [values for values in points if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return None
    squares = math.fsum((v - math.fsum(values) / len(values)) ** 2 for values in several for v in values)
    return math.sqrt(squares / freedom), freedom


def carried_on(spread: Spread) -> Spread:
    """What few runs of one version told, for comparisons of others: an upper bound that holds with 90 % confidence.

    Student's t keeps the level on average over spreads that might have been measured. One that is carried on is the
    same for all comparisons that come after: had it come out small by luck, all of them would be wrong together (G.
    Hahn, W. Meeker: Statistical Intervals, 1991, section 4.3). The quantile of chi-squared is that of E. Wilson and M.
    Hilferty, 1931.
    """
    deviation, freedom = spread
    width = 2 / (9 * freedom)
    quantile = freedom * max(0.05, 1 - width - 1.2816 * math.sqrt(width)) ** 3
    return deviation * math.sqrt(freedom / quantile), _KNOWN


def difference(
    a: tuple[Array, Array | None], b: tuple[Array, Array | None], spread: Spread | None, seed: int
) -> Interval | None:
    """Of the mean of `b`'s runs minus that of `a`'s; each is values (runs,) and resamples (resamples, runs).

    Without resamples the seeds alone tell; None where neither does.
    """
    import numpy as np

    delta = float(b[0].mean() - a[0].mean())
    # sums in another order differ in their last bits: equal predictions must give exactly zero
    dust = 1e-10 * max(abs(float(a[0].mean())), abs(float(b[0].mean())))
    if a[1] is not None and b[1] is not None:
        draws = difference_draws(a[1], b[1], spread)
    elif spread is None:
        return None
    else:
        draws = np.full(RESAMPLES, delta)
    share = math.sqrt(1 / len(a[0]) + 1 / len(b[0]))
    return interval(0.0 if abs(delta) <= dust else delta, draws, spread, share, dust, seed)


def difference_draws(a: Array, b: Array, spread: Spread | None) -> Array:
    """(resamples,) of the mean of `b`'s runs minus that of `a`'s, each (resamples, runs)."""
    draws: Array = b.mean(axis=1) - a.mean(axis=1)
    if spread is None or spread[1] < _MANY or min(a.shape[1], b.shape[1]) < 2:
        return draws
    return _without(draws, _of_single_samples(a) + _of_single_samples(b))


def _of_single_samples(resamples: Array) -> float:
    """Variance of the mean of runs (resamples, runs) that comes from what their seeds change about single samples."""
    own = resamples - resamples.mean(axis=0)
    runs: int = own.shape[1]
    return float(own.var(axis=1, ddof=1).mean()) / runs


def _without(draws: Array, variance: float) -> Array:
    """Drawn closer around their mean, until their variance is less by that."""
    held = float(draws.var())
    left = math.sqrt(max(0.0, 1 - variance / held)) if held > 0 else 0.0
    mean = float(draws.mean())
    return mean + (draws - mean) * left


def level(values: Array, resamples: Array | None, spread: Spread | None, seed: int) -> Interval | None:
    """Of the mean of one point's runs."""
    import numpy as np

    if resamples is None and spread is None:
        return None
    mean = float(values.mean())
    draws = np.full(RESAMPLES, mean) if resamples is None else resamples.mean(axis=1)
    return interval(mean, draws, spread, 1 / math.sqrt(len(values)), 0.0, seed)


def interval(value: float, draws: Array, spread: Spread | None, share: float, dust: float, seed: int) -> Interval:
    """Of `value`, whose samples' level gave `draws`; `share`: how much of the spread between runs is left in it."""
    import numpy as np

    if spread is not None and spread[0] > 0:
        deviation, freedom = spread
        rng = np.random.default_rng(seed + 1)
        noise = rng.standard_t(freedom, size=(len(draws), _SEED_DRAWS)) * (deviation * share)
        draws = (draws[:, None] + noise).ravel()
        normal = False
    else:
        normal = True
    low, high = (0.0 if abs(x) <= dust else float(x) for x in np.percentile(draws, [2.5, 97.5]))
    return value, low, high, _p(value, draws, dust, normal)


def _p(value: float, draws: Array, dust: float, normal: bool) -> float:
    """Twice the share of draws beyond zero. Where hardly any is, of a normal distribution with their deviation; the
    tails of the seeds' level are heavier, and what counting cannot tell there stays untold."""
    if value == 0:
        return 1.0
    beyond = int((draws <= dust).sum() if value > 0 else (draws >= -dust).sum())
    counted = min(1.0, 2 * max(beyond, _FEW) / len(draws))
    deviation = float(draws.std())
    if beyond >= _FEW or not normal:
        return counted
    return min(counted, math.erfc(abs(value) / deviation / math.sqrt(2))) if deviation > 0 else 0.0


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted for their number, in the same order (S. Holm: A Simple Sequentially Rejective Multiple Test Procedure,
    1979): each may be held against the level as if it stood alone."""
    adjusted = [1.0] * len(ps)
    highest = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, ps[at] * (len(ps) - rank)))
        adjusted[at] = highest
    return adjusted
