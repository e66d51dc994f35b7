"""Which diagnosis speaks for which change, and against which: the experience that ranks candidates.

Weights are 0 to 1: how often an experienced engineer would try that first, given the diagnosis for sure. Those of
moves of settings stand here, those of recipes in each recipe. The tables are what the ranking by rules amounts to;
`benchmarks/` measures how good it is. Weights fitted to thousands of short trainings (`models/recipe/experience`)
ranked no better on families of tasks that they were not fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from progtrain.advisor.interface import Finding
from progtrain.engine import metrics
from progtrain.engine.analysis.advise.diagnosis import excess, over_regularised
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.vocabulary import DIAGNOSES
from progtrain.engine.script.action.catalogue import find_recipe, recipes

_MOVES_FOR: dict[str, dict[str, float]] = {
    "divergence": {"learning_rate_down": 0.95, "gradient_clip_down": 0.75, "warmup_up": 0.5},
    "learning_rate_too_high": {
        "learning_rate_down": 0.95,
        "gradient_clip_down": 0.4,
        "warmup_up": 0.4,
        "batch_size_up": 0.35,
        "hidden_size_up": 0.2,
    },
    "learning_rate_too_low": {
        "learning_rate_up": 0.95,
        "epochs_up": 0.4,
        "momentum_up": 0.6,
        "batch_size_down": 0.5,
        "hidden_size_up": 0.25,
    },
    "too_few_epochs": {
        "epochs_up": 0.9,
        "learning_rate_up": 0.65,
        "patience_up": 0.55,
        "momentum_up": 0.35,
        "batch_size_down": 0.5,
        "hidden_size_up": 0.3,
    },
    "overfitting": {
        "weight_decay_up": 0.6,
        "dropout_up": 0.45,
        "label_smoothing_up": 0.4,
        "hidden_size_down": 0.3,
        "layers_down": 0.4,
        "epochs_down": 0.4,
        "learning_rate_down": 0.35,
    },
    "underfitting": {
        "learning_rate_up": 0.55,
        "epochs_up": 0.6,
        "hidden_size_up": 0.65,
        "layers_up": 0.55,
        "dropout_down": 0.6,
        "weight_decay_down": 0.5,
        "label_smoothing_down": 0.35,
        "batch_size_down": 0.35,
        "momentum_up": 0.35,
    },
    "too_little_capacity": {"hidden_size_up": 0.9, "layers_up": 0.75, "dropout_down": 0.55, "weight_decay_down": 0.45},
    "too_much_capacity": {
        "hidden_size_down": 0.65,
        "layers_down": 0.55,
        "dropout_up": 0.65,
        "weight_decay_up": 0.6,
        "epochs_down": 0.4,
    },
    "noisy_gradients": {
        "batch_size_up": 0.75,
        "learning_rate_down": 0.5,
        "gradient_clip_down": 0.35,
        "momentum_up": 0.3,
    },
    "plateau": {"learning_rate_down": 0.45, "hidden_size_up": 0.4, "epochs_down": 0.3, "layers_up": 0.3},
    "schedule_missing": {"learning_rate_down": 0.35},
    "class_imbalance": {"hidden_size_up": 0.2},
    "unscaled_inputs": {"learning_rate_down": 0.2},
    "label_noise": {"label_smoothing_up": 0.6, "weight_decay_up": 0.35, "epochs_down": 0.25},
    "healthy": {
        "hidden_size_up": 0.45,
        "epochs_up": 0.4,
        "learning_rate_up": 0.35,
        "learning_rate_down": 0.2,
        "batch_size_down": 0.3,
    },
}

_MOVES_AGAINST: dict[str, dict[str, float]] = {
    "divergence": {
        "learning_rate_up": 0.9,
        "momentum_up": 0.9,
        "hidden_size_up": 0.9,
        "layers_up": 0.9,
        "epochs_up": 0.7,
        "batch_size_down": 0.7,
        "patience_up": 0.7,
    },
    "learning_rate_too_high": {
        "learning_rate_up": 0.9,
        "epochs_up": 0.5,
        "momentum_up": 0.6,
        "batch_size_down": 0.5,
        "hidden_size_up": 0.4,
        "layers_up": 0.4,
    },
    "learning_rate_too_low": {"learning_rate_down": 0.9, "batch_size_up": 0.6, "epochs_down": 0.9},
    "too_few_epochs": {"epochs_down": 0.9, "learning_rate_down": 0.6, "batch_size_up": 0.4, "dropout_up": 0.4},
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
        "dropout_up": 0.8,
        "weight_decay_up": 0.8,
        "hidden_size_down": 0.8,
        "layers_down": 0.8,
        "epochs_down": 0.8,
    },
    "too_little_capacity": {"hidden_size_down": 0.9, "layers_down": 0.9, "dropout_up": 0.7, "weight_decay_up": 0.7},
    "too_much_capacity": {"hidden_size_up": 0.8, "layers_up": 0.8, "dropout_down": 0.8, "weight_decay_down": 0.8},
    "noisy_gradients": {"batch_size_down": 0.9, "learning_rate_up": 0.6},
    "plateau": {"epochs_up": 0.6, "patience_up": 0.6},
    "label_noise": {"epochs_up": 0.4, "hidden_size_up": 0.3, "layers_up": 0.3, "label_smoothing_down": 0.6},
    "schedule_missing": {"learning_rate_up": 0.5},
}


def _with_recipes(moves: dict[str, dict[str, float]], side: str) -> dict[str, dict[str, float]]:
    """What each recipe says of itself joins the table."""
    table = {diagnosis: dict(moves.get(diagnosis, {})) for diagnosis in DIAGNOSES}
    for recipe in recipes():
        for diagnosis, weight in getattr(recipe, side).items():
            table[diagnosis][recipe.candidate_id] = weight
    return table


FOR = _with_recipes(_MOVES_FOR, "speaks_for")
AGAINST = _with_recipes(_MOVES_AGAINST, "speaks_against")

#: candidate -> the setting that may hold the training back
_LOOSEN = {f"{key}_down": key for key in ("dropout", "weight_decay", "label_smoothing")}
_LARGER = frozenset({"hidden_size_up", "layers_up"})
#: optimizer steps below which larger batches bring less
_STEPS = 500

#: what a change without any evidence is worth, and how much of its standing in a healthy training comes on top
FLOOR = 0.03
_PRIOR = 0.1
_RISK = {"low": 1.0, "medium": 0.92, "high": 0.8}


def circumstances(candidate: str, m: Measurements) -> tuple[float, float, str]:
    """What the metric and the length of the training leave of a score, 0 to 1, how much they give it at least, and
    why, in words. Recipes say so themselves."""
    recipe = find_recipe(candidate)
    found = recipe.circumstance(m) if recipe else _of_move(candidate, m)
    return found or (1.0, 0.0, "")


def _of_move(candidate: str, m: Measurements) -> tuple[float, float, str] | None:
    """A loss judges probabilities: softer labels spoil them, whatever they do for the decisions (R. Mueller et al.:
    When does label smoothing help?, 2019)."""
    of_probabilities = metrics.judges_probabilities(m.metric)
    if candidate == "label_smoothing_up" and of_probabilities:
        return 0.25, 0.0, f"against: {m.metric} judges probabilities, which this spoils"
    if candidate == "batch_size_up":
        return m.too_short_for(_STEPS)
    if held := excess(m, _LOOSEN[candidate]) if candidate in _LOOSEN else 0.0:
        # decay that goes through the gradient stops all weights, dropout only makes them noisy
        sure = 0.95 if candidate == "weight_decay_down" else 0.9
        return 1.0, sure * held, "for: at this size it rules the training"
    if candidate in _LARGER and (held := over_regularised(m)) >= 0.5:
        return 1.0 - 0.5 * held, 0.0, "against: regularisation holds the model back, not its size"
    if candidate == "epochs_down" and m.keeps_best:
        return 0.1, 0.0, "against: the weights of the best epoch are kept anyway"
    if candidate == "label_smoothing_down" and of_probabilities:
        return 1.0, 0.5, f"for: {m.metric} judges probabilities, which softer labels spoil"
    return None


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
