"""The layers of a network.

Networks are written in three ways: as layers in `nn.Sequential(...)` or a list, as `layers.append(...)`, and as calls
in `forward`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import (
    argument,
    arguments,
    assignments,
    blocks,
    called,
    calls,
    dotted,
    last_name,
    walk,
)

ACTIVATIONS = frozenset(
    {"ReLU", "LeakyReLU", "GELU", "SiLU", "ELU", "SELU", "CELU", "Mish", "PReLU", "ReLU6", "Hardswish", "Softplus"}
    | {"Tanh"}
)
_ACTIVATION_NAMES = frozenset({"act", "activation", "act_fn", "activation_fn", "nonlinearity", "act_layer"})
_FUNCTIONS = frozenset({"relu", "leaky_relu", "gelu", "silu", "elu", "selu", "mish", "tanh", "hardswish", "relu6"})
CONVOLUTIONS = {"Conv1d": "BatchNorm1d", "Conv2d": "BatchNorm2d", "Conv3d": "BatchNorm3d"}
_FOREIGN = ("torchvision.models", "timm", "transformers", "segmentation_models_pytorch", "torch.hub")


@dataclass(frozen=True)
class Chain:
    """Layers that stand in a row. `container` is the call or list that holds them; None: `layers.append` statements."""

    container: ast.Call | ast.List | None
    items: tuple[ast.expr, ...]
    #: a row that others follow: a list that is unpacked, a block within another
    open_end: bool

    @property
    def kinds(self) -> list[str]:
        return [kind_of(item) for item in self.items]


def kind_of(node: ast.expr) -> str:
    """`Linear` for `nn.Linear(...)`; `ReLU` also for what is named as an activation."""
    name = called(node) if isinstance(node, ast.Call) else last_name(node)
    if name in _ACTIVATION_NAMES:
        return "ReLU"
    return name if isinstance(node, ast.Call) else ""


def weighs(kind: str) -> bool:
    return kind == "Linear" or kind in CONVOLUTIONS


def refuse_network(script: Script) -> None:
    script.lightning_class()  # whose steps switch layers between training and evaluation
    for call in script.calls():
        name = script.full_name(call.func)
        if name.startswith(_FOREIGN):
            raise Refused(f"the network comes from elsewhere ({name})")


# layers in a row


def find_chains(script: Script) -> Iterator[Chain]:
    for node in walk(script.module):
        if isinstance(node, ast.Call) and called(node) == "Sequential":
            if node.args and not node.keywords and not any(isinstance(arg, ast.Starred) for arg in node.args):
                _refuse_indexed(script, node)
                yield Chain(node, tuple(node.args), _is_item(script, node))
        elif isinstance(node, ast.List) and not any(isinstance(item, ast.Starred) for item in node.elts):
            if any(kind_of(item) in ACTIVATIONS for item in node.elts):
                yield Chain(node, tuple(node.elts), _goes_on(script, node))
        elif not isinstance(node, ast.Module):
            for block in blocks(node):
                yield from _appended(block)


def _is_item(script: Script, node: ast.expr) -> bool:
    """Whether it stands in a list or as an argument."""
    parent = script.parent(node)
    return isinstance(parent, ast.List | ast.Tuple | ast.Set | ast.keyword) or _is_argument(parent, node)


def _is_argument(parent: ast.AST | None, node: ast.expr) -> bool:
    return isinstance(parent, ast.Call) and node is not parent.func


def _goes_on(script: Script, node: ast.List) -> bool:
    """Whether layers follow those of the list: it is added to another, or more are added to it."""
    parent = script.parent(node)
    if isinstance(parent, ast.Assign):
        name = dotted(parent.targets[0])
        scope = script.enclosing(node, ast.FunctionDef) or script.module
        return any(dotted(call.func) in (f"{name}.append", f"{name}.extend") for call in calls(scope)) or any(
            isinstance(other, ast.AugAssign) and dotted(other.target) == name for other in walk(scope)
        )
    if isinstance(parent, ast.Starred):  # Sequential(*[...])
        return _is_argument(script.parent(parent), parent)
    return isinstance(parent, ast.AugAssign | ast.keyword | ast.BinOp) or _is_argument(parent, node)


def _appended(block: Sequence[ast.stmt]) -> Iterator[Chain]:
    """Neighbouring `layers.append(...)` statements of one list."""
    run: list[ast.expr] = []
    name = ""
    for statement in [*block, None]:
        call = _append_call(statement)
        if call is not None and dotted(call.func) in (name, name or dotted(call.func)):
            run.append(call.args[0])
            name = dotted(call.func)
            continue
        if any(kind_of(item) in ACTIVATIONS for item in run):
            yield Chain(None, tuple(run), open_end=True)
        run = [call.args[0]] if call is not None else []
        name = dotted(call.func) if call is not None else ""


def _append_call(statement: ast.stmt | None) -> ast.Call | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if dotted(call.func).endswith(".append") and len(call.args) == 1 and not call.keywords:
            return call
    return None


def _refuse_indexed(script: Script, sequential: ast.Call) -> None:
    parent = script.parent(sequential)
    name = dotted(parent.targets[0]) if isinstance(parent, ast.Assign) else ""
    for node in walk(script.module):
        if name and isinstance(node, ast.Subscript) and dotted(node.value) == name:
            raise Refused(f"the script counts on the places of layers ({script.text(node)})")


def insert_layers(script: Script, inserts: Sequence[tuple[Chain, int, str]]) -> None:
    """Puts layers after the given places."""
    for chain, index, code in inserts:
        if chain.container is None:
            layer = chain.items[index]
            target = script.enclosing(layer, ast.Call)
            assert target is not None
            script.insert_after(layer, f"{script.text(target.func)}({code})")
        else:
            script.insert_item(chain.container, index, code)


# layers called in forward


def find_forwards(script: Script) -> Iterator[tuple[ast.FunctionDef, ast.FunctionDef, dict[str, str]]]:
    """`forward` and `__init__` of each module, with the kinds of the layers that are made: {"self.fc": "Linear"}."""
    for name, owner in script.classes().items():
        forward, init = script.method("forward", owner), script.method("__init__", owner)
        if name in script.facts.modules and forward is not None and init is not None:
            kinds = {dotted(t): kind_of(v) for t, v in assignments(init) if isinstance(v, ast.Call)}
            yield forward, init, {name: kind for name, kind in kinds.items() if name.startswith("self.")}


def layer_below(script: Script, call: ast.Call, kinds: dict[str, str]) -> ast.Call | None:
    """The layer whose output the activation `call` gets; None when it is no activation or cannot be told."""
    name, given = called(call), arguments(call)
    below: ast.expr
    if isinstance(call.func, ast.Attribute) and not given and name in _FUNCTIONS:
        below = call.func.value  # self.fc(x).relu()
    elif given and (
        kinds.get(dotted(call.func)) in ACTIVATIONS
        or (name in _FUNCTIONS and script.full_name(call.func).startswith("torch."))
    ):
        below = given[0].value if isinstance(given[0], ast.keyword) else given[0]
    else:
        return None
    if isinstance(below, ast.Name):
        below = _assigned_just_before(script, below.id, call) or below
    if isinstance(below, ast.Call) and weighs(kinds.get(dotted(below.func), "")):
        return below
    return None


def _assigned_just_before(script: Script, name: str, call: ast.Call) -> ast.expr | None:
    """What the name was given in the statement just before the one of the call."""
    statement = script.statement(call)
    block = script.block(statement)
    place = block.index(statement)
    before = assignments(block[place - 1]) if place else ()
    return next((value for target, value in before if dotted(target) == name), None)


def width_of(script: Script, layer: ast.expr) -> str | None:
    """Code of the width that a linear or convolutional layer gives: `hidden` for `nn.Linear(inputs, hidden)`."""
    if not isinstance(layer, ast.Call) or not weighs(kind_of(layer)):
        return None
    width = argument(layer, "out_features" if kind_of(layer) == "Linear" else "out_channels", 1)
    return script.text(width) if width is not None else None
