"""An average of the weights over the last steps."""

from __future__ import annotations

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.packages import lightning_root, qualify
from progtrain.engine.script.action.parts.trainer import add_callback
from progtrain.engine.script.action.recipes.base import BETTER_AT_THE_END, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import called

_AVERAGING = ("EMAWeightAveraging", "WeightAveraging", "StochasticWeightAveraging", "AveragedModel")
#: optimizer steps below which averages over hundreds of steps bring less
_STEPS = 2000


def rewrite(script: Script, parameters: Parameters) -> None:
    script.refuse_manual_optimisation()
    if named := script.calls(*_AVERAGING):
        raise Refused(f"the script averages weights already ({called(named[0])})")
    if script.method("configure_model"):
        raise Refused("the model is made in configure_model, which averaging does not go with")
    script.refuse_setting("ema_decay")
    decay = script.constant(["EMA_DECAY", "WEIGHT_AVERAGING_DECAY"], float(parameters["decay"]))
    callback = qualify(script, f"{lightning_root(script)}.callbacks.EMAWeightAveraging")
    add_callback(script, f"{callback}(decay={decay})")


RECIPE = Recipe(
    id="weight_averaging",
    candidate_id="add_weight_averaging",
    order=120,
    title="average the weights over the last epochs",
    why="an exponential moving average of the weights is smoother than their last value; for noisy validation",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.trainer, allowed_changes.callbacks),
    touches=frozenset({"ema_decay", "trainer"}),
    brings={"decay": ("ema_decay", 0.99)},
    speaks_for={"overfitting": 0.3, "noisy_gradients": 0.6, "schedule_missing": 0.4, "healthy": 0.35},
    speaks_against={"learning_rate_too_low": 0.4},
    circumstance=lambda measured: measured.too_short_for(_STEPS),
    effects=("slower_end", "averaging"),
    sentences="""
        goal: Average out the noise in the weights of the last epochs.
        goal: Take the mean of the weights that now circle the minimum.
        impact: A slightly lower validation loss than @val_loss and steadier results.
        impact: A small but reliable gain in @metric.
        risk: Low: training itself is not changed.
        risk: Small: averaging too early mixes in unfinished weights.
    """
    + BETTER_AT_THE_END,
)
