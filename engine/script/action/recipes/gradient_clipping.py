"""Clipping the gradient norm."""

from __future__ import annotations

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.trainer import refuse_argument, trainer_call
from progtrain.engine.script.action.recipes.base import Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script


def rewrite(script: Script, parameters: Parameters) -> None:
    script.refuse_manual_optimisation()
    if script.method("configure_gradient_clipping"):
        raise Refused("the script clips gradients itself (configure_gradient_clipping)")
    call = trainer_call(script)
    script.refuse_setting("gradient_clip")
    refuse_argument(script, call, "gradient_clip_val", unset={"None", "0", "0.0"})
    name = script.constant(["GRADIENT_CLIP", "GRADIENT_CLIP_NORM"], float(parameters["max_norm"]))
    script.add_argument(call, "gradient_clip_val", name)


RECIPE = Recipe(
    id="gradient_clipping",
    candidate_id="add_gradient_clipping",
    order=10,
    title="clip the gradient norm",
    why="bounds the step that one bad batch can take; for losses that jump or turn into NaN",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.trainer,),
    touches=frozenset({"gradient_clip", "trainer"}),
    brings={"max_norm": ("gradient_clip", 1.0)},
    speaks_for={"divergence": 0.8, "learning_rate_too_high": 0.5, "noisy_gradients": 0.45},
    speaks_against={"learning_rate_too_low": 0.6},
    sized=lambda situation: {"max_norm": 0.5} if situation.strength("divergence") >= 0.8 else {},
    spoken_of_as="gradient_clip_down",
)
