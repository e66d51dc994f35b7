"""Recipes that change the loss of the training step.

Where validation has a loss call of its own it keeps it; where both share one, both change, and the evaluation, which
always uses the plain loss, keeps versions comparable.
"""

from __future__ import annotations

import libcst as cst

from progtrain.engine.script.action.layout import append_argument
from progtrain.engine.script.action.nodes import argument, assignments, calls, dotted, keyword, last_name, walk
from progtrain.engine.script.action.recipes import batches
from progtrain.engine.script.action.recipes.base import Parameters
from progtrain.engine.script.action.recipes.trainer import uses_several_devices
from progtrain.engine.script.action.rewrite import Refused, Script


def label_smoothing(script: Script, parameters: Parameters) -> None:
    call, _ = loss_call(script, "cross_entropy", "CrossEntropyLoss")
    given = argument(call, "label_smoothing")
    if given is not None and script.text(given.value) not in ("0", "0.0"):
        raise Refused("the loss smooths labels already: set label_smoothing instead")
    if given is None:
        script.refuse_setting("label_smoothing")
    name = script.constant("LABEL_SMOOTHING", float(parameters["label_smoothing"]))
    script.add_argument(call, "label_smoothing", name)


def huber_loss(script: Script, parameters: Parameters) -> None:
    call, is_module = loss_call(script, "mse_loss", "MSELoss")
    if is_module:
        unknown = [arg for arg in call.args if arg.keyword is None or arg.keyword.value != "reduction"]
    else:
        unknown = [arg for arg in call.args[2:] if arg.keyword is None or arg.keyword.value != "reduction"]
    if unknown:
        raise Refused("the squared error gets arguments that the Huber loss does not know")
    script.refuse_setting("huber_delta")
    delta = script.constant("HUBER_DELTA", float(parameters["delta"]))
    function = _sibling(script, call, "HuberLoss" if is_module else "huber_loss")

    def exchange(node: cst.Call) -> cst.Call:
        changed = node.with_changes(func=cst.parse_expression(function))
        return append_argument(changed, keyword("delta", cst.parse_expression(delta)))

    script.change(call, exchange)


def _sibling(script: Script, call: cst.Call, name: str) -> str:
    """`F.mse_loss` -> `F.huber_loss`."""
    if isinstance(call.func, cst.Attribute):
        return f"{script.text(call.func.value)}.{name}"
    parent = script.full_name(call.func).rpartition(".")[0]
    return script.qualify(f"{parent or 'torch.nn.functional'}.{name}")


def class_weights(script: Script, parameters: Parameters) -> None:
    if uses_several_devices(script):
        raise Refused("with several devices each process would count other samples")
    call, is_module = loss_call(script, "cross_entropy", "CrossEntropyLoss")
    if argument(call, "weight") is not None or (is_module and call.args and call.args[0].keyword is None):
        raise Refused("the loss weights classes already")
    used = _uses_of_module(script, call) if is_module else call
    function = script.enclosing(used, cst.FunctionDef)
    owner = script.enclosing(used, cst.ClassDef)
    if function is None or owner is not script.lightning_class():
        raise Refused("the loss is worked out outside the LightningModule, where the weights are not known")
    if len(used.args) > 2 and used.args[2].keyword is None:
        raise Refused("the loss gets arguments by position that cannot be told apart")
    target = batches.part_of_batch(script, function, _target(used), "the target of the loss")
    script.refuse_setting("class_weight_strength")
    name = "class_weights"
    if any(node.value == name for node in walk(owner) if isinstance(node, cst.Name)):
        raise Refused("the LightningModule uses the name class_weights itself")
    if is_module:
        _functional_loss(script, call, used)
    else:
        script.add_argument(call, "weight", f"self.{name}")
    _count_classes(script, parameters, target)


def _target(call: cst.Call) -> cst.BaseExpression:
    given = argument(call, "target")
    if given is not None:
        return given.value
    if len(call.args) < 2:
        raise Refused("the target of the loss cannot be read")
    return call.args[1].value


def _count_classes(script: Script, parameters: Parameters, target: str) -> None:
    strength = script.constant("CLASS_WEIGHT_STRENGTH", float(parameters["strength"]))
    torch = script.package("torch")
    count = _class_count(script)
    least = f", minlength={count}" if count else ""
    init = batches.initialiser(script)
    # no buffer: weights are made anew for each training, and a checkpoint must load without them
    script.insert_after(batches.after_super(script, init), "self.class_weights = None\n")
    batches.at_training_start(
        script,
        f"""
        # rare classes count as much as frequent ones; fork_rng keeps the order of the batches as it would be
        with {torch}.random.fork_rng(devices=[]):
            labels = {torch}.cat([{target}.flatten().long().cpu() for batch in self.trainer.train_dataloader])
        counts = {torch}.bincount(labels[labels >= 0]{least}).clamp(min=1)
        weights = (counts.sum() / (len(counts) * counts)) ** {strength}
        self.class_weights = weights.float().to(self.device)
        """,
    )


def _class_count(script: Script) -> str | None:
    """A constant of the script that says how many classes there are."""
    for setting in script.settings:
        if setting.key == "num_classes" and setting.source == "constant" and isinstance(setting.value, int):
            return setting.name
    return None


def _uses_of_module(script: Script, made: cst.Call) -> cst.Call:
    """The one call of the loss module in the training path."""
    name = _assigned_name(script, made)
    found = [c for f in script.training_functions() for c in calls(f) if dotted(c.func) == name]
    if len(found) != 1:
        raise Refused("the loss is called in several places of the training step")
    return found[0]


def _functional_loss(script: Script, made: cst.Call, used: cst.Call) -> None:
    """The module keeps its weights in the state that a checkpoint must match, so the function takes its place."""
    for arg in made.args:
        names = [n.value for n in walk(arg.value) if isinstance(n, cst.Name)]
        module_level = {dotted(target) for target, _ in assignments(script.module)}
        if arg.keyword is None or any(name not in module_level for name in names):
            raise Refused("the loss is made with arguments that are not known where it is called")
    function = script.qualify("torch.nn.functional.cross_entropy")
    extra = [(arg.keyword.value, arg.value) for arg in made.args if arg.keyword is not None]

    def exchange(node: cst.Call) -> cst.Call:
        changed = node.with_changes(func=cst.parse_expression(function))
        changed = append_argument(changed, keyword("weight", cst.parse_expression("self.class_weights")))
        for key, value in extra:
            changed = append_argument(changed, keyword(key, value))
        return changed

    script.change(used, exchange)
    name = _assigned_name(script, made)
    uses = [n for n in walk(script.module) if dotted(n) == name]
    if len(uses) == 2:  # made and called once: nobody else needs it
        script.remove(script.statement(made))


def _assigned_name(script: Script, made: cst.Call) -> str:
    scope = script.enclosing(made, cst.FunctionDef) or script.module
    for target, value in assignments(scope):
        if value is made:
            return dotted(target)
    return ""


def loss_call(script: Script, function: str, module: str) -> tuple[cst.Call, bool]:
    """(call, False) for the function in the training path, (call that makes the module, True) for a loss module."""
    found: list[tuple[cst.Call, bool]] = []
    for scope in script.training_functions():
        for call in calls(scope):
            if last_name(call.func) == function and script.full_name(call.func).startswith("torch."):
                found.append((call, False))
            elif last_name(call.func) == module:
                found.append((call, True))
            elif (made := _made_module(script, dotted(call.func), module)) is not None:
                found.append((made, True))
    different = list({id(call): (call, kind) for call, kind in found}.values())
    if not different:
        raise Refused(f"the training step has no {function} that can be found")
    if len(different) > 1:
        raise Refused(f"the training step works out {len(different)} losses with {function}")
    return different[0]


def _made_module(script: Script, name: str, module: str) -> cst.Call | None:
    """The call of `nn.CrossEntropyLoss` that `self.loss_fn` was assigned."""
    if not name:
        return None
    scope: cst.CSTNode = script.lightning_class() if name.startswith("self.") else script.module
    for target, value in assignments(scope):
        if dotted(target) == name:
            for call in calls(value):
                if last_name(call.func) == module:
                    return call
    return None
