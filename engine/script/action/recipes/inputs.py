"""Standardising inputs inside the model, so that the checkpoint carries the statistics and serving needs nothing."""

from __future__ import annotations

import ast
import re
import textwrap

import libcst as cst

from progtrain.engine.script.action.nodes import calls, dotted, last_name, walk
from progtrain.engine.script.action.recipes import batches
from progtrain.engine.script.action.recipes.base import Parameters
from progtrain.engine.script.action.recipes.trainer import uses_several_devices
from progtrain.engine.script.action.rewrite import Refused, Script

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


def input_standardisation(script: Script, parameters: Parameters) -> None:
    _refuse_unfit(script)
    forward = script.method("forward")
    entry = _entry_calls(script)
    if forward is not None and entry and all(dotted(c.func) in ("self", "self.forward") for c in entry):
        name = _input_name(forward)
        if any(dotted(c.func) in ("self", "self.forward") for c in calls(forward)):
            raise Refused("forward calls itself")
        script.insert_at_start(forward, f"{name} = self.standardise({name})\n")
    else:
        entry = _network_calls(script)
        for call in entry:
            first = call.args[0].value
            script.change(first, lambda node: cst.Call(cst.parse_expression("self.standardise"), [cst.Arg(node)]))
    training = [c for c in entry if _in_training(script, c)]
    codes = {_batch_code(script, call) for call in training}
    if len(codes) != 1:
        raise Refused("the input of the model cannot be traced back to the batch")
    _add_parts(script, codes.pop())


def _refuse_unfit(script: Script) -> None:
    if match := _ALREADY.search(_code_alone(script.source)):
        raise Refused(f"the script seems to scale its inputs already ({match[0].strip('/ (')})")
    made = {last_name(call.func) for call in calls(script.module)}
    if made & _TOKENS:
        raise Refused("the inputs are tokens (nn.Embedding), which have no mean")
    if uses_several_devices(script):
        raise Refused("with several devices each process would measure other samples")
    names = {n.value for n in walk(script.lightning_class()) if isinstance(n, cst.Name)}
    if "standardise" in names:
        raise Refused("the LightningModule uses the name standardise itself")


def _code_alone(source: str) -> str:
    """Without comments and docstrings, which may well speak of scaling that is not done."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ...
    return ast.unparse(tree)


def _add_parts(script: Script, batch_code: str) -> None:
    init = batches.initialiser(script)
    torch = script.package("torch")
    made = {last_name(call.func) for call in calls(script.module)}
    last = bool(made & _RECURRENT) and not any(name.startswith("Conv") for name in made)
    code = _CLASS.format(
        torch=torch,
        module=script.qualify("torch.nn.Module"),
        values=_FEATURES_LAST if last else _FEATURES_SECOND,
        shape="(samples, ..., features)" if last else "(samples, features, ...)",
        broadcast="mean.shape" if last else "(-1, *[1] * (inputs.dim() - 2))",
    )
    script.insert_before(script.lightning_class(), code.strip() + "\n")
    script.insert_after(batches.after_super(script, init), "self.standardise = InputStandardisation()\n")
    batches.at_training_start(
        script,
        textwrap.dedent(
            f"""
            with {torch}.random.fork_rng(devices=[]):  # keeps the order of the batches as it would be
                self.standardise.fit({batch_code} for batch in self.trainer.train_dataloader)
            """
        ),
    )


def _entry_calls(script: Script) -> list[cst.Call]:
    """Calls of the model as a whole in the training path: `self(x)`."""
    return [
        call
        for function in script.training_functions()
        if function.name.value != "forward"
        for call in calls(function)
        if dotted(call.func) in ("self", "self.forward")
    ]


def _network_calls(script: Script) -> list[cst.Call]:
    """All calls of the one network in the LightningModule: `self.model(x)`. Refuses where inputs go elsewhere too."""
    module = script.lightning_class()
    networks = _networks(script)
    found = [call for call in calls(module) if dotted(call.func) in networks and call.args]
    used = {dotted(call.func) for call in found}
    if len(used) != 1 or not any(_in_training(script, call) for call in found):
        raise Refused("the training step does not put its input through one model")
    if any(c.args[0].keyword is not None or c.args[0].star for c in found):
        raise Refused("the input of the model cannot be read")
    return found


def _networks(script: Script) -> set[str]:
    """Attributes of the LightningModule that hold networks rather than losses and metrics."""
    init = batches.initialiser(script)
    found = set()
    own = script.facts.modules
    for node in walk(init):
        if isinstance(node, cst.Assign) and isinstance(node.value, cst.Call):
            name = last_name(node.value.func)
            full = script.full_name(node.value.func)
            if (full.startswith("torch.nn.") and not name.endswith("Loss")) or name in own:
                found.add(dotted(node.targets[0].target))
    return {name for name in found if name.startswith("self.")}


def _in_training(script: Script, call: cst.Call) -> bool:
    function = script.enclosing(call, cst.FunctionDef)
    return function is not None and function in script.training_functions() and function.name.value != "forward"


def _batch_code(script: Script, call: cst.Call) -> str:
    function = script.enclosing(call, cst.FunctionDef)
    if function is None or not call.args:
        raise Refused("the input of the model cannot be read")
    value = call.args[0].value
    if isinstance(value, cst.Name | cst.Subscript):
        return batches.part_of_batch(script, function, value, "the input of the model")
    inner = batches.plain(value)
    if isinstance(inner, cst.Name):
        part = batches.part_of_batch(script, function, inner, "the input of the model")
        attributes = {n.attr.value for n in walk(value) if isinstance(n, cst.Attribute)}
        if {n.value for n in walk(value) if isinstance(n, cst.Name)} - {inner.value} <= attributes:
            return re.sub(rf"(?<![\w.]){re.escape(inner.value)}\b", part, script.text(value))
    raise Refused("the input of the model cannot be traced back to the batch")


def _input_name(forward: cst.FunctionDef) -> str:
    names = [p.name.value for p in forward.params.params if p.default is None]
    if len(names) != 2 or forward.params.star_kwarg or isinstance(forward.params.star_arg, cst.Param):
        raise Refused("forward does not take exactly one input")
    return names[1]
