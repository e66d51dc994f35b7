"""AdamW as the optimizer."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.optimizer import RATE_BORDER, exchange, learning_rate, optimizer_call
from progtrain.engine.script.action.recipes.base import FITTED, STEADIER, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import called, keyword
from progtrain.engine.script.settings import Setting
from progtrain.engine.script.structure import ScriptFacts

_DECAY = 0.01
_KNOWN = frozenset(
    {"params", "lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "foreach", "capturable"}
    | {"differentiable", "fused"}
)


def rewrite(script: Script, parameters: Parameters) -> None:
    call = optimizer_call(script)
    if called(call) == "AdamW":
        raise Refused("the optimizer is AdamW already")
    decay, wanted = keyword(call, "weight_decay"), parameters["weight_decay"]
    added: dict[str, str] = {}
    if decay is None:
        script.refuse_setting("weight_decay")
        value = _DECAY if wanted is None else float(wanted)
        added["weight_decay"] = script.constant("WEIGHT_DECAY", value, like="1e-2")
    elif wanted is not None and not any(setting.key == "weight_decay" for setting in script.settings):
        raise Refused(f"the decay is not a setting of the script (weight_decay={script.text(decay)})")
    exchange(script, call, "AdamW", _KNOWN, added, positional=("params", "lr", "betas", "eps"))


def fit(facts: ScriptFacts, settings: Sequence[Setting]) -> Parameters:
    """A rate for plain gradient steps is far too large for adaptive ones. A decay that the script has stays, but for
    none at all: AdamW would be Adam with another name."""
    rate = learning_rate(settings)
    fitted: Parameters = {}
    if facts.optimizer == "SGD" and rate and rate > RATE_BORDER:
        fitted["learning_rate"] = 1e-3
    if any(setting.key == "weight_decay" and setting.value for setting in settings):
        fitted["weight_decay"] = None
    return fitted


RECIPE = Recipe(
    id="adamw",
    candidate_id="use_adamw",
    order=60,
    title="use AdamW as the optimizer",
    why="adaptive steps with decay that acts on the weights themselves; a strong default for most networks",
    risk="medium",
    rewrite=rewrite,
    changes=(allowed_changes.optimizers, *map(allowed_changes.setting, ("learning_rate", "weight_decay"))),
    touches=frozenset({"optimizer"}),
    brings={"weight_decay": ("weight_decay", _DECAY), "learning_rate": ("learning_rate", FITTED)},
    sets=("learning_rate", "weight_decay"),
    fit=fit,
    speaks_for={
        "divergence": 0.3,
        "learning_rate_too_high": 0.3,
        "learning_rate_too_low": 0.5,
        "too_few_epochs": 0.3,
        "overfitting": 0.4,
        "underfitting": 0.5,
        "too_little_capacity": 0.3,
        "unscaled_inputs": 0.25,
        "healthy": 0.35,
    },
    effects=("adaptive_steps",),
    sentences="""
        goal: [!optimizer] Give each weight a step size of its own, with decay kept apart from the gradient.
        goal: [optimizer:sgd/rmsprop/other] Speed up optimisation with adaptive steps in place of @optimizer.
        goal: [optimizer:sgd/rmsprop/other] Give each weight a step size of its own, with decay kept apart from
            the gradient.
        goal: [optimizer:adam] Keep the adaptive steps of @optimizer and take weight decay out of the gradient.
        goal: [optimizer:adam] Let weight decay act on the weights themselves instead of through the gradient.
        impact: [!optimizer] Faster fitting than now, where training loss ends at @final_train_loss.
        impact: [optimizer:sgd/rmsprop/other] Faster fitting than now, where training loss ends at
            @final_train_loss.
        impact: [optimizer:sgd/rmsprop/other] A lower training loss in the same @epochs epochs.
        impact: [optimizer:adam] Weight decay that shrinks all weights alike, and a somewhat smaller gap.
        risk: [!optimizer] Medium: @learning_rate may not suit the new optimizer.
        risk: [optimizer:sgd/rmsprop/other] Medium: @learning_rate may not suit the new optimizer.
        risk: [optimizer:sgd/rmsprop/other] The learning rate of @learning_rate was chosen for @optimizer; it
            may need another.
        risk: [optimizer:adam] Low: only the way in which weights decay is another.
    """
    + STEADIER,
)
