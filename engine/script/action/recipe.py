"""Applying one of the recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.allowed_changes import allowed
from progtrain.engine.script.action.catalogue import CATALOGUE, RecipeInfo, find_recipe
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.action.operation import Lineage, Operation, number, show
from progtrain.engine.script.action.trees import same_program
from progtrain.engine.script.names import nearest
from progtrain.engine.script.settings import find_settings, refuse_value
from progtrain.engine.script.structure import describe


class RecipeOperation(Operation):
    """Applies one of the recipes."""

    operation: Literal["recipe"] = "recipe"
    recipe: str
    parameters: dict[str, Annotated[Any, BeforeValidator(number)]] = Field(default_factory=dict)

    def known(self, refuse: Callable[[str, str], InputError]) -> Operation:
        info = find_recipe(self.recipe)
        if info is None:
            names = [recipe.id for recipe in CATALOGUE]
            close = nearest(self.recipe, names)
            raise refuse(
                f"unknown recipe {self.recipe!r}",
                f"did you mean `{close[0]}`?" if close else f"the recipes are {', '.join(names)}",
            )
        for name, value in self.parameters.items():
            if name not in info.parameters:
                close = nearest(name, info.parameters)
                known = ", ".join(info.parameters) or "it has none"
                raise refuse(
                    f"recipe {info.id} has no parameter {name!r}",
                    f"did you mean `{close[0]}`?" if close else f"its parameters: {known}",
                )
            if why := _refuse_parameter(info, name, value):
                raise refuse(f"{name}: {why}", "choose a value in range")
        return self.model_copy(update={"recipe": info.id})

    def touches(self, source: str, lineage: Sequence[Lineage] = ()) -> frozenset[str]:
        from progtrain.engine.script.action.recipes import get_recipe  # libcst takes a quarter of a second

        recipe = get_recipe(self.recipe)
        given = recipe.resolve(source, self.parameters)
        changed = {recipe.info.keys[name] for name, value in given.items() if value is not None}
        return recipe.info.touches | frozenset(changed - {"monitor"})

    def apply(self, source: str, *, lineage: Sequence[Lineage] = (), filename: str = "") -> str:
        from progtrain.engine.script.action.recipes import get_recipe

        return get_recipe(self.recipe).run(source, self.parameters, filename=filename)

    def verify(self, old: str, new: str, *, lineage: Sequence[Lineage] = ()) -> None:
        """Every change lies where the recipe may change something, and the whole is what the recipe writes.

        The first half looks at the two scripts alone. The second runs the recipe again: it finds what was changed
        beside it, not a mistake in the recipe itself.
        """
        from progtrain.engine.script.action.recipes import get_recipe

        recipe = get_recipe(self.recipe)
        changes = compare(old, new)
        if not changes:
            raise self.refusal("nothing differs")
        facts, settings = describe(old), find_settings(old)
        for change in changes:
            if not allowed(change, recipe.footprint, facts, settings, old):
                shown = (change.after or change.before or "").splitlines()[0]
                raise self.refusal(f"{change.path} changed where it may not: {shown}", change.line)
        if not same_program(self.apply(old), new):
            raise self.refusal("applying it again gives another script")

    def describe(self) -> str:
        info = find_recipe(self.recipe)
        verb = info.candidate_id.split("_", 1)[0] if info else "apply"
        given = ", ".join(f"{name}={show(value)}" for name, value in self.parameters.items())
        return f"{verb} {self.recipe}" + (f" ({given})" if given else "")

    def unsaid(self) -> set[str]:
        return set() if self.parameters else {"parameters"}


def _refuse_parameter(info: RecipeInfo, name: str, value: object) -> str | None:
    text = info.keys[name] == "monitor"
    if value is None and info.parameters[name] is None:
        return None
    if text != isinstance(value, str):
        return f"{value!r} is not {'a name' if text else 'a number'}"
    if not text and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"{value!r} is not a number"
    if name == "share" and isinstance(value, int | float) and not 0 < value < 1:
        return "the share of all steps lies between 0 and 1"
    return refuse_value(info.keys[name], value)
