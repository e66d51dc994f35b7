"""The Huber loss in place of the squared error."""

from __future__ import annotations

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.loss import loss_call, sibling
from progtrain.engine.script.action.recipes.base import Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script


def rewrite(script: Script, parameters: Parameters) -> None:
    call, is_module = loss_call(script, "mse_loss", "MSELoss")
    known = ("reduction",) if is_module else ("input", "target", "reduction")
    if call.args[0 if is_module else 2 :] or any(arg.arg not in known for arg in call.keywords):
        raise Refused("the squared error gets arguments that the Huber loss does not know")
    script.refuse_setting("huber_delta")
    delta = script.constant("HUBER_DELTA", float(parameters["delta"]))
    script.replace(call.func, sibling(script, call, "HuberLoss" if is_module else "huber_loss"))
    script.append(call, f"delta={delta}")


RECIPE = Recipe(
    id="huber_loss",
    candidate_id="use_huber_loss",
    order=170,
    title="use the Huber loss instead of the squared error",
    why="large errors count linearly, so that outliers do not rule the gradient; for regression with heavy tails",
    risk="medium",
    rewrite=rewrite,
    changes=(allowed_changes.loss,),
    touches=frozenset({"huber_delta", "loss"}),
    brings={"delta": ("huber_delta", 1.0)},
    speaks_for={"label_noise": 0.8},
    effects=("outliers",),
    sentences="""
        goal: Keep outliers from dominating the fit.
        goal: Let large errors count in proportion instead of squared.
        impact: A fit that follows the bulk of the samples; the worst tenth now holds @tail_loss of the loss.
        impact: Less influence of outliers, and steadier training.
        risk: Low to medium: large errors are punished less.
        risk: Squared-error metrics may suffer a little from the outliers.
        verification: Compare @metric with @value; the training loss is not comparable.
        verification: See whether the share of the worst tenth, now @tail_loss, and @metric move together.
    """,
)
