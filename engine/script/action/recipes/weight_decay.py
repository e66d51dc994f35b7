"""Decay of the weights."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.optimizer import optimizer_call
from progtrain.engine.script.action.recipes.base import FITTED, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import called, keyword
from progtrain.engine.script.settings import Setting
from progtrain.engine.script.structure import ScriptFacts

#: what AdamW decays by where nothing is said
_ADAMW_DECAY = 0.01


def rewrite(script: Script, parameters: Parameters) -> None:
    call = optimizer_call(script)
    name = called(call)
    if name in ("LBFGS", "Rprop", "SparseAdam"):
        raise Refused(f"{name} does not decay weights")
    given = keyword(call, "weight_decay")
    if given is not None and script.text(given) not in ("0", "0.0", "None"):
        raise Refused(f"the optimizer has weight_decay={script.text(given)} already: set it instead")
    if given is None:
        script.refuse_setting("weight_decay")
    if name == "AdamW" and given is None and parameters["weight_decay"] == _ADAMW_DECAY:
        raise Refused(f"AdamW decays by {_ADAMW_DECAY} where nothing is said: give another value")
    constant = script.constant("WEIGHT_DECAY", float(parameters["weight_decay"]), like="1e-2")
    script.add_argument(call, "weight_decay", constant)


def fit(facts: ScriptFacts, settings: Sequence[Setting]) -> Parameters:
    """AdamW decays the weights themselves, the others add to the gradient, where much less is usual."""
    return {"weight_decay": {"AdamW": 0.05, "SGD": 5e-4}.get(facts.optimizer or "", 1e-4)}


RECIPE = Recipe(
    id="weight_decay",
    candidate_id="add_weight_decay",
    order=50,
    title="decay the weights",
    why="pulls weights towards zero; for a validation loss that rises while the training loss falls",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.optimizers,),
    touches=frozenset({"optimizer"}),
    brings={"weight_decay": ("weight_decay", FITTED)},
    fit=fit,
    speaks_for={"overfitting": 0.72, "too_much_capacity": 0.6, "label_noise": 0.35, "healthy": 0.3},
    speaks_against={"underfitting": 0.8, "too_little_capacity": 0.7},
    spoken_of_as="weight_decay_up",
)
