"""Applying one of the recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.allowed_changes import allowed
from progtrain.engine.script.action.catalogue import find_recipe, get_recipe
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.action.operation import Lineage, Operation
from progtrain.engine.script.action.recipes.base import Recipe
from progtrain.engine.script.action.trees import same_program
from progtrain.engine.script.names import nearest
from progtrain.engine.script.settings import refuse_value
from progtrain.engine.script.sources import with_script
from progtrain.engine.values import show
from progtrain.engine.yaml_text import number


class RecipeOperation(Operation):
    """Applies one of the recipes."""

    operation: Literal["recipe"] = "recipe"
    recipe: str
    parameters: dict[str, Annotated[Any, BeforeValidator(number)]] = Field(default_factory=dict)

    def known(self, refuse: Callable[[str, str], InputError]) -> Operation:
        try:
            found = get_recipe(self.recipe)
        except InputError as error:
            raise refuse(error.reason, error.fix or "") from error
        for name, value in self.parameters.items():
            if name not in found.parameters:
                close = nearest(name, found.parameters)
                known = ", ".join(found.parameters) or "it has none"
                raise refuse(
                    f"recipe {found.id} has no parameter {name!r}",
                    f"did you mean `{close[0]}`?" if close else f"its parameters: {known}",
                )
            if why := _refuse_parameter(found, name, value):
                raise refuse(f"{name}: {why}", "choose a value in range")
        return self.model_copy(update={"recipe": found.id})

    def touches(self, source: str, lineage: Sequence[Lineage] = ()) -> frozenset[str]:
        recipe = get_recipe(self.recipe)
        given = recipe.resolve(str(source), self.parameters)
        changed = {recipe.keys[name] for name, value in given.items() if value is not None}
        return recipe.touches | {recipe.id, recipe.candidate_id} | frozenset(changed - {"monitor"})

    def apply(self, source: str, *, lineage: Sequence[Lineage] = ()) -> str:
        return with_script(source, get_recipe(self.recipe).apply(str(source), self.parameters))

    def verify(self, old: str, new: str, *, lineage: Sequence[Lineage] = ()) -> None:
        """Every change lies where the recipe may change something, and the whole is what the recipe writes.

        The first half looks at the two scripts alone. The second runs the recipe again: it finds what was changed
        beside it, not a mistake in the recipe itself.
        """
        recipe = get_recipe(self.recipe)
        changes = compare(old, new)
        if not changes:
            raise self.refusal("nothing differs")
        for change in changes:
            if not allowed(change, recipe.changes, str(old)):
                shown = (change.after or change.before or "").splitlines()[0]
                raise self.refusal(f"{change.path} changed where it may not: {shown}", change.line)
        if not same_program(self.apply(old), new):
            raise self.refusal("applying it again gives another script")

    def describe(self) -> str:
        found = find_recipe(self.recipe)
        verb = found.candidate_id.split("_", 1)[0] if found else "apply"
        given = ", ".join(f"{name}={show(value)}" for name, value in self.parameters.items())
        return f"{verb} {self.recipe}" + (f" ({given})" if given else "")

    def unsaid(self) -> set[str]:
        return set() if self.parameters else {"parameters"}


def _refuse_parameter(recipe: Recipe, name: str, value: object) -> str | None:
    text = recipe.keys[name] == "monitor"
    if value is None and recipe.parameters[name] is None:
        return None
    if text != isinstance(value, str):
        return f"{value!r} is not {'a name' if text else 'a number'}"
    if not text and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"{value!r} is not a number"
    if name == "share" and isinstance(value, int | float) and not 0 < value < 1:
        return "the share of all steps lies between 0 and 1"
    return refuse_value(recipe.keys[name], value)
