"""Recipes that put a layer between the layers of a network.

Networks are written in three ways: as layers in `nn.Sequential(...)` or a list, as `layers.append(...)`, and as calls
in `forward`. Each recipe finds its places in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from progtrain.engine.script.action.layout import append_argument, append_element, insert_after
from progtrain.engine.script.action.nodes import argument, assignments, calls, dotted, last_name, walk
from progtrain.engine.script.action.recipes.base import Parameters
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.action.transform import Change

ACTIVATIONS = frozenset(
    {"ReLU", "LeakyReLU", "GELU", "SiLU", "ELU", "SELU", "CELU", "Mish", "PReLU", "ReLU6", "Hardswish", "Softplus"}
    | {"Tanh"}
)
_ACTIVATION_NAMES = frozenset({"act", "activation", "act_fn", "activation_fn", "nonlinearity", "act_layer"})
_FUNCTIONS = frozenset({"relu", "leaky_relu", "gelu", "silu", "elu", "selu", "mish", "tanh", "hardswish", "relu6"})
_CONVOLUTIONS = {"Conv1d": "BatchNorm1d", "Conv2d": "BatchNorm2d", "Conv3d": "BatchNorm3d"}
_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "batch_norm", "layer_norm", "group_norm")
_SEQUENCES = frozenset(
    {"Embedding", "LSTM", "GRU", "RNN", "MultiheadAttention", "Transformer"}
    | {"TransformerEncoder", "TransformerEncoderLayer", "TransformerDecoderLayer"}
)
_FOREIGN = ("torchvision.models", "timm", "transformers", "segmentation_models_pytorch", "torch.hub")


@dataclass(frozen=True)
class Chain:
    """Layers that stand in a row. `container` is the call or list that holds them; None: `layers.append` statements."""

    container: cst.Call | cst.List | None
    items: tuple[cst.BaseExpression, ...]
    #: a row that others follow: a list that is unpacked, a block within another
    open_end: bool

    def kind(self, index: int) -> str:
        return _kind(self.items[index])


def _kind(node: cst.BaseExpression) -> str:
    """`Linear` for `nn.Linear(...)`; `ReLU` also for what is named as an activation."""
    name = last_name(node.func) if isinstance(node, cst.Call) else last_name(node)
    if name in _ACTIVATION_NAMES:
        return "ReLU"
    return name if isinstance(node, cst.Call) else ""


# dropout


def dropout(script: Script, parameters: Parameters) -> None:
    _refuse_network(script)
    script.refuse_setting("dropout")
    made = {last_name(call.func) for call in calls(script.module)}
    if any("ropout" in name for name in made):
        raise Refused("the network has dropout already: set it instead")
    if any(name.startswith(("Transformer", "MultiheadAttention")) for name in made):
        raise Refused("the network drops activations by an argument of its own layers (dropout=...)")
    chains = list(_chains(script))
    points = [(chain, index) for chain in chains for index in _hidden_activations(chain)]
    wraps = list(_functional_activations(script))
    if not points and not wraps:
        points = _before_last_linear(chains)
        wraps = [] if points else _into_last_linear(script)
    if not points and not wraps:
        raise Refused("the network has no hidden linear layer whose activations could be dropped")
    rate = script.constant(["DROPOUT", "DROPOUT_RATE"], float(parameters["dropout"]))
    code = f"{script.qualify('torch.nn.Dropout')}({rate})"
    _insert(script, [(chain, index, code) for chain, index in points])
    _wrap_with_module(script, wraps, "dropout", code)


def _hidden_activations(chain: Chain) -> Iterator[int]:
    """Activations of linear layers that another linear layer reads."""
    for index in range(len(chain.items)):
        before = [chain.kind(i) for i in range(index) if _weighs(chain.kind(i))]
        after = [chain.kind(i) for i in range(index + 1, len(chain.items)) if _weighs(chain.kind(i))]
        read = after[0] == "Linear" if after else chain.open_end
        if chain.kind(index) in ACTIVATIONS and before and before[-1] == "Linear" and read:
            yield index


def _weighs(kind: str) -> bool:
    return kind == "Linear" or kind in _CONVOLUTIONS


def _before_last_linear(chains: list[Chain]) -> list[tuple[Chain, int]]:
    """Convolutional networks: what the last linear layer reads."""
    for chain in reversed(chains):
        kinds = [chain.kind(i) for i in range(len(chain.items))]
        last = max((i for i, kind in enumerate(kinds) if kind == "Linear"), default=0)
        if last > 0 and any(kind in _CONVOLUTIONS for kind in kinds[:last]):
            return [(chain, last - 1)]
    return []


def _into_last_linear(script: Script) -> list[cst.BaseExpression]:
    """The argument of the last call of a linear layer in a `forward` that has other layers before it."""
    for forward, kinds in _forwards(script):
        found = [call for call in calls(forward) if dotted(call.func) in kinds]
        ordered = sorted(found, key=lambda c: sum(1 for other in calls(c) if other in found))
        linear = [c for c in ordered if kinds[dotted(c.func)] == "Linear" and len(c.args) == 1]
        outermost = [c for c in linear if not any(c is not o and c in calls(o) for o in linear)]
        if len(found) > 1 and outermost and isinstance(outermost[-1].args[0].value, cst.BaseExpression):
            return [outermost[-1].args[0].value]
    return []


# batch normalisation


def batch_norm(script: Script, parameters: Parameters) -> None:
    _refuse_network(script)
    made = {last_name(call.func) for call in calls(script.module)}
    if named := sorted(name for name in made if name.removeprefix("Lazy").startswith(_NORMS)):
        raise Refused(f"the network normalises activations already ({named[0]})")
    if named := sorted(made & _SEQUENCES):
        raise Refused(f"the network works on sequences ({named[0]}), whose activations have another shape")
    if any(s.key == "batch_size" and s.value == 1 for s in script.settings):
        raise Refused("batches of one sample have no spread")
    inserts = []
    for chain in _chains(script):
        for index in range(len(chain.items) - 1):
            norm = _norm_for(script, chain.items[index])
            if norm and chain.kind(index + 1) in ACTIVATIONS:
                inserts.append((chain, index, norm))
    wrapped = _normalise_in_forward(script)
    if not inserts and not wrapped:
        raise Refused("the network has no layer followed by an activation between which to normalise")
    _insert(script, inserts)


def _norm_for(script: Script, layer: cst.BaseExpression) -> str | None:
    """`nn.BatchNorm1d(hidden)` for `nn.Linear(inputs, hidden)`."""
    if not isinstance(layer, cst.Call):
        return None
    kind = _kind(layer)
    norm = "BatchNorm1d" if kind == "Linear" else _CONVOLUTIONS.get(kind)
    if norm is None:
        return None
    keyword = argument(layer, "out_features" if kind == "Linear" else "out_channels")
    plain = [arg for arg in layer.args if arg.keyword is None and not arg.star]
    width = keyword.value if keyword else plain[1].value if len(plain) > 1 else None
    return f"{script.qualify(f'torch.nn.{norm}')}({script.text(width)})" if width else None


def _normalise_in_forward(script: Script) -> bool:
    """`F.relu(self.fc(x))` becomes `F.relu(self.fc_norm(self.fc(x)))`."""
    done: set[str] = set()
    for forward, kinds in _forwards(script):
        owner = script.enclosing(forward, cst.ClassDef)
        init = script.method("__init__", owner) if owner else None
        for activation in calls(forward):
            layer = _layer_below(script, activation, forward, kinds)
            if layer is None or init is None:
                continue
            name = dotted(layer.func)
            made = [value for target, value in assignments(init) if dotted(target) == name]
            norm = _norm_for(script, made[0]) if len(made) == 1 else None
            if norm is None:
                continue
            if name not in done:
                script.insert_after(made[0], f"{name}_norm = {norm}\n")
            done.add(name)
            script.change(layer, _called(f"{name}_norm"))
    return bool(done)


# finding layers


def _refuse_network(script: Script) -> None:
    script.lightning_class()  # whose steps switch layers between training and evaluation
    for call in calls(script.module):
        name = script.full_name(call.func)
        if name.startswith(_FOREIGN):
            raise Refused(f"the network comes from elsewhere ({name})")


def _chains(script: Script) -> Iterator[Chain]:
    for node in walk(script.module):
        if isinstance(node, cst.Call) and last_name(node.func) == "Sequential":
            if node.args and all(arg.keyword is None and not arg.star for arg in node.args):
                _refuse_indexed(script, node)
                inner = isinstance(script.parent(node), cst.Arg | cst.Element)
                yield Chain(node, tuple(arg.value for arg in node.args), inner)
        elif isinstance(node, cst.List) and node.elements:
            if all(isinstance(element, cst.Element) for element in node.elements):
                items = tuple(element.value for element in node.elements)
                if any(_kind(item) in ACTIVATIONS for item in items):
                    yield Chain(node, items, _goes_on(script, node))
        elif isinstance(node, cst.IndentedBlock):
            yield from _appended(node)


def _goes_on(script: Script, node: cst.List) -> bool:
    """Whether layers follow those of the list: it is added to another, or more are added to it."""
    parent = script.parent(node)
    if isinstance(parent, cst.Assign):
        name = dotted(parent.targets[0].target)
        scope = script.enclosing(node, cst.FunctionDef) or script.module
        return any(dotted(call.func) in (f"{name}.append", f"{name}.extend") for call in calls(scope)) or any(
            isinstance(other, cst.AugAssign) and dotted(other.target) == name for other in walk(scope)
        )
    return isinstance(parent, cst.AugAssign | cst.Arg | cst.BinaryOperation)


def _appended(block: cst.IndentedBlock) -> Iterator[Chain]:
    """Neighbouring `layers.append(...)` statements of one list."""
    run: list[cst.BaseExpression] = []
    name = ""
    for statement in [*block.body, None]:
        call = _append_call(statement)
        if call is not None and dotted(call.func) in (name, name or dotted(call.func)):
            run.append(call.args[0].value)
            name = dotted(call.func)
            continue
        if any(_kind(item) in ACTIVATIONS for item in run):
            yield Chain(None, tuple(run), open_end=True)
        run = [call.args[0].value] if call is not None else []
        name = dotted(call.func) if call is not None else ""


def _append_call(statement: cst.CSTNode | None) -> cst.Call | None:
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        small = statement.body[0]
        if isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
            call = small.value
            if dotted(call.func).endswith(".append") and len(call.args) == 1:
                return call
    return None


def _refuse_indexed(script: Script, sequential: cst.Call) -> None:
    parent = script.parent(sequential)
    name = dotted(parent.targets[0].target) if isinstance(parent, cst.Assign) else ""
    for node in walk(script.module):
        if name and isinstance(node, cst.Subscript) and dotted(node.value) == name:
            raise Refused(f"the script counts on the places of layers ({script.text(node)})")


def _insert(script: Script, inserts: list[tuple[Chain, int, str]]) -> None:
    """Puts layers after the given places, the last first so that places stay valid."""
    by_container: dict[cst.Call | cst.List, list[tuple[int, str]]] = {}
    for chain, index, code in inserts:
        if chain.container is None:
            statement = chain.items[index]
            target = script.enclosing(statement, cst.Call)
            assert target is not None
            script.insert_after(statement, f"{script.text(target.func)}({code})\n")
        else:
            by_container.setdefault(chain.container, []).append((index, code))
    for container, places in by_container.items():
        script.change(container, _with_layers(places))


def _with_layers(places: list[tuple[int, str]]) -> Change:
    return lambda node: _put_in(node, places)


def _put_in(node: cst.Call | cst.List, places: list[tuple[int, str]]) -> cst.CSTNode:
    for index, code in sorted(places, reverse=True):
        layer = cst.parse_expression(code)
        if isinstance(node, cst.Call):
            arg = cst.Arg(layer)
            node = (
                append_argument(node, arg)
                if index == len(node.args) - 1
                else node.with_changes(args=insert_after(node.args, index, arg))
            )
        else:
            element = cst.Element(layer)
            plain = [e for e in node.elements if isinstance(e, cst.Element)]
            node = (
                append_element(node, element)
                if index == len(plain) - 1
                else node.with_changes(elements=insert_after(plain, index, element))
            )
    return node


# layers called in forward


def _forwards(script: Script) -> Iterator[tuple[cst.FunctionDef, dict[str, str]]]:
    """`forward` of each module, with the kinds of the layers that its `__init__` makes: {"self.fc": "Linear"}."""
    for name, owner in script.classes().items():
        if name not in script.facts.modules:
            continue
        forward, init = script.method("forward", owner), script.method("__init__", owner)
        if forward is not None and init is not None:
            kinds = {dotted(t): _kind(v) for t, v in assignments(init) if isinstance(v, cst.Call) and dotted(t)}
            yield forward, {name: kind for name, kind in kinds.items() if name.startswith("self.")}


def _functional_activations(script: Script) -> Iterator[cst.BaseExpression]:
    """Activations of linear layers in `forward`, unless they are what it returns."""
    for forward, kinds in _forwards(script):
        for call in calls(forward):
            layer = _layer_below(script, call, forward, kinds)
            if layer is None or kinds.get(dotted(layer.func)) != "Linear":
                continue
            if not isinstance(script.parent(call), cst.Return):
                yield call


def _layer_below(script: Script, call: cst.Call, forward: cst.FunctionDef, kinds: dict[str, str]) -> cst.Call | None:
    """The layer whose output the activation `call` gets; None when it is no activation or cannot be told."""
    name = last_name(call.func)
    if isinstance(call.func, cst.Attribute) and not call.args and name in _FUNCTIONS:
        below = call.func.value  # self.fc(x).relu()
    elif call.args and (
        kinds.get(dotted(call.func)) in ACTIVATIONS
        or (name in _FUNCTIONS and script.full_name(call.func).startswith("torch."))
    ):
        below = call.args[0].value
    else:
        return None
    if isinstance(below, cst.Name):
        found = _last_assignment(script, below.value, call, forward)
        below = found if found is not None else below
    if isinstance(below, cst.Call) and _weighs(kinds.get(dotted(below.func), "")):
        return below
    return None


def _last_assignment(
    script: Script, name: str, before: cst.Call, forward: cst.FunctionDef
) -> cst.BaseExpression | None:
    """What the name was given in the statement just before the one of the call."""
    statement = script.statement(before)
    block = script.parent(statement)
    if not isinstance(block, cst.IndentedBlock):
        return None
    place = list(block.body).index(statement)
    if place == 0:
        return None
    for target, value in assignments(block.body[place - 1]):
        if dotted(target) == name:
            return value
    return None


def _wrap_with_module(script: Script, nodes: list[cst.BaseExpression], name: str, code: str) -> None:
    """Makes `self.<name>` in `__init__` and calls it on what each of the nodes gives."""
    owners: list[cst.ClassDef] = []
    for node in nodes:
        owner = script.enclosing(node, cst.ClassDef)
        init = script.method("__init__", owner) if owner else None
        if owner is None or init is None:
            raise Refused("the layers of the network are not made in __init__")
        if any(n.attr.value == name for n in walk(owner) if isinstance(n, cst.Attribute)):
            raise Refused(f"the network uses the name {name} itself")
        if owner not in owners:
            script.insert_at_end(init, f"self.{name} = {code}\n")
            owners.append(owner)
        script.change(node, _called(f"self.{name}"))


def _called(function: str) -> Change:
    """The node as the argument of a call."""
    return lambda node: cst.Call(cst.parse_expression(function), [cst.Arg(node)])
