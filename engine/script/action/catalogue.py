"""Which recipes there are: the modules of the folder `recipes`, each with its `RECIPE`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from progtrain.engine.errors import InputError
from progtrain.engine.script.action import recipes as folder
from progtrain.engine.script.action.recipes.base import Recipe
from progtrain.engine.script.names import nearest

if TYPE_CHECKING:
    from progtrain.advisor.interface import Briefing


@cache
def recipes() -> tuple[Recipe, ...]:
    """All of them, in the order that they name."""
    names = [found.name for found in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}.")]
    loaded = [getattr(importlib.import_module(name), "RECIPE", None) for name in names]
    return tuple(sorted((r for r in loaded if isinstance(r, Recipe)), key=lambda recipe: (recipe.order, recipe.id)))


def find_recipe(name: str) -> Recipe | None:
    """By its id or the candidate id that it stands behind."""
    return next((recipe for recipe in recipes() if name in (recipe.id, recipe.candidate_id)), None)


def get_recipe(name: str) -> Recipe:
    """By id or candidate id. Raises `InputError` with the nearest names."""
    if (found := find_recipe(name)) is not None:
        return found
    names = [recipe.id for recipe in recipes()]
    close = nearest(name, names)
    raise InputError(
        f"unknown recipe {name!r}",
        fix=f"did you mean `{close[0]}`?" if close else f"the recipes are {', '.join(names)}",
    )


def words_of(candidate: str) -> dict[str, Any]:
    """What the advisor must be told about a recipe: the fields `sentences` and `effects` of a candidate. Moves of
    settings it knows itself."""
    recipe = find_recipe(candidate)
    if recipe is None:
        return {}
    like = (recipe.spoken_of_as,) if recipe.spoken_of_as else ()
    return {"sentences": recipe.words(), "effects": (*like, *recipe.effects)}


def with_words(briefing: Briefing) -> Briefing:
    """With what the advisor must be told about recipes; also for one that was kept when it knew that itself."""
    options = (option.model_copy(update=words_of(option.id)) for option in briefing.options)
    return briefing.model_copy(update={"options": tuple(options)})
