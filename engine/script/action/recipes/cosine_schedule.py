"""A learning rate that falls along a cosine."""

from __future__ import annotations

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.packages import qualify
from progtrain.engine.script.action.parts.schedule import add_schedule, allow_beside, refuse_endless
from progtrain.engine.script.action.recipes.base import BETTER_AT_THE_END, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Script
from progtrain.engine.script.structure import WARMUPS


def rewrite(script: Script, parameters: Parameters) -> None:
    allow_beside(script, WARMUPS)
    refuse_endless(script)
    scheduler = qualify(script, "torch.optim.lr_scheduler.CosineAnnealingLR")
    add_schedule(script, "scheduler", f"{scheduler}({{optimizer}}, T_max={{steps}})", '"interval": "step"')


RECIPE = Recipe(
    id="cosine_schedule",
    candidate_id="add_cosine_schedule",
    order=20,
    title="let the learning rate fall along a cosine",
    why="large steps first and small ones at the end; for a constant rate whose loss circles its minimum",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.optimizers,),
    touches=frozenset({"schedule"}),
    speaks_for={
        "learning_rate_too_high": 0.4,
        "noisy_gradients": 0.5,
        "plateau": 0.5,
        "schedule_missing": 0.65,
        "healthy": 0.3,
    },
    speaks_against={"learning_rate_too_low": 0.5},
    effects=("slower_end",),
    sentences="""
        goal: Let the learning rate fall from @learning_rate, so that the loss settles at the end.
        goal: [best_epoch:early/middle] Turn the epochs after @best_epoch into refinement by lowering the step
            size smoothly.
        goal: End training with small steps instead of a constant @learning_rate.
        impact: A lower validation loss than @val_loss in the last epochs.
        impact: A calmer end of training, and a later best epoch than @best_epoch.
        impact: A modest gain in @metric from a better end of training.
        risk: Low: the first epochs stay nearly as they are.
        risk: Small: the learning rate may fall before the model has converged.
    """
    + BETTER_AT_THE_END,
)
