"""Standardising inputs inside the model, so that the checkpoint carries the statistics and serving needs nothing."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.batches import (
    after_super,
    at_training_start,
    initialiser,
    part_of_batch,
    unshaped,
)
from progtrain.engine.script.action.parts.packages import package, qualify
from progtrain.engine.script.action.parts.trainer import uses_several_devices
from progtrain.engine.script.action.recipes.base import Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.action.trees import Change
from progtrain.engine.script.nodes import called, calls, dotted, identifiers, walk
from progtrain.engine.script.structure import describe

if TYPE_CHECKING:
    from progtrain.engine.analysis.measure.measurements import Measurements

#: code that scales inputs: a scaler, a transform, or a division by what is called a spread
_ALREADY = re.compile(
    r"StandardScaler|MinMaxScaler|RobustScaler|\bNormali[sz]e\(|\bnormali[sz]e\(|\bstandardi[sz]e\w*|Standardi[sz]\w+"
    r"|/ [\w.\[\]\"'() ]*(?:std|sigma|scale)\b"
)
_TOKENS = frozenset({"Embedding", "EmbeddingBag"})
_RECURRENT = frozenset({"LSTM", "GRU", "RNN", "TransformerEncoder", "TransformerEncoderLayer", "MultiheadAttention"})

_FEATURES_SECOND = "inputs.double().transpose(1, -1).flatten(0, -2)"
_FEATURES_LAST = "inputs.double().flatten(0, -2)"

_CLASS = '''
class InputStandardisation({module}):
    """Standardises inputs with mean and spread of the training data, which travel in the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", {torch}.zeros(()))
        self.register_buffer("std", {torch}.ones(()))

    def forward(self, inputs):
        return (inputs - self.mean) / self.std

    @{torch}.no_grad()
    def fit(self, batches) -> None:
        """Measures batches of inputs, each of shape {shape}."""
        count, total, squares = 0, 0.0, 0.0
        for inputs in batches:
            values = {values}
            count += len(values)
            total += values.sum(0)
            squares += values.square().sum(0)
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=0).sqrt()
        std[std < 1e-6] = 1.0  # a feature that never changes
        shape = {broadcast}
        self.mean = mean.float().reshape(shape).to(self.mean.device)
        self.std = std.float().reshape(shape).to(self.std.device)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        for name in ("mean", "std"):  # their shape is only known from data
            if prefix + name in state_dict:
                setattr(self, name, getattr(self, name).new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __deepcopy__(self, memo):
        return self  # facts about the data: averaged copies of a model share them
'''


def rewrite(script: Script, parameters: Parameters) -> None:
    _refuse_unfit(script)
    forward = script.method("forward")
    entry = [call for call in _training_calls(script) if dotted(call.func) in ("self", "self.forward")]
    if forward is not None and entry:
        name = _input_name(forward)
        if any(dotted(call.func) in ("self", "self.forward") for call in calls(forward)):
            raise Refused("forward calls itself")
        script.insert_at_start(forward, f"{name} = self.standardise({name})")
    else:
        entry = _network_calls(script)
        for call in entry:
            script.wrap(call.args[0], "self.standardise")
    training = _training_calls(script)
    codes = {_batch_code(script, call) for call in entry if call in training}
    if len(codes) != 1:
        raise Refused("the input of the model cannot be traced back to the batch")
    _add_parts(script, codes.pop())


def _refuse_unfit(script: Script) -> None:
    if match := _ALREADY.search(_code_alone(script.source.text)):
        raise Refused(f"the script seems to scale its inputs already ({match[0].strip('/ (')})")
    if script.made(*_TOKENS):
        raise Refused("the inputs are tokens (nn.Embedding), which have no mean")
    if uses_several_devices(script):
        raise Refused("with several devices each process would measure other samples")
    if "standardise" in identifiers(script.lightning_class()):
        raise Refused("the LightningModule uses the name standardise itself")


def _code_alone(source: str) -> str:
    """Without comments and docstrings, which may well speak of scaling that is not done."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ...
    return ast.unparse(tree)


def _add_parts(script: Script, batch_code: str) -> None:
    init = initialiser(script)
    torch = package(script, "torch")
    last = bool(script.made(*_RECURRENT)) and not any(name.startswith("Conv") for name in script.made())
    code = _CLASS.format(
        torch=torch,
        module=qualify(script, "torch.nn.Module"),
        values=_FEATURES_LAST if last else _FEATURES_SECOND,
        shape="(samples, ..., features)" if last else "(samples, features, ...)",
        broadcast="mean.shape" if last else "(-1, *[1] * (inputs.dim() - 2))",
    )
    script.insert_before(script.lightning_class(), code.strip())
    script.insert_after(after_super(script, init), "self.standardise = InputStandardisation()")
    at_training_start(
        script,
        f"""
        with {torch}.random.fork_rng(devices=[]):  # keeps the order of the batches as it would be
            self.standardise.fit({batch_code} for batch in self.trainer.train_dataloader)
        """,
    )


def _training_calls(script: Script) -> list[ast.Call]:
    """What the training step runs through, but for `forward`, calls."""
    return [call for function in script.training_functions() if function.name != "forward" for call in calls(function)]


def _network_calls(script: Script) -> list[ast.Call]:
    """All calls of the one network in the LightningModule: `self.model(x)`. Refuses where inputs go elsewhere too."""
    networks = _networks(script)
    found = [c for c in calls(script.lightning_class()) if dotted(c.func) in networks and (c.args or c.keywords)]
    training = _training_calls(script)
    if len({dotted(call.func) for call in found}) != 1 or not any(call in training for call in found):
        raise Refused("the training step does not put its input through one model")
    if any(not call.args or isinstance(call.args[0], ast.Starred) for call in found):
        raise Refused("the input of the model cannot be read")
    return found


def _networks(script: Script) -> set[str]:
    """Attributes of the LightningModule that hold networks rather than losses and metrics."""
    found = set()
    for node in walk(initialiser(script)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name, full = called(node.value), script.full_name(node.value.func)
            if (full.startswith("torch.nn.") and not name.endswith("Loss")) or name in script.facts.modules:
                found.add(dotted(node.targets[0]))
    return {name for name in found if name.startswith("self.")}


def _batch_code(script: Script, call: ast.Call) -> str:
    function = script.enclosing(call, ast.FunctionDef)
    if function is None or not call.args:
        raise Refused("the input of the model cannot be read")
    value = call.args[0]
    if isinstance(value, ast.Name | ast.Subscript):
        return part_of_batch(script, function, value, "the input of the model")
    inner = unshaped(value)
    if isinstance(inner, ast.Name):
        part = part_of_batch(script, function, inner, "the input of the model")
        if {node.id for node in walk(value) if isinstance(node, ast.Name)} == {inner.id}:
            return re.sub(rf"(?<![\w.]){re.escape(inner.id)}\b", part, script.text(value))
    raise Refused("the input of the model cannot be traced back to the batch")


def _input_name(forward: ast.FunctionDef) -> str:
    given = forward.args
    names = [parameter.arg for parameter in given.args[: len(given.args) - len(given.defaults)]]
    if len(names) != 2 or given.vararg or given.kwarg:
        raise Refused("forward does not take exactly one input")
    return names[1]


def changes(change: Change, old: str) -> bool:
    """The new class, and what calls it in the LightningModule."""
    if change.path == "InputStandardisation":
        return change.before is None
    return change.path.startswith(f"{describe(old).module_class}.") and "standardise" in (change.after or "")


def suits(measured: Measurements) -> bool:
    scale, offset = measured.input_scale, measured.input_offset
    return not (scale is not None and scale < 2 and (offset or 0.0) < 0.5)


RECIPE = Recipe(
    id="input_standardisation",
    candidate_id="add_input_standardisation",
    order=140,
    title="standardise the inputs with the training data's mean and spread",
    why="features on one scale train faster and better; for inputs far from zero or of very different sizes",
    risk="low",
    rewrite=rewrite,
    changes=(changes, allowed_changes.start),
    touches=frozenset({"inputs", "model"}),
    speaks_for={"divergence": 0.4, "underfitting": 0.5, "unscaled_inputs": 0.95},
    suits=suits,
    effects=("input_scale",),
    sentences="""
        goal: [input_scale:uneven/very_uneven] Bring all input features to the same scale; now they differ by a
            factor of @input_scale.
        goal: Give the optimizer well-conditioned inputs.
        goal: Centre and scale the inputs with the training data's statistics.
        impact: The first epoch should lower the loss by more than @first_drop.
        impact: Faster and steadier training, and a better @metric at the same learning rate.
        impact: A lower training loss than @final_train_loss in the same @epochs epochs.
        risk: Low: the statistics come from the training split alone and are stored with the model.
        risk: Small: features that are constant need care; the recipe handles them.
        verification: Compare the first epochs: the drop is now @first_drop.
        verification: Training loss should end below @final_train_loss, and @metric should follow.
    """,
)
