"""Is one version better than another? A paired bootstrap over the validation samples that both have.

Each resample draws the common samples with replacement and works the metric out for both versions on the
same draw (B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993, ch. 13; P. Koehn: Statistical
Significance Tests for Machine Translation Evaluation, 2004, for the paired form). Every metric here is a
function of sums over samples, so that a resample is a vector of counts, and all of them one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from progtrain.engine import metrics
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.analysis.types import Comparison, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    #: maps sums (resamples, k) and the number of samples to the metric of the earlier and the later version,
    #: (resamples,) each
    Function = Callable[[Array, int], tuple[Array, Array]]
    #: a metric as a function of sums over samples: its name, distinct rows (rows, k), which of them each sample has
    #: (samples,), the function, and in words how it was worked out
    Statistic = tuple[str, Array, NDArray[np.intp], Function, str]

RESAMPLES = 2000
_LEVEL = 95
#: floats in one block of counts: 64 MiB
_BLOCK = 8_000_000
#: metrics whose per-sample part is the square of what is averaged
_ROOTED = ("rmse", "rmsle")
#: distinct rows are worth grouping when each stands for this many samples
_FEW = 8
#: averages over the classes, and numbers of class 1 alone, that are worked out again from truth and prediction
_CONFUSION = {
    **dict.fromkeys(("f1", "f1_macro"), "f1"),
    **dict.fromkeys(("precision", "precision_macro"), "precision"),
    **dict.fromkeys(("recall", "recall_macro", "balanced_accuracy"), "recall"),
    **{f"binary_{kind}": kind for kind in ("f1", "precision", "recall")},
}
#: more classes than this make the matrix of counts too large
_MAX_CLASSES = 200


def compare(
    a: PerSample, b: PerSample, metric: str, higher_is_better: bool, seed: int, *, against: str = ""
) -> Comparison | None:
    """`b` against `a` (the earlier one): `delta` is b minus a over the common samples.

    The verdict is "better" or "worse" only where the 95 % percentile interval of 2000 resamples excludes
    zero. A metric that cannot be worked out from single samples falls back to the loss, and `method` says
    so. None where the two have no sample in common, or neither metric nor loss.
    """
    import numpy as np

    pairs = [(a.row[sample], row) for sample, row in b.row.items() if sample in a.row]
    if not pairs:
        return None
    statistic = _statistic(a, b, pairs, metric)
    if statistic is None:
        how = f"{_HOW}, of the loss: {metric} does not come from single samples"
        statistic, higher_is_better = _mean(a.loss, b.loss, pairs, "loss", how, rooted=False), False
    if statistic is None:
        return None
    metric, columns, row_of, function, method = statistic
    n, counts = len(row_of), np.bincount(row_of, minlength=len(columns)).astype(np.float64)
    of_a, of_b = function((counts @ columns)[None, :], n)
    # sums in another order differ in their last bits: equal predictions must give exactly zero
    dust = 1e-10 * max(abs(float(of_a[0])), abs(float(of_b[0])))
    deltas = _resample(columns, counts, function, seed)
    ends = np.percentile(deltas, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    delta, low, high = (0.0 if abs(x) <= dust else float(x) for x in (of_b[0] - of_a[0], *ends))
    total = max(len(a.row), len(b.row))
    return Comparison(
        against=against,
        metric=metric,
        higher_is_better=higher_is_better,
        delta=delta,
        low=low,
        high=high,
        verdict=verdict(low, high, higher_is_better),
        n=n,
        method=f"{method}; {total - n} samples left out: not in both, or without a number" if n < total else method,
    )


def usable(run: PerSample, metric: str) -> tuple[str, ...]:
    """Sorted ids of the samples that the metric can be worked out from; empty where it cannot."""
    held = metrics.value_of(metric, run.parts)
    if held is None and metrics.canonical(metric) == "loss":
        held = run.loss
    if held is None and metrics.canonical(metric) == "accuracy":
        held = [None if right is None else float(right) for right in run.correct]
    if held is None:
        rows = [(row, row) for row in run.row.values()]
        return tuple(sorted(run.row)) if rows and _statistic(run, run, rows, metric) else ()
    return tuple(sorted(sample for sample, row in run.row.items() if held[row] is not None))


def resampled(runs: Sequence[PerSample], ids: Sequence[str], metric: str, seed: int) -> tuple[Array, Array]:
    """The metric of each run over `ids`, samples that are `usable` in all of them: (runs,), and over 2000 resamples of
    them: (resamples, runs). Every run sees the same draws, so that the difference of two columns is a paired one."""
    import numpy as np

    parts = [_statistic(run, run, [(run.row[one], run.row[one]) for one in ids], metric) for run in runs]
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
    deltas: list[Any] = []
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


def _statistic(a: PerSample, b: PerSample, pairs: list[tuple[int, int]], metric: str) -> Statistic | None:
    name = metrics.canonical(metric)
    parts = metrics.value_of(metric, a.parts), metrics.value_of(metric, b.parts)
    if parts[0] is not None and parts[1] is not None:
        rooted = name in _ROOTED
        how = "root of the mean of" if rooted else "mean of"
        return _mean(parts[0], parts[1], pairs, metric, f"{_HOW}, {how} part__{metric}", rooted=rooted)
    if name == "loss":
        return _mean(a.loss, b.loss, pairs, "loss", f"{_HOW}, mean of loss", rooted=False)
    if a.is_classification and b.is_classification:
        if name == "accuracy":
            right = [[None if c is None else float(c) for c in s.correct] for s in (a, b)]
            return _mean(right[0], right[1], pairs, metric, f"{_HOW}, share of right outcomes", rooted=False)
        kind, one = _CONFUSION.get(name), name.startswith("binary_")
        one |= a.one_score and b.one_score and name == kind
        if kind is None or (one and (not b.class_one or a.class_one != b.class_one)):
            return None
        return _confusion(a, b, pairs, metric, kind, b.class_one if one else "")
    return _regression(a, b, pairs, metric, name)


_HOW = f"paired bootstrap, {RESAMPLES} resamples"


def _mean(
    of_a: list[float | None],
    of_b: list[float | None],
    pairs: list[tuple[int, int]],
    metric: str,
    method: str,
    *,
    rooted: bool,
) -> Statistic | None:
    import numpy as np

    both = [(x, y) for i, j in pairs if (x := of_a[i]) is not None and (y := of_b[j]) is not None]
    if not both:
        return None

    def value(sums: Array, n: int) -> tuple[Array, Array]:
        means = np.maximum(sums, 0) / n if rooted else sums / n
        return (np.sqrt(means[:, 0]), np.sqrt(means[:, 1])) if rooted else (means[:, 0], means[:, 1])

    columns: Array = np.array(both, dtype=np.float64)
    row_of = np.arange(len(both))
    distinct, which = np.unique(columns, axis=0, return_inverse=True)
    if len(distinct) * _FEW <= len(both):
        columns, row_of = distinct, which.ravel()
    return metric, columns, row_of, value, method


def _regression(a: PerSample, b: PerSample, pairs: list[tuple[int, int]], metric: str, name: str) -> Statistic | None:
    """MAE, MSE, RMSE and R2 from truth and prediction."""
    import numpy as np

    if a.numbers is None or b.numbers is None or a.is_classification or b.is_classification:
        return None
    truth = np.array([b.numbers[0][j] for _, j in pairs])
    errors = np.array([[a.numbers[1][i] for i, _ in pairs], [b.numbers[1][j] for _, j in pairs]]) - truth
    method = f"{_HOW}, {metric} from truth and prediction"
    if name in ("mae", "mse", "rmse"):
        parts = np.abs(errors) if name == "mae" else errors**2
        rows = [(i, i) for i in range(len(truth))]
        return _mean(list(parts[0]), list(parts[1]), rows, metric, method, rooted=name in _ROOTED)
    if name == "r2":
        columns = np.column_stack([errors[0] ** 2, errors[1] ** 2, truth, truth**2])
        return metric, columns, np.arange(len(columns)), _r2, method
    return None


def _r2(sums: Array, n: int) -> tuple[Array, Array]:
    import numpy as np

    spread = np.maximum(sums[:, 3] - sums[:, 2] ** 2 / n, 1e-12)
    return 1 - sums[:, 0] / spread, 1 - sums[:, 1] / spread


def _confusion(
    a: PerSample, b: PerSample, pairs: list[tuple[int, int]], metric: str, kind: str, one: str
) -> Statistic | None:
    """Macro F1, precision, recall (the mean over the classes) from truth and prediction; those of class `one` alone.

    Columns: truth, then for each version predicted and right, of every class.
    """
    import numpy as np

    of_samples = [(b.truth[j], a.prediction[i], b.prediction[j]) for i, j in pairs]
    triples = {triple: row for row, triple in enumerate(sorted(set(of_samples)))}
    classes = sorted({name for triple in triples for name in triple} | ({one} if one else set()))
    if len(classes) > _MAX_CLASSES:
        return None
    k = len(classes)
    index = {name: number for number, name in enumerate(classes)}
    codes = np.array([[index[name] for name in triple] for triple in triples])
    one_hot = np.eye(k)
    blocks = [one_hot[codes[:, 0]]]
    for guess in (codes[:, 1], codes[:, 2]):
        blocks += [one_hot[guess], one_hot[guess] * (codes[:, 0] == guess)[:, None]]

    counted = slice(index[one], index[one] + 1) if one else slice(k)

    def value(sums: Array, n: int) -> tuple[Array, Array]:
        truth, *rest = (sums[:, i * k : (i + 1) * k][:, counted] for i in range(5))
        return _score(kind, truth, rest[0], rest[1]), _score(kind, truth, rest[2], rest[3])

    row_of = np.array([triples[triple] for triple in of_samples])
    method = f"{_HOW}, {f'{kind} of class {one}' if one else f'macro {kind}'} from truth and prediction"
    return metric, np.concatenate(blocks, axis=1), row_of, value, method


def _score(kind: str, support: Array, predicted: Array, right: Array) -> Array:
    """(resamples,) from counts (resamples, classes). Classes that a resample does not hold do not count."""
    import numpy as np

    below = {"f1": support + predicted, "precision": predicted, "recall": support}[kind]
    above = 2 * right if kind == "f1" else right
    scores = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    present = (support + predicted) > 0
    mean: Array = scores.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return mean
