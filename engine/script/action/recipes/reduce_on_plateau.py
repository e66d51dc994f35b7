"""A learning rate that falls when validation stalls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.metric import monitored
from progtrain.engine.script.action.parts.packages import qualify
from progtrain.engine.script.action.parts.schedule import add_schedule, allow_beside
from progtrain.engine.script.action.recipes.base import BETTER_AT_THE_END, FITTED, Circumstance, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Script
from progtrain.engine.script.structure import WARMUPS

if TYPE_CHECKING:
    from progtrain.engine.analysis.measure.measurements import Measurements


def rewrite(script: Script, parameters: Parameters) -> None:
    allow_beside(script, WARMUPS)
    metric, mode = monitored(script, parameters.get("monitor"))
    script.refuse_setting("plateau_factor")
    script.refuse_setting("plateau_patience")
    factor = script.constant("PLATEAU_FACTOR", float(parameters["factor"]))
    patience = script.constant("PLATEAU_PATIENCE", int(parameters["patience"]))
    scheduler = qualify(script, "torch.optim.lr_scheduler.ReduceLROnPlateau")
    call = f'{scheduler}({{optimizer}}, mode="{mode}", factor={factor}, patience={patience})'
    add_schedule(script, "scheduler", call, f'"monitor": "{metric}"')


def circumstance(measured: Measurements) -> Circumstance | None:
    shape = measured.shape
    late = shape.best_epoch / shape.epochs if shape.best_epoch and shape.epochs else 0.0
    return (0.3, 0.0, "against: the validation loss has no plateau to speak of") if late > 0.7 else None


RECIPE = Recipe(
    id="reduce_on_plateau",
    candidate_id="add_reduce_on_plateau",
    order=40,
    title="lower the learning rate when validation stalls",
    why="takes smaller steps once the watched metric no longer improves; for long plateaus",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.optimizers,),
    touches=frozenset({"plateau_factor", "plateau_patience", "schedule"}),
    brings={"factor": ("plateau_factor", 0.5), "patience": ("plateau_patience", 3), "monitor": ("monitor", FITTED)},
    speaks_for={"learning_rate_too_high": 0.3, "plateau": 0.55, "schedule_missing": 0.5},
    speaks_against={"learning_rate_too_low": 0.6, "too_few_epochs": 0.4},
    circumstance=circumstance,
    sized=lambda situation: (
        {"patience": int(situation.measured.epochs // 15)} if situation.measured.epochs >= 60 else {}
    ),
    effects=("slower_end",),
    sentences="""
        goal: [best_epoch:early/middle] Lower the learning rate when validation stalls, as it does after epoch
            @best_epoch.
        goal: [best_epoch:early/middle] Use the stall after epoch @best_epoch to refine with smaller steps.
        impact: A second descent below @val_loss after the first stall.
        impact: Further progress in the epochs that now bring nothing.
        risk: Low: it acts only when validation stalls.
        risk: Small: noise in validation may trigger it early.
    """
    + BETTER_AT_THE_END,
)
