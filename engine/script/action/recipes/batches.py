"""Where a batch keeps its parts, and code that runs before the first one."""

from __future__ import annotations

import textwrap

import libcst as cst

from progtrain.engine.script.action.nodes import Statement, calls, dotted, walk
from progtrain.engine.script.action.rewrite import Refused, Script

#: methods that give a tensor another shape or type, but the same numbers
_RESHAPING = frozenset({"long", "float", "squeeze", "flatten", "view", "reshape", "to", "int", "double", "ravel"})


def part_of_batch(script: Script, function: cst.FunctionDef, expression: cst.BaseExpression, what: str) -> str:
    """Code that takes from `batch` what `expression` means in `function`: `batch[1]`, `batch["label"]`."""
    bare = plain(expression)
    parameters = [p.name.value for p in function.params.params]
    if isinstance(bare, cst.Subscript) and dotted(bare.value) in parameters:
        return "batch" + script.text(bare)[len(dotted(bare.value)) :]
    name = dotted(bare)
    if not name or "." in name:
        raise Refused(f"{what} cannot be traced back to the batch")
    assigned = [node for node in walk(function) if isinstance(node, cst.Assign) and _assigns(node, name)]
    if not assigned and name in parameters:
        raise Refused(f"{what} comes into {function.name.value} from outside and cannot be traced back to the batch")
    sources = [code for node in assigned if (code := _source(script, node, name, parameters)) is not None]
    if len(sources) != 1 or len(assigned) != 1:
        raise Refused(f"{what} ({name}) is worked out on the way and cannot be traced back to the batch")
    return sources[0]


def plain(node: cst.BaseExpression) -> cst.BaseExpression:
    """The tensor that `x.flatten(1)` and the like reshape."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in _RESHAPING:
        node = node.func.value
    return node


def _assigns(node: cst.Assign, name: str) -> bool:
    return any(dotted(n) == name for target in node.targets for n in walk(target.target))


def _source(script: Script, node: cst.Assign, name: str, parameters: list[str]) -> str | None:
    target = node.targets[0].target
    if isinstance(target, cst.Name):
        value = plain(node.value)
        if isinstance(value, cst.Subscript) and dotted(value.value) in parameters:
            return "batch" + script.text(value)[len(dotted(value.value)) :]
        return None
    if not isinstance(target, cst.Tuple | cst.List) or dotted(node.value) not in parameters:
        return None
    for index, element in enumerate(target.elements):
        if isinstance(element, cst.StarredElement):
            return None
        if dotted(element.value) == name:
            return f"batch[{index}]"
    return None


def initialiser(script: Script) -> cst.FunctionDef:
    init = script.method("__init__")
    if init is None:
        raise Refused("the LightningModule has no __init__")
    return init


def after_super(script: Script, init: cst.FunctionDef) -> Statement:
    """The statement that calls the parent's `__init__`: attributes can be set after it."""
    for call in calls(init):
        if script.text(call.func).endswith("__init__") and "super" in script.text(call.func):
            return script.statement(call)
    raise Refused("__init__ does not call super().__init__()")


def at_training_start(script: Script, code: str) -> None:
    """Runs `code` in `on_train_start`: after the checks, on the device, before the first batch."""
    code = textwrap.dedent(code).strip("\n") + "\n"
    if "IterableDataset" in script.source:
        raise Refused("the training data is a stream (IterableDataset), which is not gone through beforehand")
    existing = script.method("on_train_start")
    if existing is not None:
        script.insert_at_start(existing, code)
        return
    step = script.method("training_step")
    if step is None:
        raise Refused("the LightningModule has no training_step of its own")
    hook = "def on_train_start(self) -> None:\n" + textwrap.indent(code, "    ")
    script.insert_before(step, hook)
