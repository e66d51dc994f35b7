"""Where a version fails: classes, ranges of the target, confusions, single samples, flips."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from progtrain.engine import metrics
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.analysis.types import SampleRow, Slice

#: probability from which a model is called sure
SURE = 0.9
_SHOWN = 10
_OUTCOME = ("truth", "prediction", "loss", "confidence")
#: classes smaller than this do not decide which one is worst, unless all are
_FEW = 3


@dataclass(frozen=True)
class Failures:
    """None where the per-sample file does not tell."""

    samples: int = 0
    mean_loss: float | None = None
    wrong: int | None = None
    imbalance: float | None = None
    worst_class: str | None = None
    worst_class_recall: float | None = None
    #: samples of the worst class over samples of the median class
    worst_class_share: float | None = None
    class_spread: float | None = None
    confused_pair: tuple[str, str] | None = None
    confused_count: int | None = None
    confident_wrong: float | None = None
    tail_loss: float | None = None
    #: loss of the best constant guess: entropy of the classes, variance of the target
    chance_loss: float | None = None


def find_failures(samples: PerSample) -> Failures:
    losses = [loss for loss in samples.loss if loss is not None]
    mean = math.fsum(losses) / len(losses) if losses else None
    tail = _tail(losses)
    if not samples.is_classification:
        variance = _variance(samples)
        return Failures(samples=len(samples), mean_loss=mean, tail_loss=tail, chance_loss=variance)
    counts = Counter(samples.truth)
    recalls = {name: right for name, (_, right) in _class_rights(samples).items()}
    judged = [name for name in recalls if counts[name] >= _FEW] or list(recalls)
    worst = min(judged, key=lambda name: (recalls[name], counts[name], name))
    pairs = Counter((t, p) for t, p in zip(samples.truth, samples.prediction, strict=True) if t != p)
    pair = min(pairs, key=lambda key: (-pairs[key], key)) if pairs else None
    return Failures(
        samples=len(samples),
        mean_loss=mean,
        wrong=sum(1 for c in samples.correct if c is False),
        imbalance=max(counts.values()) / min(counts.values()),
        worst_class=worst,
        worst_class_recall=recalls[worst],
        worst_class_share=counts[worst] / statistics.median(counts.values()),
        class_spread=max(recalls[name] for name in judged) - recalls[worst],
        confused_pair=pair,
        confused_count=pairs[pair] if pair else None,
        confident_wrong=_confident_wrong(samples),
        tail_loss=tail,
        chance_loss=_entropy(counts),
    )


def _class_rights(samples: PerSample) -> dict[str, tuple[int, float]]:
    """Class -> (samples, share of right outcomes), in order of the class names."""
    rights: dict[str, list[bool]] = {}
    for truth, correct in zip(samples.truth, samples.correct, strict=True):
        rights.setdefault(truth, []).append(bool(correct))
    return {name: (len(r), sum(r) / len(r)) for name, r in sorted(rights.items(), key=_natural)}


def _natural(item: tuple[str, object]) -> tuple[int, float, str]:
    try:
        return 0, float(item[0]), ""
    except ValueError:
        return 1, 0.0, item[0]


def _tail(losses: Sequence[float]) -> float | None:
    total = math.fsum(losses)
    if len(losses) < 10 or total <= 0:
        return None
    return math.fsum(sorted(losses)[-(len(losses) // 10) :]) / total


def _confident_wrong(samples: PerSample) -> float | None:
    """Share of the tenth with the highest loss that is wrong with at least `SURE` confidence."""
    rows = [
        (loss, correct is False and confidence >= SURE)
        for loss, correct, confidence in zip(samples.loss, samples.correct, samples.confidence, strict=True)
        if loss is not None and confidence is not None
    ]
    if len(rows) < 10:
        return None
    worst = sorted(rows, key=lambda row: -row[0])[: len(rows) // 10]
    return sum(1 for _, sure in worst if sure) / len(worst)


def _entropy(counts: Counter[str]) -> float:
    total = sum(counts.values())
    return -math.fsum(c / total * math.log(c / total) for c in counts.values())


def _variance(samples: PerSample) -> float | None:
    return statistics.pvariance(samples.numbers[0]) if samples.numbers and len(samples) > 1 else None


def chance(samples: PerSample, metric: str) -> float | None:
    """What the best constant guess reaches in a metric; None for a metric without a usual answer."""
    name = metrics.canonical(metric)
    if "auroc" in name:
        return 0.5
    if samples.is_classification:
        return _chance_of_classes(Counter(samples.truth), name)
    if samples.numbers is None:
        return None
    truth = samples.numbers[0]
    middle = statistics.median(truth)
    table = {
        "mae": math.fsum(abs(t - middle) for t in truth) / len(truth),
        "mse": (variance := statistics.pvariance(truth)),
        "loss": variance,
        "rmse": math.sqrt(variance),
        "r2": 0.0,
    }
    return table.get(name)


def _chance_of_classes(counts: Counter[str], name: str) -> float | None:
    most = max(counts.values()) / sum(counts.values())
    if name == "accuracy":
        return most
    if name in ("recall", "macro_recall", "balanced_accuracy"):
        return 1 / len(counts)
    if name in ("precision", "macro_precision"):
        return most / len(counts)
    if name in ("f1", "f1_macro"):
        return 2 * most / (1 + most) / len(counts)
    return _entropy(counts) if name == "loss" else None


def find_slices(samples: PerSample, previous: PerSample | None) -> tuple[Slice, ...]:
    """Classes, or quarters of the target, the worst first."""
    if samples.is_classification:
        return _class_slices(samples, previous)
    return _target_slices(samples)


def _class_slices(samples: PerSample, previous: PerSample | None) -> tuple[Slice, ...]:
    before = _class_rights(previous) if previous and previous.is_classification else {}
    losses: defaultdict[str, list[float]] = defaultdict(list)
    for truth, loss in zip(samples.truth, samples.loss, strict=True):
        losses[truth] += [] if loss is None else [loss]
    slices = [
        Slice(
            name=name,
            kind="class",
            samples=count,
            right=right,
            mean_loss=statistics.fmean(losses[name]) if losses[name] else None,
            right_previous=before[name][1] if name in before else None,
        )
        for name, (count, right) in _class_rights(samples).items()
    ]
    return tuple(sorted(slices, key=lambda s: (s.right or 0.0, -(s.mean_loss or 0.0))))


def _target_slices(samples: PerSample) -> tuple[Slice, ...]:
    if samples.numbers is None or len(samples) < 8:
        return ()
    rows = sorted(
        (truth, loss) for truth, loss in zip(samples.numbers[0], samples.loss, strict=True) if loss is not None
    )
    quarters = [rows[len(rows) * q // 4 : len(rows) * (q + 1) // 4] for q in range(4)]
    slices = [
        Slice(
            name=f"{quarter[0][0]:.4g} to {quarter[-1][0]:.4g}",
            kind="target range",
            samples=len(quarter),
            right=None,
            mean_loss=statistics.fmean(loss for _, loss in quarter),
        )
        for quarter in quarters
        if quarter
    ]
    return tuple(sorted(slices, key=lambda s: -(s.mean_loss or 0.0)))


def find_worst(samples: PerSample) -> tuple[SampleRow, ...]:
    """Those with the highest loss that are not right."""
    wrong = [i for i, correct in enumerate(samples.correct) if correct is not True]
    wrong.sort(key=lambda i: (-(samples.loss[i] or 0.0), samples.ids[i]))
    return tuple(
        SampleRow(sample_id=samples.ids[i], **{name: getattr(samples, name)[i] for name in _OUTCOME})
        for i in wrong[:_SHOWN]
    )


def find_flips(previous: PerSample, samples: PerSample) -> tuple[SampleRow, ...]:
    """Samples whose outcome changed, those that got wrong first."""
    flips = []
    for sample, row in samples.row.items():
        before = previous.row.get(sample)
        if before is None:
            continue
        was, now = previous.correct[before], samples.correct[row]
        if was is None or now is None or was == now:
            continue
        flips.append(
            SampleRow(
                sample_id=sample,
                now="right" if now else "wrong",
                truth=samples.truth[row],
                before=previous.prediction[before],
                prediction=samples.prediction[row],
            )
        )
    return tuple(sorted(flips, key=lambda flip: (flip.now == "right", flip.sample_id)))
