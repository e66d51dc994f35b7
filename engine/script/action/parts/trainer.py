"""The Trainer that fits, and its callbacks."""

from __future__ import annotations

import ast
import re

from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import calls, dotted, keyword, last_name, text_of


def trainer_call(script: Script) -> ast.Call:
    """The call that makes the Trainer which fits. Raises `Refused` when it cannot be told."""
    found = [call for call in script.calls() if script.full_name(call.func).endswith(".Trainer")]
    found = found or script.calls("Trainer")
    if len(found) > 1:
        found = [call for call in found if _fits(script, call)]
    if len(found) != 1:
        raise Refused("the script makes no Trainer" if not found else "the script fits with several Trainers")
    return found[0]


def _fits(script: Script, call: ast.Call) -> bool:
    parent = script.parent(call)
    if isinstance(parent, ast.Attribute):
        return parent.attr == "fit"
    if not isinstance(parent, ast.Assign):
        return False
    name = dotted(parent.targets[0])
    scope = script.enclosing(call, ast.FunctionDef) or script.module
    return any(dotted(other.func) == f"{name}.fit" for other in calls(scope))


def refuse_argument(script: Script, call: ast.Call, name: str, unset: set[str]) -> None:
    """Unless it is not given, or in one of the ways that mean the same."""
    given = keyword(call, name)
    if given is not None and script.text(given) not in unset:
        raise Refused(f"the Trainer has {name}={script.text(given)} already")


def uses_several_devices(script: Script) -> bool:
    """Whether the Trainer is told to spread over devices, so that each process sees a part of the data."""
    call = trainer_call(script)
    devices = keyword(call, "devices")
    if isinstance(devices, ast.Name):
        devices = script.assigned(devices.id, call) or devices
    # what only the run knows may be many; all of them would be -1
    one = devices is None or re.fullmatch(r"""1|["']auto["']|\[\s*\d+\s*,?\s*\]""", ast.unparse(devices))
    strategy = keyword(call, "strategy")
    return not one or bool(strategy is not None and re.search(r"ddp|fsdp|deepspeed", script.text(strategy)))


def value_of(script: Script, node: ast.expr | None, near: ast.AST) -> str | None:
    """The text of a literal, or of the name that it was given."""
    if isinstance(node, ast.Name) and (assigned := script.assigned(node.id, near)) is not None:
        node = assigned
    return text_of(node)


def add_callback(script: Script, code: str) -> None:
    """Whether `callbacks` is missing, a list, a name for one, or something else that is one."""
    call = trainer_call(script)
    value = keyword(call, "callbacks")
    if value is None:
        script.add_argument(call, "callbacks", f"[{code}]")
        return
    if isinstance(value, ast.Name):
        assigned = script.assigned(value.id, call)
        if assigned is None:
            raise Refused(f"what the callbacks are cannot be told: {value.id} is not assigned just once")
        if not isinstance(assigned, ast.List):
            _extend(script, value, assigned, code)
            return
        value = assigned
    if isinstance(value, ast.List):
        script.append(value, code)
    else:
        _extend(script, value, value, code)


def _extend(script: Script, used: ast.expr, meaning: ast.expr, code: str) -> None:
    """`used` stands in the call and has the value of `meaning`: one callback, nothing, or a list made elsewhere."""
    text = script.text(used)
    if isinstance(meaning, ast.Constant) and meaning.value is None:
        script.replace(used, f"[{code}]")
    elif isinstance(meaning, ast.Call) and last_name(meaning.func)[:1].isupper():
        script.make_list(used, text, code)
    elif isinstance(used, ast.Name | ast.Call | ast.Attribute):
        script.make_list(used, f"*{text}", code)
    else:
        script.make_list(used, f"*({text})", code)
