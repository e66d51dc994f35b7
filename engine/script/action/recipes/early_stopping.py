"""Stopping when validation no longer improves."""

from __future__ import annotations

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.metric import monitored
from progtrain.engine.script.action.parts.packages import lightning_root, qualify
from progtrain.engine.script.action.parts.trainer import add_callback
from progtrain.engine.script.action.recipes.base import FITTED, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script

_ANYWAY = (0.1, 0.0, "against: the weights of the best epoch are kept anyway")


def rewrite(script: Script, parameters: Parameters) -> None:
    if script.calls("EarlyStopping"):
        raise Refused("the script stops early already: set its patience instead")
    metric, mode = monitored(script, parameters.get("monitor"))
    patience = script.constant(["EARLY_STOPPING_PATIENCE", "STOPPING_PATIENCE"], int(parameters["patience"]))
    callback = qualify(script, f"{lightning_root(script)}.callbacks.EarlyStopping")
    add_callback(script, f'{callback}(monitor="{metric}", mode="{mode}", patience={patience})')


RECIPE = Recipe(
    id="early_stopping",
    candidate_id="add_early_stopping",
    order=100,
    title="stop when validation no longer improves",
    why="saves the epochs after the best one; the best checkpoint stays the same, training gets shorter",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.trainer, allowed_changes.callbacks),
    touches=frozenset({"patience", "trainer"}),
    brings={"patience": ("patience", 5), "monitor": ("monitor", FITTED)},
    speaks_for={"overfitting": 0.4, "too_much_capacity": 0.45, "plateau": 0.4, "label_noise": 0.35},
    speaks_against={"divergence": 0.7, "learning_rate_too_low": 0.6, "too_few_epochs": 0.7, "underfitting": 0.8},
    circumstance=lambda measured: _ANYWAY if measured.keeps_best else None,
    sized=lambda situation: (
        {"patience": int(situation.measured.epochs // 10)} if situation.measured.epochs >= 60 else {}
    ),
    effects=("shorter_training",),
    sentences="""
        goal: [best_epoch:early/middle] Stop when validation no longer improves, as after epoch @best_epoch.
        goal: [rise:small/moderate/large] Save the epochs after @best_epoch, in which validation only gets
            worse.
        impact: The same best checkpoint in less time.
        impact: Little change in @metric; the validation loss no longer rises by @rise.
        risk: Low: a late second descent would be missed.
        risk: Small: a noisy validation curve may end training too soon.
        verification: @metric should be no worse than @value while training ends soon after epoch @best_epoch.
        verification: The final validation loss should stay near @val_loss.
    """,
)
