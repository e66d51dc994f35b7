"""Gradients accumulated over several batches."""

from __future__ import annotations

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.trainer import refuse_argument, trainer_call
from progtrain.engine.script.action.recipes.base import STEADIER, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import keyword

#: optimizer steps below which fewer, larger steps bring less
_STEPS = 1000


def rewrite(script: Script, parameters: Parameters) -> None:
    script.refuse_manual_optimisation()
    if script.calls("GradientAccumulationScheduler"):
        raise Refused("the script accumulates gradients on a schedule (GradientAccumulationScheduler)")
    batches = int(parameters["batches"])
    if batches < 2:
        raise Refused("accumulating over one batch changes nothing")
    call = trainer_call(script)
    existing = keyword(call, "accumulate_grad_batches")
    if existing is None or script.text(existing) not in ("1", "None"):
        script.refuse_setting("gradient_accumulation")
        refuse_argument(script, call, "accumulate_grad_batches", unset=set())
    name = script.constant(["GRADIENT_ACCUMULATION", "ACCUMULATE_GRAD_BATCHES"], batches)
    script.add_argument(call, "accumulate_grad_batches", name)


RECIPE = Recipe(
    id="gradient_accumulation",
    candidate_id="add_gradient_accumulation",
    order=130,
    title="accumulate gradients over several batches",
    why="larger effective batches in the same memory; for gradients that are noisy from step to step",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.trainer,),
    touches=frozenset({"trainer"}),
    brings={"batches": ("gradient_accumulation", 2)},
    speaks_for={"noisy_gradients": 0.65},
    speaks_against={"learning_rate_too_low": 0.7, "too_few_epochs": 0.5},
    circumstance=lambda measured: measured.too_short_for(_STEPS),
    sized=lambda situation: {"batches": 4} if situation.strength("noisy_gradients") >= 0.8 else {},
    effects=("more_samples", "averaging"),
    sentences="""
        goal: Steady the gradients over several batches of @batch_size without more memory.
        goal: Average the gradient over more than @batch_size samples per step.
        impact: A smoother training loss than now (roughness @roughness).
        impact: Calmer steps at the same memory.
        risk: Fewer updates: @epochs epochs may be too few.
        risk: Low to medium: progress per epoch gets slower.
    """
    + STEADIER,
)
