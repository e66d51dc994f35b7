"""A learning rate that rises over the first steps."""

from __future__ import annotations

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.packages import qualify
from progtrain.engine.script.action.parts.schedule import STEPS, add_schedule, allow_beside, refuse_endless
from progtrain.engine.script.action.recipes.base import Parameters, Recipe
from progtrain.engine.script.action.rewrite import Script

#: schedules that multiply the rate as it is, so that a warm-up beside them keeps its effect
_MULTIPLYING = frozenset(
    {"StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "PolynomialLR", "ReduceLROnPlateau"}
)


def rewrite(script: Script, parameters: Parameters) -> None:
    allow_beside(script, _MULTIPLYING)
    refuse_endless(script)
    script.refuse_setting("warmup")
    share = script.constant(["WARMUP", "WARMUP_SHARE"], float(parameters["share"]))
    scheduler = qualify(script, "torch.optim.lr_scheduler.LinearLR")
    call = f"{scheduler}({{optimizer}}, start_factor=0.1, total_iters={{steps}})"
    add_schedule(script, "warmup", call, '"interval": "step"', steps=f"max(1, round({share} * {STEPS}))")


RECIPE = Recipe(
    id="warmup",
    candidate_id="add_warmup",
    order=30,
    title="raise the learning rate over the first steps",
    why="keeps early steps small while the optimizer's averages are unsure; for losses that jump at the start",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.optimizers,),
    touches=frozenset({"schedule"}),
    brings={"share": ("warmup", 0.05)},
    speaks_for={"divergence": 0.6, "learning_rate_too_high": 0.35},
    speaks_against={"learning_rate_too_low": 0.5},
    sized=lambda situation: {"share": 0.1} if situation.strength("divergence", "learning_rate_too_high") >= 0.5 else {},
    spoken_of_as="warmup_up",
)
