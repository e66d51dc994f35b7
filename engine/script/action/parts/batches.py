"""Where a batch keeps its parts, and code that runs before the first one."""

from __future__ import annotations

import ast
import textwrap

from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import calls, dotted, walk

#: methods that give a tensor another shape or type, but the same numbers
_RESHAPING = frozenset({"long", "float", "squeeze", "flatten", "view", "reshape", "to", "int", "double", "ravel"})


def part_of_batch(script: Script, function: ast.FunctionDef, expression: ast.expr, what: str) -> str:
    """Code that takes from `batch` what `expression` means in `function`: `batch[1]`, `batch["label"]`."""
    bare = unshaped(expression)
    parameters = [p.arg for p in function.args.args]
    if (part := _item(script, bare, parameters)) is not None:
        return part
    name = dotted(bare)
    if not name or "." in name:
        raise Refused(f"{what} cannot be traced back to the batch")
    assigned = [node for node in walk(function) if isinstance(node, ast.Assign) and _assigns(node, name)]
    if not assigned and name in parameters:
        raise Refused(f"{what} comes into {function.name} from outside and cannot be traced back to the batch")
    sources = [code for node in assigned if (code := _source(script, node, name, parameters)) is not None]
    if len(sources) != 1 or len(assigned) != 1:
        raise Refused(f"{what} ({name}) is worked out on the way and cannot be traced back to the batch")
    return sources[0]


def unshaped(node: ast.expr) -> ast.expr:
    """The tensor that `x.flatten(1)` and the like reshape."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _RESHAPING:
        node = node.func.value
    return node


def _item(script: Script, node: ast.expr, parameters: list[str]) -> str | None:
    """`batch["x"]` for `data["x"]`, where `data` is what the function is given."""
    if isinstance(node, ast.Subscript) and dotted(node.value) in parameters:
        return "batch" + script.text(node)[len(script.text(node.value)) :]
    return None


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(dotted(n) == name for target in node.targets for n in walk(target))


def _source(script: Script, node: ast.Assign, name: str, parameters: list[str]) -> str | None:
    target = node.targets[0]
    if isinstance(target, ast.Name):
        return _item(script, unshaped(node.value), parameters)
    if not isinstance(target, ast.Tuple | ast.List) or dotted(node.value) not in parameters:
        return None
    if any(isinstance(element, ast.Starred) for element in target.elts):
        return None
    return next((f"batch[{index}]" for index, element in enumerate(target.elts) if dotted(element) == name), None)


def initialiser(script: Script) -> ast.FunctionDef:
    init = script.method("__init__")
    if init is None:
        raise Refused("the LightningModule has no __init__")
    return init


def after_super(script: Script, init: ast.FunctionDef) -> ast.stmt:
    """The statement that calls the parent's `__init__`: attributes can be set after it."""
    for call in calls(init):
        if script.text(call.func).endswith("__init__") and "super" in script.text(call.func):
            return script.statement(call)
    raise Refused("__init__ does not call super().__init__()")


def at_training_start(script: Script, code: str) -> None:
    """Runs `code` in `on_train_start`: after the checks, on the device, before the first batch."""
    code = textwrap.dedent(code).strip("\n")
    if "IterableDataset" in script.source.text:
        raise Refused("the training data is a stream (IterableDataset), which is not gone through beforehand")
    existing = script.method("on_train_start")
    if existing is not None:
        script.insert_at_start(existing, code)
        return
    step = script.method("training_step")
    if step is None:
        raise Refused("the LightningModule has no training_step of its own")
    script.insert_before(step, "def on_train_start(self) -> None:\n" + textwrap.indent(code, "    "))
