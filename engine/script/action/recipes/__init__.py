"""Recipes: changes that a practitioner would make to a Lightning script, each with its precondition."""

from __future__ import annotations

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import CATALOGUE, find_recipe
from progtrain.engine.script.action.recipes import inputs, layers, losses, optimizers, schedules, trainer
from progtrain.engine.script.action.recipes.base import Recipe, Rewrite, nothing_to_fit
from progtrain.engine.script.names import nearest

#: id -> how it rewrites, and the places that it may change
_REWRITES: dict[str, tuple[Rewrite, set[str]]] = {
    "gradient_clipping": (trainer.gradient_clipping, {"trainer"}),
    "cosine_schedule": (schedules.cosine_schedule, {"optimizers"}),
    "warmup": (schedules.warmup, {"optimizers"}),
    "reduce_on_plateau": (schedules.reduce_on_plateau, {"optimizers"}),
    "weight_decay": (optimizers.weight_decay, {"optimizers"}),
    "adamw": (optimizers.adamw, {"optimizers", "learning_rate", "weight_decay"}),
    "sgd_momentum": (optimizers.sgd_momentum, {"optimizers", "learning_rate"}),
    "label_smoothing": (losses.label_smoothing, {"loss"}),
    "dropout": (layers.dropout, {"model"}),
    "early_stopping": (trainer.early_stopping, {"trainer", "callbacks"}),
    "best_epoch": (trainer.best_epoch, {"checkpoint"}),
    "weight_averaging": (trainer.weight_averaging, {"trainer", "callbacks"}),
    "gradient_accumulation": (trainer.gradient_accumulation, {"trainer"}),
    "input_standardisation": (inputs.input_standardisation, {"inputs", "start"}),
    "class_weights": (losses.class_weights, {"loss", "start"}),
    "batch_norm": (layers.batch_norm, {"model"}),
    "huber_loss": (losses.huber_loss, {"loss"}),
}
_FITS = {
    "weight_decay": optimizers.fit_weight_decay,
    "adamw": optimizers.fit_adamw,
    "sgd_momentum": optimizers.fit_sgd_momentum,
}


_SETS = {"adamw": ("learning_rate", "weight_decay"), "sgd_momentum": ("learning_rate",)}


def _recipe(id: str) -> Recipe:
    info = find_recipe(id)
    assert info is not None
    rewrite, footprint = _REWRITES[id]
    return Recipe(info, rewrite, frozenset(footprint), _FITS.get(id, nothing_to_fit), _SETS.get(id, ()))


RECIPES: tuple[Recipe, ...] = tuple(_recipe(info.id) for info in CATALOGUE)
_BY_ID = {recipe.id: recipe for recipe in RECIPES}


def get_recipe(name: str) -> Recipe:
    """By id or candidate id. Raises `InputError` with the nearest names."""
    info = find_recipe(name)
    if info is None:
        close = nearest(name, _BY_ID)
        raise InputError(
            f"unknown recipe {name!r}",
            fix=f"did you mean `{close[0]}`?" if close else f"the recipes are {', '.join(_BY_ID)}",
        )
    return _BY_ID[info.id]


__all__ = ["RECIPES", "Recipe", "get_recipe"]
