"""A loss weighted by inverse class frequency."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from progtrain.engine import metrics
from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.batches import after_super, at_training_start, initialiser, part_of_batch
from progtrain.engine.script.action.parts.loss import assigned_name, loss_call, only_use
from progtrain.engine.script.action.parts.packages import package, qualify
from progtrain.engine.script.action.parts.trainer import uses_several_devices
from progtrain.engine.script.action.recipes.base import Circumstance, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import argument, assignments, dotted, identifiers, keyword, walk

if TYPE_CHECKING:
    from progtrain.engine.analysis.measure.measurements import Measurements

_NAME = "class_weights"


def rewrite(script: Script, parameters: Parameters) -> None:
    if uses_several_devices(script):
        raise Refused("with several devices each process would count other samples")
    call, is_module = loss_call(script, "cross_entropy", "CrossEntropyLoss")
    if keyword(call, "weight") is not None or (is_module and call.args):
        raise Refused("the loss weights classes already")
    used = only_use(script, call) if is_module else call
    function, owner = script.enclosing(used, ast.FunctionDef), script.enclosing(used, ast.ClassDef)
    if function is None or owner is not script.lightning_class():
        raise Refused("the loss is worked out outside the LightningModule, where the weights are not known")
    if len(used.args) > 2:
        raise Refused("the loss gets arguments by position that cannot be told apart")
    target = argument(used, "target", 1)
    if target is None:
        raise Refused("the target of the loss cannot be read")
    labels = part_of_batch(script, function, target, "the target of the loss")
    script.refuse_setting("class_weight_strength")
    if _NAME in identifiers(owner):
        raise Refused(f"the LightningModule uses the name {_NAME} itself")
    if is_module:
        _functional_loss(script, call, used)
    else:
        script.add_argument(call, "weight", f"self.{_NAME}")
    _count_classes(script, parameters, labels)


def _functional_loss(script: Script, made: ast.Call, used: ast.Call) -> None:
    """The module keeps its weights in the state that a checkpoint must match, so the function takes its place."""
    known = {dotted(target) for target, _ in assignments(script.module)}
    names = {node.id for arg in made.keywords for node in walk(arg.value) if isinstance(node, ast.Name)}
    if made.args or not names <= known:
        raise Refused("the loss is made with arguments that are not known where it is called")
    script.replace(used.func, qualify(script, "torch.nn.functional.cross_entropy"))
    script.append(used, f"weight=self.{_NAME}")
    for arg in made.keywords:
        script.append(used, script.text(arg))
    name = assigned_name(script, made)
    if sum(dotted(node) == name for node in walk(script.module)) == 2:  # made and called once: nobody else needs it
        script.remove(script.statement(made))


def _count_classes(script: Script, parameters: Parameters, labels: str) -> None:
    strength = script.constant("CLASS_WEIGHT_STRENGTH", float(parameters["strength"]))
    torch = package(script, "torch")
    count = _class_count(script)
    least = f", minlength={count}" if count else ""
    # no buffer: weights are made anew for each training, and a checkpoint must load without them
    script.insert_after(after_super(script, initialiser(script)), f"self.{_NAME} = None")
    at_training_start(
        script,
        f"""
        # rare classes count as much as frequent ones; fork_rng keeps the order of the batches as it would be
        with {torch}.random.fork_rng(devices=[]):
            labels = {torch}.cat([{labels}.flatten().long().cpu() for batch in self.trainer.train_dataloader])
        counts = {torch}.bincount(labels[labels >= 0]{least}).clamp(min=1)
        weights = (counts.sum() / (len(counts) * counts)) ** {strength}
        self.{_NAME} = weights.float().to(self.device)
        """,
    )


def _class_count(script: Script) -> str | None:
    """A constant of the script that says how many classes there are."""
    counts = (s for s in script.settings if s.key == "num_classes" and s.source == "constant")
    return next((s.name for s in counts if isinstance(s.value, int)), None)


def suits(measured: Measurements) -> bool:
    """Balanced classes need no weights."""
    uneven = measured.failures.imbalance
    return measured.is_classification is not False and (uneven is None or uneven >= 1.3)


def circumstance(measured: Measurements) -> Circumstance | None:
    metric = metrics.canonical(measured.metric)
    if metrics.judges_probabilities(metric):
        return 0.25, 0.0, f"against: {measured.metric} judges probabilities, which this spoils"
    return (0.4, 0.0, f"against: {measured.metric} counts every sample the same") if metric == "accuracy" else None


RECIPE = Recipe(
    id="class_weights",
    candidate_id="add_class_weights",
    order=150,
    title="weight the loss by inverse class frequency",
    why="makes rare classes count as much as frequent ones; for rare classes that are missed",
    risk="medium",
    rewrite=rewrite,
    changes=(allowed_changes.loss, allowed_changes.start),
    touches=frozenset({"loss"}),
    brings={"strength": ("class_weight_strength", 1.0)},
    speaks_for={"class_imbalance": 0.9},
    suits=suits,
    circumstance=circumstance,
    effects=("rare_classes",),
    sentences="""
        goal: Make errors on @worst_class count.
        goal: Raise the recall of the weak classes, @worst_class first.
        goal: Balance the loss between frequent and rare classes.
        impact: A higher recall for @worst_class than @worst_class_recall.
        impact: A smaller spread of recall between classes than @class_spread.
        impact: Rare classes gain; frequent ones may lose a little.
        risk: Frequent classes may lose some recall.
        risk: Medium: overall accuracy may fall while the weak classes gain.
        verification: Compare the recall of @worst_class with @worst_class_recall, and @metric with @value.
        verification: The spread of recall should shrink below @class_spread.
    """,
)
