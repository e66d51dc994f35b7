"""Which diagnosis speaks for which change, and against which: the experience that ranks candidates.

Weights are 0 to 1: how often an experienced engineer would try that first, given the diagnosis for sure. The table
is what the ranking by rules amounts to; `benchmarks/` measures how good it is. Weights fitted to thousands of short
trainings (`models/recipe/experience`) ranked no better on families of tasks that they were not fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from progtrain.advisor.interface import Finding
from progtrain.engine import metrics
from progtrain.engine.analysis.advise.diagnosis import excess, over_regularised, ramp
from progtrain.engine.analysis.measure.measurements import Measurements

FOR: dict[str, dict[str, float]] = {
    "divergence": {
        "learning_rate_down": 0.95,
        "add_gradient_clipping": 0.8,
        "gradient_clip_down": 0.75,
        "add_warmup": 0.6,
        "warmup_up": 0.5,
        "add_input_standardisation": 0.4,
        "add_batch_norm": 0.35,
        "use_adamw": 0.3,
    },
    "learning_rate_too_high": {
        "learning_rate_down": 0.95,
        "add_cosine_schedule": 0.4,
        "add_warmup": 0.35,
        "add_gradient_clipping": 0.5,
        "gradient_clip_down": 0.4,
        "keep_best_epoch": 0.35,
        "add_reduce_on_plateau": 0.3,
        "warmup_up": 0.4,
        "batch_size_up": 0.35,
        "hidden_size_up": 0.2,
        "add_batch_norm": 0.3,
        "use_adamw": 0.3,
    },
    "learning_rate_too_low": {
        "learning_rate_up": 0.95,
        "use_adamw": 0.5,
        "use_sgd_momentum": 0.6,
        "epochs_up": 0.4,
        "momentum_up": 0.6,
        "batch_size_down": 0.5,
        "add_batch_norm": 0.3,
        "hidden_size_up": 0.25,
    },
    "too_few_epochs": {
        "epochs_up": 0.9,
        "learning_rate_up": 0.65,
        "patience_up": 0.55,
        "use_adamw": 0.3,
        "use_sgd_momentum": 0.4,
        "momentum_up": 0.35,
        "batch_size_down": 0.5,
        "hidden_size_up": 0.3,
    },
    "overfitting": {
        "add_weight_decay": 0.72,
        "add_dropout": 0.6,
        "weight_decay_up": 0.6,
        "dropout_up": 0.45,
        "keep_best_epoch": 0.5,
        "add_early_stopping": 0.4,
        "add_label_smoothing": 0.5,
        "label_smoothing_up": 0.4,
        "hidden_size_down": 0.3,
        "layers_down": 0.4,
        "epochs_down": 0.4,
        "add_weight_averaging": 0.3,
        "use_adamw": 0.4,
        "learning_rate_down": 0.35,
        "add_batch_norm": 0.2,
    },
    "underfitting": {
        "learning_rate_up": 0.55,
        "epochs_up": 0.6,
        "hidden_size_up": 0.65,
        "layers_up": 0.55,
        "add_input_standardisation": 0.5,
        "use_adamw": 0.5,
        "add_batch_norm": 0.5,
        "dropout_down": 0.6,
        "weight_decay_down": 0.5,
        "label_smoothing_down": 0.35,
        "batch_size_down": 0.35,
        "use_sgd_momentum": 0.35,
        "momentum_up": 0.35,
    },
    "too_little_capacity": {
        "hidden_size_up": 0.9,
        "layers_up": 0.75,
        "dropout_down": 0.55,
        "weight_decay_down": 0.45,
        "add_batch_norm": 0.45,
        "use_adamw": 0.3,
    },
    "too_much_capacity": {
        "hidden_size_down": 0.65,
        "layers_down": 0.55,
        "add_dropout": 0.65,
        "dropout_up": 0.65,
        "add_weight_decay": 0.6,
        "weight_decay_up": 0.6,
        "epochs_down": 0.4,
        "keep_best_epoch": 0.5,
        "add_early_stopping": 0.45,
    },
    "noisy_gradients": {
        "batch_size_up": 0.75,
        "add_gradient_accumulation": 0.65,
        "learning_rate_down": 0.5,
        "add_weight_averaging": 0.6,
        "add_cosine_schedule": 0.5,
        "keep_best_epoch": 0.45,
        "add_gradient_clipping": 0.45,
        "gradient_clip_down": 0.35,
        "momentum_up": 0.3,
    },
    "plateau": {
        "add_reduce_on_plateau": 0.55,
        "add_cosine_schedule": 0.5,
        "learning_rate_down": 0.45,
        "add_early_stopping": 0.4,
        "hidden_size_up": 0.4,
        "epochs_down": 0.3,
        "add_batch_norm": 0.3,
        "layers_up": 0.3,
    },
    "schedule_missing": {
        "add_cosine_schedule": 0.65,
        "add_reduce_on_plateau": 0.5,
        "add_weight_averaging": 0.4,
        "learning_rate_down": 0.35,
    },
    "class_imbalance": {"add_class_weights": 0.9, "add_label_smoothing": 0.15, "hidden_size_up": 0.2},
    "unscaled_inputs": {
        "add_input_standardisation": 0.95,
        "add_batch_norm": 0.55,
        "learning_rate_down": 0.2,
        "use_adamw": 0.25,
    },
    "label_noise": {
        "add_label_smoothing": 0.75,
        "label_smoothing_up": 0.6,
        "use_huber_loss": 0.8,
        "add_weight_decay": 0.35,
        "weight_decay_up": 0.35,
        "add_early_stopping": 0.35,
        "epochs_down": 0.25,
    },
    "healthy": {
        "add_cosine_schedule": 0.3,
        "hidden_size_up": 0.45,
        "epochs_up": 0.4,
        "add_weight_averaging": 0.35,
        "use_adamw": 0.35,
        "add_weight_decay": 0.3,
        "learning_rate_up": 0.35,
        "add_label_smoothing": 0.28,
        "add_dropout": 0.25,
        "learning_rate_down": 0.2,
        "batch_size_down": 0.3,
        "add_batch_norm": 0.25,
    },
}

AGAINST: dict[str, dict[str, float]] = {
    "divergence": {
        **dict.fromkeys(("learning_rate_up", "momentum_up", "hidden_size_up", "layers_up"), 0.9),
        **dict.fromkeys(("epochs_up", "batch_size_down", "add_early_stopping", "patience_up"), 0.7),
    },
    "learning_rate_too_high": {
        "learning_rate_up": 0.9,
        "epochs_up": 0.5,
        "momentum_up": 0.6,
        "batch_size_down": 0.5,
        "hidden_size_up": 0.4,
        "layers_up": 0.4,
    },
    "learning_rate_too_low": {
        "learning_rate_down": 0.9,
        "batch_size_up": 0.6,
        "add_gradient_accumulation": 0.7,
        "epochs_down": 0.9,
        "add_cosine_schedule": 0.5,
        "add_reduce_on_plateau": 0.6,
        "add_early_stopping": 0.6,
        "add_warmup": 0.5,
        "add_gradient_clipping": 0.6,
        "add_weight_averaging": 0.4,
    },
    "too_few_epochs": {
        "epochs_down": 0.9,
        "learning_rate_down": 0.6,
        "add_early_stopping": 0.7,
        "add_reduce_on_plateau": 0.4,
        "add_gradient_accumulation": 0.5,
        "batch_size_up": 0.4,
        "add_dropout": 0.4,
        "dropout_up": 0.4,
    },
    "overfitting": {
        "epochs_up": 0.8,
        "hidden_size_up": 0.7,
        "layers_up": 0.7,
        "dropout_down": 0.9,
        "weight_decay_down": 0.9,
        "patience_up": 0.7,
        "label_smoothing_down": 0.5,
    },
    "underfitting": {
        **dict.fromkeys(("add_dropout", "dropout_up", "add_weight_decay", "weight_decay_up"), 0.8),
        **dict.fromkeys(("hidden_size_down", "layers_down", "epochs_down", "add_early_stopping"), 0.8),
        "add_label_smoothing": 0.5,
    },
    "too_little_capacity": {
        **dict.fromkeys(("hidden_size_down", "layers_down"), 0.9),
        **dict.fromkeys(("add_dropout", "dropout_up", "add_weight_decay", "weight_decay_up"), 0.7),
    },
    "too_much_capacity": dict.fromkeys(("hidden_size_up", "layers_up", "dropout_down", "weight_decay_down"), 0.8),
    "noisy_gradients": {"batch_size_down": 0.9, "learning_rate_up": 0.6},
    "plateau": {"epochs_up": 0.6, "patience_up": 0.6},
    "class_imbalance": {},
    "unscaled_inputs": {},
    "label_noise": {"epochs_up": 0.4, "hidden_size_up": 0.3, "layers_up": 0.3, "label_smoothing_down": 0.6},
    "schedule_missing": {"learning_rate_up": 0.5},
    "healthy": {},
}

_OF_PROBABILITIES = frozenset({"loss", "cross_entropy", "log_loss", "nll", "brier", "ece", "calibration_error"})
_SOFTER = frozenset({"add_label_smoothing", "label_smoothing_up", "add_class_weights"})
_END_EARLIER = frozenset({"add_early_stopping", "epochs_down"})
#: candidate -> the setting that may hold the training back
_LOOSEN = {f"{key}_down": key for key in ("dropout", "weight_decay", "label_smoothing")}
_LARGER = frozenset({"hidden_size_up", "layers_up"})
#: optimizer steps below which it brings less
_NEED_STEPS = {"add_weight_averaging": 2000, "add_gradient_accumulation": 1000, "batch_size_up": 500}

#: what a change without any evidence is worth, and how much of its standing in a healthy training comes on top
FLOOR = 0.03
_PRIOR = 0.1
_RISK = {"low": 1.0, "medium": 0.92, "high": 0.8}


def circumstances(candidate: str, m: Measurements) -> tuple[float, float, str]:
    """What the metric and the length of the training leave of a score, 0 to 1, how much they give it at least, and
    why, in words.

    A loss judges probabilities: softer labels and weighted classes spoil them, whatever they do for the decisions
    (R. Mueller et al.: When does label smoothing help?, 2019). Averages over hundreds of steps, and fewer, larger
    steps, need a training that is long enough for them.
    """
    metric = metrics.canonical(m.metric)
    if candidate in _SOFTER and metric in _OF_PROBABILITIES:
        return 0.25, 0.0, f"against: {m.metric} judges probabilities, which this spoils"
    if candidate == "add_class_weights" and "balanced" not in metric and metric in {*_OF_PROBABILITIES, "accuracy"}:
        return 0.4, 0.0, f"against: {m.metric} counts every sample the same"
    steps = m.steps
    if candidate in _NEED_STEPS and steps is not None and steps < _NEED_STEPS[candidate]:
        return max(0.1, steps / _NEED_STEPS[candidate]), 0.0, f"against: there are only {steps:.0f} steps in all"
    if candidate == "keep_best_epoch":
        # offered only where the script keeps the last epoch: what another brings can be read from the curve, where
        # the loss doubles since its best epoch more than from most other changes
        lost = 0.0 if m.keeps_best else math.sqrt(ramp(math.log1p(m.shape.rise or 0.0), 0.02, math.log(2)))
        if not lost:
            return 0.2, 0.0, "against: no earlier epoch was better than the one that was evaluated"
        direct = metric in _OF_PROBABILITIES or m.is_classification is False
        return (
            1.0,
            (0.95 if direct else 0.65) * lost,
            "for: an earlier epoch was better than the one that was evaluated",
        )
    if held := excess(m, _LOOSEN[candidate]) if candidate in _LOOSEN else 0.0:
        # decay that goes through the gradient stops all weights, dropout only makes them noisy
        sure = 0.95 if candidate == "weight_decay_down" else 0.9
        return 1.0, sure * held, "for: at this size it rules the training"
    if candidate in _LARGER and (held := over_regularised(m)) >= 0.5:
        return 1.0 - 0.5 * held, 0.0, "against: regularisation holds the model back, not its size"
    if candidate in _END_EARLIER and m.keeps_best:
        return 0.1, 0.0, "against: the weights of the best epoch are kept anyway"
    late = m.shape.best_epoch / m.shape.epochs if m.shape.best_epoch and m.shape.epochs else 0.0
    if candidate == "add_reduce_on_plateau" and late > 0.7:
        return 0.3, 0.0, "against: the validation loss has no plateau to speak of"
    if candidate == "label_smoothing_down" and metric in _OF_PROBABILITIES:
        return 1.0, 0.5, f"for: {m.metric} judges probabilities, which softer labels spoil"
    return 1.0, 0.0, ""


def score(candidate: str, findings: Sequence[Finding], risk: str) -> float:
    """0 to 1. Reasons for it add up as independent chances do; reasons against it take away their share."""
    miss = math.prod(1 - FOR[f.id].get(candidate, 0.0) * f.strength for f in findings)
    keep = math.prod(1 - AGAINST[f.id].get(candidate, 0.0) * f.strength for f in findings)
    prior = FLOOR + _PRIOR * FOR["healthy"].get(candidate, 0.0)
    return max(prior, 1 - miss) * keep * _RISK[risk]


def reasons(candidate: str, findings: Sequence[Finding]) -> tuple[str, ...]:
    """For and against, the weightiest first, for the review."""
    weighed = [
        (table[f.id].get(candidate, 0.0) * f.strength, word, f)
        for table, word in ((FOR, "for"), (AGAINST, "against"))
        for f in findings
    ]
    weighed.sort(key=lambda item: (-item[0], item[2].id))
    return tuple(
        f"{word}: {f.id.replace('_', ' ')} (strength {f.strength:.2f})" for weight, word, f in weighed if weight >= 0.1
    )


def strength(findings: Sequence[Finding], *ids: str) -> float:
    """The strongest of these diagnoses; 0 when none was made."""
    return max((f.strength for f in findings if f.id in ids), default=0.0)


def rests_on(candidate: str, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Fact keys of the findings that speak for it, each once."""
    keys: dict[str, None] = {}
    for finding in sorted(findings, key=lambda f: -FOR[f.id].get(candidate, 0.0) * f.strength):
        if FOR[finding.id].get(candidate):
            keys.update(dict.fromkeys(finding.evidence))
    return tuple(keys)
