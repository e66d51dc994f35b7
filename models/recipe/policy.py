"""Which option the training examples choose: what an engineer would try for these findings, given what was tried.

A stand-in until choices can be learned from what actions really brought.
"""

from __future__ import annotations

from collections.abc import Mapping

from advisor.interface import Briefing
from advisor.prompts import action_slug, by_rank, signals, strength_word
from models.recipe import words

#: Diagnosis -> how well each option answers it, 0 to 1.
AFFINITY: dict[str, dict[str, float]] = {
    "divergence": {
        "learning_rate_down": 1.0,
        "add_gradient_clipping": 0.9,
        "add_warmup": 0.6,
        "add_input_standardisation": 0.6,
        "gradient_clip_down": 0.6,
        "add_batch_norm": 0.4,
    },
    "learning_rate_too_high": {
        "learning_rate_down": 1.0,
        "add_cosine_schedule": 0.6,
        "add_warmup": 0.5,
        "add_gradient_clipping": 0.5,
        "add_reduce_on_plateau": 0.4,
        "batch_size_up": 0.35,
    },
    "learning_rate_too_low": {
        "learning_rate_up": 1.0,
        "epochs_up": 0.6,
        "use_adamw": 0.5,
        "momentum_up": 0.45,
        "batch_size_down": 0.4,
        "add_input_standardisation": 0.3,
    },
    "too_few_epochs": {
        "epochs_up": 1.0,
        "learning_rate_up": 0.6,
        "patience_up": 0.5,
        "add_cosine_schedule": 0.35,
        "batch_size_down": 0.3,
        "use_adamw": 0.3,
    },
    "overfitting": {
        "add_dropout": 0.9,
        "dropout_up": 0.9,
        "add_weight_decay": 0.85,
        "weight_decay_up": 0.85,
        "add_early_stopping": 0.5,
        "add_label_smoothing": 0.6,
        "label_smoothing_up": 0.5,
        "hidden_size_down": 0.55,
        "layers_down": 0.45,
        "epochs_down": 0.4,
        "add_weight_averaging": 0.4,
    },
    "underfitting": {
        "hidden_size_up": 0.8,
        "dropout_down": 0.8,
        "weight_decay_down": 0.75,
        "layers_up": 0.65,
        "learning_rate_up": 0.55,
        "epochs_up": 0.6,
        "use_adamw": 0.5,
        "add_batch_norm": 0.45,
        "add_input_standardisation": 0.5,
    },
    "too_little_capacity": {
        "hidden_size_up": 1.0,
        "layers_up": 0.8,
        "dropout_down": 0.45,
        "weight_decay_down": 0.4,
        "add_batch_norm": 0.35,
    },
    "too_much_capacity": {
        "hidden_size_down": 0.85,
        "add_dropout": 0.85,
        "dropout_up": 0.85,
        "add_weight_decay": 0.75,
        "weight_decay_up": 0.75,
        "layers_down": 0.65,
        "add_early_stopping": 0.4,
    },
    "noisy_gradients": {
        "batch_size_up": 1.0,
        "add_gradient_accumulation": 0.75,
        "learning_rate_down": 0.65,
        "add_weight_averaging": 0.55,
        "add_gradient_clipping": 0.5,
        "gradient_clip_down": 0.4,
        "momentum_up": 0.3,
    },
    "plateau": {
        "add_reduce_on_plateau": 0.9,
        "add_cosine_schedule": 0.8,
        "learning_rate_down": 0.55,
        "hidden_size_up": 0.4,
        "add_input_standardisation": 0.4,
        "use_adamw": 0.35,
        "epochs_down": 0.2,
    },
    "schedule_missing": {
        "add_cosine_schedule": 1.0,
        "add_reduce_on_plateau": 0.8,
        "add_weight_averaging": 0.6,
        "learning_rate_down": 0.45,
        "add_warmup": 0.2,
    },
    "class_imbalance": {"add_class_weights": 1.0, "add_label_smoothing": 0.2, "epochs_up": 0.2, "hidden_size_up": 0.2},
    "unscaled_inputs": {
        "add_input_standardisation": 1.0,
        "add_batch_norm": 0.65,
        "use_adamw": 0.4,
        "learning_rate_down": 0.3,
    },
    "label_noise": {
        "add_label_smoothing": 0.9,
        "label_smoothing_up": 0.8,
        "use_huber_loss": 0.9,
        "add_weight_decay": 0.35,
        "add_early_stopping": 0.35,
        "dropout_up": 0.3,
    },
    "healthy": {
        "add_cosine_schedule": 0.5,
        "add_weight_averaging": 0.5,
        "epochs_up": 0.3,
        "hidden_size_up": 0.3,
        "add_weight_decay": 0.25,
    },
}

_STRENGTH = {"strong": 1.0, "clear": 0.6, "weak": 0.3}
_RISK = {"low": 0.0, "medium": 0.08, "high": 0.3}


def affinity(option: str, strengths: Mapping[str, float]) -> float:
    """How well it answers the findings: the strongest answer counts whole, others a third."""
    answers = sorted(
        (_STRENGTH[strength_word(s)] * AFFINITY[f].get(option, 0.0) for f, s in strengths.items()), reverse=True
    )
    return answers[0] + sum(answers[1:]) / 3 if answers else 0.0


def _opposite(option: str) -> str:
    if option.endswith("_up"):
        return option[:-3] + "_down"
    return option[:-5] + "_up" if option.endswith("_down") else ""


def scores(briefing: Briefing) -> dict[str, float]:
    """Every option's score, from what the rendered prompt shows and nothing else."""
    found = signals(briefing)
    strengths = {finding.id: finding.strength for finding in briefing.findings}
    outcomes = {action_slug(t.action): t.verdict for t in briefing.tried}
    ranked = by_rank(briefing)
    wished = {option.id for option in ranked if any(words.asks_for(hint, option.id) for hint in briefing.hints)}
    result = {}
    for place, option in enumerate(ranked):
        score = affinity(option.id, strengths) + 0.3 * (1 - place / max(1, len(ranked) - 1)) - _RISK[option.risk]
        score += _from_history(option.id, outcomes, found, briefing.version)
        result[option.id] = score + (1.5 if option.id in wished else 0.0)
    return result


def _from_history(option: str, outcomes: Mapping[str, str], found: Mapping[str, str], version: str) -> float:
    verdict = found.get("verdict_previous")
    if option == f"undo_{version}":
        return {"worse": 1.0, "noise": 0.25}.get(verdict or "", -0.8)
    if option.startswith("undo_"):
        return -0.1
    if option.startswith("back_to_"):
        return {"worse": 0.85, "noise": 0.0}.get(found.get("verdict_best", ""), -0.6)
    outcome = outcomes.get(option, "")
    score = {"worse": -1.2, "within noise": -0.7, "better": 0.15}.get(outcome, 0.0)
    return score - (0.7 if outcomes.get(_opposite(option)) == "better" else 0.0)


def choose(briefing: Briefing) -> str:
    score = scores(briefing)
    return max(score, key=lambda option: score[option])
