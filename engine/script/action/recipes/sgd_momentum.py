"""SGD with momentum as the optimizer."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.optimizer import RATE_BORDER, exchange, learning_rate, optimizer_call
from progtrain.engine.script.action.recipes.base import FITTED, STEADIER, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import argument, called
from progtrain.engine.script.settings import Setting
from progtrain.engine.script.structure import ScriptFacts

_KNOWN = frozenset(
    {"params", "lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize", "foreach"}
    | {"differentiable", "fused"}
)


def rewrite(script: Script, parameters: Parameters) -> None:
    call = optimizer_call(script)
    is_sgd = called(call) == "SGD"
    if is_sgd and argument(call, "momentum", 2) is not None:
        raise Refused("SGD has momentum already: set it instead")
    script.refuse_setting("momentum")
    momentum = script.constant(["MOMENTUM", "SGD_MOMENTUM"], float(parameters["momentum"]))
    if is_sgd:
        script.add_argument(call, "momentum", momentum)
    else:
        exchange(script, call, "SGD", _KNOWN, {"momentum": momentum}, positional=("params", "lr"))


def fit(facts: ScriptFacts, settings: Sequence[Setting]) -> Parameters:
    """A rate for adaptive steps is too small for plain gradient steps."""
    rate = learning_rate(settings)
    adaptive = facts.optimizer is not None and facts.optimizer != "SGD"
    return {"learning_rate": 0.01} if adaptive and rate and rate < RATE_BORDER else {}


RECIPE = Recipe(
    id="sgd_momentum",
    candidate_id="use_sgd_momentum",
    order=70,
    title="use SGD with momentum as the optimizer",
    why="momentum carries plain steps further, and often generalises better than adaptive steps; the rate has to fit",
    risk="medium",
    rewrite=rewrite,
    changes=(allowed_changes.optimizers, allowed_changes.setting("learning_rate")),
    touches=frozenset({"momentum", "optimizer"}),
    brings={"momentum": ("momentum", 0.9), "learning_rate": ("learning_rate", FITTED)},
    sets=("learning_rate",),
    fit=fit,
    speaks_for={"learning_rate_too_low": 0.6, "too_few_epochs": 0.4, "underfitting": 0.35},
    effects=("momentum",),
    sentences="""
        goal: [!optimizer] Take plain steps with momentum.
        goal: [optimizer:adam/adamw/rmsprop/other] Look for a flatter minimum with plain steps and momentum.
        goal: [optimizer:adam/adamw/rmsprop] Trade the adaptive steps of @optimizer for momentum, which often
            generalises better.
        goal: [optimizer:sgd] Carry speed from step to step: momentum gets further in the same time.
        goal: [optimizer:sgd] Keep the plain steps of @optimizer and add momentum to them.
        impact: [!optimizer] Steadier steps in the same direction.
        impact: [optimizer:adam/adamw/rmsprop/other] Better generalisation at slower fitting.
        impact: [optimizer:adam/adamw/rmsprop/other,gap:small/moderate/large] A smaller gap than @gap, if the
            learning rate suits.
        impact: [optimizer:sgd] Faster descent than now, where training loss ends at @final_train_loss.
        impact: [optimizer:sgd] Steadier steps in the same direction.
        risk: [!optimizer] Medium: @learning_rate may not suit the new optimizer.
        risk: [optimizer:adam/adamw/rmsprop/other] High: @learning_rate was chosen for @optimizer and may be far
            off.
        risk: [optimizer:adam/adamw/rmsprop/other] Convergence may be much slower with @learning_rate.
        risk: [optimizer:sgd] Medium: momentum acts like a larger learning rate.
        risk: [optimizer:sgd] It may overshoot at a learning rate of @learning_rate.
    """
    + STEADIER,
)
