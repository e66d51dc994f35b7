"""A metric as a function of sums over samples, for two versions at once.

With it a resample of the samples is a vector of counts, and all of them one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from progtrain.engine import metrics
from progtrain.engine.analysis.compare.noise import RESAMPLES
from progtrain.engine.analysis.measure.samples import PerSample

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

HOW = f"paired bootstrap, {RESAMPLES} resamples"
#: metrics whose per-sample part is the square of what is averaged
ROOTED = ("rmse", "rmsle")
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


def statistic_of(a: PerSample, b: PerSample, pairs: list[tuple[int, int]], metric: str) -> Statistic | None:
    name = metrics.canonical(metric)
    parts = metrics.value_of(metric, a.parts), metrics.value_of(metric, b.parts)
    if parts[0] is not None and parts[1] is not None:
        rooted = name in ROOTED
        how = "root of the mean of" if rooted else "mean of"
        return _mean(parts[0], parts[1], pairs, metric, f"{HOW}, {how} part__{metric}", rooted=rooted)
    if name == "loss":
        return _mean(a.loss, b.loss, pairs, "loss", f"{HOW}, mean of loss", rooted=False)
    if a.is_classification and b.is_classification:
        if name == "accuracy":
            right = [[None if c is None else float(c) for c in s.correct] for s in (a, b)]
            return _mean(right[0], right[1], pairs, metric, f"{HOW}, share of right outcomes", rooted=False)
        kind, one = _CONFUSION.get(name), name.startswith("binary_")
        one |= a.one_score and b.one_score and name == kind
        if kind is None or (one and (not b.class_one or a.class_one != b.class_one)):
            return None
        return _confusion(a, b, pairs, metric, kind, b.class_one if one else "")
    return _regression(a, b, pairs, metric, name)


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
    method = f"{HOW}, {metric} from truth and prediction"
    if name in ("mae", "mse", "rmse"):
        parts = np.abs(errors) if name == "mae" else errors**2
        rows = [(i, i) for i in range(len(truth))]
        return _mean(list(parts[0]), list(parts[1]), rows, metric, method, rooted=name in ROOTED)
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

    # no answer is no class of its own
    counted = [index[one]] if one else [number for name, number in index.items() if name]

    def value(sums: Array, n: int) -> tuple[Array, Array]:
        truth, *rest = (sums[:, i * k : (i + 1) * k][:, counted] for i in range(5))
        return _score(kind, truth, rest[0], rest[1]), _score(kind, truth, rest[2], rest[3])

    row_of = np.array([triples[triple] for triple in of_samples])
    method = f"{HOW}, {f'{kind} of class {one}' if one else f'macro {kind}'} from truth and prediction"
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
