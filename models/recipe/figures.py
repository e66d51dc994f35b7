"""Where the figures of a made-up training lie: by metric, by what is wrong with it, and otherwise."""

from __future__ import annotations

from progtrain.engine.analysis.vocabulary import FACTS

#: Metric -> whether higher is better, and where its values lie.
METRICS: dict[str, dict[str, tuple[bool, float, float]]] = {
    "classification": {
        "accuracy": (True, 0.5, 0.99),
        "f1": (True, 0.4, 0.98),
        "auroc": (True, 0.6, 0.99),
        "recall": (True, 0.4, 0.98),
        "precision": (True, 0.4, 0.98),
        "loss": (False, 0.05, 1.5),
    },
    "regression": {
        "mae": (False, 0.1, 60.0),
        "rmse": (False, 0.1, 80.0),
        "mse": (False, 0.1, 4000.0),
        "r2": (True, 0.2, 0.95),
        "loss": (False, 0.05, 3000.0),
    },
}

#: Diagnosis -> ranges of the facts that show it. What is not named is drawn from `USUAL`.
SHOWN_BY: dict[str, dict[str, tuple[float, float]]] = {
    "divergence": {
        "nonfinite": (1, 40),
        "total_drop": (-0.5, 0.1),
        "learning_rate": (3e-2, 1.0),
        "first_drop": (-0.5, 0.05),
    },
    "learning_rate_too_high": {"roughness": (0.3, 1.0), "learning_rate": (5e-3, 0.5), "total_drop": (0.05, 0.6)},
    "learning_rate_too_low": {
        "late_slope": (0.03, 0.3),
        "first_drop": (0.005, 0.1),
        "roughness": (0.01, 0.1),
        "learning_rate": (1e-5, 3e-4),
        "epoch_share": (0.9, 1.0),
        "gap": (0.0, 0.12),
        "rise": (0.0, 0.01),
    },
    "too_few_epochs": {"epoch_share": (0.87, 1.0), "late_slope": (0.015, 0.2), "gap": (0.0, 0.15), "rise": (0.0, 0.01)},
    "overfitting": {"rise": (0.1, 1.2), "gap": (0.16, 0.8), "epoch_share": (0.1, 0.7), "late_slope": (-0.2, -0.01)},
    "underfitting": {"gap": (0.0, 0.12), "total_drop": (0.05, 0.45), "rise": (0.0, 0.02)},
    "too_little_capacity": {
        "gap": (0.0, 0.1),
        "late_slope": (-0.009, 0.009),
        "roughness": (0.01, 0.15),
        "hidden_size": (4, 32),
        "rise": (0.0, 0.04),
    },
    "too_much_capacity": {
        "first_drop": (0.4, 0.9),
        "gap": (0.25, 0.8),
        "epoch_share": (0.05, 0.5),
        "hidden_size": (256, 2048),
    },
    "noisy_gradients": {"roughness": (0.3, 1.0), "batch_size": (1, 16)},
    "plateau": {"epoch_share": (0.2, 0.7), "late_slope": (-0.009, 0.009), "rise": (0.0, 0.06)},
    "schedule_missing": {"roughness": (0.12, 0.6), "late_slope": (-0.009, 0.012), "epoch_share": (0.4, 0.85)},
    "class_imbalance": {"imbalance": (3.0, 40.0), "worst_class_recall": (0.0, 0.5), "class_spread": (0.3, 0.95)},
    "unscaled_inputs": {"input_scale": (8.0, 3000.0), "input_offset": (0.5, 30.0), "first_drop": (0.0, 0.2)},
    "label_noise": {"confident_wrong": (0.25, 0.9), "tail_loss": (0.5, 0.95)},
    "healthy": {"gap": (0.0, 0.2), "roughness": (0.02, 0.2), "rise": (0.0, 0.08)},
}

#: The facts in a training that nothing is wrong with.
USUAL: dict[str, tuple[float, float]] = {
    "gap": (-0.05, 0.3),
    "rise": (0.0, 0.25),
    "epoch_share": (0.2, 1.0),
    "late_slope": (-0.05, 0.05),
    "first_drop": (0.05, 0.7),
    "total_drop": (0.4, 0.97),
    "roughness": (0.03, 0.35),
    "nonfinite": (0, 0),
    "learning_rate": (1e-4, 2e-2),
    "batch_size": (16, 256),
    "hidden_size": (16, 512),
    "imbalance": (1.0, 2.5),
    "input_scale": (1.0, 5.0),
    "input_offset": (0.0, 1.5),
    "worst_class_recall": (0.5, 0.95),
    "class_spread": (0.03, 0.3),
    "confident_wrong": (0.0, 0.3),
    "tail_loss": (0.2, 0.65),
    "latency": (0.05, 150.0),
}
LOGARITHMIC = frozenset(
    {"learning_rate", "batch_size", "hidden_size", "imbalance", "input_scale", "latency", "nonfinite"}
)
CURVES = frozenset(list(FACTS)[list(FACTS).index("train_loss") : list(FACTS).index("nonfinite") + 1])
CLASSES = frozenset(
    ("worst_class", "worst_class_recall", "class_spread", "confused_pair", "confused_count", "imbalance")
)
REGRESSION_NEVER = CLASSES | {"confident_wrong", "wrong", "flipped_right", "flipped_wrong"}

#: Diagnosis -> others that often come with it.
TOGETHER: dict[str, tuple[str, ...]] = {
    "overfitting": ("too_much_capacity", "schedule_missing", "label_noise", "plateau"),
    "learning_rate_too_high": ("noisy_gradients", "schedule_missing", "unscaled_inputs"),
    "learning_rate_too_low": ("too_few_epochs", "underfitting", "unscaled_inputs"),
    "underfitting": ("too_little_capacity", "unscaled_inputs", "learning_rate_too_low", "too_few_epochs"),
    "plateau": ("schedule_missing", "too_little_capacity", "class_imbalance"),
    "too_few_epochs": ("learning_rate_too_low", "class_imbalance"),
    "noisy_gradients": ("learning_rate_too_high", "schedule_missing"),
    "divergence": ("learning_rate_too_high", "unscaled_inputs"),
    "class_imbalance": ("overfitting", "label_noise", "plateau"),
    "unscaled_inputs": ("learning_rate_too_high", "underfitting"),
    "too_much_capacity": ("overfitting",),
    "schedule_missing": ("plateau", "noisy_gradients"),
    "label_noise": ("overfitting", "class_imbalance"),
    "too_little_capacity": ("plateau", "underfitting"),
}
