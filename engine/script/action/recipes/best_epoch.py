"""Keeping the weights of the best epoch."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from progtrain.engine import metrics
from progtrain.engine.script.action.parts.metric import monitored
from progtrain.engine.script.action.parts.trainer import value_of
from progtrain.engine.script.action.recipes.base import FITTED, Circumstance, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.action.trees import Change
from progtrain.engine.script.nodes import argument, keyword
from progtrain.engine.values import ramp

if TYPE_CHECKING:
    from progtrain.engine.analysis.measure.measurements import Measurements


def rewrite(script: Script, parameters: Parameters) -> None:
    call = _checkpoint_call(script)
    given, most = keyword(call, "monitor"), keyword(call, "save_top_k")
    name = value_of(script, given, call)
    # dirpath and filename may come without their names; what else does is a guess
    if len(call.args) > 2 or (given is not None and name is None and script.text(given) != "None"):
        raise Refused("what the ModelCheckpoint monitors cannot be told")
    if name is not None and not name.startswith("train"):
        raise Refused(f"the epoch with the best {name} is kept already")
    if most is not None and script.text(most) != "1":
        raise Refused(f"the ModelCheckpoint keeps save_top_k={script.text(most)} files")
    if often := next((o for o in ("every_n_train_steps", "train_time_interval") if keyword(call, o)), None):
        raise Refused(f"checkpoints are written between validations ({often})")
    metric, mode = monitored(script, parameters.get("monitor"))
    script.add_argument(call, "monitor", f'"{metric}"')
    # Lightning's default is "min"
    if mode != "min" or keyword(call, "mode"):
        script.add_argument(call, "mode", f'"{mode}"')


def _checkpoint_call(script: Script) -> ast.Call:
    """The one that writes best.ckpt. Raises `Refused` when it cannot be told."""
    found = script.calls("ModelCheckpoint")
    if not found:
        raise Refused("the script makes no ModelCheckpoint")
    best = [c for c in found if "best" in (value_of(script, argument(c, "filename", 1), c) or "")]
    best = found if len(found) == 1 else best
    if len(best) != 1:
        raise Refused("which ModelCheckpoint writes best.ckpt cannot be told")
    return best[0]


def changes(change: Change, old: str) -> bool:
    return change.before is not None and "ModelCheckpoint(" in change.before


def circumstance(measured: Measurements) -> Circumstance:
    """It is offered only where the script keeps the last epoch: what another brings can be read from the curve, where
    the loss doubles since its best epoch more than from most other changes."""
    rise = math.log1p(measured.shape.rise or 0.0)
    lost = 0.0 if measured.keeps_best else math.sqrt(ramp(rise, 0.02, math.log(2)))
    if not lost:
        return 0.2, 0.0, "against: no earlier epoch was better than the one that was evaluated"
    direct = metrics.judges_probabilities(measured.metric) or measured.is_classification is False
    least = (0.95 if direct else 0.65) * lost
    return 1.0, least, "for: an earlier epoch was better than the one that was evaluated"


RECIPE = Recipe(
    id="best_epoch",
    candidate_id="keep_best_epoch",
    order=110,
    title="keep the weights of the best epoch",
    why="evaluates the epoch with the best validation metric; for scripts that keep the last one, whatever it is worth",
    risk="low",
    rewrite=rewrite,
    changes=(changes,),
    touches=frozenset({"checkpoint"}),
    brings={"monitor": ("monitor", FITTED)},
    speaks_for={"learning_rate_too_high": 0.35, "overfitting": 0.5, "too_much_capacity": 0.5, "noisy_gradients": 0.45},
    circumstance=circumstance,
    effects=("best_epoch",),
    sentences="""
        goal: [best_epoch:early/middle] Keep the weights of epoch @best_epoch, the best one, instead of the last
            ones.
        goal: [rise:small/moderate/large] Evaluate the weights of the best epoch, after which the validation
            loss rises by @rise.
        goal: Save the checkpoint by the validation loss, so that the best of @epochs epochs counts instead of
            the last.
        impact: [rise:small/moderate/large] The loss that counts should be near @val_loss instead of
            @final_val_loss.
        impact: @metric should be that of epoch @best_epoch, which training has reached already.
        impact: The training stays the same; the epoch that is evaluated gets better.
        risk: Low: nothing in training changes, only which epoch is kept.
        risk: Small: the best of @epochs epochs is a little better by luck than it will be on new data.
        verification: The curves should be the same as before, and the evaluated loss near @val_loss.
        verification: Compare @metric with @value: the same training should end better.
    """,
)
