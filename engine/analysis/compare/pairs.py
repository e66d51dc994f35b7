"""Is one version better than another? A paired bootstrap over the validation samples that both have.

Each resample draws the common samples with replacement and works the metric out for both versions on the
same draw (B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993, ch. 13; P. Koehn: Statistical
Significance Tests for Machine Translation Evaluation, 2004, for the paired form). What another seed would have changed
comes on top, where it was measured (`noise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from progtrain.engine import metrics
from progtrain.engine.analysis.compare.noise import RESAMPLES, Spread, carried_on, difference_draws, interval
from progtrain.engine.analysis.compare.statistics import HOW, statistic_of
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.analysis.types import Comparison, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from progtrain.engine.analysis.compare.statistics import Function

    Array = NDArray[np.float64]
    #: runs -> their values (runs,), over resamples (resamples, runs), and how many samples they have in common
    Measured = Callable[[Sequence[str]], tuple[Array, Array, int] | None]

#: floats in one block of counts: 64 MiB
_BLOCK = 8_000_000


class Runs(NamedTuple):
    """Those of one version that differ in the seed alone, its own first."""

    #: what their evaluations reported, by metric
    metrics: tuple[Mapping[str, float | None], ...]
    #: None: it tells of no samples
    samples: tuple[PerSample | None, ...]


class Noise(NamedTuple):
    spread: Spread
    #: the version, or versions, whose runs told it
    told_by: str
    #: by versions that are not compared themselves
    carried: bool = False


def compare(
    a: PerSample, b: PerSample, metric: str, higher_is_better: bool, seed: int, *, against: str = ""
) -> Comparison | None:
    """`b` against `a` (the earlier one), by their samples alone: as `compare_runs`."""
    return compare_runs(Runs(({},), (a,)), Runs(({},), (b,)), metric, higher_is_better, seed, against=against)


def compare_runs(
    a: Runs,
    b: Runs,
    metric: str,
    higher_is_better: bool,
    seed: int,
    *,
    against: str = "",
    noise_of: Callable[[str], Noise | None] = lambda metric: None,
) -> Comparison | None:
    """`b` against `a` (the earlier one): `delta` is the mean of b's runs minus that of a's over the common samples.

    The verdict is "better" or "worse" only where the 95 % interval over samples (2000 resamples) and seeds excludes
    zero; `noise_of` tells the spread between runs that differ in the seed alone, by metric. A metric that cannot be
    worked out from single samples is judged by the runs alone where that spread is known. Else it falls back to the
    loss, and `method` says so. None where the two have no sample in common, or neither metric nor loss.
    """
    known = noise_of(metric)
    found = _drawn(a, b, metric, seed, known.spread if known else None)
    if found is None and known is not None:
        found = _reported(a, b, metric)
    if found is None and a.samples[0] and b.samples[0]:
        how = f"{HOW}, of the loss: {metric} does not come from single samples"
        metric, higher_is_better, known = "loss", False, noise_of("loss")
        found = _drawn(a, b, metric, seed, known.spread if known else None, how)
    if found is None:
        return None
    runs, delta, largest = found.runs, found.delta, found.largest
    # sums in another order differ in their last bits: equal predictions must give exactly zero
    dust = 1e-10 * largest
    share = math.sqrt(1 / runs[0] + 1 / runs[1])
    spread = None if known is None else carried_on(known.spread) if known.carried else known.spread
    delta = 0.0 if abs(delta) <= dust else delta
    _, low, high, _ = interval(delta, found.draws, spread, share, dust, seed)
    told = {"noise_sd": known.spread[0], "noise_freedom": known.spread[1], "noise_from": known.told_by} if known else {}
    return Comparison(
        against=against,
        metric=metric,
        higher_is_better=higher_is_better,
        delta=delta,
        low=low,
        high=high,
        verdict=verdict(low, high, higher_is_better),
        n=found.n,
        method=f"{found.method}; {found.left_out} samples left out: not in both, or without a number"
        if found.left_out
        else found.method,
        runs=runs,
        **told,
    )


class _Drawn(NamedTuple):
    delta: float
    #: (resamples,) of the difference
    draws: Array
    n: int
    left_out: int
    method: str
    runs: tuple[int, int]
    #: of the values that the difference is of
    largest: float


def _drawn(a: Runs, b: Runs, metric: str, seed: int, spread: Spread | None, how: str = "") -> _Drawn | None:
    """Over resamples of the samples that all runs have in common; None where the metric does not come from them."""
    of_a, of_b = a.samples[0], b.samples[0]
    if of_a is None or of_b is None:
        return None
    repeated = [[run for run in runs.samples[1:] if run is not None] for runs in (a, b)]
    if any(repeated) and (found := _several([of_a, *repeated[0]], [of_b, *repeated[1]], metric, seed, spread)):
        return found._replace(method=how) if how else found
    pairs = [(of_a.row[sample], row) for sample, row in of_b.row.items() if sample in of_a.row]
    statistic = statistic_of(of_a, of_b, pairs, metric) if pairs else None
    if statistic is None:
        return None
    import numpy as np

    _, columns, row_of, function, method = statistic
    n, counts = len(row_of), np.bincount(row_of, minlength=len(columns)).astype(np.float64)
    one, other = (float(value[0]) for value in function((counts @ columns)[None, :], n))
    draws = _resample(columns, counts, function, seed)
    left_out, largest = max(len(of_a.row), len(of_b.row)) - n, max(abs(one), abs(other))
    return _Drawn(other - one, draws, n, left_out, how or method, (1, 1), largest)


def _several(a: list[PerSample], b: list[PerSample], metric: str, seed: int, spread: Spread | None) -> _Drawn | None:
    """Means over the runs of each, on the same draws."""
    held = [usable(run, metric) for run in (*a, *b)]
    common = sorted(set(held[0]).intersection(*held[1:]))
    if not common:
        return None
    own, drawn = resampled([*a, *b], common, metric, seed)
    if own.shape[0] != len(a) + len(b):
        return None
    at = len(a)
    one, other = float(own[:at].mean()), float(own[at:].mean())
    draws = difference_draws(drawn[:, :at], drawn[:, at:], spread)
    left_out, largest = max(len(a[0].row), len(b[0].row)) - len(common), max(abs(one), abs(other))
    method = f"{HOW}, means over {at} and {len(b)} runs"
    return _Drawn(other - one, draws, len(common), left_out, method, (at, len(b)), largest)


def _reported(a: Runs, b: Runs, metric: str) -> _Drawn | None:
    """By what the evaluations reported: only the runs tell how sure that is."""
    import numpy as np

    values = [[v for held in runs.metrics if (v := metrics.value_of(metric, held)) is not None] for runs in (a, b)]
    if not values[0] or not values[1]:
        return None
    one, other = (math.fsum(held) / len(held) for held in values)
    method, runs = "from the runs alone: single samples do not tell of it", (len(values[0]), len(values[1]))
    return _Drawn(other - one, np.full(RESAMPLES, other - one), 0, 0, method, runs, max(abs(one), abs(other)))


def usable(run: PerSample, metric: str) -> tuple[str, ...]:
    """Sorted ids of the samples that the metric can be worked out from; empty where it cannot."""
    held = metrics.value_of(metric, run.parts)
    if held is None and metrics.canonical(metric) == "loss":
        held = run.loss
    if held is None and metrics.canonical(metric) == "accuracy":
        held = [None if right is None else float(right) for right in run.correct]
    if held is None:
        rows = [(row, row) for row in run.row.values()]
        return tuple(sorted(run.row)) if rows and statistic_of(run, run, rows, metric) else ()
    return tuple(sorted(sample for sample, row in run.row.items() if held[row] is not None))


def resampled(runs: Sequence[PerSample], ids: Sequence[str], metric: str, seed: int) -> tuple[Array, Array]:
    """The metric of each run over `ids`, samples that are `usable` in all of them: (runs,), and over 2000 resamples of
    them: (resamples, runs). Every run sees the same draws, so that the difference of two columns is a paired one."""
    import numpy as np

    parts = [statistic_of(run, run, [(run.row[one], run.row[one]) for one in ids], metric) for run in runs]
    known = [part for part in parts if part is not None]
    n, generator = len(ids), np.random.default_rng(seed)
    alone = [function((table[row_of].sum(axis=0))[None, :], n)[0] for _, table, row_of, function, _ in known]
    drawn: list[Array] = []
    block = max(1, _BLOCK // n)
    for start in range(0, RESAMPLES, block):
        weights = _weights(generator, min(block, RESAMPLES - start), n)
        of_runs = [function(weights @ table[row_of], n)[0] for _, table, row_of, function, _ in known]
        drawn.append(np.stack(of_runs, axis=1))
    return np.concatenate(alone), np.concatenate(drawn)


def _weights(generator: np.random.Generator, size: int, n: int) -> Array:
    """(size, n): how often each of n samples is drawn."""
    import numpy as np

    drawn = generator.integers(0, n, size=(size, n))
    flat = (drawn + np.arange(size)[:, None] * n).ravel()
    return np.bincount(flat, minlength=size * n).reshape(size, n).astype(np.float64)


def verdict(low: float, high: float, higher_is_better: bool) -> Verdict:
    """By the interval of the difference alone."""
    if low <= 0 <= high:
        return "within noise"
    return "better" if (low > 0) == higher_is_better else "worse"


def _resample(columns: Array, counts: Array, function: Function, seed: int) -> Array:
    """(RESAMPLES,) values of the metric of b minus that of a."""
    import numpy as np

    n = int(counts.sum())
    generator = np.random.default_rng(seed)
    rows = len(counts)
    block = max(1, _BLOCK // n)
    deltas: list[Array] = []
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        if rows < n:
            # how often each distinct row is drawn is multinomial
            weights = generator.multinomial(n, counts / n, size=size).astype(np.float64)
        else:
            weights = _weights(generator, size, n)
        of_a, of_b = function(weights @ columns, n)
        deltas.append(of_b - of_a)
    return np.concatenate(deltas)


def measurer(samples: Mapping[str, PerSample | None], metric: str, seed: int) -> Measured:
    """Works the metric out of runs' samples, once for all runs that have the same ones. It gives None where a run tells
    of no samples, where the metric does not come from single ones, or where they have none in common."""
    ids = {run: usable(held, metric) if held else () for run, held in samples.items()}
    known: dict[tuple[str, ...], dict[str, tuple[float, Array]]] = {}

    def measured(runs: Sequence[str]) -> tuple[Array, Array, int] | None:
        import numpy as np

        common = ids[runs[0]]
        if any(ids[run] != common for run in runs):
            common = tuple(sorted(set(common).intersection(*(ids[run] for run in runs))))
        if not common:
            return None
        mine = known.setdefault(common, {})
        if any(run not in mine for run in runs):
            alike = [run for run in samples if run not in mine and (run in runs or ids[run] == common)]
            values, columns = resampled([held for run in alike if (held := samples[run])], common, metric, seed)
            mine |= {run: (float(values[at]), columns[:, at]) for at, run in enumerate(alike)}
        return np.array([mine[run][0] for run in runs]), np.stack([mine[run][1] for run in runs], 1), len(common)

    return measured
