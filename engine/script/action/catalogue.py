"""Which recipes there are: what each is for, in words, without the code that applies it.

Light to import: actions are parsed and candidates named where no script is rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Risk = Literal["low", "medium", "high"]

#: stands for a default that is fitted to the script when the recipe is applied
FITTED = None


@dataclass(frozen=True)
class RecipeInfo:
    """`parameters` are names with defaults; `None` means that the default is fitted to the script."""

    id: str
    candidate_id: str
    title: str
    #: why and when one does that
    why: str
    risk: Risk
    parameters: Mapping[str, object] = field(default_factory=dict)
    #: parameter -> canonical key of the setting that it becomes
    keys: Mapping[str, str] = field(default_factory=dict)
    #: canonical keys and parts of the script that it changes, whatever the parameters
    touches: frozenset[str] = frozenset()


def _recipe(
    id: str,
    candidate_id: str,
    title: str,
    why: str,
    risk: Risk,
    touches: set[str],
    **parameters: tuple[str, object],
) -> RecipeInfo:
    return RecipeInfo(
        id,
        candidate_id,
        title,
        why,
        risk,
        MappingProxyType({name: default for name, (_, default) in parameters.items()}),
        MappingProxyType({name: key for name, (key, _) in parameters.items()}),
        frozenset(touches | {id, candidate_id}),
    )


CATALOGUE: tuple[RecipeInfo, ...] = (
    _recipe(
        "gradient_clipping",
        "add_gradient_clipping",
        "clip the gradient norm",
        "bounds the step that one bad batch can take; for losses that jump or turn into NaN",
        "low",
        {"gradient_clip", "trainer"},
        max_norm=("gradient_clip", 1.0),
    ),
    _recipe(
        "cosine_schedule",
        "add_cosine_schedule",
        "let the learning rate fall along a cosine",
        "large steps first and small ones at the end; for a constant rate whose loss circles its minimum",
        "low",
        {"schedule"},
    ),
    _recipe(
        "warmup",
        "add_warmup",
        "raise the learning rate over the first steps",
        "keeps early steps small while the optimizer's averages are unsure; for losses that jump at the start",
        "low",
        {"schedule", "warmup"},
        share=("warmup", 0.05),
    ),
    _recipe(
        "reduce_on_plateau",
        "add_reduce_on_plateau",
        "lower the learning rate when validation stalls",
        "takes smaller steps once the watched metric no longer improves; for long plateaus",
        "low",
        {"schedule", "plateau_factor", "plateau_patience"},
        factor=("plateau_factor", 0.5),
        patience=("plateau_patience", 3),
        monitor=("monitor", FITTED),
    ),
    _recipe(
        "weight_decay",
        "add_weight_decay",
        "decay the weights",
        "pulls weights towards zero; for a validation loss that rises while the training loss falls",
        "low",
        {"weight_decay", "optimizer"},
        weight_decay=("weight_decay", FITTED),
    ),
    _recipe(
        "adamw",
        "use_adamw",
        "use AdamW as the optimizer",
        "adaptive steps with decay that acts on the weights themselves; a strong default for most networks",
        "medium",
        {"optimizer"},
        weight_decay=("weight_decay", 0.01),
        learning_rate=("learning_rate", FITTED),
    ),
    _recipe(
        "sgd_momentum",
        "use_sgd_momentum",
        "use SGD with momentum as the optimizer",
        "momentum carries plain steps further, and often generalises better than adaptive steps; the rate has to fit",
        "medium",
        {"optimizer", "momentum"},
        momentum=("momentum", 0.9),
        learning_rate=("learning_rate", FITTED),
    ),
    _recipe(
        "label_smoothing",
        "add_label_smoothing",
        "smooth the labels",
        "keeps the model from being too sure; for overconfident mistakes and noisy labels",
        "low",
        {"label_smoothing", "loss"},
        label_smoothing=("label_smoothing", 0.1),
    ),
    _recipe(
        "dropout",
        "add_dropout",
        "drop activations during training",
        "stops units from relying on each other; for a gap between training and validation",
        "low",
        {"dropout", "model"},
        dropout=("dropout", 0.2),
    ),
    _recipe(
        "early_stopping",
        "add_early_stopping",
        "stop when validation no longer improves",
        "saves the epochs after the best one; the best checkpoint stays the same, training gets shorter",
        "low",
        {"patience", "trainer"},
        patience=("patience", 5),
        monitor=("monitor", FITTED),
    ),
    _recipe(
        "best_epoch",
        "keep_best_epoch",
        "keep the weights of the best epoch",
        "evaluates the epoch with the best validation metric; for scripts that keep the last one, whatever it is worth",
        "low",
        {"checkpoint"},
        monitor=("monitor", FITTED),
    ),
    _recipe(
        "weight_averaging",
        "add_weight_averaging",
        "average the weights over the last steps",
        "an exponential moving average of the weights is smoother than their last value; for noisy validation",
        "low",
        {"ema_decay", "trainer"},
        decay=("ema_decay", 0.99),
    ),
    _recipe(
        "gradient_accumulation",
        "add_gradient_accumulation",
        "accumulate gradients over several batches",
        "larger effective batches in the same memory; for gradients that are noisy from step to step",
        "low",
        {"gradient_accumulation", "trainer"},
        batches=("gradient_accumulation", 2),
    ),
    _recipe(
        "input_standardisation",
        "add_input_standardisation",
        "standardise the inputs with the training data's mean and spread",
        "features on one scale train faster and better; for inputs far from zero or of very different sizes",
        "low",
        {"model", "inputs"},
    ),
    _recipe(
        "class_weights",
        "add_class_weights",
        "weight the loss by inverse class frequency",
        "makes rare classes count as much as frequent ones; for rare classes that are missed",
        "medium",
        {"class_weights", "loss"},
        strength=("class_weight_strength", 1.0),
    ),
    _recipe(
        "batch_norm",
        "add_batch_norm",
        "normalise hidden activations over the batch",
        "evens out the scale of activations, so that larger steps work; for slow training of plain layers. "
        "A last batch of a single sample would stop training",
        "medium",
        {"model", "normalisation"},
    ),
    _recipe(
        "huber_loss",
        "use_huber_loss",
        "use the Huber loss instead of the squared error",
        "large errors count linearly, so that outliers do not rule the gradient; for regression with heavy tails",
        "medium",
        {"loss", "huber_delta"},
        delta=("huber_delta", 1.0),
    ),
)

_BY_NAME = {name: info for info in CATALOGUE for name in (info.id, info.candidate_id)}


def find_recipe(name: str) -> RecipeInfo | None:
    """By its id or the candidate id that it stands behind."""
    return _BY_NAME.get(name)


#: canonical key -> the part of the script that a lock on this part protects. The learning rate is left out on
#: purpose: who says "keep the optimizer" names its kind.
PARTS: Mapping[str, str] = MappingProxyType(
    {
        "weight_decay": "optimizer",
        "momentum": "optimizer",
        "optimizer": "optimizer",
        "warmup": "schedule",
        "min_learning_rate": "schedule",
        "max_learning_rate": "schedule",
        "plateau_factor": "schedule",
        "plateau_patience": "schedule",
        "schedule": "schedule",
        "label_smoothing": "loss",
        "huber_delta": "loss",
        "class_weight_strength": "loss",
        "loss": "loss",
        "hidden_size": "model",
        "layers": "model",
        "dropout": "model",
        "activation": "model",
        "batch_size": "data",
        "val_batch_size": "data",
        "num_workers": "data",
        "image_size": "data",
        "dataset_id": "data",
        "epochs": "trainer",
        "max_steps": "trainer",
        "gradient_clip": "trainer",
        "gradient_accumulation": "trainer",
        "patience": "trainer",
        "ema_decay": "trainer",
        "precision": "trainer",
    }
)
