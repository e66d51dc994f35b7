"""The loss of the training step: a function, or a module that is made and called.

Where validation has a loss call of its own it keeps it; where both share one, both change, and the evaluation, which
always uses the plain loss, keeps versions comparable.
"""

from __future__ import annotations

import ast

from progtrain.engine.script.action.parts.packages import qualify
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import assignments, called, calls, dotted


def loss_call(script: Script, function: str, module: str) -> tuple[ast.Call, bool]:
    """(call, False) for the function in the training path, (call that makes the module, True) for a loss module."""
    found: list[tuple[ast.Call, bool]] = []
    for scope in script.training_functions():
        for call in calls(scope):
            if called(call) == function and script.full_name(call.func).startswith("torch."):
                found.append((call, False))
            elif called(call) == module:
                found.append((call, True))
            elif (made := _made_module(script, dotted(call.func), module)) is not None:
                found.append((made, True))
    different = list({id(call): (call, kind) for call, kind in found}.values())
    if not different:
        raise Refused(f"the training step has no {function} that can be found")
    if len(different) > 1:
        raise Refused(f"the training step works out {len(different)} losses with {function}")
    return different[0]


def _made_module(script: Script, name: str, module: str) -> ast.Call | None:
    """The call of `nn.CrossEntropyLoss` that `self.loss_fn` was assigned."""
    if not name:
        return None
    scope = script.lightning_class() if name.startswith("self.") else script.module
    made = (call for target, value in assignments(scope) if dotted(target) == name for call in calls(value, module))
    return next(made, None)


def assigned_name(script: Script, made: ast.Call) -> str:
    """The name that a loss module was given."""
    scope = script.enclosing(made, ast.FunctionDef) or script.module
    return next((dotted(target) for target, value in assignments(scope) if value is made), "")


def only_use(script: Script, made: ast.Call) -> ast.Call:
    """The one call of the loss module in the training path."""
    name = assigned_name(script, made)
    found = [call for function in script.training_functions() for call in calls(function) if dotted(call.func) == name]
    if len(found) != 1:
        raise Refused("the loss is called in several places of the training step")
    return found[0]


def sibling(script: Script, call: ast.Call, name: str) -> str:
    """`F.mse_loss` -> `F.huber_loss`."""
    if isinstance(call.func, ast.Attribute):
        return f"{script.text(call.func.value)}.{name}"
    parent = script.full_name(call.func).rpartition(".")[0]
    return qualify(script, f"{parent or 'torch.nn.functional'}.{name}")
