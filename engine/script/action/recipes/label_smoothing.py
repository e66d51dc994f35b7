"""Smoother labels in the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progtrain.engine import metrics
from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.loss import loss_call
from progtrain.engine.script.action.recipes.base import Circumstance, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import keyword

if TYPE_CHECKING:
    from progtrain.engine.analysis.measure.measurements import Measurements


def rewrite(script: Script, parameters: Parameters) -> None:
    call, _ = loss_call(script, "cross_entropy", "CrossEntropyLoss")
    given = keyword(call, "label_smoothing")
    if given is not None and script.text(given) not in ("0", "0.0"):
        raise Refused("the loss smooths labels already: set label_smoothing instead")
    if given is None:
        script.refuse_setting("label_smoothing")
    name = script.constant("LABEL_SMOOTHING", float(parameters["label_smoothing"]))
    script.add_argument(call, "label_smoothing", name)


def circumstance(measured: Measurements) -> Circumstance | None:
    """Softer labels spoil probabilities, whatever they do for the decisions (R. Mueller et al.: When does label
    smoothing help?, 2019)."""
    if metrics.judges_probabilities(measured.metric):
        return 0.25, 0.0, f"against: {measured.metric} judges probabilities, which this spoils"
    return None


RECIPE = Recipe(
    id="label_smoothing",
    candidate_id="add_label_smoothing",
    order=80,
    title="smooth the labels",
    why="keeps the model from being too sure; for overconfident mistakes and noisy labels",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.loss,),
    touches=frozenset({"loss"}),
    brings={"label_smoothing": ("label_smoothing", 0.1)},
    speaks_for={"overfitting": 0.5, "class_imbalance": 0.15, "label_noise": 0.75, "healthy": 0.28},
    speaks_against={"underfitting": 0.5},
    circumstance=circumstance,
    spoken_of_as="label_smoothing_up",
)
